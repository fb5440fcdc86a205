"""Where a story was commented and who had it, merged stories included."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from pipeline.model.sales import Touch
from pipeline.stores.sql import SqlStore
from tests.builders import NOW
from tests.newsroom import Newsroom
from tests.people_scene import ASKED, bring, row


@pytest.fixture
def room(store: SqlStore, database_url: str) -> Newsroom:
    return Newsroom(store, database_url)


@pytest.fixture
def ada(room: Newsroom) -> int:
    return bring(room.store, row(1, "ada@northline.example", basis=ASKED))[0]


def keep(room: Newsroom, issue_id: int, story_id: int, **words: str) -> int:
    with room.store.write() as tables:
        return tables.snippets.keep(issue_id, story_id, "main", **words).id


def test_issues_with_a_story_come_the_latest_first(room: Newsroom) -> None:
    story, _ = room.story("A pier burns")
    other, _ = room.story("Another one burns")
    first, second = room.issue(), room.issue(on=date(2027, 3, 18))
    for issue in (first, second):
        keep(room, issue.id, story)
    gone = keep(room, first.id, other)
    with room.store.write() as tables:
        tables.snippets.remove(gone)
        assert tables.forwards.issues_with(story, "ferries") == (second.id, first.id)
        assert tables.forwards.issues_with(other, "ferries") == ()
        assert tables.forwards.issues_with(story, "nosuch") == ()


def test_a_merged_story_is_found_under_what_it_became(room: Newsroom, ada: int) -> None:
    old, _ = room.story("A pier burns")
    older, _ = room.story("A pier is burning")
    new, _ = room.story("The pier at Vik burns")
    issue = room.issue()
    keep(room, issue.id, old)
    with room.store.write() as tables:
        tables.sales.add_touch(Touch("northline", ada, "forward", NOW, "tom", story_id=older))
    room.merge(older, into=old)
    room.merge(old, into=new)
    with room.store.read() as tables:
        assert tables.forwards.issues_with(new, "ferries") == (issue.id,)
        assert tables.forwards.told_before(ada, new) == (
            {"at": NOW, "through": "forward", "by": "tom", "issue": ""},
        )
        span = (NOW - timedelta(hours=1), NOW + timedelta(hours=1))
        assert tables.forwards.passed_on("tom", ada, new, *span)
        titles = {title: i for i, title in tables.forwards.titles(NOW - timedelta(days=9))}
    assert titles == dict.fromkeys(
        ("A pier burns", "A pier is burning", "The pier at Vik burns"), new
    )


def test_a_forward_is_known_by_who_to_whom_what_and_when(room: Newsroom, ada: int) -> None:
    story, _ = room.story("A pier burns")
    other, _ = room.story("Another one burns")
    (bo,) = bring(room.store, row(2, "bo@northline.example", basis=ASKED))
    with room.store.write() as tables:
        tables.sales.add_touch(Touch("northline", ada, "forward", NOW, "tom", story_id=story))
        tables.sales.add_touch(Touch("northline", ada, "call", NOW, "liv", story_id=story))
        day = timedelta(days=1)

        def known(staff: str, who: int, what: int, start: timedelta, end: timedelta) -> bool:
            return tables.forwards.passed_on(staff, who, what, NOW + start, NOW + end)

        assert known("tom", ada, story, -day, day)
        assert known("tom", ada, story, timedelta(0), day)
        assert not known("tom", ada, story, day, 2 * day)
        assert not known("liv", ada, story, -day, day), "a call is no forward"
        assert not known("tom", bo, story, -day, day)
        assert not known("tom", ada, other, -day, day)
        assert [fact["by"] for fact in tables.forwards.told_before(ada, story)] == ["liv", "tom"]
        assert tables.forwards.told_before(bo, story) == ()


def test_titles_are_ours_and_the_source_s_of_what_is_in_the_pools(room: Newsroom) -> None:
    story, _ = room.story("A pier burns")
    room.story("Left alone", score=None)
    room.story("Long ago", at=NOW - timedelta(days=200))
    keep(room, room.issue().id, story, title="Vik loses its pier", own_wording="# Your pier\n\nX")
    with room.store.read() as tables:
        found = tables.forwards.titles(NOW - timedelta(days=90))
    assert found == tuple(
        (story, text) for text in ("A pier burns", "Vik loses its pier", "# Your pier\n\nX")
    )
