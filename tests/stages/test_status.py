from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.model.news import SourceState
from pipeline.stages.compose import approve, stop
from pipeline.stages.deliver import deliver
from pipeline.stages.status import Status, status
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, NOW
from tests.compose_scene import REF, Scene, build_scene
from tests.story_scene import new_item, put_items


@pytest.fixture
def scene(store: SqlStore, tmp_path: Path) -> Scene:
    return build_scene(store, tmp_path)


def asked(scene: Scene, **changes: object) -> None:
    """Every source answered well; the first one with these changes."""
    with scene.store.write() as tables:
        for number, state in enumerate(tables.news.sources()):
            well = replace(state, checked_at=NOW, last_outcome="fetched")
            told: SourceState = replace(well, **changes) if number == 0 else well  # type: ignore[arg-type]
            outcome = {"outcome": told.last_outcome, "status": 200}
            tables.news.record_fetch(told, NOW, outcome)


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
    assert "Between Quays 1: 0 of 3 stories have our take" in sentences(found)
    assert commands(found) == ["asterism curate export ferry-weekly/1"]

    scene.finish()
    found = status(scene.ports)
    assert (found.newsletters[0].stories, found.newsletters[0].written) == (3, 3)
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
    assert "Between Quays 1 has no stories yet" in sentences(found)


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
    assert "only the approver still writes" in told


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
