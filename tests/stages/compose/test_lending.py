"""An automatic issue borrows from drafts that nobody has worked on, and damages none of them."""

from __future__ import annotations

from datetime import timedelta
from email import message_from_bytes, policy

import pytest

from pipeline.model.letters import Issue
from pipeline.stages.compose import approve, compose_automatic, edit, open_issues, show, stop
from pipeline.stages.curate import edit as write
from pipeline.stages.curate import export, import_file, keep, remove, undo
from pipeline.stages.deliver import deliver
from pipeline.stages.notify import send_notices
from tests.builders import DUE, NOW
from tests.compose_automatic import MONTH, MONTH_DUE, REVIEW_AT, month_scene, open_month
from tests.compose_scene import Scene

WEEKLY = "ferry-weekly"
TITLES = ("one", "two", "three", "four", "five")


@pytest.fixture
def scene(store, tmp_path) -> Scene:
    """A weekly draft has all that the pool has, and the month of the same people is near."""
    scene = month_scene(store, tmp_path, recap_of="", fallback="headlines")
    scene.people()
    pool(scene)
    open_month(scene)
    assert len(scene.snippets(WEEKLY)) == len(TITLES)
    return scene


def pool(scene: Scene) -> None:
    for number, title in enumerate(TITLES):
        scene.story(f"Quay {title} opens an hour earlier", at=DUE, score=10 - number)


def titles(scene: Scene, ref: str = MONTH) -> list[str]:
    return [snippet.title.split()[1] for snippet in scene.snippets(ref)]


def compose(scene: Scene) -> Issue:
    compose_automatic(scene.ports)
    send_notices(scene.ports)
    return scene.issue(MONTH)


def ref_of(scene: Scene, number: int) -> str:
    with scene.store.read() as tables:
        (story,) = tables.stories.by_ids([scene.story_ids[number]])
    return story.public_id


def links_to(tmp_path, reader: str) -> dict[str, list[str]]:
    """Issue → the stories whose sources this reader's copy links to."""
    found: dict[str, list[str]] = {}
    for ref in ("ferry-month/1", "ferry-weekly/1"):
        for path in (tmp_path / "mail" / ref).glob("*.eml"):
            mail = message_from_bytes(path.read_bytes(), policy=policy.SMTP)
            address = mail["To"].addresses[0].addr_spec
            if address.startswith(f"{reader}@") and mail["List-Unsubscribe"]:
                text = mail.get_body(("html",)).get_content()
                found[ref] = [
                    title
                    for number, title in enumerate(TITLES, start=1)
                    if f"coastwire.example/{number}" in text
                ]
    return found


def weekly_is_written(scene: Scene) -> None:
    scene.finish()
    approve(scene.ports, f"{WEEKLY}/1")


def test_it_borrows_the_best_up_to_its_floor_and_leaves_the_draft_as_it_is(scene):
    before = scene.snippets(WEEKLY), scene.issue(WEEKLY)
    assert compose(scene).state == "scheduled"
    assert titles(scene) == ["one", "two"]
    assert [s.section for s in scene.snippets(MONTH)] == ["noted", "noted"]
    assert (scene.snippets(WEEKLY), scene.issue(WEEKLY)) == before
    with scene.store.read() as tables:
        composed = [
            operation.after for operation in tables.log.of(f"issue:{scene.issue(MONTH).public_id}")
            if operation.verb == "compose"
        ]  # fmt: skip
    assert [after["from_drafts"] for after in composed] == [2]


def test_what_the_pool_has_open_comes_first(scene):
    scene.story("Quay six opens an hour earlier", at=DUE, score=0.1)
    compose(scene)
    assert titles(scene) == ["six", "one"]


def test_with_enough_of_its_own_it_borrows_nothing(scene):
    for title in ("six", "seven"):
        scene.story(f"Quay {title} opens an hour earlier", at=DUE, score=0.1)
    compose(scene)
    assert titles(scene) == ["six", "seven"]


def test_where_headlines_make_up_for_nothing_it_borrows_nothing(store, tmp_path):
    scene = month_scene(store, tmp_path, recap_of="", fallback="skip")
    scene.people()
    pool(scene)
    open_month(scene)
    assert compose(scene).reason == "there is nothing new to tell"
    assert titles(scene) == []


def test_nobody_is_told_a_story_by_the_month_and_by_the_weekly(scene, tmp_path):
    """The month goes first; the weekly is curated and sent, without what its readers had."""
    compose(scene)
    scene.person("Gil", "skagen-ruter")  # after the month was frozen: gets the weekly alone
    weekly_is_written(scene)
    scene.at(MONTH_DUE)
    deliver(scene.ports)
    scene.at(DUE + timedelta(days=7))
    deliver(scene.ports)
    assert (scene.issue(MONTH).state, scene.issue(WEEKLY).state) == ("sent", "sent")
    had = {"ferry-month/1": ["one", "two"], "ferry-weekly/1": ["three", "four", "five"]}
    assert links_to(tmp_path, "ada") == links_to(tmp_path, "dag") == had
    assert links_to(tmp_path, "gil") == {"ferry-weekly/1": list(TITLES)}


def test_the_month_that_is_stopped_takes_nothing_from_the_weekly(scene, tmp_path):
    compose(scene)
    stop(scene.acting("eva"), MONTH, "a typo")
    weekly_is_written(scene)
    scene.at(DUE + timedelta(days=7))
    deliver(scene.ports)
    assert links_to(tmp_path, "ada") == {"ferry-weekly/1": list(TITLES)}


