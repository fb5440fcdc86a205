"""A ferry newsletter on each database; where only rules are asked, SQLite is enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.stores.sql import SqlStore
from tests.builders import SECRET
from tests.compose_scene import Scene, build_scene


@pytest.fixture
def scene(store: SqlStore, tmp_path: Path) -> Scene:
    return build_scene(store, tmp_path)


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[SqlStore]:
    store = SqlStore(sqlite_url, SECRET)
    yield store
    store.close()
