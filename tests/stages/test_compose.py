"""Compose over a real store: opened once, checked, previewed, frozen, stopped, gone on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy

import pytest

from pipeline.errors import BadInput, Conflict, NotFound
from pipeline.model.letters import Beat
from pipeline.stages.compose import approve, edit, open_issues, preview, show, stop
from pipeline.stages.compose.opening import NEVER_OPENED, NOT_APPROVED
from pipeline.stages.deliver import deliver
from tests.builders import BEAT, CATALOG, DUE, FERRIES, NOW, WEEKLY
from tests.compose_scene import REF, Scene, build_scene


@pytest.fixture
def scene(store, tmp_path):
    return build_scene(store, tmp_path)


def catalog_with(**changes):
    """The ferry catalog with another rhythm or other rules for its newsletter."""
    newsletter = replace(WEEKLY, **changes)
    return replace(
        CATALOG,
        constellations=(replace(FERRIES, newsletters=(newsletter,)),),
        digest=f"ferries-{sorted(changes)}",
    )


def log_of(scene: Scene, subject: str) -> list[str]:
    with scene.store.read() as tables:
        return [operation.verb for operation in tables.log.of(subject)]


def beats(scene: Scene) -> dict[date, str]:
    with scene.store.read() as tables:
        return dict(tables.letters.beats(REF))


# ── opening ──────────────────────────────────────────────────────────────────────────────


def test_an_issue_is_opened_within_its_lead_time_and_pre_filled(scene):
    best = scene.story("Quay 1 opens an hour earlier", score=9.0)
    poor = scene.story("Quay 2 keeps its hours", score=1.0)
    opened = open_issues(scene.ports)
    (issue,) = opened.opened
    assert (issue.ref, issue.beat_on, issue.due_at) == ("ferry-weekly/1", BEAT, DUE)
    assert issue.state == "draft"
    assert issue.subject == "Between Quays 1"
    assert issue.cut_off_at == DUE - timedelta(hours=24)
    assert issue.deadline_at == DUE - timedelta(hours=4)
    first, second = scene.snippets()
    assert (first.story_id, second.story_id) == (best, poor)
    assert first.fact.startswith("“Quay 1 opens")
    assert first.take == ""
    assert beats(scene) == {BEAT: "planned"}
    assert log_of(scene, f"issue:{issue.public_id}") == ["open"]


def test_opening_again_changes_nothing(scene):
    scene.story("Quay 1 opens an hour earlier")
    open_issues(scene.ports)
    scene.story("Quay 2 keeps its hours")
    before = (scene.issue(), scene.snippets())
    again = open_issues(scene.ports)
    assert (again.opened, again.missed) == ((), ())
    assert (scene.issue(), scene.snippets()) == before


def test_nothing_is_opened_before_its_lead_time(scene):
    scene.at(DUE - timedelta(days=5, minutes=1))
    assert open_issues(scene.ports).opened == ()
    scene.at(DUE - timedelta(days=5))
    assert len(open_issues(scene.ports).opened) == 1


def test_the_pre_filled_are_the_best_that_are_open_and_public(scene):
    for number in range(8):
        scene.story(f"Quay {number} opens", score=10.0 + number)
    scene.story("Told in confidence", kind="note", learnt_from="northline", is_public=False,
                score=99.0)  # fmt: skip
    scene.story("Seen by somebody", kind="note", is_public=False, score=98.0)
    scene.story("A second desk", kind="own", own_key="oslo", score=97.0)
    dropped = scene.story("Dropped", score=96.0)
    with scene.store.write() as tables:
        tables.stories.set_dropped("ferries", dropped, NOW, "eva")
    scene.open()
    assert [s.title for s in scene.snippets()] == [f"Quay {n} opens" for n in (7, 6, 5, 4, 3, 2)]


def test_a_draft_is_in_review_from_its_cut_off_on(scene):
    scene.open()
    scene.at(DUE - timedelta(hours=23))
    (issue,) = open_issues(scene.ports).in_review
    assert issue.state == "in_review"
    assert open_issues(scene.ports).in_review == ()


def test_a_new_newsletter_has_missed_nothing(scene):
    scene.at(datetime(2027, 3, 11, 12, 0, tzinfo=UTC))  # some hours after a beat
    opened = open_issues(scene.ports)
    assert opened.missed == ()
    assert BEAT not in beats(scene)
    assert opened.opened == ()  # the next one is a week away, and its lead time five days


def test_a_draft_that_nobody_approved_is_missed_with_the_reason(scene):
    scene.open()
    scene.at(DUE + timedelta(hours=24))
    assert open_issues(scene.ports).missed == ()
    scene.at(DUE + timedelta(hours=24, minutes=1))
    tally = open_issues(scene.ports)
    assert [(m.newsletter, m.on, m.reason) for m in tally.missed] == [(REF, BEAT, NOT_APPROVED)]
    issue = scene.issue("ferry-weekly/1")
    assert (issue.state, issue.reason) == ("missed", NOT_APPROVED)
    assert beats(scene)[BEAT] == "missed"
    assert open_issues(scene.ports).missed == ()


def test_after_a_long_silence_one_issue_is_opened_and_the_rest_are_missed(scene):
    """The machine was off for five weeks: no five issues at once."""
    scene.open()
    scene.at(DUE + timedelta(weeks=5, hours=3))
    tally = open_issues(scene.ports)
    days = [BEAT + timedelta(weeks=n) for n in range(6)]
    assert [m.on for m in tally.missed] == days[:5]
    assert {m.reason for m in tally.missed} == {NOT_APPROVED, NEVER_OPENED}
    assert [issue.beat_on for issue in tally.opened] == [days[5]]
    assert tally.opened[0].number == 2
    assert beats(scene) == {**dict.fromkeys(days[:5], "missed"), days[5]: "planned"}


def test_what_is_late_is_skipped_where_the_policy_says_so(store, tmp_path):
    rhythm = replace(WEEKLY.rhythm, late="skip")
    scene = build_scene(store, tmp_path, catalog_with(rhythm=rhythm))
    scene.open()
    scene.at(DUE + timedelta(weeks=1, hours=3))
    tally = open_issues(scene.ports)
    assert [m.on for m in tally.missed] == [BEAT, BEAT + timedelta(weeks=1)]
    assert tally.opened == ()


def test_a_holiday_that_takes_a_beat_is_on_record(store, tmp_path):
    catalog = catalog_with(rhythm=replace(WEEKLY.rhythm, on_holiday="skip"))
    catalog = replace(catalog, firm=replace(CATALOG.firm, holidays=(BEAT,)))
    scene = build_scene(store, tmp_path, catalog)
    (none,) = open_issues(scene.ports).skipped
    assert none.on == BEAT
    assert "holiday" in none.reason
    assert beats(scene) == {BEAT: "skipped"}


def test_a_beat_whose_issue_went_out_is_kept(scene):
    scene.people()
    scene.ready()
    approve(scene.ports, REF)
    scene.at(DUE)
    deliver(scene.ports)
    open_issues(scene.ports)
    assert beats(scene)[BEAT] == "kept"


# ── showing and editing ──────────────────────────────────────────────────────────────────


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
        "Ready. Liv Haugen approves it until Thursday 2027-03-11 at 03:30 (Europe/Oslo): "
        "`asterism issue approve ferry-weekly/1`."
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
    issue = edit(scene.acting("eva"), REF, {"theme": " A week\nof waiting ", "opening": "Hm.\n\n"})
    assert (issue.theme, issue.opening) == ("A week of waiting", "Hm.")
    assert log_of(scene, f"issue:{issue.public_id}") == ["open", "edit"]
    assert edit(scene.ports, REF, {"theme": "A week of waiting"}).revision == issue.revision


def test_marks_cannot_be_typed(scene):
    scene.open()
    assert edit(scene.ports, REF, {"theme": "A \ue000leave_url|\ue001 week"}).theme == (
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
    assert edit(scene.acting("Liv Haugen"), REF, {"theme": "Late"}).theme == "Late"


def test_an_issue_has_no_other_fields(scene):
    scene.open()
    with pytest.raises(BadInput, match="state"):
        edit(scene.ports, REF, {"state": "sent"})


def test_an_unknown_issue(scene):
    for call in (show, approve, stop, preview):
        with pytest.raises(NotFound):
            call(scene.ports, "nothing/9")


# ── approving ────────────────────────────────────────────────────────────────────────────


def test_approval_freezes_bytes_audience_and_ledger(scene):
    people = scene.people()
    scene.person("Eli", basis=None)
    scene.ready()
    approved = approve(scene.ports, REF)
    assert approved.issue.state == "scheduled"
    assert (approved.issue.approved_by, approved.issue.approved_at) == ("liv", NOW)
    assert not approved.late
    sum_ = approved.arithmetic
    assert sum_.reconciles
    assert (sum_.contacts, sum_.letters, sum_.sales) == (5, 4, 2)
    assert sum_.left_out == (("no_basis", 1),)
    with scene.store.read() as tables:
        issue = tables.letters.find_issue(REF)
        kinds = [v.kind for v in tables.letters.variants(issue.id)]
        assert sorted(kinds) == ["customer", "prospect", "public", "sales", "sales"]
        verdicts = {v.contact_id: v for v in tables.letters.audience(issue.id)}
        assert verdicts[people["Ada"].id].story_ids == tuple(scene.story_ids)
        assert tables.deliveries.counts(issue.id) == {
            ("letter", "planned"): 4, ("sales", "planned"): 2,
        }  # fmt: skip
        told = tables.people.told_of(scene.story_ids[:1])
        assert told[scene.story_ids[0]] == {p.id for p in people.values()}
    assert log_of(scene, f"issue:{issue.public_id}") == ["open", "approve"]


def test_what_an_open_issue_shows_is_what_approval_freezes(scene):
    scene.people()
    scene.ready()
    seen = show(scene.ports, REF)
    approved = approve(scene.ports, REF)
    frozen = show(scene.ports, REF)
    assert seen.arithmetic == approved.arithmetic == frozen.arithmetic
    assert seen.variants == approved.variants == frozen.variants
    assert {v.contact_id: v.reason for v in seen.verdicts} == {
        v.contact_id: v.reason for v in frozen.verdicts
    }
    assert "goes out on Thursday 2027-03-11 at 07:30 (Europe/Oslo)" in frozen.next_step


def test_approving_twice_is_harmless(scene):
    scene.people()
    scene.ready()
    approve(scene.ports, REF)
    with pytest.raises(Conflict, match="approved by liv on 2027-03-08"):
        approve(scene.ports, REF)
    with scene.store.read() as tables:
        assert sum(tables.deliveries.counts(scene.issue().id).values()) == 6


def test_what_lint_holds_back_is_listed(scene):
    scene.people()
    scene.story("Quay 1 opens an hour earlier")
    scene.open()
    with pytest.raises(Conflict) as held:
        approve(scene.ports, REF)
    for said in ("has no take", "1 of at least 2 stories", "no theme"):
        assert said in held.value.message
    assert scene.issue().state == "draft"


@pytest.mark.parametrize("actor", ["eva", "tom", "", "Mallory"])
def test_only_the_approver_approves(scene, actor):
    scene.ready()
    with pytest.raises(Conflict, match="Only Liv Haugen approves"):
        approve(scene.acting(actor), REF)
    assert scene.issue().state == "draft"


def test_approval_after_the_deadline_is_late_and_counts(scene):
    scene.people()
    scene.ready()
    scene.at(DUE + timedelta(hours=2))
    approved = approve(scene.ports, REF)
    assert approved.late
    assert deliver(scene.ports).total("accepted") == 6


def test_a_missed_issue_is_not_approved(scene):
    scene.people()
    scene.ready()
    scene.at(DUE + timedelta(days=3))
    open_issues(scene.ports)
    with pytest.raises(Conflict, match="is missed"):
        approve(scene.ports, "ferry-weekly/1")


def test_an_issue_that_changes_while_it_is_approved_is_not_frozen(scene):
    """Somebody saves a take while the approver's machine renders."""
    scene.people()
    scene.ready()

    def meanwhile(done, total, what):
        if what == "editions" and done == total:
            scene.write(scene.story_ids[0], take="Another take.")

    with pytest.raises(Conflict, match="changed while it was being approved"):
        approve(replace(scene.ports, progress=meanwhile), REF)
    assert scene.issue().state == "draft"
    with scene.store.read() as tables:
        assert tables.letters.variants(scene.issue().id) == []
        assert tables.deliveries.counts(scene.issue().id) == {}


