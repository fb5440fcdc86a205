"""One transaction: what it keeps, what it refuses, and what it says when the database cannot."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from sqlite3 import connect as sqlite

import pytest
import sqlalchemy as sa

from pipeline.errors import AsterismError, BadInput, Conflict, Down
from pipeline.model.log import Operation
from pipeline.stores.engine import connect, make_room, transaction
from pipeline.stores.migrate import migrate
from pipeline.stores.schema import meta, operations
from pipeline.stores.sql import SqlStore
from tests.builders import NOW, SECRET


def note(number: int, at: datetime = NOW) -> Operation:
    return Operation(actor="eva", verb="note", subject=f"story:{number}", at=at)


def subjects(store: SqlStore) -> list[str]:
    with store.read() as tables:
        rows = tables.log._connection.execute(sa.select(operations.c.subject))
        return [subject for (subject,) in rows]


@pytest.fixture
def writing(database_url: str) -> Iterator[sa.Engine]:
    engine = connect(database_url, writes=True)
    yield engine
    engine.dispose()


def test_four_writers_at_once_lose_nothing(store: SqlStore) -> None:
    def write_many(writer: int) -> None:
        for number in range(15):
            with store.write() as tables:
                # read first: with a deferred transaction this is where writers fail
                tables.log.of("story:0")
                tables.log.add(note(writer * 100 + number))

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write_many, writer) for writer in range(4)]:
            done.result()

    expected = {f"story:{writer * 100 + number}" for writer in range(4) for number in range(15)}
    found = subjects(store)
    assert len(found) == 60
    assert set(found) == expected


def test_four_processes_at_once_lose_nothing(database_url: str, store: SqlStore) -> None:
    program = textwrap.dedent("""
        import sys
        from pipeline.stores.sql import SqlStore
        from tests.builders import SECRET
        from tests.stores.test_engine import note

        store = SqlStore(sys.argv[1], SECRET)
        for number in range(10):
            with store.write() as tables:
                tables.log.of("story:0")
                tables.log.add(note(int(sys.argv[2]) * 100 + number))
        store.close()
    """)
    running = [
        subprocess.Popen([sys.executable, "-c", program, database_url, str(writer)])
        for writer in range(4)
    ]
    assert [process.wait() for process in running] == [0, 0, 0, 0]
    assert len(set(subjects(store))) == 40


@pytest.mark.parametrize("error", [RuntimeError("halfway"), Conflict("it changed meanwhile")])
def test_an_exception_takes_everything_back_and_goes_through(
    store: SqlStore, error: Exception
) -> None:
    def write_and_fail() -> None:
        with store.write() as tables:
            tables.log.add(note(1))
            raise error

    with pytest.raises(type(error)) as caught:
        write_and_fail()
    assert caught.value is error
    assert subjects(store) == []


def test_a_reader_cannot_write(store: SqlStore) -> None:
    with pytest.raises(Down, match="may not be opened or written"), store.read() as tables:
        tables.log.add(note(1))
    assert subjects(store) == []


def test_a_reader_sees_one_instant(store: SqlStore) -> None:
    with store.read() as tables:
        assert tables.log.of("story:1") == ()
        with store.write() as others:
            others.log.add(note(1))
        assert tables.log.of("story:1") == ()
    assert subjects(store) == ["story:1"]


def test_times_come_back_aware_and_in_utc(store: SqlStore) -> None:
    at = datetime(2027, 3, 28, 3, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    with store.write() as tables:
        tables.log.add(note(1, at))
    with store.read() as tables:
        (found,) = tables.log.of("story:1")
    assert found.at == at
    assert found.at.tzinfo is UTC
    assert found.at.isoformat() == "2027-03-28T01:30:00.123456+00:00"


def test_a_naive_time_is_refused(store: SqlStore) -> None:
    naive = datetime(2027, 3, 8, 9, 0)  # noqa: DTZ001
    with pytest.raises(sa.exc.StatementError, match="naive time"), store.write() as tables:
        tables.log.add(note(1, naive))
    assert subjects(store) == []


def test_two_rows_that_exclude_each_other_are_a_conflict(writing: sa.Engine) -> None:
    with pytest.raises(Conflict, match="does not fit the others"), transaction(writing) as raw:
        raw.execute(sa.insert(meta), [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}])


def test_a_child_without_its_parent_is_refused(writing: sa.Engine) -> None:
    with pytest.raises(Conflict), transaction(writing) as raw:
        raw.execute(
            sa.text("INSERT INTO delivery_events (delivery_id, state, detail, at) "
                    "VALUES (99, 'sent', '', '2027-03-08 09:00:00')")
        )  # fmt: skip


def test_a_missing_table_is_told_as_another_shape(writing: sa.Engine) -> None:
    with pytest.raises(Down, match="another shape"), transaction(writing) as raw:
        raw.execute(sa.text("SELECT * FROM nowhere"))


def test_messages_hold_no_values(writing: sa.Engine) -> None:
    rows = [{"name": "ingrid@northline.example", "value": "1"}] * 2
    with pytest.raises(Conflict) as caught, transaction(writing) as raw:
        raw.execute(sa.insert(meta), rows)
    assert "ingrid" not in str(caught.value)
    if writing.dialect.name == "sqlite":  # PostgreSQL names the value in a line of its own
        assert "ingrid" not in str(caught.value.__cause__)


# ── SQLite ───────────────────────────────────────────────────────────────────────────────


def test_sqlite_keeps_its_rules_on_every_connection(sqlite_url: str) -> None:
    def rules(writes: bool) -> dict[str, object]:
        engine = connect(sqlite_url, writes=writes, wait_s=1.5)
        with transaction(engine) as raw:
            names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "query_only")
            found = {name: raw.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}
        engine.dispose()
        return found

    writer, reader = rules(True), rules(False)
    full = 2
    assert writer == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "busy_timeout": 1500,
        "query_only": 0,
    }
    assert reader == writer | {"query_only": 1, "synchronous": reader["synchronous"]}


def test_only_writers_take_the_lock_at_once(sqlite_url: str) -> None:
    writers, readers = connect(sqlite_url, writes=True), connect(sqlite_url, writes=False)
    with closing(sqlite(make_path(sqlite_url), timeout=0, isolation_level=None)) as other:
        with transaction(readers):
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        with transaction(writers), pytest.raises(Exception, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    writers.dispose()
    readers.dispose()


def make_path(url: str) -> str:
    return str(sa.make_url(url).database)


def test_a_locked_database_is_down_and_unchanged(sqlite_url: str) -> None:
    store = SqlStore(sqlite_url, SECRET, wait_s=0.05)
    with closing(sqlite(make_path(sqlite_url), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        locked = pytest.raises(Down, match="locked by another program")
        with locked as caught, store.write() as tables:
            tables.log.add(note(1))
        assert "nothing is lost" in caught.value.hint
        assert subjects(store) == []  # reading goes on
        other.execute("ROLLBACK")
    with store.write() as tables:
        tables.log.add(note(2))
    assert subjects(store) == ["story:2"]
    store.close()


def test_a_full_disk_is_down_and_unchanged(sqlite_url: str) -> None:
    engine = connect(sqlite_url, writes=True)
    with transaction(engine) as raw:
        pages = raw.exec_driver_sql("PRAGMA page_count").scalar_one()
        raw.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    rows = [{"name": f"{number}", "value": "x" * 10_000} for number in range(200)]
    with pytest.raises(Down, match="disk with the database is full"), transaction(engine) as raw:
        raw.execute(sa.insert(meta), rows)
    with transaction(engine) as raw:
        assert raw.scalar(sa.select(sa.func.count()).select_from(meta)) == 0
    engine.dispose()


@pytest.mark.parametrize("content", [b"this is a shopping list, no database\n" * 100])
def test_a_file_that_is_no_database_is_told_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "asterism.db"
    path.write_bytes(content)
    store = SqlStore(f"sqlite:///{path}", SECRET)
    with pytest.raises(Down, match="no database at all"), store.write():
        raise AssertionError("never reached")
    store.close()
    assert path.read_bytes() == content


def test_a_database_that_may_not_be_opened_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "asterism.db").mkdir()
    store = SqlStore(f"sqlite:///{tmp_path / 'asterism.db'}", SECRET)
    with pytest.raises(Down, match="may not be opened"), store.write():
        raise AssertionError("never reached")
    store.close()


def test_a_folder_that_cannot_be_made_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("a file where a folder should be")
    with pytest.raises(Down, match="cannot be made"):
        make_room(f"sqlite:///{tmp_path}/output/deep/asterism.db")


@pytest.mark.skipif(os.name != "posix", reason="rights as POSIX has them")
def test_a_database_is_for_its_owners_eyes_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/output/asterism.db"
    migrate(url)
    store = SqlStore(url, SECRET)
    with store.write() as tables:
        tables.catalog.digest()
        rights = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.glob("output/*")}
    store.close()
    assert set(rights.values()) == {0}, rights


@pytest.mark.parametrize("value", ["caf\udce9", 10**30])
def test_what_a_driver_cannot_hand_over_is_bad_input(writing: sa.Engine, value: object) -> None:
    """A terminal in Latin-1 hands over such text; nobody should read a traceback for it."""
    asked = sa.select(sa.literal(value, sa.Text if isinstance(value, str) else sa.BigInteger))
    with pytest.raises(BadInput, match="does not fit"), transaction(writing) as raw:
        raw.execute(asked)


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────


@pytest.mark.postgres
def test_postgres_waits_for_a_lock_only_so_long(postgres_url: str) -> None:
    one = connect(postgres_url, writes=True)
    two = connect(postgres_url, writes=True, wait_s=0.05)
    with transaction(one) as raw:
        raw.exec_driver_sql("LOCK TABLE meta")
        with pytest.raises(Down, match="locked by another program"), transaction(two) as other:
            other.execute(sa.select(meta))
    one.dispose()
    two.dispose()


@pytest.mark.postgres
def test_a_value_that_no_column_holds_is_bad_input(postgres_url: str) -> None:
    engine = connect(postgres_url, writes=True)
    with pytest.raises(BadInput, match="does not fit"), transaction(engine) as raw:
        raw.execute(sa.insert(meta), {"name": "x" * 65, "value": ""})
    engine.dispose()


@pytest.mark.postgres
def test_a_database_that_is_not_there_is_down(postgres_url: str) -> None:
    url = sa.make_url(postgres_url).set(database="no_such_database")
    store = SqlStore(url.render_as_string(hide_password=False), SECRET)
    with pytest.raises(Down, match="no_such_database"), store.read():
        raise AssertionError("never reached")
    store.close()


def test_a_server_that_does_not_answer_is_down() -> None:
    pytest.importorskip("psycopg")
    store = SqlStore("postgresql+psycopg://asterism:hush@127.0.0.1:9/asterism", SECRET)
    with pytest.raises(Down, match="does not answer") as caught, store.read():
        raise AssertionError("never reached")
    assert "hush" not in str(caught.value)
    store.close()


# ── addresses of databases ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "url",
    ["", "no address", "mysql://root@localhost/asterism", "oracle://x/y", "sqlite://",
     "sqlite:///:memory:", "postgresql+nodriver://x/y"],
)  # fmt: skip
def test_what_is_no_address_of_ours_is_bad_input(url: str) -> None:
    with pytest.raises(BadInput, match="ASTERISM_DATABASE_URL"):
        connect(url, writes=False)


# ── the secret ───────────────────────────────────────────────────────────────────────────


def test_a_database_keeps_to_its_first_secret(store: SqlStore, database_url: str) -> None:
    store.check_secret()
    store.check_secret()
    other = SqlStore(database_url, b"another secret, as long as the first one was")
    with pytest.raises(Conflict, match="another secret") as caught:
        other.check_secret()
    assert isinstance(caught.value, AsterismError)
    assert caught.value.hint
    other.close()
    with store.read() as tables:
        stored = tables.log._connection.execute(sa.select(meta)).all()
    assert len(stored) == 1
    assert SECRET.decode() not in str(stored)


def test_putting_sqlite_in_order_waits_for_its_turn_as_every_writer_does(sqlite_url: str) -> None:
    """Who only reads at first is refused at once when another one has written meanwhile."""
    store = SqlStore(sqlite_url, SECRET)
    said: list[str] = []

    def listen(connection: sa.Connection, cursor: object, statement: str, *rest: object) -> None:
        said.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", listen)
    try:
        store.optimize()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", listen)
        store.close()
    assert said == ["BEGIN IMMEDIATE", "PRAGMA optimize"]
