"""Adapter that reads and writes the files people edit."""
