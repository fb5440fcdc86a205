"""From gathered items to ranked pools, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from pipeline.model.catalog import Account, Catalog, OwnNews, Source
from pipeline.model.news import CleanHtml, PoolStory, Story
from pipeline.rules.news.rank import score_note
from pipeline.stages.sift import Sifted, sift
from pipeline.stores import schema
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, FERRIES, FIRM, NOW, WEEKLY, StandingClock
from tests.people_scene import dump, ports_of
from tests.story_scene import HOUR, adopt, new_item, put_items

DAY = 24 * HOUR
QUIET = replace(CATALOG, firm=replace(FIRM, news=()))
SECOND = (
    "Northline has ordered a second battery ferry for the strait. It carries 120 cars, charges in "
    "nine minutes at a new berth and sails from May 2028, the company said on Monday."
)
SECOND_TOO = (
    "A second battery ferry for the strait: Northline ordered it on Monday, with room for 120 "
    "cars. A new berth will charge it in nine minutes. It sails from May 2028."
)


def told(store: SqlStore) -> None:
    """Three entries of two sources: one event twice, and a recipe."""
    put_items(
        store,
        "coast-wire",
        new_item("coast-wire", "a", "Northline orders a second battery ferry", SECOND),
        new_item("coast-wire", "c", "Ten ways with smoked trout", "Take a trout and a lemon. " * 9),
    )
    put_items(
        store,
        "harbour-news",
        new_item("harbour-news", "b", "Nine minutes at the berth for the strait’s new ferry",
                 SECOND_TOO, published_at=NOW - 2 * HOUR),
    )  # fmt: skip


def pool(store: SqlStore, constellation: str = "ferries") -> list[PoolStory]:
    with store.read() as tables:
        return list(tables.stories.pool(constellation, NOW - 90 * DAY))


def stories(store: SqlStore) -> list[Story]:
    with store.read() as tables:
        ids = tables.stories._connection.execute(
            sa.select(schema.stories.c.id).order_by(schema.stories.c.id)
        ).scalars()
        return list(tables.stories.by_ids(list(ids)))


def rows(store: SqlStore) -> object:
    return dump(
        store, schema.stories, schema.items, schema.pool, schema.story_mentions,
        schema.story_signals,
    )  # fmt: skip


def why_not(store: SqlStore, story: Story) -> dict[str, str]:
    with store.read() as tables:
        return {p["constellation"]: p["left_out"] for p in tables.stories.pools_of(story.id)}


def test_items_become_stories_with_whom_they_are_about_in_a_ranked_pool(store: SqlStore) -> None:
    adopt(store, QUIET)
    told(store)
    tally = sift(ports_of(store, QUIET))
    assert tally == Sifted(
        items=3, opened=2, joined=0, matched=2, pooled=1, left_out=1,
        by_constellation=(("ferries", 1),),
    )  # fmt: skip
    (first,) = pool(store)
    assert {i.source_key for i in first.story.tellings} == {"coast-wire", "harbour-news"}
    # The Harbour News counts half as much again, so its telling leads.
    assert first.story.source_name == "Harbour News"
    (mention,) = first.story.mentions
    assert (mention.account_key, mention.where, mention.evidence) == (
        "northline", "headline", "Northline",
    )  # fmt: skip
    said = {part.name: part.why for part in first.score.parts}
    assert said["about"] == "Northline is in the headline"
    assert said["size"] == "Told by two sources"
    assert said["source"] == "Harbour News, a source we trust more"
    assert said["freshness"] == "Two hours old"
    recipe = next(s for s in stories(store) if "trout" in s.title)
    assert why_not(store, recipe) == {
        "ferries": "Names none of the accounts and has none of the words"
    }


def test_a_second_run_changes_nothing(store: SqlStore) -> None:
    adopt(store)
    told(store)
    sift(ports_of(store))
    before = rows(store)
    again = sift(ports_of(store))
    assert again == Sifted(by_constellation=(("ferries", 2),))
    assert rows(store) == before


def test_a_late_telling_joins_and_is_counted(store: SqlStore) -> None:
    adopt(store, QUIET)
    told(store)
    sift(ports_of(store, QUIET))
    put_items(
        store,
        "coast-wire",
        new_item("coast-wire", "late", "Blue Strait frets over Northline’s second battery ferry",
                 SECOND_TOO + " Blue Strait said it would think again.",
                 published_at=NOW + 20 * HOUR, content_hash="x"),
    )  # fmt: skip
    later = ports_of(store, QUIET, clock=StandingClock(NOW + DAY))
    # The Coast Wire told it before: its new entry is a story of its own.
    assert sift(later).opened == 1
    text = SECOND_TOO + " Blue Strait said it would think again."
    put_items(
        store,
        "harbour-news",
        new_item("harbour-news", "late", "x", text, published_at=NOW + 21 * HOUR),
    )
    tally = sift(later)
    assert (tally.items, tally.opened, tally.joined) == (1, 0, 1)
    joined = next(p for p in pool(store) if len(p.story.tellings) == 2 and p.story.title == "x")
    assert {m.account_key for m in joined.story.mentions} == {"northline", "blue-strait"}


def test_an_edited_telling_is_no_new_story_but_is_read_again(store: SqlStore) -> None:
    adopt(store, QUIET)
    put_items(store, "coast-wire", new_item("coast-wire", "a", "A second battery ferry", "Soon."))
    sift(ports_of(store, QUIET))
    put_items(
        store, "coast-wire", new_item("coast-wire", "a", "Northline orders a ferry", "It is true.")
    )
    tally = sift(ports_of(store, QUIET))
    assert (tally.opened, tally.items, tally.matched) == (0, 0, 1)
    (only,) = pool(store)
    assert only.story.title == "Northline orders a ferry"
    assert [m.account_key for m in only.story.mentions] == ["northline"]


def test_stories_grow_older_in_the_pool_but_not_what_was_chosen(store: SqlStore) -> None:
    adopt(store, QUIET)
    put_items(
        store,
        "coast-wire",
        new_item("coast-wire", "a", "Northline orders a ferry", "One."),
        new_item("coast-wire", "b", "Blue Strait sells a quay", "Two."),
    )
    sift(ports_of(store, QUIET))
    before = {p.story.title: p.score for p in pool(store)}
    with store.write() as tables:
        tables.stories.set_dropped("ferries", pool(store)[0].story.id, NOW, "eva")
    dropped = pool(store)[0].story.title
    tally = sift(ports_of(store, QUIET, clock=StandingClock(NOW + 3 * DAY)))
    assert (tally.matched, tally.by_constellation) == (0, (("ferries", 1),))
    for found in pool(store):
        if found.story.title == dropped:
            assert found.score == before[dropped]
        else:
            assert found.score.total < before[found.story.title].total
            assert found.score.parts[-1].why == "Three days old"


def test_a_new_account_is_found_in_what_we_hold(store: SqlStore) -> None:
    adopt(store, QUIET)
    put_items(store, "coast-wire", new_item("coast-wire", "a", "Torghatten opens a quay", "Soon."))
    sift(ports_of(store, QUIET))
    assert pool(store) == []
    more = replace(FERRIES, accounts=(*FERRIES.accounts, Account("t", "Torghatten", "prospect")))
    grown = replace(QUIET, constellations=(more,), digest="ferries-2")
    adopt(store, grown)
    assert sift(ports_of(store, grown)).matched == 1
    assert [p.story.title for p in pool(store)] == ["Torghatten opens a quay"]
    # And gone again: out of the pool, with the reason.
    back = replace(QUIET, digest="ferries-3")
    adopt(store, back)
    sift(ports_of(store, back))
    assert pool(store) == []
    assert why_not(store, stories(store)[0])["ferries"].startswith("Names none")


def test_our_own_news_stands_in_every_pool_from_its_day_on(store: SqlStore) -> None:
    news = (
        OwnNews("oslo", "A second desk in Oslo", "Northline said hello.", NOW.date()),
        OwnNews("soon", "A third desk", "In May.", (NOW + 9 * DAY).date()),
    )
    tugs = replace(
        FERRIES, key="tugs", accounts=(),
        newsletters=(replace(WEEKLY, key="tug-weekly", constellation="tugs"),),
    )  # fmt: skip
    both = replace(
        CATALOG, firm=replace(FIRM, news=news), constellations=(FERRIES, tugs), digest="both"
    )
    adopt(store, both)
    sift(ports_of(store, both))
    for key in ("ferries", "tugs"):
        (own,) = pool(store, key)
        assert (own.story.kind, own.story.title) == ("own", "A second desk in Oslo")
        assert own.score.parts[0].why == "Our own news"
    assert [m.account_key for m in own.story.mentions] == ["northline"]
    sift(ports_of(store, both, clock=StandingClock(NOW + 10 * DAY)))
    assert len(pool(store)) == 2
    mended = (replace(news[0], text="Northline moved in."),)
    less = replace(both, firm=replace(FIRM, news=mended), digest="less")
    adopt(store, less)
    sift(ports_of(store, less, clock=StandingClock(NOW + 10 * DAY)))
    (own,) = pool(store)
    assert own.story.text == "Northline moved in."
    assert why_not(store, next(s for s in stories(store) if s.title == "A third desk")) == {
        "ferries": "Our own news, no longer in firm.yaml",
        "tugs": "Our own news, no longer in firm.yaml",
    }


def test_a_story_goes_to_the_constellations_of_its_sources(store: SqlStore) -> None:
    tugs = replace(
        FERRIES, key="tugs",
        accounts=(Account("tug-co", "Blue Strait Towage", "prospect"),),
        newsletters=(replace(WEEKLY, key="tug-weekly", constellation="tugs"),),
    )  # fmt: skip
    sources = (
        *CATALOG.sources,
        Source("tug-post", "Tug Post", "https://t.example/", "feed", ("tugs",)),
    )
    both = Catalog(QUIET.firm, sources, (FERRIES, tugs), "both")
    adopt(store, both)
    put_items(store, "tug-post", new_item("tug-post", "a", "Northline hires a berth pilot", "One."))
    put_items(store, "coast-wire", new_item("coast-wire", "a", "Blue Strait Towage sold", "Two."))
    sift(ports_of(store, both))
    assert [p.story.title for p in pool(store, "tugs")] == ["Northline hires a berth pilot"]
    assert [p.story.title for p in pool(store, "ferries")] == ["Blue Strait Towage sold"]


def test_a_field_note_is_read_for_names_and_keeps_its_place(store: SqlStore) -> None:
    adopt(store, QUIET)
    with store.write() as tables:
        note = tables.stories.add_story(
            "note", "They count by hand", "Skagen Ruter counts crossings by hand.", NOW,
            learnt_from="northline", is_public=False,
        )  # fmt: skip
        tables.stories.score("ferries", {note: score_note(NOW, NOW, "Eva Brandt")}, NOW)
    tally = sift(ports_of(store, QUIET))
    assert (tally.matched, tally.pooled) == (1, 1)
    (found,) = pool(store)
    assert [m.account_key for m in found.story.mentions] == ["skagen-ruter"]
    assert found.score == score_note(NOW, NOW, "Eva Brandt")


def test_a_word_to_ignore_leaves_its_reason(store: SqlStore) -> None:
    adopt(store, QUIET)
    put_items(store, "coast-wire", new_item("coast-wire", "a", "Cruise to the berth", "By ferry."))
    sift(ports_of(store, QUIET))
    assert why_not(store, stories(store)[0]) == {"ferries": "Has a word to ignore: “cruise”"}


def test_a_link_in_the_summary_is_read(store: SqlStore) -> None:
    adopt(store, QUIET)
    put_items(
        store,
        "coast-wire",
        new_item("coast-wire", "a", "A quay is finished", "Soon.", summary_html=CleanHtml(
            '<p><a href="https://bluestrait.example/quay">The plan</a></p>')),
    )  # fmt: skip
    sift(ports_of(store, QUIET))
    (found,) = pool(store)
    assert found.story.mentions[0].evidence == "bluestrait.example"


def test_what_a_source_told_stays_when_the_source_goes(store: SqlStore) -> None:
    adopt(store, QUIET)
    put_items(store, "coast-wire", new_item("coast-wire", "a", "Northline orders a ferry", "One."))
    sift(ports_of(store, QUIET))
    fewer = replace(QUIET, sources=QUIET.sources[1:], digest="fewer")
    adopt(store, fewer)
    sift(ports_of(store, fewer))
    assert [p.story.title for p in pool(store)] == ["Northline orders a ferry"]


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_batches_end_where_one_round_ends(store: SqlStore, batch: int) -> None:
    adopt(store)
    told(store)
    tally = sift(ports_of(store), batch=batch)
    assert (tally.items, tally.opened) == (3, 2)
    assert [len(s.tellings) for s in stories(store) if s.kind == "news"] == [2, 1]
    assert sift(ports_of(store), batch=batch).matched == 0


@pytest.mark.parametrize("batch", [1, 2, 2_000])
def test_who_is_to_stop_goes_on_next_time(store: SqlStore, batch: int) -> None:
    """However often it is cut off: what comes of it is what an undisturbed run makes."""
    adopt(store)
    told(store)
    ports = ports_of(store)
    asked = 0

    def stops_at(limit: int) -> Callable[[], bool]:
        nonlocal asked
        asked = 0

        def stopping() -> bool:
            nonlocal asked
            asked += 1
            return asked > limit

        return stopping

    tallies = []
    for limit in range(200):
        tallies.append(sift(replace(ports, stopping=stops_at(limit)), batch=batch))
        if asked <= limit:
            break
    else:
        pytest.fail("it never comes to its end")
    assert tallies[0] == Sifted(), "who is to stop begins nothing"
    assert sum(tally.items for tally in tallies) == 3
    assert sum(tally.opened for tally in tallies) == 2
    assert sorted(len(story.tellings) for story in stories(store)) == [0, 1, 2]
    assert len(pool(store)) == 2
    settled = rows(store)
    assert sift(ports) == Sifted(by_constellation=(("ferries", 2),))
    assert rows(store) == settled


def test_files_that_changed_are_read_anew_by_parts(store: SqlStore) -> None:
    adopt(store, QUIET)
    told(store)
    sift(ports_of(store, QUIET))
    other = replace(QUIET, digest=f"{QUIET.digest}+")
    adopt(store, other)
    answers = iter([False] * 5)
    cut = sift(replace(ports_of(store, other), stopping=lambda: next(answers, True)))
    assert cut.matched == 1, "what was read when the word came is written"
    assert sift(ports_of(store, other)).matched == 1


def test_dates_far_off_do_no_harm(store: SqlStore) -> None:
    adopt(store, QUIET)
    put_items(
        store,
        "coast-wire",
        new_item("coast-wire", "a", "Northline of old", "One.",
                 published_at=NOW.replace(year=1970)),
        new_item("coast-wire", "b", "Northline to come", "Two.",
                 published_at=NOW + timedelta(days=4000)),
    )  # fmt: skip
    assert sift(ports_of(store, QUIET)).items == 2
    assert [p.story.title for p in pool(store)] == ["Northline to come"]