def test_of_two_approvals_at_once_one_counts(scene):
    scene.people()
    scene.ready()

    def meanwhile(done, total, what):
        if what == "editions" and done == total:
            approve(replace(scene.ports, progress=lambda *_: None), REF)

    with pytest.raises(Conflict):
        approve(replace(scene.ports, progress=meanwhile), REF)
    with scene.store.read() as tables:
        assert sum(tables.deliveries.counts(scene.issue().id).values()) == 6


def test_a_story_told_before_is_not_told_again(scene):
    people = scene.people()
    scene.ready()
    approve(scene.ports, REF)
    scene.at(DUE)
    deliver(scene.ports)
    scene.at(DUE + timedelta(days=3))
    for number in (4, 5):
        scene.story(f"Quay {number} opens an hour earlier", at=DUE + timedelta(days=1))
    open_issues(scene.ports)
    scene.write(scene.story_ids[0], title="Quay 1, once more")
    scene.finish()
    late = scene.person("Fay", "northline")
    verdicts = {v.contact_id: v for v in show(scene.ports, REF).verdicts}
    assert verdicts[people["Ada"].id].story_ids == tuple(scene.story_ids[3:5])
    assert "told before" in verdicts[people["Ada"].id].detail
    assert verdicts[late.id].story_ids == (*scene.story_ids[3:5], scene.story_ids[0])


