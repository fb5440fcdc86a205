"""Adapters that move finished messages."""
