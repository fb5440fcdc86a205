from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.errors import BadInput, Conflict, NotFound
from pipeline.model.letters import Snippet
from pipeline.model.log import Operation
from pipeline.rules.letters.curated import Block
from pipeline.rules.letters.curated_reading import parse
from pipeline.stages import curate
from pipeline.stores.sql import SqlStore
from tests.builders import NOW
from tests.newsroom import Newsroom

WEEKLY = "ferry-weekly/1"


@pytest.fixture
def room(store: SqlStore, database_url: str) -> Newsroom:
    return Newsroom(store, database_url)


def in_issue(room: Newsroom, ref: str = WEEKLY) -> list[Snippet]:
    with room.store.read() as tables:
        return list(tables.snippets.of_issue(tables.letters.find_issue(ref).id))


def titles(room: Newsroom, ref: str = WEEKLY) -> list[str]:
    return [snippet.title for snippet in in_issue(room, ref)]


def snippet(room: Newsroom, title: str, ref: str = WEEKLY) -> Snippet:
    return next(s for s in in_issue(room, ref) if s.title == title)


# ── one story at a time ──────────────────────────────────────────────────────────────────


def test_the_pool_is_ranked_and_says_what_became_of_each(room: Newsroom) -> None:
    room.issue()
    _, low = room.story("Low", score=1.0)
    _, high = room.story("High", score=9.0)
    room.story("Elsewhere", score=None)
    curate.keep(room.ports(), WEEKLY, high)

    ranked = curate.pool(room.ports(), "ferries")

    assert [(p.story.title, p.state, p.issue_ref) for p in ranked] == [
        ("High", "kept", WEEKLY),
        ("Low", "open", ""),
    ]
    assert [p.story.public_id for p in curate.pool(room.ports(), "ferries", limit=1)] == [high]
    with pytest.raises(NotFound, match="Did you mean ferries"):
        curate.pool(room.ports(), "feries")
    assert low


def test_keeping_begins_with_a_marked_quotation_and_the_scores_parts(room: Newsroom) -> None:
    room.issue()
    lead = "Northline has *ordered* two “quiet” ferries. They come in 2029. " + "More. " * 50
    _, story = room.story("Two ferries", lead=lead, score=7.5)

    kept = curate.keep(room.ports(), WEEKLY, story[:8])

    assert kept.snippet.fact == r"“Northline has \*ordered\* two ‘quiet’ ferries.”"
    assert kept.warnings == ()
    with room.store.read() as tables:
        (operation,) = tables.log.of(f"story:{story}")
    assert (operation.actor, operation.verb) == ("eva", "keep")
    assert operation.after["scores"][story] == {
        "total": 7.5,
        "parts": [{"name": "about", "value": 7.5, "why": "names an account"}],
    }


def test_a_long_first_sentence_is_cut_at_forty_words(room: Newsroom) -> None:
    room.issue()
    _, story = room.story("Long", lead="word " * 60)
    fact = curate.keep(room.ports(), WEEKLY, story).snippet.fact
    assert fact == "“" + "word " * 39 + "word …”"


def test_keeping_again_changes_nothing_and_writes_no_operation(room: Newsroom) -> None:
    room.issue()
    _, story = room.story("Two ferries")
    first = curate.keep(room.ports(), WEEKLY, story)
    assert curate.keep(room.ports(), WEEKLY, story) == first
    with room.store.read() as tables:
        assert len(tables.log.of(f"story:{story}")) == 1
    assert curate.keep(room.ports(), WEEKLY, story, section="noted").snippet.section == "noted"


def test_a_story_of_another_newsletter_is_kept_with_a_warning(room: Newsroom) -> None:
    room.issue()
    room.issue("ferry-monthly")
    _, story = room.story("Two ferries")
    curate.keep(room.ports(), "ferry-monthly/1", story)
    (warning,) = curate.keep(room.ports(), WEEKLY, story).warnings
    assert "also in ferry-monthly/1 (draft)" in warning


def test_remove_keeps_the_words_and_keep_brings_them_back(room: Newsroom) -> None:
    room.issue()
    _, story = room.story("Two ferries")
    curate.keep(room.ports(), WEEKLY, story)
    curate.edit(room.ports(), WEEKLY, story, {"take": "Ours.\r\n"})
    curate.remove(room.ports(), WEEKLY, story)
    assert titles(room) == []
    with pytest.raises(NotFound, match="is not in issue ferry-weekly/1"):
        curate.remove(room.ports(), WEEKLY, story)
    assert curate.keep(room.ports(), WEEKLY, story).snippet.take == "Ours."


def test_a_dropped_story_is_offered_again_when_it_is_kept(room: Newsroom) -> None:
    room.issue()
    _, story = room.story("Two ferries")
    curate.drop(room.ports(), "ferries", story)
    curate.drop(room.ports(), "ferries", story)
    assert [p.state for p in curate.pool(room.ports(), "ferries")] == ["dropped"]

    curate.keep(room.ports(), WEEKLY, story)

    assert [p.state for p in curate.pool(room.ports(), "ferries")] == ["kept"]
    with pytest.raises(Conflict, match=f"stands in issue {WEEKLY}"):
        curate.drop(room.ports(), "ferries", story)
    with room.store.read() as tables:
        assert [o.verb for o in tables.log.of(f"story:{story}")] == ["drop", "keep"]


def test_what_is_not_in_a_pool_cannot_be_dropped_from_it(room: Newsroom) -> None:
    _, story = room.story("Elsewhere", score=None)
    with pytest.raises(NotFound, match="not in the pool of Ferry companies"):
        curate.drop(room.ports(), "ferries", story)