def test_a_link_that_was_used_before_is_found(scene):
    scene.people()
    scene.ready()
    approve(scene.ports, REF)
    scene.at(DUE)
    deliver(scene.ports)
    scene.at(DUE + timedelta(days=3))
    scene.story("Another telling", url="https://www.coastwire.example/1?utm_source=x")
    open_issues(scene.ports)
    found = [f for f in show(scene.ports, REF).findings if f.code == "link_reused"]
    assert ["ferry-weekly/1" in f.what for f in found] == [True]


def test_each_customer_is_told_of_one_service_and_of_the_next_one_later(scene):
    scene.person("Cem", "skagen-ruter")
    scene.person("Ann", "skagen-ruter")
    scene.ready()
    approve(scene.ports, REF)
    told = preview(scene.ports, REF, "cem@skagen-ruter.example")
    assert "We time your berths" in told.html
    assert "A second desk in Oslo" in told.text
    assert "We time your berths" in preview(scene.ports, REF, "ann@skagen-ruter.example").html
    scene.at(DUE)
    deliver(scene.ports)
    scene.at(DUE + timedelta(days=3))
    for number in (4, 5):
        scene.story(f"Quay {number} opens an hour earlier", at=DUE + timedelta(days=1))
    open_issues(scene.ports)
    scene.finish()
    scene.person("New", "skagen-ruter")
    for name in ("cem", "new"):
        later = preview(scene.ports, REF, f"{name}@skagen-ruter.example")
        assert "A desk for crew rosters" in later.html
        assert "We time your berths" not in later.html
        assert "A second desk in Oslo" not in later.html


