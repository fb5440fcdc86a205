"""Adapters that run the parsing rules, here or behind a limit."""
