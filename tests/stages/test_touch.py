"""What was done by hand counts as done, and what was passed on is not told again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.errors import BadInput, NotFound
from pipeline.rules.people.by_hand import SLIP
from pipeline.stages.compose import show
from pipeline.stages.people import show_person, undo
from pipeline.stages.report import coverage
from pipeline.stages.touch import touch
from pipeline.stores.sql import SqlStore
from tests.compose_scene import REF, Scene, build_scene, log_of

ADA = "ada@northline.example"


@pytest.fixture
def scene(store: SqlStore, tmp_path: Path) -> Scene:
    scene = build_scene(store, tmp_path)
    scene.person("Ada")
    scene.ready()
    return scene


def stories_for_ada(scene: Scene) -> set[int]:
    (verdict,) = show(scene.ports, REF).verdicts
    return set(verdict.story_ids)


def test_a_story_passed_on_by_hand_is_not_told_again_by_letter(scene: Scene) -> None:
    first, *others = scene.story_ids
    assert stories_for_ada(scene) == {first, *others}
    with scene.store.read() as tables:
        (story,) = tables.stories.by_ids([first])
    done = touch(
        scene.acting("tom"),
        ADA,
        "forward",
        story_ref=story.public_id[:8],
        minutes=5,
        note=" Call? ",
    ).touch
    assert (done.staff_key, done.minutes, done.note) == ("tom", 5, "Call?")
    assert first not in stories_for_ada(scene)
    (told,) = show_person(scene.ports, ADA).told
    assert (told["story"], told["through"]) == (story.public_id, "forward")
    assert log_of(scene, f"contact:{show_person(scene.ports, ADA).contact.public_id}") == ["touch"]


def test_a_call_counts_by_hand_and_tells_no_story(scene: Scene) -> None:
    touch(scene.ports, ADA, "call", minutes=20)
    (report,) = coverage(scene.ports, "ferries")
    counted = {account.key: (account.by_machine, account.by_hand) for account in report.accounts}
    assert counted["northline"] == (0, 1)
    assert not show_person(scene.ports, ADA).told


def by_hand(scene: Scene) -> int:
    (report,) = coverage(scene.ports, "ferries")
    return sum(account.by_hand for account in report.accounts)


def test_a_slip_of_the_finger_is_no_second_touch(scene: Scene) -> None:
    assert touch(scene.ports, ADA, "call", minutes=2, note="no answer").new
    scene.clock.at += SLIP - timedelta(seconds=1)
    again = touch(scene.ports, ADA, "call", minutes=2, note=" no answer")
    assert not again.new
    assert by_hand(scene) == 1
    contact = show_person(scene.ports, ADA).contact
    assert log_of(scene, f"contact:{contact.public_id}") == ["touch"]


def test_what_says_something_else_or_comes_later_is_a_second_touch(scene: Scene) -> None:
    touch(scene.ports, ADA, "call", note="no answer")
    assert touch(scene.ports, ADA, "call", note="she called back").new
    assert touch(scene.ports, ADA, "note", note="no answer").new
    assert touch(scene.acting("tom"), ADA, "call", note="no answer").new
    scene.clock.at += SLIP
    assert touch(scene.ports, ADA, "call", note="no answer").new
    assert by_hand(scene) == 5


def test_a_touch_that_is_taken_back_counts_no_more(scene: Scene) -> None:
    first = scene.story_ids[0]
    with scene.store.read() as tables:
        (story,) = tables.stories.by_ids([first])
    touch(scene.ports, ADA, "forward", story_ref=story.public_id, note="She asked for it")
    undone = undo(scene.ports)
    assert (undone.operation.verb, undone.contact.address) == ("touch", ADA)
    assert by_hand(scene) == 0
    assert first in stories_for_ada(scene), "a letter may tell it again"
    with scene.store.read() as tables:
        logged = tables.log.of(f"contact:{undone.contact.public_id}")
    assert [one.verb for one in logged] == ["touch", "undo"]
    assert logged[1].before["note"] == "She asked for it", "what was written is not lost"
    with pytest.raises(NotFound):
        undo(scene.ports)
    assert touch(scene.ports, ADA, "forward", story_ref=story.public_id).new


def test_a_merged_story_is_passed_on_as_what_it_became(scene: Scene) -> None:
    first, second, _ = scene.story_ids
    with scene.store.write() as tables:
        (story,) = tables.stories.by_ids([first])
        (heir,) = tables.stories.by_ids([second])
        tables.stories._connection.exec_driver_sql(
            f"UPDATE stories SET merged_into = {second} WHERE id = {first}"
        )
    touch(scene.ports, ADA, "forward", story_ref=story.public_id)
    assert [fact["story"] for fact in show_person(scene.ports, ADA).told] == [heir.public_id]


def test_what_cannot_be_is_refused_and_leaves_nothing(scene: Scene) -> None:
    with pytest.raises(BadInput, match="passes a story on"):
        touch(scene.ports, ADA, "forward")
    with pytest.raises(BadInput, match="nothing done by hand"):
        touch(scene.ports, ADA, "letter")
    for minutes in (-1, 10_081, 10**30):
        with pytest.raises(BadInput, match="Minutes"):
            touch(scene.ports, ADA, "visit", minutes=minutes)
    with pytest.raises(NotFound):
        touch(scene.ports, "nobody@northline.example", "note")
    with pytest.raises(NotFound):
        touch(scene.ports, ADA, "forward", story_ref="zzzzzzzz")
    assert not coverage(scene.ports, "ferries")[0].touched