def test_the_capped_and_the_paused_are_out_for_their_reason(scene):
    people = scene.people()
    scene.ready()
    with scene.store.write() as tables:
        tables.people.pause(people["Ada"].id, BEAT + timedelta(days=1), "tom", NOW)
        tables.people.pause(people["Bo"].id, BEAT, "tom", NOW)  # over on the day itself
        tables.people.hold(people["Cem"].id, "liv", "we meet on Friday", NOW)
        tables.people.suppress(people["Dag"].id, "*", "asked", NOW)
    approve(scene.ports, REF)
    with scene.store.read() as tables:
        audience = tables.letters.audience(scene.issue().id)
    reasons = {v.contact_id: v.reason for v in audience}
    assert [reasons[people[n].id] for n in ("Ada", "Bo", "Cem", "Dag")] == [
        "paused", "in", "held", "suppressed",
    ]  # fmt: skip


# ── clearing a confidence ────────────────────────────────────────────────────────────────


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


# ── naming ───────────────────────────────────────────────────────────────────────────────


def test_our_own_words_do_not_name_a_customer_who_did_not_allow_it(store, tmp_path):
    named = replace(CATALOG.firm.news[0], text="Since March we sit at Skagen Ruter's quay.")
    firm = replace(CATALOG.firm, news=(named,))
    scene = build_scene(store, tmp_path, replace(CATALOG, firm=firm, digest="named"))
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


