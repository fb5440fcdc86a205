"""Approval freezes everything at once; a stop takes it back; nobody gets anything twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy

import pytest

from pipeline.errors import Conflict
from pipeline.stages.compose import approve, open_issues, preview, show, stop
from pipeline.stages.deliver import deliver
from tests.builders import BEAT, CATALOG, DUE, FERRIES, NOW, WEEKLY
from tests.compose_scene import REF, build_scene, log_of


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
    assert scene.told_of(scene.story_ids[0]) == {p.id for p in people.values()}
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
    assert "goes out on Thursday 11 March 2027, 07:30 (Europe/Oslo)" in frozen.next_step


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


# ── stopping and going on ────────────────────────────────────────────────────────────────────


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
    assert scene.told_of(scene.story_ids[0]) == set()
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


def test_a_letter_in_german_leads_to_pages_in_german(store, tmp_path):
    newsletter = replace(WEEKLY, language="de-AT")
    catalog = replace(CATALOG, constellations=(replace(FERRIES, newsletters=(newsletter,)),))
    scene = build_scene(store, tmp_path, catalog)
    scene.people()
    scene.ready()
    approve(scene.ports, REF)
    assert _leave_link(preview(scene.ports, REF, "ada@northline.example").text).endswith("?lang=de")


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


def test_nothing_goes_out_in_the_name_of_the_example_firm(scene):
    scene.people()
    scene.ready()
    firm = replace(scene.ports.catalog.firm, postal_address="1 Example Street, 00000 Exampletown")
    ports = replace(scene.ports, catalog=replace(scene.ports.catalog, firm=firm))
    with pytest.raises(Conflict) as refused:
        approve(ports, REF)
    assert "firm.yaml, postal_address: still the example's" in refused.value.message
    assert "`asterism check` names its lines" in refused.value.hint
    assert scene.issue().state == "draft"
    assert approve(scene.ports, REF).arithmetic.letters == 4


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
    assert scene.told_of(scene.story_ids[0]) == {person.id for person in people.values()}


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