def test_the_other_way_round_what_the_weekly_has_for_good_is_not_borrowed(scene, tmp_path):
    weekly_is_written(scene)
    issue = compose(scene)
    assert (issue.state, titles(scene)) == ("draft", [])
    assert issue.reason == "there is nothing new to tell"
    scene.at(DUE + timedelta(days=7))
    deliver(scene.ports)
    assert links_to(tmp_path, "ada") == {"ferry-weekly/1": list(TITLES)}


def test_a_recap_still_goes_to_nobody_who_had_the_parts(store, tmp_path):
    """Ada had the first weekly; the recap borrows from the second, and goes to Fay alone."""
    scene = month_scene(store, tmp_path, fallback="headlines")
    ada = scene.person("Ada", "northline")
    for number in (1, 2):
        scene.story(f"Quay {number} sells its clock", score=9)
    open_issues(scene.ports)
    scene.finish()
    approve(scene.ports, WEEKLY)
    scene.at(DUE)
    deliver(scene.ports)
    scene.person("Fay", "blue-strait")
    with scene.store.write() as tables:  # of its words nothing is left to copy
        for snippet in tables.snippets.of_issue(scene.issue(f"{WEEKLY}/1").id):
            tables.stories.set_dropped("ferries", snippet.story_id, DUE, "eva")
    scene.story("Quay three is painted", at=DUE)
    scene.story("Quay four is painted", at=DUE)
    open_month(scene)
    assert titles(scene, f"{WEEKLY}/2") == ["three", "four"]
    assert compose(scene).state == "scheduled"
    assert titles(scene) == ["three", "four"]
    found = {verdict.contact_id: verdict.reason for verdict in show(scene.ports, MONTH).verdicts}
    assert found.pop(ada.id) == "had_recap"
    assert set(found.values()) == {"in"}


# ── what counts as work ──────────────────────────────────────────────────────────────────


def by_file(scene: Scene) -> None:
    eva = scene.acting("eva")
    text = export(eva, WEEKLY)
    assert "### Our take\n" in text
    import_file(eva, text.replace("### Our take\n", "### Our take\nWe would wait.\n", 1), "w.md")


WORK = {
    "a take": lambda s: write(s.acting("eva"), WEEKLY, ref_of(s, 4), {"take": "We would wait."}),
    "a title": lambda s: write(s.acting("eva"), WEEKLY, ref_of(s, 4), {"title": "Quay 5 wakes"}),
    "out": lambda s: remove(s.acting("eva"), WEEKLY, ref_of(s, 4)),
    "down": lambda s: keep(s.acting("eva"), WEEKLY, ref_of(s, 4), section="noted"),
    "another": lambda s: keep(s.acting("eva"), WEEKLY, added(s)),
    "its head": lambda s: edit(s.acting("liv"), WEEKLY, {"theme": "A week of waiting"}),
    "a file": by_file,
    "and back": lambda s: (
        write(s.acting("eva"), WEEKLY, ref_of(s, 4), {"take": "We would wait."}),
        undo(s.acting("eva")),
    ),
}


def added(scene: Scene) -> str:
    scene.story("Quay nine opens an hour earlier", at=REVIEW_AT - timedelta(days=60))
    return ref_of(scene, 5)


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_a_draft_that_somebody_works_on_keeps_its_stories(scene, work):
    work(scene)
    compose(scene)
    # what was taken out of the weekly is anybody's again
    assert set(titles(scene)) <= {"five"} - set(titles(scene, WEEKLY))


def test_what_was_borrowed_is_given_up_when_somebody_begins_to_work(store, tmp_path):
    """The month is held back over night; in the morning the curator opens the weekly."""
    scene = month_scene(store, tmp_path, recap_of="", fallback="headlines", floor=6, ceiling=8)
    scene.people()
    pool(scene)
    open_month(scene)
    held = compose(scene)
    assert held.reason == "5 of the 6 stories that it needs, headlines counted"
    assert titles(scene) == list(TITLES)
    scene.story("Quay six opens an hour earlier", at=DUE)
    WORK["a take"](scene)
    assert compose(scene).reason == "1 of the 6 stories that it needs, headlines counted"
    assert titles(scene) == ["six"]
    assert titles(scene, WEEKLY) == list(TITLES)


def test_what_it_took_by_itself_is_kept_from_no_weekly_that_opens_meanwhile(store, tmp_path):
    """The month is held back with its headlines; the weekly is pre-filled with the same stories."""
    scene = month_scene(
        store, tmp_path, recap_of="", fallback="headlines", floor=6, ceiling=8,
        lead_days=6, review_window_h=140,
    )  # fmt: skip
    scene.people()
    open_issues(scene.ports)  # the weekly of this week, while the pool is empty
    scene.at(DUE - timedelta(hours=18))
    for number, title in enumerate(TITLES):
        scene.story(f"Quay {title} opens an hour earlier", at=NOW, score=10 - number)
    open_issues(scene.ports)
    assert compose(scene).reason == "5 of the 6 stories that it needs, headlines counted"
    scene.at(MONTH_DUE - timedelta(days=3))
    open_issues(scene.ports)
    assert titles(scene, f"{WEEKLY}/2") == titles(scene) == list(TITLES)
