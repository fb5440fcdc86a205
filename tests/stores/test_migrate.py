"""From nothing, or from an older schema with people's data in it, to the newest one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from sqlite3 import connect as sqlite
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from pipeline.errors import BadInput, Conflict, Down
from pipeline.stores.engine import connect, transaction
from pipeline.stores.migrate import SCRIPTS, VERSION_TABLE, migrate, rebuild, upgrade
from pipeline.stores.migrations import HEAD
from pipeline.stores.schema import metadata
from pipeline.stores.sql import SqlStore
from tests.builders import SECRET
from tests.people_scene import ASKED, bring, put_catalog, row

INGRID = "ingrid@northline.example"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with nothing in it."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'new' / 'asterism.db'}"
        return
    url = sa.make_url(request.getfixturevalue("postgres_url"))
    name = f"asterism_test_{uuid.uuid4().hex[:12]}"
    server = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        server.dispose()


@contextmanager
def opened(url: str) -> Iterator[sa.Connection]:
    engine = connect(url, writes=True)
    try:
        with transaction(engine) as connection:
            yield connection
    finally:
        engine.dispose()


def revision(url: str) -> str | None:
    with opened(url) as connection:
        return connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}"))


def shape(connection: sa.Connection) -> dict[str, Any]:
    """Everything that a database says of its tables."""
    inspector = sa.inspect(connection)

    def sorted_by_name(things: Any) -> list[Any]:
        return sorted(things, key=lambda thing: str(thing["name"]))

    return {
        table: {
            "columns": [
                (c["name"], str(c["type"]), c["nullable"], c["default"])
                for c in inspector.get_columns(table)
            ],
            "key": inspector.get_pk_constraint(table),
            "unique": sorted_by_name(inspector.get_unique_constraints(table)),
            "checks": sorted_by_name(inspector.get_check_constraints(table)),
            "references": sorted_by_name(inspector.get_foreign_keys(table)),
            "indexes": [
                index | {"dialect_options": _as_text(index.get("dialect_options", {}))}
                for index in sorted_by_name(inspector.get_indexes(table))
            ],
        }
        for table in inspector.get_table_names()
        if table != VERSION_TABLE
    }


def _as_text(options: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(option) for name, option in options.items()}


# ── from nothing ─────────────────────────────────────────────────────────────────────────


def test_an_empty_database_gets_the_newest_schema(empty_url: str) -> None:
    migrate(empty_url)
    assert revision(empty_url) == HEAD
    with opened(empty_url) as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, metadata) == []


def test_the_revisions_say_what_the_schema_says(empty_url: str) -> None:
    """Beyond what Alembic compares: checks, names, defaults, the conditions of indexes."""
    migrate(empty_url)
    with opened(empty_url) as connection:
        migrated = shape(connection)
        connection.exec_driver_sql(f"DROP TABLE {VERSION_TABLE}")
        metadata.drop_all(connection)
        metadata.create_all(connection)
        made = shape(connection)
    assert migrated == made


def test_migrating_again_changes_nothing(empty_url: str) -> None:
    migrate(empty_url)
    store = SqlStore(empty_url, SECRET)
    put_catalog(store)
    (ingrid,) = bring(store, row(2, INGRID, basis=ASKED))
    migrate(empty_url)
    upgrade(empty_url)
    with store.read() as tables:
        assert tables.people.find(INGRID).id == ingrid
    store.close()


def test_the_newest_revision_is_named() -> None:
    assert ScriptDirectory(str(SCRIPTS)).get_heads() == [HEAD]


def test_four_programs_at_once_make_it_once(empty_url: str) -> None:
    program = "import sys; from pipeline.stores.migrate import migrate; migrate(sys.argv[1])"
    running = [subprocess.Popen([sys.executable, "-c", program, empty_url]) for _ in range(4)]
    assert [process.wait() for process in running] == [0, 0, 0, 0]
    assert revision(empty_url) == HEAD


def test_a_database_at_the_newest_revision_needs_nothing_heavy(sqlite_url: str) -> None:
    program = (
        "import sys; from pipeline.stores.migrate import migrate; migrate(sys.argv[1]); "
        "sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, sqlite_url], check=True)


# ── what is refused ──────────────────────────────────────────────────────────────────────


def test_another_programs_database_is_left_alone(empty_url: str) -> None:
    Path(sa.make_url(empty_url).database or "").parent.mkdir(parents=True, exist_ok=True)
    with opened(empty_url) as connection:
        connection.exec_driver_sql("CREATE TABLE recipes (name VARCHAR(10))")
    with pytest.raises(BadInput, match="recipes"):
        migrate(empty_url)
    with opened(empty_url) as connection:
        assert sa.inspect(connection).get_table_names() == ["recipes"]


def test_a_newer_database_is_left_alone(empty_url: str) -> None:
    migrate(empty_url)
    with opened(empty_url) as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(Conflict, match="newer than this program"):
        migrate(empty_url)
    assert revision(empty_url) == "9999"


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "asterism.db"
    path.write_bytes(b"my notes\n" * 200)
    with pytest.raises(Down, match="no database at all"):
        migrate(f"sqlite:///{path}")
    assert path.read_bytes() == b"my notes\n" * 200


def test_a_database_that_is_being_written_is_still_looked_at(sqlite_url: str) -> None:
    path = str(sa.make_url(sqlite_url).database)
    with closing(sqlite(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        migrate(sqlite_url)


# ── with data in it ──────────────────────────────────────────────────────────────────────

NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "9999", "{head}"


def upgrade():
    with op.batch_alter_table("accounts") as accounts:
        accounts.alter_column("name", type_=sa.String(400), existing_nullable=False)
        accounts.add_column(
            sa.Column("segment", sa.String(20), nullable=False, server_default="unknown")
        )
    with op.batch_alter_table("contacts") as contacts:
        contacts.drop_column("zone")
{more}
"""


