"""Adapters that bring bytes from outside."""
