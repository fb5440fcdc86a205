"""Adapters that read mailboxes of our own."""
