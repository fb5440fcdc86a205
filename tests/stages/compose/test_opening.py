"""An issue is opened once for its beat; beats that pass are kept or missed, with the reason."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.model.letters import Beat
from pipeline.stages.compose import approve, open_issues
from pipeline.stages.compose.opening import NEVER_OPENED, NOT_APPROVED
from pipeline.stages.deliver import deliver
from tests.builders import BEAT, CATALOG, DUE, FERRIES, NOW, WEEKLY
from tests.compose_scene import REF, beats, build_scene, log_of


def catalog_with(**changes):
    """The ferry catalog with another rhythm or other rules for its newsletter."""
    newsletter = replace(WEEKLY, **changes)
    return replace(
        CATALOG,
        constellations=(replace(FERRIES, newsletters=(newsletter,)),),
        digest=f"ferries-{sorted(changes)}",
    )


def test_an_issue_is_opened_within_its_lead_time_and_pre_filled(scene):
    best = scene.story("Quay 1 opens an hour earlier", score=9.0)
    poor = scene.story("Quay 2 keeps its hours", score=1.0)
    opened = open_issues(scene.ports)
    (issue,) = opened.opened
    assert (issue.ref, issue.beat_on, issue.due_at) == ("ferry-weekly/1", BEAT, DUE)
    assert issue.state == "draft"
    assert issue.subject == "Between Quays (no. 1)"
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


def test_a_new_newsletter_begins_with_what_can_still_be_written(scene):
    scene.at(DUE - timedelta(hours=24))
    assert open_issues(scene.ports).opened == ()
    assert beats(scene) == {}
    scene.at(DUE + timedelta(days=2))
    (issue,) = open_issues(scene.ports).opened
    assert (issue.number, issue.beat_on) == (1, BEAT + timedelta(days=7))


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


def test_what_is_late_is_skipped_where_the_policy_says_so(sqlite_store, tmp_path):
    rhythm = replace(WEEKLY.rhythm, late="skip")
    scene = build_scene(sqlite_store, tmp_path, catalog_with(rhythm=rhythm))
    scene.open()
    scene.at(DUE + timedelta(weeks=1, hours=3))
    tally = open_issues(scene.ports)
    assert [m.on for m in tally.missed] == [BEAT, BEAT + timedelta(weeks=1)]
    assert tally.opened == ()


def test_a_holiday_that_takes_a_beat_is_on_record(sqlite_store, tmp_path):
    catalog = catalog_with(rhythm=replace(WEEKLY.rhythm, on_holiday="skip"))
    catalog = replace(catalog, firm=replace(CATALOG.firm, holidays=(BEAT,)))
    scene = build_scene(sqlite_store, tmp_path, catalog)
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


@pytest.mark.parametrize("hours", [-100, -20, 30, 24 * 7 * 3])
def test_several_processes_that_look_at_once_do_everything_once(scene, hours):
    """Opening, the cut-off, a miss, a long silence: each happens in one of four threads."""
    scene.story("Quay 1 opens an hour earlier")
    if hours > -100:
        scene.open()
    scene.at(DUE + timedelta(hours=hours))
    start = threading.Barrier(4)
    tallies, failures = [], []

    def look():
        start.wait()
        try:
            tallies.append(open_issues(scene.ports))
        except Exception as error:  # shown below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for what in ("opened", "in_review", "missed"):
        done = [one for tally in tallies for one in getattr(tally, what)]
        assert len(done) == len({(getattr(one, "beat_on", None) or one.on) for one in done})
    with scene.store.read() as tables:
        issues = tables.letters.issues(REF)
    assert sorted(issue.number for issue in issues) == list(range(1, len(issues) + 1))
    verbs = [verb for issue in issues for verb in log_of(scene, f"issue:{issue.public_id}")]
    assert verbs == ["open"] * len(issues)
