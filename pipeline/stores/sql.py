"""SqlStore: one transaction at a time, and the tables it reaches."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from pipeline.errors import Down
from pipeline.stores.catalog import SqlCatalog
from pipeline.stores.deliveries import SqlDeliveries
from pipeline.stores.engine import connect, make_room
from pipeline.stores.letters import SqlLetters
from pipeline.stores.log import SqlLog
from pipeline.stores.news import SqlNews
from pipeline.stores.people import SqlPeople
from pipeline.stores.sales import SqlSales
from pipeline.stores.snippets import SqlSnippets
from pipeline.stores.stories import SqlStories


class SqlTables:
    """The tables, seen through one connection."""

    def __init__(self, connection: sa.Connection, secret: bytes) -> None:
        self._connection = connection
        self._secret = secret

    @cached_property
    def catalog(self) -> SqlCatalog:
        return SqlCatalog(self._connection)

    @cached_property
    def news(self) -> SqlNews:
        return SqlNews(self._connection)

    @cached_property
    def stories(self) -> SqlStories:
        return SqlStories(self._connection)

    @cached_property
    def people(self) -> SqlPeople:
        return SqlPeople(self._connection, self._secret)

    @cached_property
    def letters(self) -> SqlLetters:
        return SqlLetters(self._connection)

    @cached_property
    def snippets(self) -> SqlSnippets:
        return SqlSnippets(self._connection)

    @cached_property
    def deliveries(self) -> SqlDeliveries:
        return SqlDeliveries(self._connection, self._secret)

    @cached_property
    def sales(self) -> SqlSales:
        return SqlSales(self._connection)

    @cached_property
    def log(self) -> SqlLog:
        return SqlLog(self._connection)


class SqlStore:
    """The store on SQLite or PostgreSQL; the same code on both."""

    def __init__(self, url: str, secret: bytes) -> None:
        make_room(url)
        self._secret = hmac.new(secret, b"address-hash", hashlib.sha256).digest()
        self._readers = connect(url, writes=False)
        self._writers = connect(url, writes=True)

    @contextmanager
    def read(self) -> Iterator[SqlTables]:
        with self._transaction(self._readers) as tables:
            yield tables

    @contextmanager
    def write(self) -> Iterator[SqlTables]:
        with self._transaction(self._writers) as tables:
            yield tables

    def close(self) -> None:
        self._readers.dispose()
        self._writers.dispose()

    @contextmanager
    def _transaction(self, engine: sa.Engine) -> Iterator[SqlTables]:
        try:
            with engine.begin() as connection:
                yield SqlTables(connection, self._secret)
        except OperationalError as error:
            raise Down(*_plain(error)) from error


def _plain(error: DBAPIError) -> tuple[str, str]:
    """(what happened, what to do) in words an operator reads."""
    text = str(error.orig).lower()
    if "locked" in text:
        return (
            "The database is locked by another program.",
            "Close what holds it open (a database browser, a backup) and run the command again; "
            "nothing was changed.",
        )
    if "full" in text:
        return (
            "The disk with the database is full.",
            "Make room and run the command again; nothing of it was changed.",
        )
    if "no such table" in text or "no such column" in text:
        return (
            "The database is older or newer than this program.",
            "Run `asterism check`, which brings it up to date, or install the newer program.",
        )
    return (f"The database does not answer: {error.orig}", "Check ASTERISM_DATABASE_URL.")
