from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.model.news import SourceState
from pipeline.model.running import JobRun
from pipeline.stages.compose import approve, open_issues, show, stop
from pipeline.stages.deliver import allow_after_restore, deliver
from pipeline.stages.explain import explain_issue
from pipeline.stages.status import Status, status
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, FERRIES, NOW, WEEKLY
from tests.compose_scene import REF, Scene, build_scene
from tests.stages.test_deliver import ScriptedTransport
from tests.story_scene import new_item, put_items


@pytest.fixture
def scene(store: SqlStore, tmp_path: Path) -> Scene:
    return build_scene(store, tmp_path)


def asked(scene: Scene, **changes: object) -> None:
    """Every source has just answered well; the first one with these changes."""
    now = scene.clock.now()
    with scene.store.write() as tables:
        for number, state in enumerate(tables.news.sources()):
            well = replace(state, checked_at=now, last_outcome="fetched")
            told: SourceState = replace(well, **changes) if number == 0 else well  # type: ignore[arg-type]
            outcome = {"outcome": told.last_outcome, "status": 200}
            tables.news.record_fetch(told, now, outcome)


def commands(found: Status) -> list[str]:
    return [step.command for step in found.next]


def sentences(found: Status) -> str:
    return "\n".join(step.what for step in found.next)


def test_an_empty_workspace_says_where_to_begin(scene: Scene) -> None:
    found = status(scene.ports)
    assert (found.items, found.stories, found.ungrouped, found.due_now) == (0, 0, 0, 0)
    assert [source.health for source in found.sources] == ["never_asked", "never_asked"]
    assert found.firm == "Quay & Tide"
    assert found.database
    assert "asterism gather" in commands(found)
    assert "asterism people import FILE" in commands(found)
    assert "Not asked yet: Coast Wire, Harbour News." in sentences(found)


def test_the_database_shows_no_password(scene: Scene) -> None:
    with scene.store.read() as tables:
        url = tables.reasons._connection.engine.url
        shown = tables.reasons.database()
    assert url.get_backend_name() in shown
    assert not url.password or url.password not in shown


def test_sources_are_healthy_failing_or_gone_in_plain_words(scene: Scene) -> None:
    asked(scene, failures=3, last_outcome="failed", last_reason="dns", last_detail="No such host.")
    found = status(scene.ports)
    assert [(s.health, s.detail, s.failures) for s in found.sources] == [
        ("failing", "No such host.", 3),
        ("healthy", "", 0),
    ]
    assert "Coast Wire failed 3 times in a row: No such host." in sentences(found)
    assert "asterism gather coast-wire --force" in commands(found)
    asked(scene, gone_at=NOW, last_outcome="failed", last_detail="410")
    assert "Coast Wire is gone for good" in sentences(status(scene.ports))


def test_items_stories_and_pools_are_counted(scene: Scene) -> None:
    asked(scene)
    put_items(scene.store, "coast-wire", new_item("coast-wire", "one", "A new ferry"))
    kept, dropped, _ = (scene.story(f"Quay {n}", score=9 - n) for n in (1, 2, 3))
    scene.story("Long ago", at=NOW - timedelta(days=60))
    with scene.store.write() as tables:
        tables.stories.set_dropped("ferries", dropped, NOW, "eva")
    scene.open()
    with scene.store.write() as tables:
        issue = tables.letters.find_issue(REF)
        for snippet in tables.snippets.of_issue(issue.id):
            if snippet.story_id != kept:
                tables.snippets.remove(snippet.id)

    found = status(scene.ports)

    assert (found.items, found.ungrouped, found.stories) == (1, 1, 4)
    (pool,) = found.pools
    assert (pool.constellation_key, pool.open, pool.kept, pool.dropped) == ("ferries", 1, 1, 1)
    assert "1 new item waits to become a story." in sentences(found)