def test_a_stale_edit_shows_both_texts(room: Newsroom) -> None:
    room.issue()
    _, story = room.story("Two ferries")
    curate.keep(room.ports(), WEEKLY, story)
    curate.edit(room.ports("liv"), WEEKLY, story, {"take": "Liv's words"}, revision=1)
    with pytest.raises(Conflict) as conflict:
        curate.edit(room.ports(), WEEKLY, story, {"take": "Eva's words"}, revision=1)
    assert "Liv's words" in str(conflict.value)
    assert "Eva's words" in str(conflict.value)
    assert snippet(room, "Two ferries").take == "Liv's words"


@pytest.mark.parametrize("changes", [{"colour": "red"}, {"title": " "}])
def test_an_edit_of_nothing_that_exists_is_refused(room: Newsroom, changes: dict[str, str]) -> None:
    room.issue()
    _, story = room.story("Two ferries")
    curate.keep(room.ports(), WEEKLY, story)
    with pytest.raises(BadInput):
        curate.edit(room.ports(), WEEKLY, story, changes)


def test_an_odd_section_is_refused(room: Newsroom) -> None:
    with pytest.raises(BadInput, match="Use main or noted"):
        curate.keep(room.ports(), WEEKLY, "abcd", section="front")  # type: ignore[arg-type]


# ── field notes ──────────────────────────────────────────────────────────────────────────


def test_a_field_note_enters_the_pool_and_knows_whom_it_is_about(room: Newsroom) -> None:
    room.issue()
    story = curate.note(
        room.ports(), "ferries", "Skagen Ruter tests a night berth.",
        title="A night berth", learnt_from="skagenruter",
    )  # fmt: skip
    assert (story.kind, story.learnt_from, story.is_public) == ("note", "skagen-ruter", False)
    assert [m.account_key for m in story.mentions] == ["skagen-ruter"]
    (ranked,) = curate.pool(room.ports(), "ferries")
    assert ranked.score.parts[0].why == "A field note by Eva Brandt"

    kept = curate.keep(room.ports(), WEEKLY, story.public_id).snippet

    assert kept.fact == "Skagen Ruter tests a night berth."
    assert (kept.learnt_from, kept.about) == ("skagen-ruter", ("skagen-ruter",))


def test_a_note_that_says_not_who_told_it_enters_no_issue_until_it_does(room: Newsroom) -> None:
    room.issue()
    story = curate.note(room.ports(), "ferries", "Heard it.", title="A rumour")
    assert curate.why_no_issue(story)
    with pytest.raises(Conflict, match="neither who told it nor that it is public"):
        curate.keep(room.ports(), WEEKLY, story.public_id)

    vouched = curate.vouch(room.ports(), story.public_id, public=True)
    assert (vouched.before, vouched.after) == ({"public": False}, {"public": True})

    assert curate.keep(room.ports(), WEEKLY, story.public_id).snippet.is_public
    curate.undo(room.ports())
    curate.undo(room.ports())
    with room.store.read() as tables:
        assert tables.stories.find(story.public_id).is_public is False


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"learnt_from": "Norhtline"}, "Did you mean Northline"),
        ({"learnt_from": "Northline", "public": True}, "either learnt from an account, or public"),
        ({"text": "  "}, "needs a title and a text"),
        ({"url": "javascript:alert(1)"}, "no web address"),
    ],
)
def test_a_note_with_a_mistake_is_not_written(
    room: Newsroom, change: dict[str, str], says: str
) -> None:
    words = {"text": "Seen.", "title": "Seen", **change}
    with pytest.raises((BadInput, NotFound), match=says):
        curate.note(room.ports(), "ferries", **words)  # type: ignore[arg-type]
    assert curate.pool(room.ports(), "ferries") == ()


def test_only_the_approver_says_that_a_confidence_is_none(room: Newsroom) -> None:
    room.issue()
    story = curate.note(
        room.ports(), "ferries", "They wait.", title="A wait", learnt_from="northline"
    )
    for other in ({"public": True}, {"learnt_from": "skagen-ruter"}):
        with pytest.raises(Conflict, match="told in confidence"):
            curate.vouch(replace(room.ports(), actor="eva"), story.public_id, **other)  # type: ignore[arg-type]
    opened = curate.vouch(replace(room.ports(), actor="liv"), story.public_id, public=True)
    assert opened.after == {"learnt_from": "", "public": True}


def test_a_stale_vouching_is_a_conflict_that_shows_both(room: Newsroom) -> None:
    room.issue()
    story = curate.note(room.ports(), "ferries", "They wait.", title="A wait")
    for _ in range(2):  # what is so already is no change, whoever was quicker
        curate.vouch(room.ports(), story.public_id, learnt_from="northline", revision=1)
    with pytest.raises(Conflict) as caught:
        curate.vouch(room.ports(), story.public_id, public=True, revision=1)
    assert caught.value.message.splitlines() == [
        "“A wait” changed since you looked.",
        "  As it stands: learnt from northline",
        "  Yours: public",
    ]


def test_vouching_needs_a_note_and_a_word(room: Newsroom) -> None:
    _, story = room.story("Two ferries")
    with pytest.raises(BadInput, match="is no field note"):
        curate.vouch(room.ports(), story, public=True)
    with pytest.raises(BadInput, match="Who told it is missing"):
        curate.vouch(room.ports(), story)


# ── who may, and when ────────────────────────────────────────────────────────────────────


def test_after_the_cut_off_only_the_approver_writes(room: Newsroom) -> None:
    issue = room.issue()
    _, story = room.story("Two ferries")
    late = issue.cut_off_at + timedelta(minutes=1)
    with pytest.raises(Conflict, match="cut-off of issue ferry-weekly/1 has passed"):
        curate.keep(room.ports("eva", late), WEEKLY, story)
    for approver in ("liv", "Liv Haugen", "LIV@quaytide.example"):
        curate.keep(room.ports(approver, late), WEEKLY, story)
    assert titles(room) == ["Two ferries"]


