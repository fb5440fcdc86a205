"""Pages that are reached from outside."""
