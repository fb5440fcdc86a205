"""Sources and items in the database: what gathering remembers between two rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.model.news import KnownItem, NewItem, Quiet, SourceState
from pipeline.rules.news.address import hash_of
from pipeline.stores.insert import inserting
from pipeline.stores.schema import fetches, items, sources

_PLAIN_STATE = (
    "url", "etag", "last_modified", "body_hash", "ttl_s", "checked_at", "next_check_at",
    "failures", "last_outcome", "last_reason", "last_detail", "moved_to", "moved_seen", "gone_at",
)  # fmt: skip
_OUTCOME = ("outcome", "reason", "detail", "status", "entries", "new", "changed", "elapsed_s")


class SqlNews:
    """Sources, their history, and their items."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def sources(self) -> Sequence[SourceState]:
        """State of every source that is not retired, by key."""
        rows = self._connection.execute(
            sa.select(sources).where(sources.c.retired_at.is_(None)).order_by(sources.c.key)
        ).mappings()
        return [
            SourceState(
                id=row["id"],
                key=row["key"],
                read_as=row["read_as"],
                quiet=_read_quiet(row["quiet"]),
                **{name: row[name] for name in _PLAIN_STATE},
            )
            for row in rows
        ]

    def record_fetch(
        self,
        state: SourceState,
        at: datetime,
        outcome: Mapping[str, Any],
        asked: SourceState | None = None,
    ) -> bool:
        """Write what a round learnt of one source, and a line of its history.

        False, and nothing is written, when the files say otherwise by now than when it was
        asked: else an address that was just mended would be overwritten with the old one.
        """
        same = [sources.c.id == state.id]
        if asked is not None:
            same += [sources.c.url == asked.url, sources.c.read_as == asked.read_as]
        written = self._connection.execute(
            sa.update(sources)
            .where(*same)
            .values(
                quiet=_write_quiet(state.quiet),
                **{name: getattr(state, name) for name in _PLAIN_STATE},
            )
        )
        if not written.rowcount:
            return False
        self._connection.execute(
            sa.insert(fetches),
            {
                "source_id": state.id,
                "at": at,
                **{name: outcome[name] for name in _OUTCOME if name in outcome},
            },
        )
        return True

    def known_items(self, source_id: int) -> Sequence[KnownItem]:
        """What we hold of this source, in one query."""
        columns = (items.c.identity, items.c.canonical_hash, items.c.title, items.c.content_hash)
        rows = self._connection.execute(sa.select(*columns).where(items.c.source_id == source_id))
        return [KnownItem(*row) for row in rows]

    def add_items(self, source_id: int, new: Sequence[NewItem], now: datetime) -> Sequence[int]:
        """New and changed items in one go; returns their ids.

        A changed item keeps its story, its public id and when it was first seen. An undated
        one keeps its date too, since the new one is only when we looked.
        """
        if not new:
            return []
        statement = inserting(self._connection, items)
        told = statement.excluded
        takes = ("url", "canonical_url", "canonical_hash", "title", "summary_html", "text",
                 "author", "content_hash", "language")  # fmt: skip
        upsert = statement.on_conflict_do_update(
            index_elements=[items.c.source_id, items.c.identity],
            set_={
                **{name: told[name] for name in takes},
                "published_at": sa.case(
                    (told.dated, told.published_at), else_=items.c.published_at
                ),
                "dated": sa.or_(told.dated, items.c.dated),
            },
        )
        rows = [_row(source_id, item, now) for item in new]
        return list(self._connection.execute(upsert.returning(items.c.id), rows).scalars())

    def trim_history(self, before: datetime) -> int:
        """Forget lines of history older than this; how many."""
        return self._connection.execute(sa.delete(fetches).where(fetches.c.at < before)).rowcount


def _row(source_id: int, item: NewItem, now: datetime) -> dict[str, Any]:
    return {
        "source_id": source_id,
        "identity": item.identity,
        "url": item.url,
        "canonical_url": item.canonical_url,
        "canonical_hash": hash_of(item.canonical_url),
        "title": item.title,
        "summary_html": item.summary_html,
        "text": item.text,
        "author": item.author,
        "published_at": item.published_at,
        "dated": item.dated,
        "seen_at": now,
        "content_hash": item.content_hash,
        "language": item.language,
    }


def _write_quiet(quiet: Quiet) -> str:
    """Hours, a bar, days: "0,1,2|5,6"; empty when the source asks for nothing."""
    if quiet == Quiet():
        return ""
    return "|".join(",".join(map(str, sorted(part))) for part in (quiet.hours, quiet.days))


def _read_quiet(text: str) -> Quiet:
    if not text:
        return Quiet()
    hours, days = (frozenset(map(int, filter(None, part.split(",")))) for part in text.split("|"))
    return Quiet(hours, days)
