"""Rows of the things that live in files: matched by key, retired and never deleted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.model.catalog import Catalog, Source
from pipeline.rules.news.polling import ASKED_TO_WAIT
from pipeline.stores.insert import insert_once
from pipeline.stores.schema import (
    account_relationships,
    accounts,
    constellations,
    deliveries,
    holds,
    meta,
    newsletters,
    notices,
    services,
    sources,
    staff,
    stories,
    suppressions,
    told,
    touches,
    variants,
)

DIGEST = "catalog_digest"
COUNTS = ("new", "changed", "renamed", "returned", "retired")

#: Columns elsewhere that hold a key instead of an id, by the table whose key it is.
_NAMED_IN: Mapping[str, tuple[sa.Column[Any], ...]] = {
    "staff": (
        holds.c.staff_key,
        deliveries.c.staff_key,
        touches.c.staff_key,
        notices.c.staff_key,
    ),
    "services": (told.c.service_key, variants.c.service_key),
}

#: A source that is asked elsewhere from now on knows nothing of what it was told before.
_UNASKED: Mapping[str, Any] = {
    "etag": "", "last_modified": "", "body_hash": "", "ttl_s": None, "quiet": "",
    "checked_at": None, "next_check_at": None, "failures": 0, "last_outcome": None,
    "last_reason": "", "last_detail": "", "moved_to": "", "moved_seen": 0, "gone_at": None,
}  # fmt: skip
#: One that is read otherwise must be read again, even if it has not changed; and at once, unless
#: its server asked us to wait: whoever mended it wants to see the answer.
_UNREAD: Mapping[str, Any] = {"etag": "", "last_modified": "", "body_hash": ""}
_DUE: Mapping[str, Any] = {"next_check_at": None, "failures": 0}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What one row is to be."""

    key: str
    was: str
    values: Mapping[str, Any]


@dataclass(slots=True)
class _Table:
    """One table as it stood, by key, and what was done to it."""

    table: sa.Table
    rows: dict[str, dict[str, Any]]
    counts: Counter[str] = field(default_factory=Counter)