def test_an_issue_is_followed_from_its_opening_to_its_end(scene: Scene) -> None:
    asked(scene)
    scene.people()
    found = status(scene.ports)
    (newsletter,) = found.newsletters
    assert newsletter.next_beat
    assert newsletter.next_beat.on.isoformat() == "2027-03-11"
    assert newsletter.issue is None
    assert commands(found) == ["asterism issue open"]

    for number in (1, 2, 3):
        scene.story(f"Quay {number} opens an hour earlier")
    scene.open()
    found = status(scene.ports)
    assert "Between Quays (no. 1): 0 of 3 stories have our take" in sentences(found)
    assert commands(found) == ["asterism curate export ferry-weekly/1"]

    scene.finish()
    found = status(scene.ports)
    (progress,) = found.newsletters[0].issues
    assert (progress.stories, progress.written, progress.missing) == (3, 3, 0)
    assert "the approval by Liv Haugen is due on Thursday 11 March 2027, 03:30" in sentences(found)
    assert commands(found) == ["asterism --as liv issue approve ferry-weekly/1"]

    approve(scene.acting("liv"), REF)
    found = status(scene.ports)
    assert commands(found) == [""]
    assert "is approved and goes out on Thursday 11 March 2027, 07:30" in sentences(found)
    assert found.deliveries == {"planned": 6}

    stop(scene.acting("liv"), REF, "a wrong figure")
    found = status(scene.ports)
    assert "is stopped (a wrong figure)" in sentences(found)
    approve(scene.acting("liv"), REF)
    scene.at(scene.issue().due_at + timedelta(minutes=1))
    asked(scene)
    found = status(scene.ports)
    assert found.due_now == 1
    assert commands(found) == ["asterism deliver"]

    deliver(scene.ports)
    found = status(scene.ports)
    assert found.deliveries == {"accepted": 6}
    assert (found.newsletters[0].issue, found.due_now) == (None, 0)
    assert found.newsletters[0].next_beat.on.isoformat() == "2027-03-18"
    assert sentences(found).startswith("Nothing needs you. Between Quays goes out next on Thursday")


def test_an_issue_without_stories_says_so(scene: Scene) -> None:
    asked(scene)
    scene.people()
    scene.open()
    found = status(scene.ports)
    assert "Between Quays (no. 1) has no stories yet" in sentences(found)


def test_after_the_cut_off_nobody_is_told_to_write_until_then(scene: Scene) -> None:
    asked(scene)
    scene.people()
    scene.story("Quay 1 opens an hour earlier")
    scene.open()
    assert "write until" in sentences(status(scene.ports))
    scene.at(scene.issue().cut_off_at)
    told = sentences(status(scene.ports))
    assert "write until" not in told
    assert "the cut-off was on Wednesday 10 March 2027" in told
    assert "so only Liv Haugen still writes" in told


def test_an_approval_that_is_late_is_told_as_late(scene: Scene) -> None:
    asked(scene)
    scene.people()
    scene.at(scene.ready().deadline_at + timedelta(minutes=1))
    assert "the approval by Liv Haugen was due" in sentences(status(scene.ports))


def test_copies_in_doubt_come_first(scene: Scene) -> None:
    asked(scene)
    scene.people()
    scene.ready()
    approve(scene.acting("liv"), REF)
    with scene.store.write() as tables:
        tables.deliveries._connection.exec_driver_sql("UPDATE deliveries SET state = 'unknown'")
    found = status(scene.ports)
    assert found.deliveries == {"unknown": 6}
    assert found.next[0].what.startswith("Of 6 copies it is not known whether they went out")
    assert found.next[0].command == "asterism deliver resolve"


def test_what_a_restore_holds_back_names_both_ways_out(scene: Scene) -> None:
    asked(scene)
    scene.people()
    issue = scene.ready()
    approve(scene.acting("liv"), REF)
    scene.at(issue.due_at)
    assert status(scene.ports).due_now == 1
    with scene.store.write() as tables:
        tables.jobs.set_mark("restored_at", issue.due_at.isoformat())
    found = status(scene.ports)
    assert (found.due_now, found.held) == (0, (issue.ref,))
    assert found.next[0].command == f"asterism deliver allow {issue.ref}"
    assert f"asterism issue stop {issue.ref}" in found.next[0].what
    assert f"asterism deliver allow {issue.ref} --went-out" in found.next[0].what
    deliver(scene.ports)
    allow_after_restore(scene.ports, REF)
    assert status(scene.ports).held == ()


def test_why_the_last_delivery_failed_is_told_while_something_waits(scene: Scene) -> None:
    def recorded(outcome: str, detail: str) -> None:
        run = JobRun("deliver", NOW, NOW, NOW, outcome, detail, "here")  # type: ignore[arg-type]
        with scene.store.write() as tables:
            tables.jobs.record(run, NOW)

    failed = "The last delivery failed: The relay is away."
    asked(scene)
    scene.people()
    issue = scene.ready()
    approve(scene.acting("liv"), REF)
    scene.at(issue.due_at)
    recorded("failed", "The relay is away.")
    found = status(scene.ports)
    assert failed in sentences(found)
    assert commands(found).count("asterism deliver") == 1
    recorded("done", "4 accepted")
    assert failed not in sentences(status(scene.ports))
    recorded("failed", "The relay is away.")
    deliver(scene.ports)  # by hand, and nothing waits any more
    assert failed not in sentences(status(scene.ports))