@pytest.mark.parametrize("state", ["approved", "scheduled", "sending", "sent", "missed"])
def test_a_frozen_issue_is_not_written_on(room: Newsroom, state: str) -> None:
    issue = room.issue()
    _, story = room.story("Two ferries")
    curate.keep(room.ports(), WEEKLY, story)
    text = curate.export(room.ports(), WEEKLY)
    with room.store.write() as tables:
        tables.letters.set_state(issue.id, state)  # type: ignore[arg-type]
    for act in (
        lambda: curate.remove(room.ports(), WEEKLY, story),
        lambda: curate.edit(room.ports(), WEEKLY, story, {"take": "x"}),
        lambda: curate.import_file(room.ports(), text, "week.md"),
        lambda: curate.undo(room.ports()),
    ):
        with pytest.raises(Conflict):
            act()
    assert titles(room) == ["Two ferries"]


# ── undo ─────────────────────────────────────────────────────────────────────────────────


def test_undo_walks_back_through_everything_one_did(room: Newsroom) -> None:
    room.issue()
    _, one = room.story("One")
    _, two = room.story("Two")
    ports = room.ports()
    curate.keep(ports, WEEKLY, one)
    curate.edit(ports, WEEKLY, one, {"take": "First"})
    curate.edit(ports, WEEKLY, one, {"take": "Second", "title": "One, retold"})
    curate.remove(ports, WEEKLY, one)
    curate.drop(ports, "ferries", two)
    curate.note(ports, "ferries", "Seen.", title="A note", public=True)

    assert curate.undo(ports).verb == "note"
    assert curate.undo(ports).verb == "drop"
    assert {p.story.title: p.state for p in curate.pool(ports, "ferries")} == {
        "One": "open", "Two": "open",
    }  # fmt: skip
    assert curate.undo(ports).verb == "remove"
    assert snippet(room, "One, retold").take == "Second"
    assert curate.undo(ports).verb == "edit"
    assert snippet(room, "One").take == "First"
    assert curate.undo(ports).verb == "edit"
    assert snippet(room, "One").take == ""
    assert curate.undo(ports).verb == "keep"
    assert titles(room) == []
    with pytest.raises(NotFound, match="nothing that eva could take back"):
        curate.undo(ports)


def test_undo_takes_back_ones_own_steps_only(room: Newsroom) -> None:
    room.issue()
    _, one = room.story("One")
    _, two = room.story("Two")
    curate.keep(room.ports("eva"), WEEKLY, one)
    curate.keep(room.ports("tom"), WEEKLY, two)
    curate.undo(room.ports("eva"))
    assert titles(room) == ["Two"]


def test_undo_never_takes_what_somebody_wrote_on_top(room: Newsroom) -> None:
    room.issue()
    _, one = room.story("One")
    curate.keep(room.ports("eva"), WEEKLY, one)
    curate.edit(room.ports("eva"), WEEKLY, one, {"take": "Eva"})
    curate.edit(room.ports("liv"), WEEKLY, one, {"take": "Liv"})
    with pytest.raises(Conflict, match="“One” changed after your edit; nothing was undone"):
        curate.undo(room.ports("eva"))
    assert snippet(room, "One").take == "Liv"


def test_a_note_that_was_taken_back_is_gone_for_every_verb(room: Newsroom) -> None:
    room.issue()
    ports = room.ports()
    note = curate.note(ports, "ferries", "Seen.", title="A note", public=True)
    curate.undo(ports)

    for act in (
        lambda: curate.keep(ports, WEEKLY, note.public_id),
        lambda: curate.remove(ports, WEEKLY, note.public_id),
        lambda: curate.edit(ports, WEEKLY, note.public_id, {"take": "x"}),
        lambda: curate.drop(ports, "ferries", note.public_id[:8]),
        lambda: curate.vouch(ports, note.public_id, learnt_from="northline"),
    ):
        with pytest.raises(NotFound, match="The field note “A note” was taken back"):
            act()
    assert curate.pool(ports, "ferries") == ()
    assert "A note" not in curate.export(ports, WEEKLY)
    with room.store.read() as tables:
        assert not any(tables.reasons.pool_counts("ferries", NOW - timedelta(days=9)).values())
        assert tables.reasons.story_counts()["stories"] == 0
        assert tables.stories.to_match("anything", NOW - timedelta(days=9)) == []


def test_the_same_note_written_anew_is_another(room: Newsroom) -> None:
    first = curate.note(room.ports(), "ferries", "Seen.", title="A note", public=True)
    curate.undo(room.ports())
    second = curate.note(room.ports(), "ferries", "Seen.", title="A note", public=True)
    assert second.public_id != first.public_id
    assert [p.story.id for p in curate.pool(room.ports(), "ferries")] == [second.id]


def test_a_link_leads_past_a_note_that_was_taken_back(room: Newsroom) -> None:
    _, news = room.story("Two ferries")
    link = "https://coastwire.example/two-ferries"
    curate.note(room.ports(), "ferries", "Seen.", title="A note", public=True, url=link)
    curate.undo(room.ports())
    with room.store.read() as tables:
        assert tables.stories.find(link).public_id == news


def test_a_note_that_somebody_keeps_is_not_taken_back(room: Newsroom) -> None:
    issue = room.issue()
    note = curate.note(room.ports("eva"), "ferries", "Seen.", title="A note", public=True)
    curate.keep(room.ports("liv"), WEEKLY, note.public_id)
    with pytest.raises(Conflict, match=f"“A note” stands in issue {WEEKLY}; nothing was undone"):
        curate.undo(room.ports("eva"))
    assert titles(room) == ["A note"]
    with room.store.write() as tables:
        tables.letters.set_state(issue.id, "sent")
    with pytest.raises(Conflict, match="approved or out cannot be taken back"):
        curate.undo(room.ports("eva"))
    with room.store.write() as tables:
        tables.letters.set_state(issue.id, "draft")
    curate.remove(room.ports("liv"), WEEKLY, note.public_id)
    assert curate.undo(room.ports("eva")).verb == "note"
    assert curate.undo(room.ports("liv")).verb == "remove"
    assert titles(room) == [], "what its writer took back stays out"


