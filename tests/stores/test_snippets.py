from __future__ import annotations

import threading
from datetime import date

import pytest

from pipeline.errors import BadInput, Conflict, NotFound
from pipeline.stores.sql import SqlStore
from tests.builders import NOW
from tests.newsroom import Newsroom


@pytest.fixture
def room(store: SqlStore, database_url: str) -> Newsroom:
    return Newsroom(store, database_url)


def test_a_kept_story_brings_what_its_story_knows(room: Newsroom) -> None:
    story, public_id = room.story(
        "Northline orders two ferries",
        lead="Northline has ordered two ferries.",
        about=[("northline", "self", "Northline"), ("blue-strait", "incumbent", "Meridian Timing")],
        signals=[("deal", 1.0), ("launch", 2.0)],
    )
    issue = room.issue()

    with room.store.write() as tables:
        snippet = tables.snippets.keep(issue.id, story, "main", fact="“Two ferries.”")

    assert (snippet.title, snippet.fact, snippet.take) == (
        "Northline orders two ferries", "“Two ferries.”", "",
    )  # fmt: skip
    assert (snippet.story_id, snippet.story_public_id, snippet.story_kind) == (
        story, public_id, "news",
    )  # fmt: skip
    assert (snippet.signal, snippet.source_name) == ("launch", "Coast Wire")
    assert snippet.url == "https://coastwire.example/northline-orders-two-ferries"
    assert (snippet.published_on, snippet.language) == (date(2027, 3, 5), "en")
    assert snippet.about == ("northline",)
    assert snippet.touches == (
        ("northline", "named in the headline: “Northline”"),
        ("blue-strait", "Meridian Timing, whom they buy from today, is named in the headline"),
    )
    assert snippet.source_text == "Northline has ordered two ferries."
    assert (snippet.revision, snippet.removed) == (1, False)


def test_a_confidence_says_whom_it_was_learnt_from(room: Newsroom) -> None:
    story, _ = room.story(
        "A new quay", kind="note", learnt_from="blue-strait", is_public=False, lead="They told us."
    )
    issue = room.issue()
    with room.store.write() as tables:
        snippet = tables.snippets.keep(issue.id, story, "main")
    assert (snippet.learnt_from, snippet.is_public, snippet.story_kind) == (
        "blue-strait", False, "note",
    )  # fmt: skip


def test_keeping_twice_adds_nothing_and_a_removed_one_comes_back(room: Newsroom) -> None:
    first, _ = room.story("First")
    second, _ = room.story("Second")
    issue = room.issue()
    with room.store.write() as tables:
        kept = tables.snippets.keep(issue.id, first, "main")
        tables.snippets.keep(issue.id, second, "main")
        assert tables.snippets.keep(issue.id, first, "noted").id == kept.id
        tables.snippets.edit(kept.id, 1, {"take": "Worth a look."})
        tables.snippets.remove(kept.id)
        assert [s.title for s in tables.snippets.of_issue(issue.id)] == ["Second"]
        assert [s.title for s in tables.snippets.of_issue(issue.id, removed=True)] == ["First"]

        back = tables.snippets.keep(issue.id, first, "main", take="Other words")

        assert (back.id, back.take) == (kept.id, "Worth a look.")
        assert [s.title for s in tables.snippets.of_issue(issue.id)] == ["Second", "First"]


def test_order_is_main_then_noted_and_can_be_changed(room: Newsroom) -> None:
    issue = room.issue()
    ids = {title: room.story(title)[0] for title in ("a", "b", "c", "d")}
    with room.store.write() as tables:
        tables.snippets.keep(issue.id, ids["a"], "noted")
        for title in ("b", "c", "d"):
            tables.snippets.keep(issue.id, ids[title], "main")
        assert [s.title for s in tables.snippets.of_issue(issue.id)] == ["b", "c", "d", "a"]

        tables.snippets.reorder(issue.id, [ids["d"], ids["b"]])

        assert [s.title for s in tables.snippets.of_issue(issue.id)] == ["d", "b", "c", "a"]


def test_a_stale_edit_is_a_conflict_and_changes_nothing(room: Newsroom) -> None:
    story, _ = room.story("Ferries")
    issue = room.issue()
    with room.store.write() as tables:
        snippet = tables.snippets.keep(issue.id, story, "main")
        assert tables.snippets.edit(snippet.id, 1, {"take": "Mine"}).revision == 2
    with pytest.raises(Conflict, match="you hold revision 1, it is at 2"), room.store.write() as t:
        t.snippets.edit(snippet.id, 1, {"take": "Theirs"})
    with room.store.read() as tables:
        assert tables.snippets.of_issue(issue.id)[0].take == "Mine"


def test_the_same_words_are_no_change_and_odd_fields_are_refused(room: Newsroom) -> None:
    story, _ = room.story("Ferries")
    issue = room.issue()
    with room.store.write() as tables:
        snippet = tables.snippets.keep(issue.id, story, "main")
        assert tables.snippets.edit(snippet.id, 7, {"title": "Ferries"}).revision == 1
        with pytest.raises(BadInput, match="has no field colour"):
            tables.snippets.edit(snippet.id, 1, {"colour": "red"})