# ── previews ─────────────────────────────────────────────────────────────────────────────


def test_the_preview_is_the_letter(scene, tmp_path):
    """What is seen before approval, what is frozen and what lies in the outbox are equal."""
    scene.people()
    scene.ready()
    addresses = ["ada@northline.example", "cem@skagen-ruter.example"]
    before = {a: preview(scene.ports, REF, a) for a in addresses}
    internal = preview(scene.ports, REF, "tom")
    page = preview(scene.ports, REF, kind="public")
    approve(scene.ports, REF)
    scene.at(DUE)
    deliver(scene.ports)
    mails = {}
    for path in (tmp_path / "mail").rglob("*.eml"):
        mail = message_from_bytes(path.read_bytes(), policy=policy.default)
        mails[mail["To"].addresses[0].addr_spec] = mail
    for seen in (*before.values(), internal):
        after = preview(scene.ports, REF, "tom" if seen is internal else seen.address)
        assert (after.subject, after.html, after.text) == (seen.subject, seen.html, seen.text)
        assert after.frozen
        assert not seen.frozen
        mail = mails[seen.address]
        assert mail["Subject"] == seen.subject
        text, html = mail.iter_parts()
        assert html.get_content().replace("\r\n", "\n") == seen.html
        assert text.get_content().replace("\r\n", "\n") == seen.text
    frozen = preview(scene.ports, REF, kind="public")
    assert (frozen.html, frozen.text) == (page.html, page.text)


def test_who_gets_no_letter_gets_the_reason(scene):
    scene.person("Ada", basis=None)
    scene.ready()
    seen = preview(scene.ports, REF, "ada@northline.example")
    assert (seen.html, seen.text) == ("", "")
    assert seen.verdict.reason == "no_basis"
    approve(scene.ports, REF)
    assert preview(scene.ports, REF, "ada@northline.example").verdict.reason == "no_basis"


def test_without_a_name_the_first_reader_stands_in_or_an_invented_one(scene):
    scene.ready()
    invented = preview(scene.ports, REF)
    assert invented.sample
    assert "Good morning, Sam." in invented.text
    scene.person("Ada")
    seen = preview(scene.ports, REF)
    assert (seen.name, seen.sample) == ("Ada Strand", False)
    assert preview(scene.ports, REF, kind="customer").sample


def test_the_internal_mail_is_for_owners(scene):
    scene.people()
    scene.ready()
    assert preview(scene.ports, REF, "tom").kind == "sales"
    assert preview(scene.ports, REF, kind="sales").name in ("Tom Reyes", "Liv Haugen")
    with pytest.raises(NotFound, match="looks after no account"):
        preview(scene.ports, REF, "eva")
    with pytest.raises(BadInput):
        preview(scene.ports, REF, "ada@northline.example", "sales")


def test_the_public_page_has_no_field_left_and_nobodys_name(scene):
    scene.people()
    scene.ready()
    for page in (preview(scene.ports, REF, kind="public"), _approved_page(scene)):
        assert "dear reader" in page.html
        assert not any("\ue000" <= c <= "\uf8ff" for c in page.html + page.text)
        assert "Ada" not in page.html
        assert "/leave/" not in page.html + page.text


def _approved_page(scene):
    approve(scene.ports, REF)
    return preview(scene.ports, REF, kind="public")


# ── stopping and going on ────────────────────────────────────────────────────────────────


def test_stopping_takes_everything_back_and_it_can_go_on(scene):
    scene.people()
    scene.ready()
    approve(scene.ports, REF)
    links = preview(scene.ports, REF, "ada@northline.example").text
    stopped = stop(scene.acting("tom"), REF, "a typing error")
    assert (stopped.issue.state, stopped.issue.reason) == ("stopped", "a typing error")
    assert (stopped.held_back, stopped.left_already) == (6, 0)
    scene.at(DUE)
    assert deliver(scene.ports).issues == ()
    with scene.store.read() as tables:
        assert tables.letters.variants(stopped.issue.id) == []
        told = tables.people.told_of(scene.story_ids[:1])
    assert told.get(scene.story_ids[0], frozenset()) == frozenset()
    scene.write(scene.story_ids[0], title="Quay 1, corrected")
    approve(scene.ports, REF)
    again = preview(scene.ports, REF, "ada@northline.example")
    assert "Quay 1, corrected" in again.text
    assert _leave_link(again.text) == _leave_link(links)
    assert deliver(scene.ports).total("accepted") == 6
    assert log_of(scene, f"issue:{stopped.issue.public_id}") == [
        "open", "approve", "stop", "approve",
    ]  # fmt: skip