def test_a_note_is_kept_or_taken_back_never_both(room: Newsroom) -> None:
    room.issue()
    note = curate.note(room.ports("eva"), "ferries", "Seen.", title="A note", public=True)
    together = threading.Barrier(2)
    came_to: dict[str, str] = {}

    def attempt(name: str, act: Callable[[], object]) -> None:
        together.wait(60)
        try:
            act()
            came_to[name] = "done"
        except (Conflict, NotFound):
            came_to[name] = "refused"

    acts: dict[str, Callable[[], object]] = {
        "keep": lambda: curate.keep(room.ports("liv"), WEEKLY, note.public_id),
        "undo": lambda: curate.undo(room.ports("eva")),
    }
    threads = [threading.Thread(target=attempt, args=one) for one in acts.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(came_to.values()) == ["done", "refused"]
    assert titles(room) == (["A note"] if came_to["keep"] == "done" else [])


def test_undo_never_takes_back_what_another_said_of_who_told_a_note(room: Newsroom) -> None:
    story = curate.note(room.ports("eva"), "ferries", "They wait.", title="A wait")
    curate.vouch(room.ports("eva"), story.public_id, learnt_from="northline")
    curate.vouch(room.ports("liv"), story.public_id, learnt_from="skagen-ruter")
    with pytest.raises(Conflict, match="“A wait” changed after your vouch; nothing was undone"):
        curate.undo(room.ports("eva"))
    with room.store.read() as tables:
        assert tables.stories.find(story.public_id).learnt_from == "skagen-ruter"
    curate.undo(room.ports("liv"))
    assert curate.undo(room.ports("eva")).verb == "vouch", "hers stands again, and is undone"


def test_undo_never_takes_back_anothers_drop(room: Newsroom) -> None:
    room.issue()
    _, story = room.story("One")
    curate.drop(room.ports("eva"), "ferries", story)
    curate.keep(room.ports("liv"), WEEKLY, story)
    curate.remove(room.ports("liv"), WEEKLY, story)
    curate.drop(room.ports("liv"), "ferries", story)
    with pytest.raises(Conflict, match="“One” changed after your drop; nothing was undone"):
        curate.undo(room.ports("eva"))
    assert [one.state for one in curate.pool(room.ports(), "ferries")] == ["dropped"]


def test_a_drop_of_a_note_since_taken_back_can_be_undone(room: Newsroom) -> None:
    note = curate.note(room.ports("eva"), "ferries", "Seen.", title="A note", public=True)
    curate.drop(room.ports("liv"), "ferries", note.public_id)
    curate.undo(room.ports("eva"))
    assert curate.undo(room.ports("liv")).verb == "drop"
    assert curate.pool(room.ports(), "ferries") == ()


# ── the file ─────────────────────────────────────────────────────────────────────────────


def test_the_file_shows_the_issue_and_the_ranked_pool(room: Newsroom) -> None:
    room.issue()
    _, kept = room.story("Kept", about=[("northline", "self", "Northline")])
    _, noted = room.story("Noted")
    room.story("Low", score=1.0)
    room.story(
        "High", score=8.0, signals=[("deal", 1.0)],
        about=[("blue-strait", "incumbent", "Meridian Timing")],
        tellings=[
            ("coast-wire", "https://coastwire.example/high"),
            ("harbour-news", "https://harbournews.example/high"),
        ],
    )  # fmt: skip
    _, dropped = room.story("Dropped")
    curate.keep(room.ports(), WEEKLY, kept)
    curate.keep(room.ports(), WEEKLY, noted, section="noted")
    curate.drop(room.ports(), "ferries", dropped)

    text = curate.export(room.ports(), WEEKLY)
    file = parse(text)

    assert [(b.place, b.title) for b in file.blocks] == [
        ("main", "Kept"), ("noted", "Noted"), ("pool", "High"), ("pool", "Low"),
    ]  # fmt: skip
    assert file.blocks[0].own_name == "Northline"
    assert file.heading == "Between Quays (no. 1)"
    assert "Goes out Thursday 11 March 2027, 07:30." in file.notes[0]
    high = "\n".join(file.blocks[2].notes)
    for said in (
        "Coast Wire · 5 March 2027 · deal · https://coastwire.example/high",
        "Blue Strait (Meridian Timing, whom they buy from today, is named in the headline)",
        "Also told by Harbour News",
        "Score 8.0: names an account 8.0",
    ):
        assert said in high
    assert [(k.handle, k.noted) for k in file.known] == [(kept[:8], False), (noted[:8], True)]


def test_an_export_taken_back_untouched_changes_nothing(room: Newsroom) -> None:
    room.issue()
    for title in ("One", "Two", "Three"):
        _, story = room.story(title, lead=f"{title} {{{{first_name}}}} *happened*. # no heading")
        curate.keep(room.ports(), WEEKLY, story)
    room.story("Four")
    text = curate.export(room.ports(), WEEKLY)

    tally = curate.import_file(room.ports(), text, "week.md")

    assert tally.unchanged
    assert not tally.applied
    with room.store.read() as tables:
        assert tables.log.last_undoable("eva", ["curate"]) is None


def edited(room: Newsroom, **moves: str) -> str:
    """The exported file after a curator moved blocks: title → section, or "" to delete it."""
    text = curate.export(room.ports(), WEEKLY)
    for title, place in moves.items():
        start = text.index(f"\n## {title}\n")
        ends = [text.find(mark, start + 4) for mark in ("\n## ", "\n\n\n# ")]
        end = min([end for end in ends if end > 0], default=len(text))
        block = text[start:end]
        text = text[:start] + text[end:]
        if place:
            section = text.index(f"# {place}\n")
            there = text.index("\n", text.index("\n> ", section) + 1)
            text = text[:there] + "\n" + block + text[there:]
    return text


def write_under(text: str, title: str, label: str, words: str) -> str:
    start = text.index(f"## {title}\n")
    label_at = text.index(f"### {label}\n", start) + len(f"### {label}\n")
    return text[:label_at] + words + "\n" + text[label_at:]


def test_a_curated_file_keeps_orders_drops_and_writes(room: Newsroom) -> None:
    room.issue()
    ids = {t: room.story(t, lead=f"{t} happened.")[1] for t in ("One", "Two", "Three", "Four")}
    curate.keep(room.ports(), WEEKLY, ids["One"])
    curate.keep(room.ports(), WEEKLY, ids["Two"])
    text = edited(room, Three="In this issue", Two="Also noted", Four="Dropped")
    text = write_under(text, "Three", "Our take", "We would wait.\n\n- really\n")
    text = text.replace("### Subject\n", "### Subject\nThree ferries\n")

    dry = curate.import_file(room.ports(), text, "week.md", dry_run=True)
    assert titles(room) == ["One", "Two"]
    tally = curate.import_file(room.ports(), text, "week.md")

    assert (tally.kept, tally.dropped, tally.edited, tally.moved) == (1, 1, 2, True)
    assert (dry.changes, dry.applied, tally.applied) == (tally.changes, False, True)
    assert "“Three” kept, take written" in tally.changes
    assert titles(room) == ["Three", "One", "Two"]
    assert snippet(room, "Three").take == "We would wait.\n\n- really"
    assert snippet(room, "Three").fact == "“Three happened.”"
    assert snippet(room, "Two").section == "noted"
    with room.store.read() as tables:
        assert tables.letters.find_issue(WEEKLY).subject == "Three ferries"
    assert {p.story.title: p.state for p in curate.pool(room.ports(), "ferries")}["Four"] == (
        "dropped"
    )

    again = curate.import_file(room.ports(), text, "week.md")
    assert (again.unchanged, again.warnings) == (True, ())


def test_undo_takes_back_a_whole_import(room: Newsroom) -> None:
    room.issue()
    ids = {t: room.story(t)[1] for t in ("One", "Two", "Three", "Four")}
    curate.keep(room.ports(), WEEKLY, ids["One"])
    curate.keep(room.ports(), WEEKLY, ids["Two"])
    before = in_issue(room)
    text = edited(room, Three="In this issue", One="", Four="Dropped")
    text = write_under(text, "Two", "Our take", "Words.")
    seen = "\n## Seen at the fair\n[story: new]\nPublic: yes\n### Fact\nIt hums.\n"
    text = text.replace("\n\n\n# Dropped", f"{seen}\n\n\n# Dropped")
    text = text.replace("### Theme\n", "### Theme\nFerries\n")
    curate.import_file(room.ports(), text, "week.md")
    assert titles(room) == ["Three", "Two"]

    assert curate.undo(room.ports()).verb == "curate"

    after = in_issue(room)
    assert [(s.title, s.take, s.section) for s in after] == [
        (s.title, s.take, s.section) for s in before
    ]
    states = {p.story.title: p.state for p in curate.pool(room.ports(), "ferries")}
    assert states == {"One": "kept", "Two": "kept", "Three": "open", "Four": "open"}
    with room.store.read() as tables:
        assert tables.letters.find_issue(WEEKLY).theme == ""
    again = curate.import_file(room.ports(), text, "week.md")
    assert again.applied
    assert titles(room) == ["Three", "Two"]

    def notes() -> list[str]:
        ranked = curate.pool(room.ports(), "ferries")
        return [p.state for p in ranked if p.story.kind == "note"]

    assert notes() == ["open"], "the note that was there comes back"
    curate.undo(room.ports())
    assert notes() == []


def test_a_file_that_still_has_a_note_taken_back_meanwhile(room: Newsroom) -> None:
    room.issue()
    _, one = room.story("One")
    curate.keep(room.ports(), WEEKLY, one)
    curate.note(room.ports(), "ferries", "Seen.", title="A note", public=True)
    text = curate.export(room.ports(), WEEKLY)
    moved = edited(room, **{"A note": "In this issue"})
    theirs = write_under(text, "One", "Our take", "Liv's.")
    curate.import_file(room.ports("liv"), theirs, "week.md")  # it remembers the note
    curate.undo(room.ports())

    tally = curate.import_file(room.ports("liv"), theirs, "week.md")
    assert tally.warnings == ("“A note” was taken back meanwhile; its block changes nothing",)
    assert tally.unchanged
    with pytest.raises(BadInput) as refused:
        curate.import_file(room.ports("liv"), moved, "week.md")
    (mistake,) = refused.value.mistakes
    assert mistake.what.startswith("the field note “A note” was taken back: delete its block")
    assert moved.splitlines()[mistake.line - 1] == "## A note"


def test_writing_on_in_the_same_file_is_no_conflict_with_oneself(room: Newsroom) -> None:
    room.issue()
    _, one = room.story("One")
    curate.keep(room.ports(), WEEKLY, one)
    first = write_under(curate.export(room.ports(), WEEKLY), "One", "Our take", "A beginning")
    curate.import_file(room.ports(), first, "week.md")
    second = first.replace("A beginning", "A beginning, and an end")
    second = second.replace("### Theme\n", "### Theme\nFerries\n")
    assert curate.import_file(room.ports(), second, "week.md").edited == 2
    third = second.replace("Ferries", "Ferries again")
    assert curate.import_file(room.ports(), third, "week.md").edited == 1
    assert curate.import_file(room.ports(), first, "week.md").edited == 2  # back to the first
    assert snippet(room, "One").take == "A beginning"


def test_words_changed_on_both_sides_are_a_conflict_that_loses_nothing(room: Newsroom) -> None:
    room.issue()
    _, one = room.story("One")
    _, two = room.story("Two")
    curate.keep(room.ports(), WEEKLY, one)
    curate.keep(room.ports(), WEEKLY, two)
    text = write_under(curate.export(room.ports(), WEEKLY), "One", "Our take", "Eva's take")
    text = write_under(text, "Two", "Our take", "Eva's other take")
    curate.edit(room.ports("liv"), WEEKLY, one, {"take": "Liv's take"})

    with pytest.raises(Conflict) as conflict:
        curate.import_file(room.ports(), text, "week.md")

    said = str(conflict.value)
    line = text[: text.index("## One\n")].count("\n") + 1
    for part in (f"week.md:{line}: “One”", "Liv's take", "Eva's take", "curate export"):
        assert part in said
    assert (snippet(room, "One").take, snippet(room, "Two").take) == ("Liv's take", "")

    curate.import_file(room.ports(), text, "week.md", force=True)

    assert snippet(room, "One").take == "Eva's take"
    curate.undo(room.ports())
    assert snippet(room, "One").take == "Liv's take"


def test_a_block_left_as_it_was_gives_way_to_somebody_elses_words(room: Newsroom) -> None:
    room.issue()
    _, one = room.story("One")
    _, two = room.story("Two")
    curate.keep(room.ports(), WEEKLY, one)
    curate.keep(room.ports(), WEEKLY, two)
    text = write_under(curate.export(room.ports(), WEEKLY), "Two", "Our take", "Eva's take")
    curate.edit(room.ports("liv"), WEEKLY, one, {"take": "Liv's take"})
    tally = curate.import_file(room.ports(), text, "week.md")
    assert (snippet(room, "One").take, snippet(room, "Two").take) == ("Liv's take", "Eva's take")
    assert "“One” was changed by somebody else" in tally.warnings[0]


def test_two_people_with_the_same_export_do_not_overwrite_each_other(room: Newsroom) -> None:
    room.issue()
    _, one = room.story("One")
    curate.keep(room.ports(), WEEKLY, one)
    text = curate.export(room.ports(), WEEKLY)
    curate.import_file(room.ports("eva"), write_under(text, "One", "Our take", "Eva's"), "week.md")
    with pytest.raises(Conflict, match="Eva's"):
        curate.import_file(
            room.ports("tom"), write_under(text, "One", "Our take", "Tom's"), "week.md"
        )


def test_what_came_into_the_issue_after_the_export_stays(room: Newsroom) -> None:
    room.issue()
    ids = {t: room.story(t)[1] for t in ("One", "Two", "Three")}
    curate.keep(room.ports(), WEEKLY, ids["One"])
    text = curate.export(room.ports(), WEEKLY)
    dropping = edited(room, Three="Dropped")
    curate.keep(room.ports("liv"), WEEKLY, ids["Two"])
    curate.keep(room.ports("liv"), WEEKLY, ids["Three"])

    assert curate.import_file(room.ports(), text, "week.md").unchanged
    tally = curate.import_file(room.ports(), dropping, "other.md")

    assert titles(room) == ["One", "Two", "Three"]
    assert "“Three” came into the issue after the export" in tally.warnings[0]


def test_a_deleted_block_leaves_unless_somebody_wrote_on_it(room: Newsroom) -> None:
    room.issue()
    ids = {t: room.story(t)[1] for t in ("One", "Two", "Three")}
    for title in ids:
        curate.keep(room.ports(), WEEKLY, ids[title])
    text = edited(room, One="", Two="")
    curate.edit(room.ports("liv"), WEEKLY, ids["Two"], {"take": "Liv's take"})
    tally = curate.import_file(room.ports(), text, "week.md")
    assert titles(room) == ["Three", "Two"]  # the file's own come first
    assert tally.removed == 1
    assert "“Two” is not in the file, but somebody wrote on it" in tally.warnings[0]


def test_a_block_kept_and_then_deleted_in_the_same_file_leaves_too(room: Newsroom) -> None:
    room.issue()
    room.story("One")
    plain = edited(room)
    kept = edited(room, One="In this issue")
    gone = edited(room, One="")
    curate.import_file(room.ports(), kept, "week.md")
    assert titles(room) == ["One"]
    curate.import_file(room.ports(), gone, "week.md")
    assert titles(room) == []
    assert curate.import_file(room.ports(), plain, "week.md").unchanged


def test_words_under_a_story_of_the_pool_wait_there(room: Newsroom) -> None:
    room.issue()
    room.story("One")
    text = write_under(curate.export(room.ports(), WEEKLY), "One", "Our take", "Not yet.")
    assert curate.import_file(room.ports(), text, "week.md").edited == 1
    assert titles(room) == []

    fresh = curate.export(room.ports(), WEEKLY)

    (block,) = parse(fresh).blocks
    assert (block.place, block.words["take"]) == ("pool", "Not yet.")
    assert "stood in this issue before" in block.notes[-1]
    assert curate.import_file(room.ports(), text, "week.md").unchanged
    assert curate.import_file(room.ports(), fresh, "week.md").unchanged


def test_a_block_moved_back_to_the_pool_leaves_with_its_words(room: Newsroom) -> None:
    room.issue()
    _, one = room.story("One")
    curate.keep(room.ports(), WEEKLY, one)
    text = write_under(edited(room, One="Pool"), "One", "Our take", "Later.")
    tally = curate.import_file(room.ports(), text, "week.md")
    assert (titles(room), tally.removed, tally.edited) == ([], 1, 1)
    assert curate.keep(room.ports(), WEEKLY, one).snippet.take == "Later."


def test_out_of_dropped_and_back_into_the_pool(room: Newsroom) -> None:
    room.issue()
    room.story("One")
    plain = curate.export(room.ports(), WEEKLY)
    curate.import_file(room.ports(), edited(room, One="Dropped"), "week.md")
    tally = curate.import_file(room.ports(), plain, "week.md")
    assert tally.changes == ("“One” offered again",)
    assert [p.state for p in curate.pool(room.ports(), "ferries")] == ["open"]


def test_stories_merged_or_gone_from_the_pool_meanwhile_are_still_taken(room: Newsroom) -> None:
    room.issue()
    old, _ = room.story("Two ferries")
    heir, heir_id = room.story("Northline orders two ferries")
    gone, _ = room.story("Gone")
    text = edited(room, **{"Two ferries": "In this issue", "Gone": "In this issue"})
    text = write_under(text, "Two ferries", "Our take", "Ours.")
    room.merge(old, heir)
    with room.store.write() as tables:
        tables.stories.unpool("ferries", {gone: "too old"}, NOW)

    curate.import_file(room.ports(), text, "week.md")

    assert titles(room) == ["Gone", "Two ferries"]
    kept = snippet(room, "Two ferries")
    assert (kept.story_public_id, kept.take) == (heir_id, "Ours.")
    assert curate.import_file(room.ports(), text, "week.md").unchanged


def test_two_blocks_that_became_one_story_may_not_both_hold_words(room: Newsroom) -> None:
    room.issue()
    old, _ = room.story("Two ferries")
    heir, _ = room.story("Northline orders two ferries")
    text = edited(room, **{"Two ferries": "In this issue"})
    text = write_under(text, "Two ferries", "Our take", "Ours.")
    text = write_under(text, "Northline orders two ferries", "Our take", "Ours too.")
    room.merge(old, heir)
    with pytest.raises(BadInput, match="have become one story"):
        curate.import_file(room.ports(), text, "week.md")


BY_HAND = """\
# Between Quays (no. 1)
[issue: ferry-weekly/1]
### Subject
Two ferries and a fair

# In this issue
## Two ferries, told by us
[story: https://coastwire.example/two-ferries?utm_source=rss]
### Our take
We would wait for the second quay.
### Question
Who pays for the crane?
## What we heard at the fair
[story: new]
Learnt from: blue strait
Source: Hardware Days
### Fact
They look for a rota planner.
### General wording
Planners are wanted everywhere.
# Pool
## The same order, told elsewhere
[story: https://harbournews.example/order]
# Dropped
## What a cruise costs
[story: https://coastwire.example/cruise-prices]
"""


def test_a_file_written_beforehand_with_links_and_a_note(room: Newsroom) -> None:
    issue = room.issue()
    _, story = room.story(
        "Two ferries", lead="Northline orders two ferries.",
        tellings=[
            ("coast-wire", "https://coastwire.example/two-ferries"),
            ("harbour-news", "https://harbournews.example/order"),
        ],
    )  # fmt: skip
    room.story("Cruise prices")
    with room.store.write() as tables:  # as opening an issue does
        tables.letters.edit_issue(issue.id, 1, {"subject": "Between Quays 1"})
    curate.keep(room.ports("system"), WEEKLY, story)

    tally = curate.import_file(room.ports(), BY_HAND, "curated.md")

    assert (tally.kept, tally.notes, tally.dropped, tally.removed) == (1, 1, 1, 0)
    assert "“What a cruise costs” dropped" in tally.changes
    first, note = in_issue(room)
    assert (first.title, first.take, first.question) == (
        "Two ferries, told by us",
        "We would wait for the second quay.",
        "Who pays for the crane?",
    )
    assert first.fact == "“Northline orders two ferries.”"
    assert (note.learnt_from, note.is_public, note.source_name, note.general_wording) == (
        "blue-strait", False, "Hardware Days", "Planners are wanted everywhere.",
    )  # fmt: skip
    assert curate.import_file(room.ports(), BY_HAND, "curated.md").unchanged
    better = BY_HAND.replace("We would wait", "We would not wait")
    assert curate.import_file(room.ports(), better, "curated.md").edited == 1


def test_a_note_in_a_file_can_say_later_who_told_it(room: Newsroom) -> None:
    room.issue()
    text = (
        "# T, number 1\n[issue: ferry-weekly/1]\n# Pool\n## A rumour\n[story: new]\n### Fact\nX.\n"
    )
    assert curate.import_file(room.ports(), text, "w.md").notes == 1
    vouched = text.replace("# Pool", "# In this issue").replace("new]\n", "new]\nPublic: yes\n")
    tally = curate.import_file(room.ports(), vouched, "w.md")
    assert tally.changes == ("“A rumour” kept, public by now",)
    assert snippet(room, "A rumour").is_public
    curate.undo(room.ports())
    (ranked,) = curate.pool(room.ports(), "ferries")
    assert curate.why_no_issue(ranked.story)


def test_every_mistake_of_a_file_is_told_at_once_and_nothing_is_taken(room: Newsroom) -> None:
    room.issue()
    _, one = room.story("One", about=[("northline", "self", "Northline")])
    text = (
        "# T, number 1\n[issue: ferry-weekly/1]\n"
        "# In this issue\n"
        f"## One\n[story: {one[:8]}]\n### Our tkae\nx\n"
        "### For Norhtline itself\nYou.\n"
        f"## One again\n[story: https://coastwire.example/one]\n### Our take\ny\n"
        "## One\n[story: zzzzzzzz]\n"
        "## A rumour\n[story: new]\n### Fact\nHeard.\n"
        "## A tale\n[story: new]\nLearnt from: Nobody\nSource: https://a b\n"
        "# Dropped\n## Nothing\n[story: new]\nPublic: yes\n### Fact\nx\n"
    )
    with pytest.raises(BadInput) as refused:
        curate.import_file(room.ports(), text, "week.md")
    said = [(m.line, m.what) for m in refused.value.mistakes]
    for line, part in (
        (4, "unknown account “Norhtline”. Did you mean Northline?"),
        (6, "did you mean `### Our take`"),
        (10, "have become one story"),
        (14, f"did you mean [story: {one[:8]}] (“One”)?"),
        (16, "enters no issue until it says"),
        (20, "unknown account “Nobody”"),
        (20, "says nothing: write its ### Fact"),
        (20, "is no web address"),
        (25, "there is nothing to drop"),
    ):
        assert any(at == line and part in what for at, what in said), (line, part, said)
    assert titles(room) == []


def test_own_words_for_a_company_that_the_story_does_not_name_are_warned_of(
    room: Newsroom,
) -> None:
    room.issue()
    _, one = room.story("One", about=[("northline", "self", "Northline")])
    text = (
        "# T, number 1\n[issue: ferry-weekly/1]\n# In this issue\n"
        f"## One\n[story: {one[:8]}]\n### For Blue Strait itself\nYou.\n"
    )
    (warning,) = curate.import_file(room.ports(), text, "week.md").warnings
    assert "does not name Blue Strait" in warning


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("nothing of ours", BadInput),
        ("# T, number 1\n[issue: ferry-weekly/9]\n", NotFound),
        ("x" * 2_000_001, BadInput),
    ],
)
def test_what_is_no_curated_file_is_refused(
    room: Newsroom, text: str, error: type[Exception]
) -> None:
    room.issue()
    with pytest.raises(error):
        curate.import_file(room.ports(), text, "week.md")


