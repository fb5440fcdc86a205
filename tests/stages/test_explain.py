from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from pipeline.errors import NotFound
from pipeline.model.log import Step
from pipeline.model.people import Basis
from pipeline.stages import curate
from pipeline.stages.compose import approve, stop
from pipeline.stages.deliver import deliver
from pipeline.stages.explain import explain_contact, explain_issue, explain_story
from pipeline.stages.sift import sift
from pipeline.stores.sql import SqlStore
from tests.builders import NOW
from tests.compose_scene import REF, Scene, build_scene
from tests.newsroom import Newsroom
from tests.people_scene import bring, row
from tests.story_scene import new_item, put_items

ORDER = "Northline signs contract for two battery ferries"


@pytest.fixture
def scene(store: SqlStore, tmp_path: Path) -> Scene:
    return build_scene(store, tmp_path)


def whats(steps: tuple[Step, ...]) -> list[str]:
    return [step.what for step in steps]


def details(steps: tuple[Step, ...]) -> dict[str, str]:
    return {step.what: step.detail for step in steps}


def told_by_two_sources(scene: Scene) -> str:
    """A story from the sources' answers into the pool; its public id."""
    with scene.store.write() as tables:
        for state in tables.news.sources():
            answer = {"outcome": "fetched", "status": 200, "entries": 12, "new": 1}
            tables.news.record_fetch(
                replace(state, checked_at=NOW, last_outcome="fetched"), NOW, answer
            )
    text = "Northline has ordered two battery ferries for the Bergen route."
    put_items(scene.store, "coast-wire", new_item("coast-wire", "order", ORDER, text))
    put_items(scene.store, "harbour-news", new_item("harbour-news", "order", ORDER, text))
    sift(scene.ports)
    (ranked,) = [p for p in curate.pool(scene.ports, "ferries") if p.story.title == ORDER]
    return ranked.story.public_id


def send(scene: Scene) -> None:
    """Finish, approve and deliver the issue of the next beat."""
    approve(scene.acting("liv"), REF)
    scene.at(scene.issue().due_at + timedelta(minutes=1))
    deliver(scene.ports)


def test_who_gave_no_name_is_told_of_by_address(scene: Scene) -> None:
    story = told_by_two_sources(scene)
    scene.person("desk", "blue-strait", first_name="", last_name="")
    scene.story("Quay 1 opens")
    scene.story("Quay 2 opens")
    scene.open()
    curate.keep(scene.acting("eva"), REF, story)
    scene.finish()
    send(scene)
    said = whats(explain_story(scene.ports, story[:8]))
    assert "desk@blue-strait.example of Blue Strait, in ferry-weekly/1" in said


def test_a_story_from_its_sources_answer_to_who_was_told(scene: Scene) -> None:
    story = told_by_two_sources(scene)
    scene.people()
    scene.story("Quay 1 opens")
    scene.story("Quay 2 opens")
    scene.open()
    curate.keep(scene.acting("eva"), REF, story)
    curate.edit(scene.acting("eva"), REF, story, {"take": "We would wait."})
    scene.finish()
    send(scene)

    steps = explain_story(scene.ports, story[:8])

    said = whats(steps)
    wanted = [
        f"“{ORDER}”",
        "Coast Wire answered",
        f"Coast Wire told it: “{ORDER}”",
        "Joined this story",
        "Touches Northline",
        "Signal: deal",
        "In the pool of ferries, score",
        f"eva wrote on “{ORDER}”",
        "In ferry-weekly/1",
        "Dag Strand of Blue Strait, in ferry-weekly/1",
    ]
    places = [[i for i, s in enumerate(said) if s.startswith(w)][:1] for w in wanted]
    assert [] not in places
    assert places == sorted(places)
    why = details(steps)
    assert why["Coast Wire answered"] == "status 200, 12 entries, 1 new"
    assert "named in the headline: “Northline”" in why["Touches Northline"]
    assert why[f"eva wrote on “{ORDER}”"] == "Our take written"
    assert why["In ferry-weekly/1"] == "the issue is sent"
    assert why["Dag Strand of Blue Strait, in ferry-weekly/1"] == "accepted"
    score = next(s for s in steps if s.what.startswith("In the pool of ferries"))
    assert "1.00  Northline is in the headline" in score.detail
    assert "Northline" in score.detail
    assert not any("Ada" in what for what in said)  # it is about them and has no own wording


def test_a_story_that_nobody_wanted_says_why(scene: Scene) -> None:
    put_items(scene.store, "coast-wire", new_item("coast-wire", "bakery", "A bakery opens", "Rye."))
    sift(scene.ports)
    with scene.store.read() as tables:
        story = tables.stories.find("https://coast-wire.example/bakery")
    said = whats(explain_story(scene.ports, story.public_id))
    assert "Names no account that we follow" in said
    assert "Not in the pool of ferries" in said
    assert "Coast Wire answered; when exactly is no longer kept" in said
    assert said[-1] == "Nobody has been told of it"


