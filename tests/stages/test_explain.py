from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from pipeline.errors import NotFound
from pipeline.model.letters import AudienceReason, Batch, Receipt, Verdict
from pipeline.model.log import Step
from pipeline.model.people import Basis
from pipeline.model.sales import Touch
from pipeline.stages import curate
from pipeline.stages.compose import approve, stop
from pipeline.stages.deliver import deliver
from pipeline.stages.explain import explain_contact, explain_issue, explain_story
from pipeline.stages.explain.parts import Part, Parts, brief, first, latest, whole
from pipeline.stages.sift import sift
from pipeline.stores.sql import SqlStore
from tests.builders import DUE, NOW
from tests.compose_scene import REF, Scene, build_scene
from tests.newsroom import Newsroom
from tests.people_scene import bring, row
from tests.story_scene import new_item, put_items

LEASE = timedelta(minutes=2)
ORDER = "Northline signs contract for two battery ferries"


@pytest.fixture
def scene(store: SqlStore, tmp_path: Path) -> Scene:
    return build_scene(store, tmp_path)


def whats(steps: Sequence[Step]) -> list[str]:
    return [step.what for step in steps]


def details(steps: Sequence[Step]) -> dict[str, str]:
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
    said = whats(explain_story(scene.ports, story[:8]).steps)
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

    steps = explain_story(scene.ports, story[:8]).steps

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
    said = whats(explain_story(scene.ports, story.public_id).steps)
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

    steps = explain_story(scene.ports, story).steps

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
    said = whats(explain_story(room.ports(), old_id).steps)
    assert said[0] == f"“Two ferries” became part of “{ORDER}”"
    assert "“Two ferries” became part of it" in said


def test_notes_say_where_they_come_from(scene: Scene) -> None:
    note = curate.note(scene.ports, "ferries", "Heard.", title="A rumour")
    assert (
        "it enters no issue"
        in details(explain_story(scene.ports, note.public_id).steps)["A field note"]
    )
    curate.vouch(scene.ports, note.public_id, learnt_from="northline")
    steps = explain_story(scene.ports, note.public_id).steps
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

    steps = explain_contact(scene.ports, "dag@blue-strait.example").steps

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
        explain_contact(scene.ports, "bo@northline.example").steps
    )
    assert "Left out of ferry-weekly/1: paused" in whats(
        explain_contact(scene.ports, "bo@northline.example").steps
    )
    cem = whats(explain_contact(scene.ports, people["Cem"].public_id).steps)
    assert "Suppressed: complaint, everywhere: said so" in cem
    assert "Left out of ferry-weekly/1: suppressed" in cem
    eli = whats(explain_contact(scene.ports, late.public_id).steps)
    assert "No basis is recorded: gets no letters" in eli
    assert "Left out of ferry-weekly/1: no basis" in eli


def test_a_contact_before_any_issue(scene: Scene) -> None:
    bring(scene.store, row(1, "ada@northline.example", basis=Basis("customer", "", NOW.date())))
    said = whats(explain_contact(scene.ports, "ada@northline.example").steps)
    assert said[-1] == "No issue has been approved since they are here"