def test_blocks_survive_another_editor(room: Newsroom) -> None:
    room.issue()
    _, one = room.story("One")
    curate.keep(room.ports(), WEEKLY, one)
    take = "Good morning {{first_name|there}}.\n\n---\n\n\\# not a section\n<!-- or -->\n> quoted"
    text = write_under(curate.export(room.ports(), WEEKLY), "One", "Our take", take)
    curate.import_file(room.ports(), "\ufeff" + text.replace("\n", "\r\n"), "week.md")
    assert snippet(room, "One").take == take.replace("\\#", "#")
    (block,) = [b for b in parse(curate.export(room.ports(), WEEKLY)).blocks if b.title == "One"]
    assert isinstance(block, Block)
    assert block.words["take"] == take.replace("\\#", "#")


def three_kept(room: Newsroom) -> dict[str, str]:
    room.issue()
    ids = {title: room.story(title)[1] for title in ("One", "Two", "Three")}
    for story in ids.values():
        curate.keep(room.ports(), WEEKLY, story)
    return ids


def reorder(room: Newsroom, *wanted: str) -> None:
    with room.store.write() as tables:
        issue = tables.letters.find_issue(WEEKLY)
        ids = {s.title: s.story_id for s in tables.snippets.of_issue(issue.id)}
        tables.snippets.reorder(issue.id, [ids[title] for title in wanted])