class SqlCatalog:
    """Constellations, staff, services, newsletters, accounts and sources."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def digest(self) -> str:
        """Of the files that the rows follow; "" before the first time."""
        found = self._connection.scalar(sa.select(meta.c.value).where(meta.c.name == DIGEST))
        return found or ""

    def has_newsletter(self, key: str) -> bool:
        """Whether the files had it when they were last taken over."""
        c = newsletters.c
        found = sa.select(c.id).where(c.key == key, c.retired_at.is_(None))
        return self._connection.scalar(found) is not None

    def adopt(self, catalog: Catalog, now: datetime) -> Mapping[str, int]:
        """Bring rows in line with the files in one go.

        A key that vanished retires its row, one that is back ends that, `was` renames the row
        and everything that names it. Running it again changes nothing.

        Shape: counts by the names in COUNTS
        """
        self._take_turn()
        firm = catalog.firm
        counts = self._bring(
            staff,
            (_Wanted(s.key, s.was, {"name": s.name, "address": s.address}) for s in firm.staff),
            now,
        )
        counts += self._bring(
            services, (_Wanted(s.key, s.was, {"name": s.name}) for s in firm.services), now
        )
        counts += self._bring(
            constellations,
            (_Wanted(c.key, c.was, {"name": c.name}) for c in catalog.constellations),
            now,
        )
        homes = self._ids(constellations)
        counts += self._bring(newsletters, _newsletters(catalog, homes), now)
        counts += self._bring(accounts, _accounts(catalog, homes), now)
        counts += self._bring(sources, map(_source, catalog.sources), now)
        self._rename_own_news(catalog)
        self._connection.execute(
            sa.update(meta).where(meta.c.name == DIGEST).values(value=catalog.digest)
        )
        return {name: counts[name] for name in COUNTS}

    def _take_turn(self) -> None:
        """Wait until no other program adopts; its row stays locked until we commit."""
        insert_once(self._connection, meta, {"name": DIGEST, "value": ""})
        self._connection.execute(sa.select(meta).where(meta.c.name == DIGEST).with_for_update())

    def _ids(self, table: sa.Table) -> dict[str, int]:
        rows = self._connection.execute(sa.select(table.c.key, table.c.id))
        return {row.key: row.id for row in rows}

    # ── one table ────────────────────────────────────────────────────────────────────────

    def _bring(self, table: sa.Table, wanted: Iterable[_Wanted], now: datetime) -> Counter[str]:
        """Rename, retire, add and change the rows of one table; what was done."""
        by_key = {want.key: want for want in wanted}
        rows = self._connection.execute(sa.select(table)).mappings()
        held = _Table(table, {row["key"]: dict(row) for row in rows})
        for want in by_key.values():
            if want.was in held.rows and want.was not in by_key and want.key not in held.rows:
                self._rename(held, want)
        self._retire(held, [key for key in held.rows if key not in by_key], now)
        self._add(held, [w for key, w in by_key.items() if key not in held.rows], now)
        there = [(held.rows[key], want) for key, want in by_key.items() if key in held.rows]
        for row, want in sorted(there, key=lambda pair: pair[0]["id"]):  # as others lock them
            self._change(held, row, want, now)
        return held.counts

    def _rename(self, held: _Table, want: _Wanted) -> None:
        """Give a row its new key, here and where it is named by it."""
        row = held.rows.pop(want.was)
        held.rows[want.key] = row
        held.counts["renamed"] += 1
        table = held.table
        self._connection.execute(
            sa.update(table).where(table.c.id == row["id"]).values(key=want.key)
        )
        for column in _NAMED_IN.get(table.name, ()):
            self._connection.execute(
                sa.update(column.table).where(column == want.was).values({column: want.key})
            )
        if table is newsletters:
            self._rename_scope(want)

    def _rename_scope(self, want: _Wanted) -> None:
        """Who left the newsletter has left it under its new key, too."""
        other = suppressions.alias()
        already = (
            sa.select(other.c.id)
            .where(
                other.c.scope == want.key,
                other.c.address_hash == suppressions.c.address_hash,
                other.c.reason == suppressions.c.reason,
                other.c.lifted_at.is_(None),
            )
            .exists()
        )
        self._connection.execute(
            sa.update(suppressions)
            .where(suppressions.c.scope == want.was, ~already)
            .values(scope=want.key)
        )

    def _retire(self, held: _Table, keys: Iterable[str], now: datetime) -> None:
        going = [held.rows[key]["id"] for key in keys if held.rows[key]["retired_at"] is None]
        held.counts["retired"] += len(going)
        self._update(held.table, [{"row_id": id_, "retired_at": now} for id_ in going])

    def _add(self, held: _Table, wanted: list[_Wanted], now: datetime) -> None:
        if not wanted:
            return
        held.counts["new"] += len(wanted)
        self._connection.execute(
            sa.insert(held.table), [{"key": want.key, **want.values} for want in wanted]
        )
        if held.table is accounts:
            ids = self._ids(accounts)
            self._note_relationships(
                [(ids[want.key], want.values["relationship"]) for want in wanted], now
            )

    def _change(self, held: _Table, row: Mapping[str, Any], want: _Wanted, now: datetime) -> None:
        changes = {name: value for name, value in want.values.items() if row[name] != value}
        if held.table is sources:
            changes = _after_reset(changes, want, row)
        if changes:
            held.counts["changed"] += 1
        if "relationship" in changes:
            self._note_relationships([(row["id"], changes["relationship"])], now)
        if row["retired_at"] is not None:
            held.counts["returned"] += 1
            changes["retired_at"] = None
        if changes:
            self._update(held.table, [{"row_id": row["id"], **changes}])

    def _update(self, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        """Rows that all change the same columns."""
        if rows:
            names = [name for name in rows[0] if name != "row_id"]
            self._connection.execute(
                sa.update(table)
                .where(table.c.id == sa.bindparam("row_id"))
                .values({name: sa.bindparam(name) for name in names}),
                rows,
            )

    def _note_relationships(self, pairs: list[tuple[int, str]], now: datetime) -> None:
        self._connection.execute(
            sa.insert(account_relationships),
            [{"account_id": id_, "relationship": word, "since": now} for id_, word in pairs],
        )

    def _rename_own_news(self, catalog: Catalog) -> None:
        """Our own news are stories; a renamed one must not be told again as a new one."""
        own = {news.was: news.key for news in catalog.firm.news if news.was}
        found = self._connection.scalars(
            sa.select(stories.c.own_key).where(stories.c.own_key.in_([*own, *own.values()]))
        )
        known = set(found)
        for old, new in own.items():
            if old in known and new not in known:
                self._connection.execute(
                    sa.update(stories).where(stories.c.own_key == old).values(own_key=new)
                )


def _newsletters(catalog: Catalog, homes: Mapping[str, int]) -> Iterable[_Wanted]:
    for constellation in catalog.constellations:
        for newsletter in constellation.newsletters:
            yield _Wanted(
                newsletter.key,
                newsletter.was,
                {"constellation_id": homes[constellation.key], "title": newsletter.title},
            )


def _accounts(catalog: Catalog, homes: Mapping[str, int]) -> Iterable[_Wanted]:
    for constellation in catalog.constellations:
        for account in constellation.accounts:
            yield _Wanted(
                account.key,
                account.was,
                {
                    "constellation_id": homes[constellation.key],
                    "name": account.name,
                    "domain": account.domain,
                    "relationship": account.relationship,
                    "owner_key": catalog.owner_of(constellation, account),
                },
            )


def _source(source: Source) -> _Wanted:
    reading = hashlib.sha256(repr((source.kind, source.selectors)).encode()).hexdigest()
    return _Wanted(
        source.key,
        source.was,
        {
            "name": source.name,
            "kind": source.kind,
            "read_as": reading,
            "configured_url": source.url,
            "url": source.url,
        },
    )


def _after_reset(changes: dict[str, Any], want: _Wanted, row: Mapping[str, Any]) -> dict[str, Any]:
    """A permanent redirect keeps its address until the file names another one."""
    if "configured_url" in changes:
        return {**changes, "url": want.values["url"], **_UNASKED}
    changes = {name: value for name, value in changes.items() if name != "url"}
    if "read_as" not in changes:
        return changes
    due = {} if row["last_reason"] == ASKED_TO_WAIT else _DUE
    return {**changes, **_UNREAD, **due}
