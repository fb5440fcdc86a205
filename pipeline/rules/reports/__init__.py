"""A month as a page: its words, its pictures, its table."""
