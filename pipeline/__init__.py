"""Asterism: from industry news to expert letters, on a steady rhythm."""

__version__ = "0.1.0"