def test_what_was_dropped_kept_and_taken_back_is_told_in_order(scene: Scene) -> None:
    scene.story("One", score=1)
    issue = scene.open()
    with scene.store.read() as tables:
        story = tables.stories.by_ids(scene.story_ids)[0].public_id
    eva = scene.acting("eva")
    curate.remove(eva, REF, story)
    curate.drop(eva, "ferries", story)
    curate.undo(eva)
    text = curate.export(eva, REF).replace("### Our take\n", "### Our take\nWait.\n", 1)
    curate.import_file(eva, text.replace("# Pool", "# In this issue"), "week.md")

    steps = explain_story(scene.ports, story)

    did = [s.what for s in steps if s.what.split(" ")[0] in ("eva", "liv")]
    assert did == [
        "liv opened the issue",
        "eva took “One” out of the issue",
        "eva dropped “One” from the pool, and took it back later",
        "eva took back a step",
        "eva took in a curated file",
    ]
    assert details(steps)["eva took in a curated file"].startswith(
        "into the issue\nOur take written"
    )
    assert scene.issue().ref == issue.ref


def test_a_merged_story_leads_to_what_it_became(store: SqlStore, database_url: str) -> None:
    room = Newsroom(store, database_url)
    old, old_id = room.story("Two ferries")
    heir, _ = room.story(ORDER)
    room.merge(old, heir)
    said = whats(explain_story(room.ports(), old_id))
    assert said[0] == f"“Two ferries” became part of “{ORDER}”"
    assert "“Two ferries” became part of it" in said


def test_notes_say_where_they_come_from(scene: Scene) -> None:
    note = curate.note(scene.ports, "ferries", "Heard.", title="A rumour")
    assert (
        "it enters no issue" in details(explain_story(scene.ports, note.public_id))["A field note"]
    )
    curate.vouch(scene.ports, note.public_id, learnt_from="northline")
    steps = explain_story(scene.ports, note.public_id)
    assert details(steps)["A field note"].startswith("learnt from Northline")
    assert "liv said who told “A rumour”" in whats(steps)


def test_a_contact_sees_each_issue_with_its_one_reason(scene: Scene) -> None:
    people = scene.people()
    late = scene.person("Eli", "blue-strait", basis=None)
    scene.ready()
    with scene.store.write() as tables:
        tables.people.pause(people["Bo"].id, date(2027, 6, 1), "tom", NOW)
        tables.people.suppress(people["Cem"].id, "*", "complaint", NOW, "said so")
    send(scene)

    steps = explain_contact(scene.ports, "dag@blue-strait.example")

    said = whats(steps)
    assert said[0] == "Dag Strand, at Blue Strait"
    assert said[1] == "Basis: consent"
    assert "asked for it at the Quay Days in Bergen" in steps[1].detail
    assert "Nothing keeps letters from them: no suppression, pause or hold" in said
    assert "In the audience of ferry-weekly/1, prospect edition" in said
    assert "Copy of ferry-weekly/1: accepted" in said
    assert "Copy of ferry-weekly/1 became accepted" in said
    assert "Told of “Quay 1 opens an hour earlier” through ferry-weekly/1" in said
    assert "Touched by letter" in said
    assert "Paused: until 01 June 2027 by tom" in whats(
        explain_contact(scene.ports, "bo@northline.example")
    )
    assert "Left out of ferry-weekly/1: paused" in whats(
        explain_contact(scene.ports, "bo@northline.example")
    )
    cem = whats(explain_contact(scene.ports, people["Cem"].public_id))
    assert "Suppressed: complaint, everywhere: said so" in cem
    assert "Left out of ferry-weekly/1: suppressed" in cem
    eli = whats(explain_contact(scene.ports, late.public_id))
    assert "No basis is recorded: gets no letters" in eli
    assert "Left out of ferry-weekly/1: no basis" in eli


def test_a_contact_before_any_issue(scene: Scene) -> None:
    bring(scene.store, row(1, "ada@northline.example", basis=Basis("customer", "", NOW.date())))
    said = whats(explain_contact(scene.ports, "ada@northline.example"))
    assert said[-1] == "No issue has been approved since they are here"


def test_an_issue_tells_its_steps_its_lint_and_its_sum(scene: Scene) -> None:
    scene.people()
    scene.person("Eli", "blue-strait", basis=None)
    scene.story("Quay 1 opens", score=3)
    scene.story("Quay 2 opens", score=2)
    scene.open()
    before = whats(explain_issue(scene.ports, REF))
    assert before[0] == "Between Quays, number 1: draft"
    assert "Its beat is 11 March 2027: planned" in before
    assert "Missing: theme" in before
    assert "Its audience is not frozen: approval does that" in before
    scene.finish()
    assert "Nothing is missing in its words" in whats(explain_issue(scene.ports, REF))
    approve(scene.acting("liv"), REF)
    stop(scene.acting("liv"), REF, "a wrong figure")
    assert "a wrong figure" in explain_issue(scene.ports, REF)[0].detail
    send(scene)

    steps = explain_issue(scene.ports, REF)

    said = whats(steps)
    for what in (
        "Between Quays, number 1: sent",
        "liv opened the issue",
        "liv approved it",
        "liv stopped it",
        "Story 1: “Quay 1 opens”",
        "Audience: 5 contacts − 1 left out = 4 letters",
        "4 letter copies accepted",
        "2 sales copies accepted",
    ):
        assert what in said
    audience = next(s for s in steps if s.what.startswith("Audience"))
    assert audience.detail.splitlines() == [
        "3 prospect edition", "1 customer edition", "1 left out: no basis",
    ]  # fmt: skip


def test_what_there_is_not_is_not_found(scene: Scene) -> None:
    for explain, ref in (
        (explain_story, "zzzzzzzz"),
        (explain_contact, "nobody@northline.example"),
        (explain_issue, "ferry-weekly/9"),
    ):
        with pytest.raises(NotFound):
            explain(scene.ports, ref)