def test_an_issue_tells_its_steps_its_lint_and_its_sum(scene: Scene) -> None:
    scene.people()
    scene.person("Eli", "blue-strait", basis=None)
    scene.story("Quay 1 opens", score=3)
    scene.story("Quay 2 opens", score=2)
    scene.open()
    before = whats(explain_issue(scene.ports, REF).steps)
    assert before[0] == "Between Quays (no. 1): draft"
    assert "Its beat is 11 March 2027: planned" in before
    assert "Missing: theme" in before
    assert "Its audience is not frozen: approval does that" in before
    scene.finish()
    assert "Nothing is missing in its words" in whats(explain_issue(scene.ports, REF).steps)
    approve(scene.acting("liv"), REF)
    stop(scene.acting("liv"), REF, "a wrong figure")
    assert "a wrong figure" in explain_issue(scene.ports, REF).steps[0].detail
    send(scene)

    steps = explain_issue(scene.ports, REF).steps

    said = whats(steps)
    for what in (
        "Between Quays (no. 1): sent",
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


# ── in short ─────────────────────────────────────────────────────────────────────────────


def listed(number: int) -> list[Part]:
    return [whole(Step(None, f"{n}")) for n in range(number)]


def counted(rest: Parts) -> Step:
    return Step(None, f"and {len(rest)} more")


@pytest.mark.parametrize("number", [0, 1, 3, 4])
def test_a_list_that_is_hardly_too_long_is_shown_whole(number: int) -> None:
    for part in (latest(listed(number), 3, counted), first(listed(number), 3, counted)):
        assert part.short == part.steps
        assert whats(part.steps) == [f"{n}" for n in range(number)]


def test_of_a_long_list_the_rest_is_a_count() -> None:
    last, begins = latest(listed(9), 3, counted), first(listed(9), 3, counted)
    assert whats(last.short) == ["and 6 more", "6", "7", "8"]
    assert whats(begins.short) == ["0", "1", "2", "and 6 more"]
    assert whats(last.steps) == whats(begins.steps) == [f"{n}" for n in range(9)]


def test_of_a_long_detail_the_first_lines_are_shown() -> None:
    (short,) = brief(Step(NOW, "Written", "a\nb\nc\nd"), 2).short
    assert short == Step(NOW, "Written", "a\nb\nand 2 more")
    three = brief(Step(NOW, "Written", "a\nb\nc"), 2)
    assert three.short == three.steps


def test_a_contact_of_many_letters_in_short(scene: Scene) -> None:
    dag = scene.people()["Dag"]
    scene.ready()
    send(scene)
    with scene.store.write() as tables:
        for n in range(8):
            call = Touch("blue-strait", dag.id, "call", NOW, "tom", note=f"Call number {n}.")
            tables.sales.add_touch(call)
            tables.people.pause(dag.id, date(2027, 6, 1 + n), "tom", NOW)
            tables.people.release(dag.id, NOW)

    told = explain_contact(scene.ports, "dag@blue-strait.example")

    assert len([s for s in told.steps if s.what.startswith("Touched by call")]) == 8
    said = whats(told.short)
    assert "Touched 3 times by hand before those" in said
    assert len([what for what in said if what.startswith("Touched by call")]) == 5
    assert "Touched by letter" in said
    assert "6 more have ended before" in said
    assert "Told of “Quay 1 opens an hour earlier” through ferry-weekly/1" in said
    (copy,) = [s for s in told.short if s.what.startswith("Copy of")]
    assert copy.what == "Copy of ferry-weekly/1: accepted"
    assert copy.at == scene.clock.now()
    assert len([s for s in told.steps if s.what.startswith("Copy of")]) > 1


def test_of_many_issues_the_earlier_ones_are_a_sum(scene: Scene) -> None:
    dag = scene.person("Dag", "blue-strait")
    reasons: tuple[AudienceReason, ...] = ("in", "no_basis", "paused", "paused", "paused", "paused")
    for number, reason in enumerate(reasons, start=1):
        scene.open()
        issue = scene.issue(f"ferry-weekly/{number}")
        with scene.store.write() as tables:
            tables.letters.write_audience(issue.id, [Verdict(dag.id, reason == "in", reason)])
        scene.at(issue.due_at + timedelta(days=3))

    told = explain_contact(scene.ports, "dag@blue-strait.example")

    (before,) = [s for s in told.short if s.what.endswith("issues before that")]
    assert before.what == "3 issues before that"
    assert before.detail.splitlines() == [
        "1 in the audience", "1 left out: no basis", "1 left out: paused",
    ]  # fmt: skip
    assert whats(told.short)[-3:] == [f"Left out of ferry-weekly/{n}: paused" for n in (4, 5, 6)]
    assert len([s for s in told.steps if "ferry-weekly/" in s.what]) == 6


def test_a_story_that_many_were_told_in_short(scene: Scene) -> None:
    story = told_by_two_sources(scene)
    scene.person("Dag", "blue-strait")
    for n in range(5):
        scene.person(f"Reader{n}", "skagen-ruter")
    scene.story("Quay 1 opens")
    scene.story("Quay 2 opens")
    scene.open()
    curate.keep(scene.acting("eva"), REF, story)
    scene.finish()
    approve(scene.ports, REF)
    coming = explain_story(scene.ports, story).short[-1]
    assert coming.what == "To be told to 6 people at 2 accounts, in ferry-weekly/1"
    scene.at(scene.issue().due_at)
    deliver(scene.ports)

    told = explain_story(scene.ports, story)

    assert told.short[-1] == Step(
        scene.clock.now(), "Told to 6 people at 2 accounts, in ferry-weekly/1", "6 accepted"
    )
    assert len([s for s in told.steps if s.what.endswith(", in ferry-weekly/1")]) == 6


def test_an_issue_that_was_written_on_often_in_short(scene: Scene) -> None:
    scene.people()
    scene.ready()
    with scene.store.read() as tables:
        story = tables.stories.by_ids(scene.story_ids)[0].public_id
    for n in range(9):
        curate.edit(scene.acting("eva"), REF, story, {"take": f"We would wait {n} days."})
    send(scene)

    told = explain_issue(scene.ports, REF)

    said = whats(told.short)
    assert said.count("eva wrote on “Quay 1 opens an hour earlier”") == 5
    assert "4 earlier steps on its words" in said
    assert "liv opened the issue" in said
    assert "liv approved it" in said
    assert f"Story 1: “Quay 1 opens an hour earlier”, {story[:8]}" in said
    assert whats(told.steps).count("eva wrote on “Quay 1 opens an hour earlier”") == 9


def test_a_copy_in_doubt_names_its_batch_and_the_way_out(scene: Scene) -> None:
    ada = scene.person("Ada")
    ref = scene.ready().ref
    approve(scene.acting("liv"), REF)
    with scene.store.write() as tables:
        (copy,) = tables.deliveries.of_contact(ada.id)
        begun = tables.deliveries.attempting(
            tables.deliveries.claim(copy.issue_id, "x", DUE + LEASE, DUE, 9), DUE,
            transport="sendgrid", batch=Batch("batch-7", DUE),
        )  # fmt: skip
        receipts = [(one, Receipt(one.public_id, "unknown", "no answer")) for one in begun]
        tables.deliveries.settle(receipts, DUE)
    told = details(explain_issue(scene.ports, REF).steps)["1 letter copy unknown"]
    assert told.splitlines() == [
        "no answer, batch batch-7", f"`asterism deliver resolve {ref}` lists and settles them"
    ]  # fmt: skip
    told = details(explain_contact(scene.ports, "ada@northline.example").steps)
    assert told[f"Copy of {ref}: unknown"].splitlines() == [
        "no answer", "moved by sendgrid, batch batch-7",
        f"`asterism deliver resolve {copy.public_id[:8]}` says what became of it",
    ]  # fmt: skip


def test_what_there_is_not_is_not_found(scene: Scene) -> None:
    for explain, ref in (
        (explain_story, "zzzzzzzz"),
        (explain_contact, "nobody@northline.example"),
        (explain_issue, "ferry-weekly/9"),
    ):
        with pytest.raises(NotFound):
            explain(scene.ports, ref)