def scripts_with(tmp_path: Path, more: str = "") -> Path:
    """The revisions that ship, and one after them that rebuilds tables with children."""
    scripts = tmp_path / "migrations"
    shutil.copytree(SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "v9999_next.py").write_text(NEXT.format(head=HEAD, more=more))
    return scripts


def first_schema_with_people(url: str) -> int:
    """A database at the first revision, in use."""
    migrate(url)
    upgrade(url, head="0001")
    store = SqlStore(url, SECRET)
    put_catalog(store)
    (ingrid,) = bring(store, row(2, INGRID, basis=ASKED, opted_out=True))
    store.close()
    return ingrid


def counted(url: str) -> list[int]:
    with opened(url) as connection:
        return [
            connection.scalar(sa.select(sa.func.count()).select_from(sa.table(name))) or 0
            for name in ("accounts", "contacts", "bases", "suppressions")
        ]


def test_an_upgrade_keeps_every_row_and_its_children(empty_url: str, tmp_path: Path) -> None:
    ingrid = first_schema_with_people(empty_url)
    before = counted(empty_url)
    assert before == [3, 1, 1, 1]
    upgrade(empty_url, scripts_with(tmp_path), "9999")
    assert counted(empty_url) == before
    assert revision(empty_url) == "9999"
    with opened(empty_url) as connection:
        account, segment = connection.execute(
            sa.text(
                "SELECT a.name, a.segment FROM contacts c JOIN accounts a ON a.id = c.account_id "
                "JOIN bases b ON b.contact_id = c.id WHERE c.id = :id"
            ),
            {"id": ingrid},
        ).one()
        columns = {c["name"] for c in sa.inspect(connection).get_columns("contacts")}
    assert (account, segment) == ("Northline", "unknown")
    assert "zone" not in columns
    with pytest.raises(Conflict, match="newer"):  # and this program no longer touches it
        migrate(empty_url)


def test_an_upgrade_that_fails_is_taken_back_whole(empty_url: str, tmp_path: Path) -> None:
    first_schema_with_people(empty_url)
    with opened(empty_url) as connection:
        before = shape(connection)
    scripts = scripts_with(tmp_path, '    op.execute("SELECT * FROM nowhere")')
    with pytest.raises(Down, match="another shape"):
        upgrade(empty_url, scripts, "9999")
    assert counted(empty_url) == [3, 1, 1, 1]
    assert revision(empty_url) == HEAD
    with opened(empty_url) as connection:
        assert shape(connection) == before


def test_an_upgrade_that_breaks_references_is_taken_back_whole(
    empty_url: str, tmp_path: Path
) -> None:
    first_schema_with_people(empty_url)
    scripts = scripts_with(tmp_path, '    op.execute("DELETE FROM contacts")')
    with pytest.raises((Down, Conflict)):  # PostgreSQL refuses at once, SQLite is asked after
        upgrade(empty_url, scripts, "9999")
    assert counted(empty_url) == [3, 1, 1, 1]
    assert revision(empty_url) == HEAD


def test_rebuilding_leaves_what_other_programs_have_beside_us(empty_url: str) -> None:
    migrate(empty_url)
    with opened(empty_url) as connection:
        connection.exec_driver_sql("CREATE TABLE theirs (id INTEGER)")
        connection.exec_driver_sql("INSERT INTO theirs VALUES (7)")
        connection.exec_driver_sql("INSERT INTO meta VALUES ('ours', 'before')")
    rebuild(empty_url, HEAD, lambda connection: None)
    with opened(empty_url) as connection:
        assert connection.exec_driver_sql("SELECT id FROM theirs").scalar() == 7
        assert connection.exec_driver_sql("SELECT count(*) FROM meta").scalar() == 0
