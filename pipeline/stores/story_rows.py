"""Reads stories with all that belongs to them: a few queries, however many there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import sqlalchemy as sa

from pipeline.model.news import SIGNALS, Item, Mention, SignalHit, Story
from pipeline.rules.news.group import richest_first
from pipeline.stores.schema import (
    accounts,
    items,
    sources,
    stories,
    story_mentions,
    story_signals,
)

#: Values in one IN list; both databases take many more.
CHUNK = 5000

T = TypeVar("T")

_ITEM = (
    items.c.id, items.c.story_id, items.c.url, items.c.canonical_url, items.c.title,
    items.c.summary_html, items.c.text, items.c.author, items.c.published_at, items.c.seen_at,
    items.c.language, sources.c.key.label("source_key"), sources.c.name.label("source_name"),
)  # fmt: skip


def chunks(values: Iterable[T]) -> Iterator[Sequence[T]]:
    """The values in lists that fit one statement."""
    held = list(values)
    for start in range(0, len(held), CHUNK):
        yield held[start : start + CHUNK]


def items_where(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Item]:
    """Items with the name of their source, oldest first."""
    rows = connection.execute(
        sa.select(*_ITEM)
        .join(sources, sources.c.id == items.c.source_id)
        .where(*conditions)
        .order_by(items.c.published_at, items.c.id)
    ).mappings()
    return [Item(**{**row, "story_id": row["story_id"] or 0}) for row in rows]


def read_stories(connection: sa.Connection, ids: Sequence[int]) -> list[Story]:
    """Stories in the order asked for, whole; unknown ids are left out."""
    found: dict[int, Story] = {}
    for some in chunks(dict.fromkeys(ids)):
        found |= {story.id: story for story in _read(connection, some)}
    return [found[i] for i in ids if i in found]


def _read(connection: sa.Connection, ids: Sequence[int]) -> Iterator[Story]:
    tellings: defaultdict[int, list[Item]] = defaultdict(list)
    for item in items_where(connection, items.c.story_id.in_(ids)):
        tellings[item.story_id].append(item)
    mentions = _mentions(connection, ids)
    signals = _signals(connection, ids)
    told_by = accounts.alias("told_by")
    rows = connection.execute(
        sa.select(stories, told_by.c.key.label("learnt_from"))
        .outerjoin(told_by, told_by.c.id == stories.c.learnt_from_id)
        .where(stories.c.id.in_(ids))
    ).mappings()
    for row in rows:
        yield _story(row, tellings[row["id"]], mentions[row["id"]], signals[row["id"]])


def _story(
    row: sa.RowMapping, told: list[Item], mentions: list[Mention], signals: list[SignalHit]
) -> Story:
    return Story(
        id=row["id"],
        public_id=row["public_id"],
        kind=row["kind"],
        title=row["title"],
        lead=row["lead"],
        text=row["text"],
        first_at=row["first_at"],
        last_at=row["last_at"],
        url=row["url"],
        source_name=row["source_name"],
        learnt_from=row["learnt_from"] or "",
        is_public=row["is_public"],
        mentions=tuple(mentions),
        signals=tuple(sorted(signals, key=lambda s: (-s.weight, SIGNALS.index(s.signal)))),
        tellings=tuple(sorted(richest_first(told), key=lambda i: i.url != row["url"])),
        merged_into=row["merged_into"],
        taken_back_at=row["taken_back_at"],
        revision=row["revision"],
    )


def _mentions(connection: sa.Connection, ids: Sequence[int]) -> defaultdict[int, list[Mention]]:
    found: defaultdict[int, list[Mention]] = defaultdict(list)
    t = story_mentions.c
    rows = connection.execute(
        sa.select(t.story_id, accounts.c.key, t.relation, t.place, t.evidence, t.weight)
        .join(accounts, accounts.c.id == t.account_id)
        .where(t.story_id.in_(ids))
        .order_by(t.weight.desc(), accounts.c.key, t.relation)
    )
    for story_id, key, relation, place, evidence, weight in rows:
        found[story_id].append(Mention(key, relation, place, evidence, weight))
    return found


def _signals(connection: sa.Connection, ids: Sequence[int]) -> defaultdict[int, list[SignalHit]]:
    found: defaultdict[int, list[SignalHit]] = defaultdict(list)
    t = story_signals.c
    rows = connection.execute(
        sa.select(t.story_id, t.signal, t.evidence, t.weight).where(t.story_id.in_(ids))
    )
    for story_id, signal, evidence, weight in rows:
        found[story_id].append(SignalHit(signal, evidence, weight))
    return found