def _leave_link(text):
    (link,) = [line for line in text.splitlines() if "/leave/" in line]
    return link.strip()


def test_who_left_in_between_is_out_of_the_second_approval(scene):
    people = scene.people()
    scene.ready()
    approve(scene.ports, REF)
    stop(scene.ports, REF)
    with scene.store.write() as tables:
        tables.people.suppress(people["Ada"].id, REF, "left", NOW)
    assert approve(scene.ports, REF).arithmetic.left_out == (("suppressed", 1),)
    scene.at(DUE)
    assert deliver(scene.ports).total("accepted") == 5


def test_stopped_on_its_way_it_is_partly_sent_and_goes_on_without_doubles(scene, tmp_path):
    people = scene.people()
    scene.ready()
    approve(scene.ports, REF)
    scene.at(DUE)
    deliver_two(scene)
    stopped = stop(scene.ports, REF, "wrong date")
    assert stopped.issue.state == "partly_sent"
    assert (stopped.held_back, stopped.left_already) == (4, 2)
    had = preview(scene.ports, REF, _first_mail(tmp_path)["To"].addresses[0].addr_spec)
    assert had.frozen
    assert preview(scene.ports, REF, kind="public").html
    scene.write(scene.story_ids[0], title="Quay 1, corrected")
    approved = approve(scene.ports, REF)
    assert approved.arithmetic.letters == 4
    assert approved.arithmetic.reconciles
    assert deliver(scene.ports).total("accepted") == 4
    assert len(list((tmp_path / "mail").rglob("*.eml"))) == 6
    assert scene.issue().state == "sent"
    with scene.store.read() as tables:
        assert tables.people.told_of(scene.story_ids[:1])[scene.story_ids[0]] == {
            person.id for person in people.values()
        }


class Killed(Exception):
    """As if the process had died."""


def deliver_two(scene):
    """A run that dies after its first two copies."""

    def die(done, total, what):
        if what.startswith("sending"):
            raise Killed

    with pytest.raises(Killed):
        deliver(replace(scene.ports, progress=die), chunk=2)


def _first_mail(folder):
    path = sorted((folder / "mail").rglob("*.eml"))[0]
    return message_from_bytes(path.read_bytes(), policy=policy.default)


def test_what_is_out_cannot_be_stopped_or_approved_again(scene):
    scene.people()
    scene.ready()
    approve(scene.ports, REF)
    scene.at(DUE)
    deliver(scene.ports)
    with pytest.raises(Conflict, match="nothing is to stop"):
        stop(scene.ports, REF)
    with pytest.raises(Conflict):
        approve(scene.ports, REF)
    assert scene.issue().state == "sent"


def test_a_stop_gives_its_author_when_no_reason_is_told(scene):
    scene.ready()
    approve(scene.ports, REF)
    assert stop(scene.acting("eva"), REF).issue.reason == "stopped by eva"


def test_an_issue_without_readers_still_reaches_our_own_people(scene):
    scene.ready()
    approved = approve(scene.ports, REF)
    assert (approved.arithmetic.contacts, approved.arithmetic.sales) == (0, 2)


def test_the_beat_of_an_issue_is_its_own(scene):
    """A beat that another process opened meanwhile is not filled twice."""
    scene.story("Quay 1 opens an hour earlier")
    with scene.store.write() as tables:
        tables.letters.open_issue(
            REF, Beat(BEAT, DUE, BEAT), cut_off_at=DUE, deadline_at=DUE, subject="Theirs", now=NOW
        )
    assert open_issues(scene.ports).opened == ()
    assert scene.snippets() == ()
    assert scene.issue().subject == "Theirs"
