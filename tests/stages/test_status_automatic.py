"""What status, show and explain say of an issue that composes itself, at each of its moments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.stages.compose import approve, compose_automatic, show, stop
from pipeline.stages.explain import explain_issue
from pipeline.stages.status import status
from pipeline.stores.sql import SqlStore
from tests.builders import SECRET
from tests.compose_automatic import (
    MONTH,
    MONTH_DUE,
    REVIEW_AT,
    month_scene,
    open_month,
    weekly_goes_out,
)
from tests.compose_scene import Scene

COMPOSES = "Monday 15 March 2027, 08:00"
GOES = "Tuesday 16 March 2027, 08:00"


@pytest.fixture
def store(sqlite_url: str) -> Iterator[SqlStore]:
    """The words do not hang on the database."""
    store = SqlStore(sqlite_url, SECRET)
    yield store
    store.close()


@pytest.fixture
def scene(store: SqlStore, tmp_path: Path) -> Scene:
    return month_scene(store, tmp_path)


def step(scene: Scene) -> tuple[str, str]:
    """What status says of the month, and its command."""
    steps = [(one.what, one.command) for one in status(scene.ports).next]
    return next(pair for pair in steps if pair[0].startswith("The Month at the Quays (no. 1)"))


def explained(scene: Scene) -> str:
    steps = explain_issue(scene.ports, MONTH).steps
    return "\n".join(f"{one.what}\n{one.detail}" for one in steps)


def test_before_its_review(scene):
    open_month(scene, REVIEW_AT - timedelta(hours=30))
    assert f"composes itself on {COMPOSES} and goes out on {GOES}" in step(scene)[0]
    said = show(scene.ports, MONTH).next_step
    assert said.startswith(f"Nothing: it composes itself on {COMPOSES} (Europe/Oslo)")
    assert f"it composes itself on {COMPOSES}" in explained(scene)
    assert "24 hours to look at it and stop it" in explained(scene)


def test_when_nobody_runs_the_jobs(scene):
    open_month(scene, REVIEW_AT + timedelta(hours=1))
    what, command = step(scene)
    assert "composes itself as soon as the jobs run" in what
    assert command == "asterism tick"


def test_while_it_is_held_back(scene):
    open_month(scene)
    compose_automatic(scene.ports)
    what, command = step(scene)
    assert "is held back: there is nothing new to tell. It is tried again by itself" in what
    assert command == f"asterism issue show {MONTH}/1"
    assert "It is held back: there is nothing new to tell" in show(scene.ports, MONTH).next_step
    assert "there is nothing new to tell" in explained(scene)


def test_while_it_is_reviewed(scene):
    weekly_goes_out(scene)
    scene.person("Fay", "northline")
    open_month(scene, REVIEW_AT + timedelta(hours=1))
    compose_automatic(scene.ports)
    what, command = step(scene)
    until = "Tuesday 16 March 2027, 09:00"
    assert f"composed itself and goes out on {until}, unless somebody stops it" in what
    assert command == f"asterism issue stop {MONTH}/1"
    assert f"It goes by itself on {until}" in show(scene.ports, MONTH).next_step
    assert f"people look at it until {until}" in explained(scene)
    assert "automatic composed it" in explained(scene)
    stop(scene.ports, MONTH)
    assert "It composed itself\npeople could look at it until" in explained(scene)
    approve(scene.ports, MONTH)
    assert "omposes itself" not in explained(scene)


def test_when_its_time_is_past(scene):
    open_month(scene)
    compose_automatic(scene.ports)
    scene.at(MONTH_DUE + timedelta(minutes=1))
    compose_automatic(scene.ports)
    said = [one.what for one in status(scene.ports).next]
    assert any("did not go out" in what and "nothing new to tell" in what for what in said)
    assert show(scene.ports, MONTH).next_step.startswith("Nothing: it is missed.")
