"""Fixtures that every room's tests share: real databases, a clock that stands, a small catalog."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from pipeline.stores.migrate import migrate
from pipeline.stores.schema import metadata
from pipeline.stores.sql import SqlStore
from tests.builders import SECRET

POSTGRES = os.environ.get(
    "ASTERISM_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
)
CORPORA = Path(__file__).parents[2] / "shared" / "corpora"

# a run tells of the change that it tests: the same examples each time, however busy the machine;
# `pytest --hypothesis-profile=search` looks at new ones
UNTIMED = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", UNTIMED)
settings.register_profile("same", UNTIMED, derandomize=True, database=None)
settings.load_profile("same")


#: What lasts longest begins first, so that no core waits for the other one at the end.
LASTING = ("months", "test_story.py", "kill", "cli", "test_real_feeds.py", "demo")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        room = item.path.relative_to(Path(__file__).parent).parts[0]
        return LASTING.index(room) if room in LASTING else len(LASTING)

    items.sort(key=place)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="write golden letters anew")


def in_ci() -> bool:
    return os.environ.get("CI") == "true"


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real data beside the project; without it these tests are skipped."""
    if not CORPORA.is_dir():
        pytest.skip("../shared/corpora is not here")
    return CORPORA


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A database of our own on a real server, made for this run and dropped after it."""
    server = sa.create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    name = f"asterism_test_{uuid.uuid4().hex[:12]}"
    try:
        with server.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
    except sa.exc.OperationalError as error:
        if in_ci():
            raise
        pytest.skip(f"no PostgreSQL at {POSTGRES}: {str(error.orig).splitlines()[0]}")
    url = sa.make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    try:
        migrate(url)
        yield url
    finally:
        with server.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        server.dispose()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database at the newest schema; a copy of it is made far sooner than it."""
    file = tmp_path_factory.mktemp("migrated") / "asterism.db"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture
def sqlite_url(tmp_path: Path, migrated_sqlite: Path) -> str:
    return f"sqlite:///{shutil.copyfile(migrated_sqlite, tmp_path / 'asterism.db')}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database at the newest schema: once on SQLite, once on PostgreSQL."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    url = str(request.getfixturevalue("postgres_url"))
    empty(url)
    return url


def empty(url: str) -> None:
    """Every row out, and every id back to 1; TRUNCATE takes ten times as long for few rows."""
    rows = "; ".join(f'DELETE FROM "{table.name}"' for table in reversed(metadata.sorted_tables))
    ids = (
        "SELECT setval(quote_ident(sequencename)::regclass, 1, false) FROM pg_sequences"
        " WHERE schemaname = current_schema AND last_value IS NOT NULL"
    )
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"{rows}; {ids}")
    engine.dispose()


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    store = SqlStore(database_url, SECRET)
    yield store
    store.close()