def test_a_real_transport_needs_https(scene: Scene) -> None:
    """Status counts what approval would hold back, and explain names it."""
    asked(scene)
    scene.people()
    scene.ready()
    firm = replace(scene.ports.catalog.firm, base_url="http://letters.quaytide.example")
    catalog = replace(scene.ports.catalog, firm=firm)
    for transport, missing in ((scene.ports.transport, 0), (ScriptedTransport(), 1)):
        its_ports = replace(scene.ports, catalog=catalog, transport=transport)
        (issue,) = status(its_ports).newsletters[0].issues
        assert issue.missing == missing
        told = [step.detail for step in explain_issue(its_ports, REF).steps]
        assert any("must be https" in one for one in told) == bool(missing)


def test_people_without_a_basis_are_counted_and_told(scene: Scene) -> None:
    asked(scene)
    scene.person("Ada", basis=None)
    scene.person("Bo")
    with scene.store.write() as tables:
        tables.people.suppress(tables.people.find("bo@northline.example").id, "*", "left", NOW)
    found = status(scene.ports)
    assert found.people == {"contacts": 2, "without_basis": 1, "invalid": 0, "suppressed": 1}
    assert "1 contact has no recorded basis and gets no letters" in sentences(found)


def test_a_rhythm_that_has_ended_has_no_beat(scene: Scene) -> None:
    asked(scene)
    none = replace(CATALOG.constellations[0], newsletters=())
    ports = replace(scene.ports, catalog=replace(CATALOG, constellations=(none,)))
    scene.people()
    assert status(ports).next[0].what == "Nothing needs you: no newsletter has a beat ahead."


# ── every state says its own sentence ────────────────────────────────────────────────────


def test_the_example_firm_comes_before_all_else(scene: Scene) -> None:
    example = replace(CATALOG.firm, name="Example & Partners")
    ports = replace(scene.ports, catalog=replace(CATALOG, firm=example))
    first = status(ports).next[0]
    assert first.what.startswith("firm.yaml still tells of the example firm")
    assert first.command == "asterism check"
    assert "example firm" not in sentences(status(scene.ports))


def test_sources_that_nobody_asks_any_more_are_told(scene: Scene) -> None:
    asked(scene)
    scene.at(NOW + timedelta(hours=23))
    assert "No source has been asked" not in sentences(status(scene.ports))
    scene.at(NOW + timedelta(days=3))
    assert "No source has been asked for 3 days." in sentences(status(scene.ports))
    asked(scene, next_check_at=scene.clock.at + timedelta(days=9))
    assert "No source has been asked" not in sentences(status(scene.ports))


def test_sources_that_fail_alike_are_told_in_one_sentence(scene: Scene) -> None:
    with scene.store.write() as tables:
        for state in tables.news.sources():
            ill = replace(
                state, checked_at=NOW, failures=2, last_outcome="failed", last_reason="blocked",
                last_detail="Port 8765 may not be asked; ASTERISM_ALLOW_PORTS allows more.",
            )  # fmt: skip
            tables.news.record_fetch(ill, NOW, {"outcome": "failed", "status": None})
    (told,) = [step for step in status(scene.ports).next if "failed" in step.what]
    assert told.what.startswith("Coast Wire, Harbour News failed 2 times in a row: Port 8765")
    assert told.what.endswith("or, if you mean it, allow it in .env.")
    assert told.command == "asterism gather coast-wire harbour-news --force"


def test_an_issue_does_not_make_an_earlier_beat_the_next_one(scene: Scene) -> None:
    """Of a new newsletter the beat of this week may be too near to be written."""
    asked(scene)
    scene.people()
    scene.at(NOW + timedelta(days=2))  # Wednesday, past the cut-off of Thursday's beat
    asked(scene)
    weekly = replace(CATALOG.constellations[0].newsletters[0], lead_days=9)
    catalog = replace(
        CATALOG, constellations=(replace(CATALOG.constellations[0], newsletters=(weekly,)),)
    )
    ports = replace(scene.ports, catalog=catalog)
    open_issues(ports)
    (newsletter,) = status(ports).newsletters
    assert newsletter.issue is not None
    assert newsletter.issue.beat_on.isoformat() == "2027-03-18"
    assert newsletter.next_beat is not None
    assert newsletter.next_beat.on.isoformat() == "2027-03-25"


def test_the_next_issue_can_be_opened_while_one_waits_for_its_day(scene: Scene) -> None:
    scene.people()
    scene.ready()
    approve(scene.acting("liv"), REF)
    asked(scene)
    weekly = replace(CATALOG.constellations[0].newsletters[0], lead_days=14)
    catalog = replace(
        CATALOG, constellations=(replace(CATALOG.constellations[0], newsletters=(weekly,)),)
    )
    found = status(replace(scene.ports, catalog=catalog))
    assert commands(found) == ["", "asterism issue open"]
    open_issues(replace(scene.ports, catalog=catalog))
    found = status(replace(scene.ports, catalog=catalog))
    assert [p.issue.number for p in found.newsletters[0].issues] == [1, 2]
    assert "Between Quays (no. 2) has no stories yet" in sentences(found)


