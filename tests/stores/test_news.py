"""Sources and items, on SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.model.news import CleanHtml, KnownItem, NewItem, Quiet, SourceState
from pipeline.rules.news.address import hash_of
from pipeline.stores import schema
from pipeline.stores.sql import SqlStore
from tests.builders import NOW
from tests.people_scene import dump
from tests.story_scene import adopt

HOUR = timedelta(hours=1)


def item(name: str, **fields: Any) -> NewItem:
    whole = NewItem(
        identity=name * 8,
        url=f"https://coastwire.example/{name}#x",
        canonical_url=f"https://coastwire.example/{name}",
        title=f"Story {name} – «æøå» 🚢",
        summary_html=CleanHtml("<p>x</p>"),
        text="x",
        author="Liv",
        published_at=NOW - HOUR,
        dated=True,
        content_hash=f"hash of {name}",
        language="en",
    )
    return replace(whole, **fields)


def source(store: SqlStore, key: str = "coast-wire") -> SourceState:
    with store.read() as tables:
        return next(state for state in tables.news.sources() if state.key == key)


def add(store: SqlStore, *items: NewItem, source_id: int = 0, at: Any = NOW) -> list[int]:
    with store.write() as tables:
        return list(tables.news.add_items(source_id or source(store).id, items, at))


def test_a_new_source_knows_only_its_address(store: SqlStore) -> None:
    adopt(store)
    state = source(store)
    assert state == SourceState(
        state.id, "coast-wire", "https://coastwire.example/feed", state.read_as
    )
    assert state.read_as


def test_retired_sources_are_not_listed(store: SqlStore) -> None:
    adopt(store)
    with store.write() as tables:
        tables.news._connection.execute(
            sa.update(schema.sources)
            .where(schema.sources.c.key == "coast-wire")
            .values(retired_at=NOW)
        )
    with store.read() as tables:
        assert [state.key for state in tables.news.sources()] == ["harbour-news"]


def test_what_a_round_learnt_is_read_back(store: SqlStore) -> None:
    adopt(store)
    before = source(store)
    after = replace(
        before,
        url="https://new.example/feed",
        etag='W/"æ"',
        last_modified="Sun, 06 Nov 1994 08:49:37 GMT",
        body_hash="b" * 64,
        ttl_s=3_600,
        quiet=Quiet(frozenset(range(23)), frozenset({0, 6})),
        checked_at=NOW,
        next_check_at=NOW + HOUR,
        failures=3,
        last_outcome="failed",
        last_reason="status",
        last_detail="The server answered 503: it is busy or being mended.",
        moved_to="https://newer.example/feed",
        moved_seen=2,
        gone_at=NOW,
    )
    with store.write() as tables:
        tables.news.record_fetch(after, NOW, {"outcome": "failed", "status": 503})
    assert source(store) == after
    assert source(store, "harbour-news").etag == ""


@pytest.mark.parametrize(
    "quiet", [Quiet(), Quiet(frozenset({0})), Quiet(days=frozenset({3})), Quiet(frozenset({5, 23}))]
)
def test_quiet_hours_survive(store: SqlStore, quiet: Quiet) -> None:
    adopt(store)
    with store.write() as tables:
        state = replace(source(store), quiet=quiet)
        tables.news.record_fetch(state, NOW, {"outcome": "fetched"})
    assert source(store).quiet == quiet


def test_the_history_of_a_source_is_kept_and_forgotten_in_time(store: SqlStore) -> None:
    adopt(store)
    for n in range(5):
        with store.write() as tables:
            tables.news.record_fetch(
                source(store),
                NOW + n * HOUR,
                {"outcome": "fetched", "entries": n, "new": 1, "elapsed_s": 0.5, "extra": "x"},
            )
    with store.write() as tables:
        tables.news.record_fetch(source(store, "harbour-news"), NOW, {"outcome": "unchanged"})
    (lines,) = dump(store, schema.fetches)
    assert [(line.outcome, line.entries) for line in lines[-2:]] == [
        ("fetched", 4), ("unchanged", 0),
    ]  # fmt: skip
    assert lines[-2].at == NOW + 4 * HOUR
    with store.write() as tables:
        assert tables.news.trim_history(NOW + 2 * HOUR) == 3
    (left,) = dump(store, schema.fetches)
    assert left == lines[2:5]


def test_items_are_known_after_they_were_added(store: SqlStore) -> None:
    adopt(store)
    ids = add(store, item("a"), item("b"))
    assert len(set(ids)) == 2
    with store.read() as tables:
        known = tables.news.known_items(source(store).id)
        assert set(known) == {
            KnownItem(i.identity, hash_of(i.canonical_url), i.title, i.content_hash)
            for i in (item("a"), item("b"))
        }
        assert tables.news.known_items(source(store, "harbour-news").id) == []


def test_the_same_identity_is_another_item_in_another_source(store: SqlStore) -> None:
    adopt(store)
    add(store, item("a"))
    add(store, item("a"), source_id=source(store, "harbour-news").id)
    assert len(dump(store, schema.items)[0]) == 2


def test_a_changed_item_keeps_its_place(store: SqlStore) -> None:
    adopt(store)
    (first,) = add(store, item("a"))
    (before,) = dump(store, schema.items)[0]
    changed = item("a", title="Another", content_hash="other", published_at=NOW)
    assert add(store, changed, at=NOW + HOUR) == [first]
    (after,) = dump(store, schema.items)[0]
    assert (after.title, after.content_hash, after.published_at) == ("Another", "other", NOW)
    for name in ("id", "public_id", "seen_at", "story_id", "joined_why"):
        assert getattr(after, name) == getattr(before, name)


def test_an_undated_change_keeps_the_date_it_had(store: SqlStore) -> None:
    adopt(store)
    add(store, item("a"), item("b", dated=False, published_at=NOW))
    later = NOW + 3 * HOUR
    add(
        store,
        item("a", dated=False, published_at=later, content_hash="2"),
        item("b", dated=False, published_at=later, content_hash="2"),
        at=later,
    )
    a, b = dump(store, schema.items)[0]
    assert (a.published_at, a.dated) == (NOW - HOUR, True)
    assert (b.published_at, b.dated) == (NOW, False)
    add(store, item("b", published_at=NOW - 5 * HOUR, content_hash="3"), at=later)
    b = dump(store, schema.items)[0][1]
    assert (b.published_at, b.dated) == (NOW - 5 * HOUR, True)


def test_nothing_to_add_writes_nothing(store: SqlStore) -> None:
    adopt(store)
    assert add(store) == []


def test_two_thousand_items_take_few_statements(store: SqlStore) -> None:
    adopt(store)
    statements: list[str] = []
    with store.write() as tables:
        connection = tables.news._connection
        source_id = source(store).id

        @sa.event.listens_for(connection, "before_cursor_execute")
        def count(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        many = [item("a", identity=f"{n:064}") for n in range(2_000)]
        assert len(set(tables.news.add_items(source_id, many, NOW))) == 2_000
    assert len(statements) <= 20
    with store.read() as tables:
        assert len(tables.news.known_items(source_id)) == 2_000
