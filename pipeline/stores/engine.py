"""Engines: one that reads, one that writes, with the database's rules set on each connection."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
)
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from pipeline.errors import AsterismError, BadInput, Conflict, Down
from pipeline.settings import WAIT_S

CONNECT_S = 10


def connect(
    url: str, *, writes: bool, wait_s: float = WAIT_S, foreign_keys: bool = True
) -> sa.Engine:
    """An engine for SQLite or PostgreSQL; nothing is opened yet.

    On SQLite every writing transaction begins IMMEDIATE: deferred ones fail when two
    writers meet, however long they would wait. A reading engine refuses to write. Values
    (addresses among them) stay out of tracebacks.

    Shape:  foreign_keys=False leaves them unchecked on SQLite, for migrations alone
    Units:  wait_s, seconds to wait for a lock
    Raises: BadInput (an address that is none, or a database we do not speak to)
    Source: https://sqlite.org/lang_transaction.html (BEGIN IMMEDIATE), /wal.html
    """
    backend = _parsed(url).get_backend_name()
    if backend == "sqlite":
        engine = sa.create_engine(url, hide_parameters=True)
        rules = [f"busy_timeout = {round(wait_s * 1000)}"]
        rules += ["foreign_keys = ON" if foreign_keys else "foreign_keys = OFF"]
        rules += ["journal_mode = WAL", "synchronous = FULL"] if writes else ["query_only = ON"]
        _sqlite_rules(engine, rules, begin="BEGIN IMMEDIATE" if writes else "BEGIN")
        _driver_rules(engine)
        return engine
    try:
        engine = sa.create_engine(
            url,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"connect_timeout": CONNECT_S},
        )
    except ModuleNotFoundError as error:
        raise BadInput(
            "ASTERISM_DATABASE_URL names PostgreSQL, and its driver is not installed.",
            'Install it with: pip install "asterism[postgres]"',
        ) from error
    _postgres_rules(engine, writes=writes, wait_ms=round(wait_s * 1000))
    _driver_rules(engine)
    return engine


def make_room(url: str) -> None:
    """The folder that a SQLite file is to lie in, and the file, for its owner's eyes alone.

    Everybody's address stands in it. What SQLite lays beside it has the file's own rights.

    Raises: BadInput, Down when the folder cannot be made
    """
    database = _parsed(url)
    if database.get_backend_name() == "sqlite" and database.database:
        folder = Path(database.database).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError, PermissionError):  # whoever opens it says so
                os.close(os.open(database.database, os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise Down(
                f"The folder of the database cannot be made: {error.strerror}: {folder}",
                "Give yourself the right to write there, or set ASTERISM_DATABASE_URL.",
            ) from error


@contextmanager
def transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction: committed at the end, rolled back on any exception.

    Raises: Down (locked, full, away, not a database), Conflict (somebody wrote the same
            thing at the same moment), BadInput (a value that no column holds); what else
            the block raises goes through as it is
    """
    try:
        with engine.begin() as connection:
            yield connection
    except (DBAPIError, NoConnectionFree) as error:
        raise in_plain_words(error) from error


def in_plain_words(error: DBAPIError | NoConnectionFree) -> AsterismError:
    """A database's exception as one that an operator can act on."""
    if isinstance(error, NoConnectionFree):
        return Down("No connection to the database came free.", "Try again in a moment.")
    line = _first_line(error)
    if isinstance(error, IntegrityError):
        return Conflict(
            f"The database refused a row that does not fit the others: {line}",
            "Nothing was changed. If another program was writing at this moment, run it again.",
        )
    if isinstance(error, DataError):
        return _no_value(line)
    for words, (message, hint) in _PLAIN:
        if any(word in line.lower() for word in words):
            return Down(message.format(line=line), hint)
    return Down(f"The database does not answer: {line}", "Check ASTERISM_DATABASE_URL.")


def _no_value(what: str) -> BadInput:
    return BadInput(
        f"A value does not fit into the database: {what}",
        "Nothing was changed. Shorten or mend what was given.",
    )


#: (words in the database's own message, (what happened, what to do)); the first hit counts.
_PLAIN: tuple[tuple[tuple[str, ...], tuple[str, str]], ...] = (
    (
        ("database is locked", "lock timeout", "deadlock detected"),
        (
            "The database is locked by another program.",
            "Close what holds it open (a database browser, a backup) and run the command again; "
            "nothing is lost or done twice.",
        ),
    ),
    (
        ("is full", "no space left", "disk full"),
        (
            "The disk with the database is full.",
            "Make room and run the command again; nothing is lost or done twice.",
        ),
    ),
    (
        ("not a database", "malformed"),
        (
            "The database file is damaged, or is no database at all.",
            "Put back a copy, or move the file away to begin with an empty database; it is named "
            "by ASTERISM_DATABASE_URL (output/asterism.db when that is not set).",
        ),
    ),
    (
        ("readonly database", "read-only transaction", "permission denied", "unable to open"),
        (
            "The database may not be opened or written here: {line}",
            "Look who owns the file and its folder, and which rights they have; nothing was "
            "changed.",
        ),
    ),
    (
        ("no such table", "no such column", "undefinedtable", "undefinedcolumn"),
        (
            "The database has another shape than this program expects: {line}",
            "Run `asterism check`, which brings it up to date, or install the newer program.",
        ),
    ),
    (
        ("disk i/o error",),
        (
            "The disk with the database does not take or give data: {line}",
            "Look whether the disk is full or failing, and run the command again; nothing is lost "
            "or done twice.",
        ),
    ),
)


def _first_line(error: DBAPIError) -> str:
    """What the driver said, without the statement and its values: those hold addresses."""
    cause = error.orig
    kind = type(cause).__name__
    said = str(cause).strip().splitlines()
    return f"{said[0] if said else kind}" + (f" ({kind})" if kind.startswith("Undefined") else "")


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() in ("sqlite", "postgresql"):
            parsed.get_dialect()
            if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
                raise BadInput("ASTERISM_DATABASE_URL names no file for SQLite.", _ADDRESS_HINT)
            return parsed
    except (ArgumentError, NoSuchModuleError) as error:
        raise BadInput("ASTERISM_DATABASE_URL is no database address.", _ADDRESS_HINT) from error
    raise BadInput(
        f"ASTERISM_DATABASE_URL names {parsed.get_backend_name()}, which we do not speak.",
        _ADDRESS_HINT,
    )


_ADDRESS_HINT = (
    "Give a path for SQLite, or postgresql+psycopg://user@host/name; without it the "
    "database lies in output/asterism.db."
)


def _driver_rules(engine: sa.Engine) -> None:
    @event.listens_for(engine, "handle_error")
    def on_error(failed: ExceptionContext) -> BadInput | None:
        """A driver tells of what it cannot hand over in Python's own words, not its own."""
        if not isinstance(failed.original_exception, UnicodeEncodeError | OverflowError):
            return None
        is_text = isinstance(failed.original_exception, UnicodeEncodeError)
        what = "a text that is no UTF-8" if is_text else "a number that is too large"
        return _no_value(f"{what}.")


def _sqlite_rules(engine: sa.Engine, pragmas: Sequence[str], *, begin: str) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we begin transactions ourselves
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)


def _postgres_rules(engine: sa.Engine, *, writes: bool, wait_ms: int) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.autocommit = True
        connection.execute(f"SET lock_timeout = {max(1, wait_ms)}")  # 0 would be for ever
        connection.autocommit = False

    if not writes:

        @event.listens_for(engine, "begin")
        def on_begin(connection: sa.Connection) -> None:
            # a reader sees one instant, as it does on SQLite
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
