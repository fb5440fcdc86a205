"""SqlStore: one transaction at a time, and the tables it reaches."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from pipeline.errors import Conflict, Down
from pipeline.settings import WAIT_S
from pipeline.stores.catalog import SqlCatalog
from pipeline.stores.deliveries import SqlDeliveries
from pipeline.stores.engine import connect, make_room, transaction
from pipeline.stores.erasing import SqlErasing
from pipeline.stores.exporting import SqlExport
from pipeline.stores.forwards import SqlForwards
from pipeline.stores.imports import SqlImports
from pipeline.stores.insert import insert_once
from pipeline.stores.jobs import SqlJobs
from pipeline.stores.letters import SqlLetters
from pipeline.stores.log import SqlLog
from pipeline.stores.mails import SqlMails
from pipeline.stores.migrate import revision_of
from pipeline.stores.migrations import HEAD
from pipeline.stores.news import SqlNews
from pipeline.stores.notices import SqlNotices
from pipeline.stores.people import SqlPeople
from pipeline.stores.postings import SqlPostings
from pipeline.stores.reasons import SqlReasons
from pipeline.stores.reports import SqlReports
from pipeline.stores.sales import SqlSales
from pipeline.stores.schema import meta
from pipeline.stores.snippets import SqlSnippets
from pipeline.stores.stories import SqlStories


class SqlTables:
    """The tables, seen through one connection."""

    def __init__(self, connection: sa.Connection, address_key: bytes) -> None:
        self._connection = connection
        self._address_key = address_key

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
        return SqlPeople(self._connection, self._address_key)

    @cached_property
    def imports(self) -> SqlImports:
        return SqlImports(self._connection, self._address_key)

    @cached_property
    def erasing(self) -> SqlErasing:
        return SqlErasing(self._connection, self._address_key)

    @cached_property
    def export(self) -> SqlExport:
        return SqlExport(self._connection)

    @cached_property
    def letters(self) -> SqlLetters:
        return SqlLetters(self._connection)

    @cached_property
    def snippets(self) -> SqlSnippets:
        return SqlSnippets(self._connection)

    @cached_property
    def deliveries(self) -> SqlDeliveries:
        return SqlDeliveries(self._connection, self._address_key)

    @cached_property
    def sales(self) -> SqlSales:
        return SqlSales(self._connection)

    @cached_property
    def reports(self) -> SqlReports:
        return SqlReports(self._connection)

    @cached_property
    def notices(self) -> SqlNotices:
        return SqlNotices(self._connection)

    @cached_property
    def jobs(self) -> SqlJobs:
        return SqlJobs(self._connection)

    @cached_property
    def postings(self) -> SqlPostings:
        return SqlPostings(self._connection)

    @cached_property
    def mails(self) -> SqlMails:
        return SqlMails(self._connection)

    @cached_property
    def forwards(self) -> SqlForwards:
        return SqlForwards(self._connection)

    @cached_property
    def log(self) -> SqlLog:
        return SqlLog(self._connection)

    @cached_property
    def reasons(self) -> SqlReasons:
        return SqlReasons(self._connection)


class SqlStore:
    """The store on SQLite or PostgreSQL; the same code on both."""

    def __init__(self, url: str, secret: bytes, *, wait_s: float = WAIT_S) -> None:
        """`wait_s`: how long a writer waits for another one before it gives up."""
        make_room(url)
        self._address_key = hmac.new(secret, b"address-hash", hashlib.sha256).digest()
        self._fingerprint = hmac.new(secret, b"fingerprint", hashlib.sha256).hexdigest()[:32]
        self._readers = connect(url, writes=False, wait_s=wait_s)
        self._writers = connect(url, writes=True, wait_s=wait_s)

    @contextmanager
    def read(self) -> Iterator[SqlTables]:
        """A transaction that sees one instant and cannot write."""
        with transaction(self._readers) as connection:
            yield SqlTables(connection, self._address_key)

    @contextmanager
    def write(self) -> Iterator[SqlTables]:
        """A transaction that may write; rolled back on any exception."""
        with transaction(self._writers) as connection:
            yield SqlTables(connection, self._address_key)

    @contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """One instant of the whole database, for a backup; others go on writing."""
        with transaction(self._readers) as connection:
            yield connection

    def check_secret(self) -> None:
        """Hold the secret against the one that this database was first used with.

        With another secret every address hash would be another one: who has left would
        be mailed again. The first call writes the fingerprint.

        Raises: Conflict, Down
        """
        name = "secret_fingerprint"
        with transaction(self._readers) as connection:
            known = connection.scalar(sa.select(meta.c.value).where(meta.c.name == name))
        if known is None:
            with transaction(self._writers) as connection:
                insert_once(connection, meta, {"name": name, "value": self._fingerprint})
                known = connection.scalar(sa.select(meta.c.value).where(meta.c.name == name))
        if not hmac.compare_digest(str(known), self._fingerprint):
            raise Conflict(
                "This database was made with another secret; one database is one workspace.",
                "Put the old ASTERISM_SECRET (or output/secret) back. With a new one we would "
                "no longer know who has left.",
            )

    def check_shape(self) -> None:
        """Whether the database can be reached and has the newest schema.

        Raises: Down, Conflict
        """
        with transaction(self._readers) as connection:
            found = revision_of(connection)
        if found != HEAD:
            raise Conflict(
                "The database has another schema than this program.",
                "Start the program anew: it brings an older database up to date, and says what "
                "to do about a newer one.",
            )

    def optimize(self) -> None:
        """Let the database put its own house in order; PostgreSQL does so by itself.

        What was overwritten stands in the file beside it no more, unless somebody is reading.

        Source: https://sqlite.org/lang_analyze.html (PRAGMA optimize), /pragma.html
        """
        if self._writers.dialect.name != "sqlite":
            return
        # as one who writes from the beginning: who first reads, and then finds that another one
        # has written, is refused at once instead of waiting
        with transaction(self._writers) as connection:
            connection.exec_driver_sql("PRAGMA optimize")
        try:
            with self._writers.connect() as connection:
                driver = connection.connection.driver_connection
                assert driver is not None  # noqa: S101  it is connected
                # outside any transaction: a checkpoint cannot run inside one
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except (sqlite3.Error, DBAPIError) as error:
            raise Down(f"The database could not be put in order: {error}") from error

    def close(self) -> None:
        self._readers.dispose()
        self._writers.dispose()
