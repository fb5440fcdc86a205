"""Stories and pools, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from pipeline.errors import BadInput, NotFound
from pipeline.model.news import Mention, Score, ScorePart, SignalHit, Story, StoryDraft
from pipeline.stores.schema import items, stories
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, FERRIES, NOW, WEEKLY
from tests.story_scene import HOUR, adopt, new_item, open_issue, put_items

DAY = 24 * HOUR
SCORE = Score(41.5, (ScorePart("about", 0.5, "Northline is in the headline"),))


@pytest.fixture
def adopted(store: SqlStore) -> SqlStore:
    adopt(store)
    return store


def opened(store: SqlStore, *titles: str) -> list[int]:
    """Stories of one item each, told by the Coast Wire."""
    new = [new_item("coast-wire", f"n{i}", title, "x") for i, title in enumerate(titles)]
    ids = put_items(store, "coast-wire", *new)
    with store.write() as tables:
        return list(tables.stories.apply_groups([StoryDraft(None, (i,), "w") for i in ids], NOW))


def story(store: SqlStore, story_id: int) -> Story:
    with store.read() as tables:
        return tables.stories.by_ids([story_id])[0]


@contextmanager
def statements(store: SqlStore) -> Iterator[list[str]]:
    """What is said to the database meanwhile."""
    said: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        said.append(statement)

    for engine in (store._readers, store._writers):
        event.listen(engine, "before_cursor_execute", note)
    yield said
    for engine in (store._readers, store._writers):
        event.remove(engine, "before_cursor_execute", note)


# ── items and groups ─────────────────────────────────────────────────────────────────────


def test_ungrouped_items_come_oldest_first_and_only_so_many(adopted: SqlStore) -> None:
    put_items(
        adopted,
        "coast-wire",
        new_item("coast-wire", "b", "Second", published_at=NOW - HOUR),
        new_item("coast-wire", "a", "First", published_at=NOW - 2 * HOUR),
    )
    with adopted.read() as tables:
        found = tables.stories.ungrouped()
        assert [(i.title, i.source_key, i.source_name, i.story_id) for i in found] == [
            ("First", "coast-wire", "Coast Wire", 0),
            ("Second", "coast-wire", "Coast Wire", 0),
        ]
        assert [i.title for i in tables.stories.ungrouped(1)] == ["First"]


def test_a_group_opens_a_story_led_by_its_richest_telling(adopted: SqlStore) -> None:
    (one,) = put_items(adopted, "coast-wire", new_item("coast-wire", "a", "A quay", "Short."))
    (two,) = put_items(
        adopted, "harbour-news",
        new_item("harbour-news", "b", "The quay at length", "word " * 90,
                 published_at=NOW - 2 * HOUR),
    )  # fmt: skip
    draft = StoryDraft(
        None, (one, two), "tells the same (0.60)",
        whys=("first telling", "tells the same (0.60)"), richest_id=two,
    )  # fmt: skip
    with adopted.write() as tables:
        (story_id,) = tables.stories.apply_groups([draft], NOW)
    found = story(adopted, story_id)
    assert (found.kind, found.title, found.source_name) == (
        "news", "The quay at length", "Harbour News",
    )  # fmt: skip
    assert found.url == "https://harbour-news.example/b"
    assert found.lead.endswith("…")
    assert (found.first_at, found.last_at) == (NOW - 5 * HOUR, NOW - 2 * HOUR)
    assert [i.id for i in found.tellings] == [two, one]
    assert len(found.public_id) == 26
    with adopted.read() as tables:
        assert tables.stories.ungrouped() == []
        rows = tables.stories._connection.execute(
            sa.select(items.c.joined_why).order_by(items.c.id)
        )
        assert list(rows.scalars()) == ["first telling", "tells the same (0.60)"]


def test_a_joining_item_and_an_edit_refresh_the_story(adopted: SqlStore) -> None:
    (story_id,) = opened(adopted, "A quay")
    (late,) = put_items(
        adopted, "harbour-news", new_item("harbour-news", "b", "The quay", "Much longer text.")
    )
    with adopted.write() as tables:
        again = tables.stories.apply_groups([StoryDraft(story_id, (late,), "same text")], NOW)
    assert list(again) == [story_id]
    assert story(adopted, story_id).title == "The quay"  # no richest named: the longest
    put_items(
        adopted,
        "harbour-news",
        new_item("harbour-news", "b", "The quay, corrected", "Much longer."),
    )
    with adopted.read() as tables:
        assert tables.stories.outdated(NOW - DAY) == [story_id]
        assert tables.stories.outdated(NOW) == []
    with adopted.write() as tables:
        tables.stories.apply_groups([StoryDraft(story_id, (), "edited")], NOW)
    assert story(adopted, story_id).title == "The quay, corrected"
    with adopted.read() as tables:
        assert tables.stories.outdated(NOW - DAY) == []


def test_two_who_group_the_same_item_make_one_story(adopted: SqlStore) -> None:
    (one,) = put_items(adopted, "coast-wire", new_item("coast-wire", "a", "A quay"))
    draft = StoryDraft(None, (one,), "first telling")
    with adopted.write() as tables:
        (first,) = tables.stories.apply_groups([draft], NOW)
        (second,) = tables.stories.apply_groups([draft], NOW)
        assert first == second
        count = sa.select(sa.func.count()).select_from(stories)
        assert tables.stories._connection.execute(count).scalar() == 1


def test_a_date_in_the_future_counts_as_now(adopted: SqlStore) -> None:
    (one,) = put_items(
        adopted, "coast-wire", new_item("coast-wire", "a", "Soon", published_at=NOW + 90 * DAY)
    )
    with adopted.write() as tables:
        (story_id,) = tables.stories.apply_groups([StoryDraft(None, (one,), "x")], NOW)
    assert story(adopted, story_id).last_at == NOW


def test_known_items_are_all_tellings_of_stories_of_that_time(adopted: SqlStore) -> None:
    one, two = opened(adopted, "A quay", "A berth")
    with adopted.read() as tables:
        since = tables.stories.items_since(NOW - DAY)
        assert [(i.title, i.story_id) for i in since] == [("A quay", one), ("A berth", two)]
        assert tables.stories.items_since(NOW) == []
        assert tables.stories.items_since(NOW - 9 * DAY, NOW - 8 * DAY) == []


# ── notes and our own news ───────────────────────────────────────────────────────────────


def test_a_field_note_keeps_whom_it_was_learnt_from(adopted: SqlStore) -> None:
    with adopted.write() as tables:
        note_id = tables.stories.add_story(
            "note",
            "They count crossings",
            "By hand.",
            NOW,
            learnt_from="northline",
            is_public=False,
        )
        with pytest.raises(NotFound, match="nobody"):
            tables.stories.add_story("note", "x", "y", NOW, learnt_from="nobody")
    found = story(adopted, note_id)
    assert (found.kind, found.learnt_from, found.is_public) == ("note", "northline", False)
    assert found.tellings == ()


def test_our_own_news_is_one_story_per_key(adopted: SqlStore) -> None:
    with adopted.write() as tables:
        first = tables.stories.add_story("own", "A desk", "In Oslo.", NOW, own_key="oslo")
        second = tables.stories.add_story("own", "A desk in Oslo", "Now.", NOW, own_key="oslo")
        assert first == second
        assert {k: s.title for k, s in tables.stories.own_news().items()} == {
            "oslo": "A desk in Oslo"
        }


# ── finding ──────────────────────────────────────────────────────────────────────────────


def test_a_story_is_found_by_the_beginning_of_its_id_or_by_a_link(adopted: SqlStore) -> None:
    (story_id,) = opened(adopted, "A quay")
    public_id = story(adopted, story_id).public_id
    with adopted.read() as tables:
        for ref in (
            public_id,
            public_id[:4],
            f" {public_id[:8].upper()} ",
            "https://coast-wire.example/n0",
            "http://www.coast-wire.example/n0?utm_source=x#top",
        ):
            assert tables.stories.find(ref).id == story_id
        for ref in ("zzzz", "https://coast-wire.example/other", "____", "%%%%"):
            with pytest.raises(NotFound):
                tables.stories.find(ref)
        with pytest.raises(BadInput, match="too short"):
            tables.stories.find(public_id[:3])


def test_an_ambiguous_beginning_is_no_name(adopted: SqlStore) -> None:
    ids = opened(adopted, "A quay", "A berth")
    with adopted.write() as tables:
        for n, story_id in enumerate(ids):
            tables.stories._connection.execute(
                sa.update(stories)
                .where(stories.c.id == story_id)
                .values(public_id=f"abcd{n}aaaaaaaaaaaaaaaaaaaaa")
            )
        with pytest.raises(BadInput, match="Several"):
            tables.stories.find("abcd")
        assert tables.stories.find("abcd1").title == "A berth"


def test_of_stories_that_share_a_link_the_latest_is_found(adopted: SqlStore) -> None:
    link = "https://tally.example/front"
    old, new = put_items(
        adopted,
        "coast-wire",
        new_item("coast-wire", "a", "Old", url=link, published_at=NOW - 9 * DAY),
        new_item("coast-wire", "b", "New", url=link),
    )
    with adopted.write() as tables:
        tables.stories.apply_groups(
            [StoryDraft(None, (new,), "x"), StoryDraft(None, (old,), "x")], NOW
        )
        assert tables.stories.find(link).title == "New"


# ── mentions and signals ─────────────────────────────────────────────────────────────────


def test_mentions_and_signals_are_replaced_the_weightiest_first(adopted: SqlStore) -> None:
    one, two = opened(adopted, "A quay", "A berth")
    self_ = Mention("northline", "self", "headline", "Northline", 1.0)
    rival = Mention("northline", "rival", "lead", "P" * 400, 0.4)
    weak, strong = SignalHit("deal", "buys", 1.0), SignalHit("launch", "unveils", 3.0)
    with adopted.write() as tables:
        tables.stories.relate(one, [rival, self_], [weak, strong])
        tables.stories.relate_all({two: ([self_], [strong])}, "d1")
    found = story(adopted, one)
    assert found.mentions == (self_, replace(rival, evidence="P" * 300))
    assert found.signals == (strong, weak)
    with adopted.write() as tables:
        tables.stories.relate(one, [], [weak])
        with pytest.raises(NotFound, match="nobody"):
            tables.stories.relate(one, [replace(self_, account_key="nobody")], [])
    found = story(adopted, one)
    assert (found.mentions, found.signals) == ((), (weak,))
    assert story(adopted, two).mentions == (self_,)


def test_what_was_matched_with_other_rules_is_to_be_matched(adopted: SqlStore) -> None:
    one, two = opened(adopted, "A quay", "A berth")
    with adopted.write() as tables:
        tables.stories.relate_all({one: ([], [])}, "d1")
        assert [s.id for s in tables.stories.to_match("d1", NOW - DAY)] == [two]
        assert [s.id for s in tables.stories.to_match("d2", NOW - DAY)] == [one, two]
        assert [s.id for s in tables.stories.to_match("d2", NOW - DAY, 1)] == [one]
        assert tables.stories.to_match("d2", NOW) == []


# ── pools ────────────────────────────────────────────────────────────────────────────────


def test_a_pool_is_ranked_and_says_where_each_story_stands(adopted: SqlStore) -> None:
    ids = opened(adopted, "kept", "sent", "dropped", "open", "removed", "void", "left out")
    kept, sent, dropped, open_, removed, void, left_out = ids
    first, second = open_issue(adopted), open_issue(adopted, due=NOW + 10 * DAY)
    third = open_issue(adopted, due=NOW + 17 * DAY)
    with adopted.write() as tables:
        scores = {i: replace(SCORE, total=50.0 - n) for n, i in enumerate(ids)}
        tables.stories.score("ferries", scores, NOW)
        tables.stories.unpool("ferries", {left_out: "Names nobody"}, NOW)
        tables.stories.set_dropped("ferries", dropped, NOW, "eva")
        for issue, story_id in (
            (second, kept), (first, sent), (second, sent), (second, removed), (third, void),
        ):  # fmt: skip
            kept_one = tables.snippets.keep(issue, story_id, "main", title="t")
            if story_id == removed:
                tables.snippets.remove(kept_one.id)
        tables.letters.set_state(first, "sent")
        tables.letters.set_state(third, "cancelled", reason="x")
    with adopted.read() as tables:
        found = tables.stories.pool("ferries", NOW - DAY)
        assert [(p.story.title, p.state, p.issue_ref) for p in found] == [
            ("kept", "kept", "ferry-weekly/2"),
            ("sent", "sent", "ferry-weekly/1"),
            ("dropped", "dropped", ""),
            ("open", "open", ""),
            ("removed", "open", ""),
            ("void", "open", ""),
        ]
        assert found[0].score == replace(SCORE, total=50.0)
        assert tables.stories.pool("ferries", NOW) == []
        open_ones = tables.stories.open_scores("ferries", NOW - DAY)
        assert list(open_ones) == [open_, removed, void]
        assert open_ones[open_] == ("news", NOW - 5 * HOUR, replace(SCORE, total=47.0))


def test_unpooling_leaves_what_people_chose(adopted: SqlStore) -> None:
    kept, dropped, open_ = opened(adopted, "kept", "dropped", "open")
    issue = open_issue(adopted)
    with adopted.write() as tables:
        tables.stories.score("ferries", dict.fromkeys((kept, dropped, open_), SCORE), NOW)
        tables.snippets.keep(issue, kept, "main", title="t")
        tables.stories.set_dropped("ferries", dropped, NOW, "eva")
        reasons = dict.fromkeys((kept, dropped, open_), "Names nobody")
        tables.stories.unpool("ferries", reasons, NOW)
        assert {p.story.title: p.state for p in tables.stories.pool("ferries", NOW - DAY)} == {
            "kept": "kept",
            "dropped": "dropped",
        }
        (why,) = tables.stories.pools_of(open_)
        assert (why["constellation"], why["left_out"], why["score"]) == (
            "ferries", "Names nobody", 0.0,
        )  # fmt: skip
        (back,) = tables.stories.pools_of(dropped)
        assert (back["dropped_by"], back["parts"]) == (
            "eva",
            [{"name": "about", "value": 0.5, "why": "Northline is in the headline"}],
        )
        tables.stories.set_dropped("ferries", dropped, None)
        tables.stories.score("ferries", {open_: SCORE}, NOW)
        found = tables.stories.pool("ferries", NOW - DAY)
        assert [p.state for p in found if p.story.id in (dropped, open_)] == ["open", "open"]


def test_a_story_can_be_dropped_before_it_is_pooled(adopted: SqlStore) -> None:
    (one,) = opened(adopted, "A quay")
    with adopted.write() as tables:
        tables.stories.set_dropped("ferries", one, None)
        assert tables.stories.pools_of(one) == []
        tables.stories.set_dropped("ferries", one, NOW, "eva")
        tables.stories.score("ferries", {one: SCORE}, NOW)
        assert [p.state for p in tables.stories.pool("ferries", NOW - DAY)] == ["dropped"]


def test_what_stands_already_is_not_written_again(adopted: SqlStore) -> None:
    (one,) = opened(adopted, "A quay")
    for later in (NOW, NOW + HOUR):
        with adopted.write() as tables:
            tables.stories.score("ferries", {one: SCORE}, later)
    with adopted.read() as tables:
        assert tables.stories.pools_of(one)[0]["scored_at"] == NOW


def test_an_unknown_constellation_is_told(adopted: SqlStore) -> None:
    with adopted.read() as tables, pytest.raises(NotFound, match="comets"):
        tables.stories.pool("comets", NOW)


def test_a_merged_story_is_not_in_the_pool(adopted: SqlStore) -> None:
    one, two = opened(adopted, "A quay", "A berth")
    with adopted.write() as tables:
        tables.stories.score("ferries", {one: SCORE, two: SCORE}, NOW)
        tables.stories._connection.execute(
            sa.update(stories).where(stories.c.id == two).values(merged_into=one)
        )
        assert [p.story.id for p in tables.stories.pool("ferries", NOW - DAY)] == [one]
        assert story_ids(tables.stories.to_match("d", NOW - DAY)) == [one]


def story_ids(found: object) -> list[int]:
    return [s.id for s in found]  # type: ignore[attr-defined]


def test_a_pool_of_many_takes_as_many_statements_as_one_of_few(adopted: SqlStore) -> None:
    counts = []
    for some in (opened(adopted, "one"), opened(adopted, *(f"s{n}" for n in range(1, 60)))):
        with adopted.write() as tables:
            tables.stories.score("ferries", dict.fromkeys(some, SCORE), NOW)
        with statements(adopted) as said, adopted.read() as tables:
            tables.stories.pool("ferries", NOW - DAY)
        counts.append(len(said))
    assert counts[0] == counts[1]


def test_another_constellation_keeps_its_own_pool(store: SqlStore) -> None:
    letter = replace(WEEKLY, key="tug-weekly", constellation="tugs")
    tugs = replace(FERRIES, key="tugs", accounts=(), newsletters=(letter,))
    adopt(store, replace(CATALOG, constellations=(FERRIES, tugs)))
    (one,) = opened(store, "A quay")
    issue = open_issue(store)
    with store.write() as tables:
        tables.stories.score("ferries", {one: SCORE}, NOW)
        tables.stories.score("tugs", {one: SCORE}, NOW)
        tables.snippets.keep(issue, one, "main", title="t")
    with store.read() as tables:
        assert [p.state for p in tables.stories.pool("ferries", NOW - DAY)] == ["kept"]
        assert [p.state for p in tables.stories.pool("tugs", NOW - DAY)] == ["open"]
        assert [p["constellation"] for p in tables.stories.pools_of(one)] == ["ferries", "tugs"]


def test_by_ids_keeps_the_order_and_leaves_out_the_unknown(adopted: SqlStore) -> None:
    one, two = opened(adopted, "A quay", "A berth")
    with adopted.read() as tables:
        assert story_ids(tables.stories.by_ids([two, 999, one])) == [two, one]
        assert tables.stories.by_ids([]) == []


def test_times_come_back_aware(adopted: SqlStore) -> None:
    (one,) = opened(adopted, "A quay")
    found = story(adopted, one)
    assert found.first_at.utcoffset() == timedelta(0)
    assert found.tellings[0].seen_at == NOW
