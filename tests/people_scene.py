"""The ferry catalog as rows, contacts of it, and ports for stages that touch only the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, cast

import sqlalchemy as sa

from pipeline.model.catalog import Catalog
from pipeline.model.people import Basis, ImportRow
from pipeline.ports import Ports
from pipeline.stores import schema
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, NOW, StandingClock

ASKED = Basis("consent", "asked for it at the Quay Days in Bergen", date(2026, 9, 1), "Yes, write")
MET = Basis("legitimate_interest", "met at the berth congress", date(2026, 10, 5))


def row(line: int, address: str, account_key: str = "northline", **fields: Any) -> ImportRow:
    return ImportRow(line=line, address=address, account_key=account_key, **fields)


def put_catalog(store: SqlStore, catalog: Catalog = CATALOG) -> None:
    """Rows for what the files name, as far as people and sales lean on them."""
    with raw(store) as connection:
        for constellation in catalog.constellations:
            constellation_id = put(
                connection, schema.constellations, key=constellation.key, name=constellation.name
            )
            for newsletter in constellation.newsletters:
                put(
                    connection,
                    schema.newsletters,
                    key=newsletter.key,
                    constellation_id=constellation_id,
                    title=newsletter.title,
                )
            for account in constellation.accounts:
                put(
                    connection,
                    schema.accounts,
                    key=account.key,
                    constellation_id=constellation_id,
                    name=account.name,
                    domain=account.domain,
                    relationship=account.relationship,
                    owner_key=catalog.owner_of(constellation, account),
                )


def bring(store: SqlStore, *rows: ImportRow, now: datetime = NOW) -> tuple[int, ...]:
    """Import rows; the ids of their contacts, in order."""
    with store.write() as tables:
        tables.people.apply_import(
            rows, name="people.csv", digest="d", actor="eva", now=now, dry_run=False
        )
        return tuple(tables.people.find(one.address).id for one in rows)


@contextmanager
def raw(store: SqlStore) -> Iterator[sa.Connection]:
    """The same database, to write or look at what no stage would."""
    with store.write() as tables:
        yield tables.people._connection


def put(connection: sa.Connection, table: sa.Table, **values: Any) -> int:
    return connection.execute(sa.insert(table).values(**values).returning(table.c.id)).scalar_one()


def dump(store: SqlStore, *tables: sa.Table) -> list[list[sa.Row[Any]]]:
    """Every row of these tables."""
    with raw(store) as connection:
        return [
            list(connection.execute(sa.select(table).order_by(*table.primary_key)))
            for table in tables
        ]


class OutOfReach:
    """Stands where a stage must not touch anything."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"touched .{name} of a port that is none of its business")


def ports_of(
    store: SqlStore,
    catalog: Catalog = CATALOG,
    *,
    actor: str = "tom",
    clock: StandingClock | None = None,
) -> Ports:
    nothing = cast("Any", OutOfReach())
    return Ports(
        store=store,
        workspace=nothing,
        clock=clock or StandingClock(),
        fetcher=nothing,
        parser=nothing,
        transport=nothing,
        tokens=nothing,
        catalog=catalog,
        progress=lambda done, total, what: None,
        actor=actor,
    )
