"""Brings a database to the newest schema, or says why it cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from pipeline.errors import BadInput, Conflict, Down
from pipeline.settings import WAIT_S
from pipeline.stores.engine import connect, make_room, transaction
from pipeline.stores.migrations import HEAD
from pipeline.stores.schema import metadata

SCRIPTS = Path(__file__).parent / "migrations"
VERSION_TABLE = "asterism_revision"

#: Held on PostgreSQL while upgrading; any number that no other program takes.
_ADVISORY_LOCK = 0x2042_4153_5445_5249


def migrate(url: str, *, wait_s: float = WAIT_S) -> None:
    """Create or upgrade the tables; running it again changes nothing.

    A database that is at the newest revision costs one short look. Two programs may call it
    at once: one waits for the other.

    Raises: BadInput (the database is another program's), Conflict (it is newer than this
            program, or an upgrade would break it), Down
    """
    make_room(url)
    engine = connect(url, writes=False, wait_s=wait_s)
    try:
        with transaction(engine) as connection:
            current = revision_of(connection)
    finally:
        engine.dispose()
    if current != HEAD:
        upgrade(url, wait_s=wait_s)


def upgrade(url: str, scripts: Path = SCRIPTS, head: str = HEAD, *, wait_s: float = WAIT_S) -> None:
    """Run every revision from the database's own to `head`, in one transaction.

    On SQLite foreign keys are off meanwhile: altering a table there means to drop it and
    make it anew, which would take its children along. They are checked before the commit.

    Raises: as migrate()
    Source: https://sqlite.org/lang_altertable.html §7
    """
    engine = connect(url, writes=True, wait_s=wait_s, foreign_keys=False)
    try:
        with transaction(engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            current = revision_of(connection)
            if current == head:  # somebody was quicker
                return
            if current is None:
                _refuse_strangers(connection)
            _run(connection, scripts, head)
            _check_references(connection)
    finally:
        engine.dispose()


def rebuild(
    url: str,
    revision: str,
    fill: Callable[[sa.Connection], None],
    *,
    allow: Callable[[sa.Connection], None] = lambda connection: None,
    wait_s: float = WAIT_S,
) -> None:
    """Make the database anew: as it was at `revision`, filled, and brought to the newest.

    All of it in one transaction: when anything fails, what was there stands as it stood.

    Shape:  allow looks at what is there before anything is touched, and may raise
    Raises: as migrate(); Conflict when this program does not know the revision
    """
    make_room(url)
    engine = connect(url, writes=True, wait_s=wait_s, foreign_keys=False)
    try:
        with transaction(engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            if revision_of(connection) is None:
                _refuse_strangers(connection)
            else:
                allow(connection)
            _drop(connection)
            _run(connection, SCRIPTS, revision)
            fill(connection)
            _run(connection, SCRIPTS, HEAD)
            _check_references(connection)
    finally:
        engine.dispose()


def _drop(connection: sa.Connection) -> None:
    """Take away the tables of ours; what other programs have beside them stays."""
    ours = {VERSION_TABLE, *metadata.tables}
    there = sa.MetaData()
    there.reflect(connection, only=lambda name, _: name in ours)
    there.drop_all(connection)


def revision_of(connection: sa.Connection) -> str | None:
    """The revision that the database is at; None where there is none of ours."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    version = sa.table(VERSION_TABLE, sa.column("version_num", sa.String))
    return connection.scalar(sa.select(version.c.version_num))


def _refuse_strangers(connection: sa.Connection) -> None:
    tables = sa.inspect(connection).get_table_names()
    if tables:
        raise BadInput(
            f"The database is another program's: it holds the table {sorted(tables)[0]}.",
            "Set ASTERISM_DATABASE_URL to a database of its own, or to a file that is not there.",
        )


def _run(connection: sa.Connection, scripts: Path, head: str) -> None:
    # heavy, and needed once in the life of a database
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    directory = ScriptDirectory(str(scripts))
    environment = EnvironmentContext(
        config, directory, fn=lambda revision, _: directory._upgrade_revs(head, revision)
    )
    with environment:
        environment.configure(
            connection=connection, version_table=VERSION_TABLE, transactional_ddl=True
        )
        try:
            environment.run_migrations()
        except CommandError as error:
            raise Conflict(
                "The database is newer than this program.",
                "Install the newer Asterism again, or restore a backup from before.",
            ) from error


def _check_references(connection: sa.Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise Down(
            f"Upgrading would leave rows of {broken[0]} without what they belong to.",
            "Nothing was changed. Keep the database and report this.",
        )
