"""Files become rows once, and again only when they change."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from pipeline.model.catalog import Catalog
from pipeline.stages.adopt import Adopted, adopt
from pipeline.stores.schema import accounts
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, FERRIES, NOW, StandingClock


def ports(store: SqlStore, catalog: Catalog) -> Any:
    """Only what this stage may touch."""
    return SimpleNamespace(store=store, catalog=catalog, clock=StandingClock(NOW))


def test_files_become_rows_and_then_rest(store: SqlStore) -> None:
    assert adopt(ports(store, CATALOG)) == Adopted(new=12)
    assert adopt(ports(store, CATALOG)) == Adopted()


def test_changed_files_change_their_rows(store: SqlStore) -> None:
    adopt(ports(store, CATALOG))
    fewer = replace(
        CATALOG, digest="2", constellations=(replace(FERRIES, accounts=FERRIES.accounts[:2]),)
    )
    later = ports(store, fewer)
    later.clock.at = NOW + timedelta(days=1)
    assert adopt(later) == Adopted(retired=1)
    with store._readers.begin() as connection:
        retired = connection.scalars(sa.select(accounts.c.retired_at).order_by(accounts.c.id))
        assert list(retired) == [None, None, NOW + timedelta(days=1)]


def test_the_digest_alone_decides_whether_to_look(store: SqlStore) -> None:
    adopt(ports(store, CATALOG))
    same_digest = replace(CATALOG, sources=())
    assert adopt(ports(store, same_digest)) == Adopted()
