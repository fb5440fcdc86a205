"""Adapters of the store: SQLite and PostgreSQL through SQLAlchemy Core."""