def test_a_file_that_moved_nothing_leaves_anothers_order_alone(room: Newsroom) -> None:
    three_kept(room)
    room.story("Four")
    text = write_under(edited(room, Four="In this issue"), "Two", "Our take", "Ours.")
    reorder(room, "Three", "One", "Two")
    tally = curate.import_file(room.ports(), text, "week.md")
    assert titles(room) == ["Three", "One", "Two", "Four"]
    assert snippet(room, "Two").take == "Ours."
    assert any("their order stays" in warning for warning in tally.warnings)
    assert curate.import_file(room.ports(), text, "week.md").unchanged


def test_a_file_that_moved_stories_wins_over_anothers_order(room: Newsroom) -> None:
    three_kept(room)
    text = edited(room, Three="In this issue")
    reorder(room, "Two", "One", "Three")
    assert curate.import_file(room.ports(), text, "week.md").moved
    assert titles(room) == ["Three", "One", "Two"]


def test_what_somebody_took_out_stays_out_unless_the_file_says_more(room: Newsroom) -> None:
    ids = three_kept(room)
    text = curate.export(room.ports(), WEEKLY)
    curate.remove(room.ports("liv"), WEEKLY, ids["One"])
    curate.remove(room.ports("liv"), WEEKLY, ids["Two"])
    tally = curate.import_file(room.ports(), text, "week.md")
    assert tally.unchanged
    assert "“One” was taken out of the issue meanwhile; it stays out" in tally.warnings
    curate.import_file(room.ports(), write_under(text, "One", "Our take", "No."), "week.md")
    assert sorted(titles(room)) == ["One", "Three"]
    assert snippet(room, "One").take == "No."


