"""Inserts that leave alone what is there already, spelled for either database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


def insert_once(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> bool:
    """Write a row unless one with the same unique values stands; whether it was written.

    Source: ON CONFLICT DO NOTHING, the same on SQLite and PostgreSQL, partial indexes too
    """
    statement = inserting(connection, table).values(**row).on_conflict_do_nothing()
    return connection.execute(statement.returning(sa.literal(1))).first() is not None


def inserting(connection: sa.Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that can say what to do on a conflict: SQLAlchemy has one for each database."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return make(table)