def test_an_empty_issue_and_an_empty_pool_ask_for_news(scene: Scene) -> None:
    asked(scene)
    scene.people()
    scene.open()
    assert commands(status(scene.ports)) == ["asterism gather"]
    scene.story("Quay 1 opens an hour earlier")
    assert commands(status(scene.ports)) == ["asterism curate export ferry-weekly/1"]


def test_what_lint_would_hold_back_is_no_approval_yet(scene: Scene) -> None:
    asked(scene)
    scene.people()
    issue = scene.ready()
    with scene.store.write() as tables:
        tables.letters.edit_issue(issue.id, issue.revision, {"theme": ""})
    found = status(scene.ports)
    assert "Between Quays (no. 1) is written, but one thing is to be mended" in sentences(found)
    assert commands(found) == ["asterism issue show ferry-weekly/1"]


def test_what_lint_lets_pass_waits_for_its_approver(scene: Scene) -> None:
    thin = replace(WEEKLY, fallback="headlines")
    assert thin.floor > 1
    here = replace(FERRIES, newsletters=(thin,))
    scene.ports = replace(scene.ports, catalog=replace(CATALOG, constellations=(here,)))
    asked(scene)
    scene.people()
    scene.story("Quay 1 opens an hour earlier")
    scene.open()
    scene.finish()
    found = show(scene.ports, REF).findings
    assert "under_floor" in [one.code for one in found]
    assert not any(one.blocks for one in found)
    assert commands(status(scene.ports)) == ["asterism --as liv issue approve ferry-weekly/1"]


def test_an_issue_past_its_day_is_told_as_past(scene: Scene) -> None:
    scene.people()
    due = scene.ready().due_at
    scene.at(due + timedelta(hours=2))
    asked(scene)
    assert commands(status(scene.ports))[0] == "asterism --as liv issue approve ferry-weekly/1"
    scene.at(due + timedelta(days=2))
    asked(scene)
    found = status(scene.ports)
    told = "was due on Thursday 11 March 2027, 07:30, and nobody approved it in time"
    assert told in sentences(found)
    assert commands(found)[0] == "asterism issue open"

    open_issues(scene.ports)
    found = status(scene.ports)
    told = "did not go out on Thursday 11 March 2027, 07:30: nobody approved the issue in time."
    assert told in sentences(found)
    assert commands(found)[0] == "asterism explain issue ferry-weekly/1"


def test_a_beat_without_an_issue_is_told_until_the_next_one_is_kept(scene: Scene) -> None:
    scene.people()
    scene.ready()
    approve(scene.acting("liv"), REF)
    scene.at(scene.issue().due_at + timedelta(minutes=1))
    deliver(scene.ports)
    asked(scene)
    assert status(scene.ports).newsletters[0].missed is None

    week = timedelta(days=7)
    scene.at(scene.issue().due_at + week + timedelta(hours=2))
    asked(scene)
    told = "was due on Thursday 18 March 2027, 07:30 and has no issue; it can still go out late."
    assert told in sentences(status(scene.ports))

    scene.at(scene.issue().due_at + week + timedelta(days=3))
    asked(scene)
    assert "and nobody opened an issue in time" in sentences(status(scene.ports))
    open_issues(scene.ports)
    found = status(scene.ports)
    assert "07:30: no issue was opened for it." in sentences(found)
    assert found.newsletters[0].missed is not None
    assert found.newsletters[0].missed.on.isoformat() == "2027-03-18"


class Killed(Exception):
    """As if the process had died."""


def test_what_a_stop_held_back_on_its_way_is_told(scene: Scene) -> None:
    def die(done: int, total: int, what: str) -> None:
        if what.startswith("sending"):
            raise Killed

    scene.people()
    scene.ready()
    approve(scene.acting("liv"), REF)
    scene.at(scene.issue().due_at + timedelta(minutes=1))
    asked(scene)
    with pytest.raises(Killed):
        deliver(replace(scene.ports, progress=die), chunk=2)
    stop(scene.acting("liv"), REF, "a wrong figure")
    found = status(scene.ports)
    told = "Between Quays (no. 1) went out in part, and 4 copies are held back (a wrong figure)"
    assert told in sentences(found)
    assert commands(found) == ["asterism --as liv issue approve ferry-weekly/1"]

    approve(scene.acting("liv"), REF)
    deliver(scene.ports)
    assert "in part" not in sentences(status(scene.ports))