def test_what_somebody_moved_or_put_back_stays_there(room: Newsroom) -> None:
    ids = three_kept(room)
    _, four = room.story("Four")
    text = edited(room, Four="Dropped")
    curate.import_file(room.ports(), text, "week.md")
    curate.keep(room.ports("liv"), WEEKLY, four)
    curate.remove(room.ports("liv"), WEEKLY, four)
    curate.edit(room.ports("liv"), WEEKLY, ids["One"], {"take": "Liv's"})
    curate.undo(room.ports("liv"))
    with room.store.write() as tables:
        one = next(s for s in tables.snippets.of_issue(1) if s.title == "One")
        tables.snippets.edit(one.id, one.revision, {"section": "noted"})
    tally = curate.import_file(room.ports(), text, "week.md")
    assert tally.unchanged
    assert snippet(room, "One").section == "noted"
    assert "“Four” was put back into the pool by somebody else; it stays there" in tally.warnings
    assert "“One” was moved by somebody else meanwhile; it stays there" in tally.warnings


def test_an_import_of_people_is_not_ours_to_undo(room: Newsroom) -> None:
    room.issue()
    _, one = room.story("One")
    curate.keep(room.ports(), WEEKLY, one)
    with room.store.write() as tables:
        tables.log.add(Operation("eva", "import", "people:people.csv", NOW, {}, {"new": 2}))
    assert curate.undo(room.ports()).verb == "keep"
