"""What an issue shows before it is approved: what is missing, who gets it, what names whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.errors import BadInput, Conflict, NotFound
from pipeline.stages.compose import approve, edit, preview, show, stop
from pipeline.stages.curate import undo
from tests.builders import CATALOG, DUE
from tests.compose_scene import REF, build_scene, log_of


@pytest.fixture
def scene(sqlite_store, tmp_path):
    return build_scene(sqlite_store, tmp_path)


def test_a_draft_shows_what_is_missing_and_who_would_get_it(scene):
    scene.people()
    for number in (1, 2):
        scene.story(f"Quay {number} opens an hour earlier")
    scene.open()
    view = show(scene.ports, REF)
    assert view.blocked
    assert {"no_take", "no_theme", "no_question"} <= {f.code for f in view.findings}
    assert [placed.number for placed in view.stories] == [1, 2]
    assert view.arithmetic.reconciles
    assert (view.arithmetic.contacts, view.arithmetic.letters) == (4, 4)
    assert "mended" in view.next_step


def test_a_finished_draft_says_who_approves_and_until_when(scene):
    scene.people()
    scene.ready()
    view = show(scene.ports, REF)
    assert not view.blocked
    assert view.next_step == (
        "Ready. Liv Haugen approves it by Thursday 11 March 2027, 03:30 (Europe/Oslo): "
        "`asterism --as liv issue approve ferry-weekly/1`."
    )
    assert dict(view.arithmetic.by_kind) == {"prospect": 3, "customer": 1}
    assert view.arithmetic.sales == 2


def test_showing_writes_nothing(scene):
    scene.ready()
    before = scene.issue()
    show(scene.ports, REF)
    assert scene.issue() == before


def test_the_head_is_edited_and_logged(scene):
    scene.open()
    issue = edit(
        scene.acting("eva"), REF, {"theme": " A week\nof waiting ", "opening": "Hm.\n\n"}
    ).issue
    assert (issue.theme, issue.opening) == ("A week of waiting", "Hm.")
    assert log_of(scene, f"issue:{issue.public_id}") == ["open", "edit"]
    again = edit(scene.ports, REF, {"theme": "A week of waiting"})
    assert (again.issue.revision, again.changed, again.after) == (issue.revision, False, {})


def test_an_edit_can_be_taken_back(scene):
    was = scene.open().subject
    edit(scene.ports, REF, {"subject": "Oh dear"})
    undo(scene.ports)
    assert scene.issue().subject == was


def test_marks_cannot_be_typed(scene):
    scene.open()
    assert edit(scene.ports, REF, {"theme": "A \ue000leave_url|\ue001 week"}).issue.theme == (
        "A leave_url| week"
    )


def test_a_second_editor_overwrites_nothing(scene):
    held = scene.open().revision
    edit(scene.ports, REF, {"theme": "Mine"}, held)
    with pytest.raises(Conflict, match="changed since you opened it"):
        edit(scene.acting("eva"), REF, {"theme": "Yours"}, held)
    assert scene.issue().theme == "Mine"


def test_after_the_cut_off_only_the_approver_edits(scene):
    scene.open()
    scene.at(DUE - timedelta(hours=20))
    with pytest.raises(Conflict, match="cut-off"):
        edit(scene.acting("eva"), REF, {"theme": "Late"})
    late = edit(scene.acting("Liv Haugen"), REF, {"theme": "Late"})
    assert late.issue.theme == "Late"


def test_an_issue_has_no_other_fields(scene):
    scene.open()
    with pytest.raises(BadInput, match="state"):
        edit(scene.ports, REF, {"state": "sent"})


def test_an_unknown_issue(scene):
    for call in (show, approve, stop, preview):
        with pytest.raises(NotFound):
            call(scene.ports, "nothing/9")


# ── clearing a confidence ────────────────────────────────────────────────────────────────────


def with_confidence(scene, **words):
    scene.people()
    scene.ready()
    note = scene.story(
        "Northline drops a berth", kind="note", learnt_from="northline", is_public=False,
        text="Northline drops 14 berths in May.", source_name="a visit", url="",
    )  # fmt: skip
    scene.write(
        note, fact="They drop 14 berths.", take="Bold.", question="Will you?",
        **{"general_wording": "# Fewer berths\n\nSome count their berths again.", **words},
    )  # fmt: skip
    return note


def test_a_general_wording_travels_once_the_approver_cleared_it(scene):
    with_confidence(scene)
    dag = "dag@blue-strait.example"
    assert "Fewer berths" not in preview(scene.ports, REF, dag).html
    approved = approve(scene.ports, REF, clear=["4"])
    html = preview(scene.ports, REF, dag).html
    assert "Fewer berths" in html
    assert "14 berths" not in html
    assert "Fewer berths" not in preview(scene.ports, REF, "ada@northline.example").html
    assert "Fewer berths" not in preview(scene.ports, REF, kind="public").html
    assert approved.arithmetic.letters == 4
    assert scene.snippets()[3].cleared_by == "liv"
    with scene.store.read() as tables:
        (done,) = [
            o for o in tables.log.of(f"issue:{approved.issue.public_id}") if o.verb == "approve"
        ]
    assert done.after["cleared"] == [scene.snippets()[3].story_public_id]


@pytest.mark.parametrize(
    ("wording", "why"),
    [
        ("Northline counts again.", "the name Northline"),
        ("Some drop 14.", "the figure 14"),
        ("Mrs Strand counts again.", "the name Strand"),
        ("Polar Link gains.", "the name Polar Link"),
        ("Blue Strait gains.", "the name Blue Strait"),
    ],
)
def test_what_betrays_its_source_is_not_cleared(scene, wording, why):
    with_confidence(scene, general_wording=wording)
    with pytest.raises(Conflict, match=why):
        approve(scene.ports, REF, clear=["4"])
    assert scene.snippets()[3].cleared_by == ""


def test_only_a_confidence_with_a_general_wording_can_be_cleared(scene):
    with_confidence(scene, general_wording="")
    with pytest.raises(Conflict, match="no general wording"):
        approve(scene.ports, REF, clear=["4"])
    with pytest.raises(Conflict, match="no confidence"):
        approve(scene.ports, REF, clear=["1"])
    with pytest.raises(NotFound):
        approve(scene.ports, REF, clear=["77"])
    assert scene.issue().state == "draft"


def test_a_wording_changed_after_it_was_cleared_does_not_travel(scene):
    note = with_confidence(scene)
    approve(scene.ports, REF, clear=["4"])
    stop(scene.ports, REF)
    scene.write(note, general_wording="# Other words\n\nNobody cleared these.")
    approve(scene.ports, REF)
    assert "Other words" not in preview(scene.ports, REF, "dag@blue-strait.example").html


# ── naming ───────────────────────────────────────────────────────────────────────────────────


def test_our_own_words_do_not_name_a_customer_who_did_not_allow_it(sqlite_store, tmp_path):
    named = replace(CATALOG.firm.news[0], text="Since March we sit at Skagen Ruter's quay.")
    firm = replace(CATALOG.firm, news=(named,))
    scene = build_scene(sqlite_store, tmp_path, replace(CATALOG, firm=firm, digest="named"))
    scene.ready()
    with pytest.raises(Conflict, match="names Skagen Ruter, whose file does not say may_be_named"):
        approve(scene.ports, REF)


def test_an_opening_that_names_an_account_is_worth_a_look(scene):
    scene.people()
    scene.ready()
    edit(scene.ports, REF, {"opening": "Northline opens early (1)."})
    (found,) = [f for f in show(scene.ports, REF).findings if f.code == "names_account"]
    assert (found.where, found.blocks) == ("opening", False)


def test_a_take_that_names_an_account_makes_the_story_theirs(scene):
    people = scene.people()
    scene.ready()
    scene.write(scene.story_ids[0], take="Blue Strait will follow.")
    verdicts = {v.contact_id: v for v in show(scene.ports, REF).verdicts}
    assert scene.story_ids[0] not in verdicts[people["Dag"].id].story_ids
    assert scene.story_ids[0] in verdicts[people["Ada"].id].story_ids