def test_another_general_wording_needs_another_clearance(room: Newsroom) -> None:
    story, _ = room.story("Ferries", kind="note", learnt_from="northline", is_public=False)
    issue = room.issue()
    with room.store.write() as tables:
        snippet = tables.snippets.keep(issue.id, story, "main")
        cleared = tables.snippets.edit(
            snippet.id, 1, {"general_wording": "Quays wait.", "cleared_by": "liv"}
        )
        assert cleared.cleared_by == "liv"
        assert tables.snippets.edit(snippet.id, 2, {"take": "So we say."}).cleared_by == "liv"
        assert tables.snippets.edit(snippet.id, 3, {"general_wording": "All."}).cleared_by == ""


def test_a_story_merged_after_it_was_kept_is_read_and_kept_as_its_heir(room: Newsroom) -> None:
    old, _ = room.story("Two ferries for Northline")
    heir, heir_public_id = room.story("Northline orders two ferries")
    issue = room.issue()
    with room.store.write() as tables:
        kept = tables.snippets.keep(issue.id, old, "main", take="Ours")
    room.merge(old, heir)
    with room.store.write() as tables:
        (snippet,) = tables.snippets.of_issue(issue.id)
        assert (snippet.story_id, snippet.story_public_id) == (heir, heir_public_id)
        assert (snippet.title, snippet.take) == ("Two ferries for Northline", "Ours")
        assert tables.snippets.keep(issue.id, heir, "main").id == kept.id
        tables.snippets.reorder(issue.id, [heir])
        assert len(tables.snippets.of_issue(issue.id)) == 1


def test_vouching_says_who_told(room: Newsroom) -> None:
    story, _ = room.story("Seen at the fair", kind="note", is_public=False)
    issue = room.issue()
    with room.store.write() as tables:
        tables.snippets.keep(issue.id, story, "main")
        tables.snippets.vouch(story, "northline", is_public=False)
        assert tables.snippets.of_issue(issue.id)[0].learnt_from == "northline"
        tables.snippets.vouch(story, "", is_public=True)
        (snippet,) = tables.snippets.of_issue(issue.id)
    assert (snippet.learnt_from, snippet.is_public) == ("", True)


def test_a_stale_word_on_who_told_is_a_conflict(room: Newsroom) -> None:
    note, _ = room.story("Seen at the fair", kind="note", is_public=False)
    with room.store.write() as tables:
        tables.snippets.vouch(note, "northline", is_public=False, revision=1)
        with pytest.raises(Conflict, match="you hold revision 1"):
            tables.snippets.vouch(note, "", is_public=True, revision=1)
        (story,) = tables.stories.by_ids([note])
    assert (story.learnt_from, story.is_public, story.revision) == ("northline", False, 2)


def test_a_note_that_was_taken_back_is_kept_no_more(room: Newsroom) -> None:
    issue = room.issue()
    note, _ = room.story("Seen at the fair", kind="note")
    with room.store.write() as tables:
        tables.stories.set_taken_back(note, NOW)
        with pytest.raises(NotFound, match="“Seen at the fair” was taken back"):
            tables.snippets.keep(issue.id, note, "main")


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_note_taken_back_after_a_look_is_kept_no_more(room: Newsroom) -> None:
    """SQLite has one writer at a time; PostgreSQL has many, and what one saw may be past."""
    issue = room.issue()
    note, public_id = room.story("Seen at the fair", kind="note")
    with room.store.write() as keeper:
        assert keeper.stories.find(public_id).taken_back_at is None
        with room.store.write() as writer:
            writer.stories.set_taken_back(note, NOW)
        with pytest.raises(NotFound, match="“Seen at the fair” was taken back"):
            keeper.snippets.keep(issue.id, note, "main")


def test_of_two_words_at_once_on_who_told_one_counts(room: Newsroom) -> None:
    """Else the second would open to everybody what the first has just put under the wall."""
    note, _ = room.story("Seen at the fair", kind="note", is_public=False)
    both_have_looked = threading.Barrier(2)
    came_to: dict[str, str] = {}

    def say(learnt_from: str) -> None:
        with room.store.read() as tables:
            (story,) = tables.stories.by_ids([note])
        both_have_looked.wait(60)
        try:
            with room.store.write() as tables:
                tables.snippets.vouch(
                    note, learnt_from, is_public=not learnt_from, revision=story.revision
                )
            came_to[learnt_from] = "done"
        except Conflict:
            came_to[learnt_from] = "conflict"

    sayers = [threading.Thread(target=say, args=(who,)) for who in ("northline", "")]
    for sayer in sayers:
        sayer.start()
    for sayer in sayers:
        sayer.join(60)
    assert sorted(came_to.values()) == ["conflict", "done"]
    with room.store.read() as tables:
        (story,) = tables.stories.by_ids([note])
    assert came_to[story.learnt_from] == "done"
