"""An empty database of its own for each try, made and dropped."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from pipeline.stores.migrate import migrate
from tests.conftest import POSTGRES as USUAL

DATABASES = ("sqlite", "postgres")


def _server() -> str:
    return os.environ.get("ASTERISM_TEST_POSTGRES", USUAL)


def no_postgres() -> str:
    """Why there is no PostgreSQL to try; empty when there is one."""
    server = sa.create_engine(_server())
    try:
        server.connect().close()
    except sa.exc.OperationalError as error:
        return str(error.orig).splitlines()[0]
    finally:
        server.dispose()
    return ""


@contextmanager
def database(name: str, folder: Path) -> Iterator[str]:
    """Its address; it lives as long as the block."""
    if name == "sqlite":
        url = f"sqlite:///{folder / 'asterism.db'}"
        migrate(url)
        yield url
        return
    server = sa.create_engine(_server(), isolation_level="AUTOCOMMIT")
    own = f"asterism_kill_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {own}")
    url = sa.make_url(_server()).set(database=own).render_as_string(hide_password=False)
    try:
        migrate(url)
        yield url
    finally:
        with server.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {own} WITH (FORCE)")
        server.dispose()
