"""Engines: one that reads, one that writes, with the database's rules set on each connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

BUSY_TIMEOUT_MS = 30_000


def connect(url: str, *, writes: bool) -> sa.Engine:
    """An engine for SQLite or PostgreSQL.

    On SQLite every writing transaction begins IMMEDIATE: deferred ones fail when two
    writers meet, however long they would wait.

    Source: https://sqlite.org/lang_transaction.html (BEGIN IMMEDIATE), /wal.html
    """
    engine = sa.create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name == "sqlite":
        _sqlite_rules(engine, writes=writes)
    return engine


def make_room(url: str) -> None:
    """The folder that a SQLite file is to lie in."""
    database = sa.make_url(url)
    if database.get_backend_name() == "sqlite" and database.database:
        Path(database.database).parent.mkdir(parents=True, exist_ok=True)


def _sqlite_rules(engine: sa.Engine, *, writes: bool) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we begin transactions ourselves
        for pragma in (
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
