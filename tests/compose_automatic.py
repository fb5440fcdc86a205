"""A weekly that people write and a month that composes itself, over the ferry companies."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from pipeline.model.catalog import Catalog, Rhythm
from pipeline.model.letters import Issue
from pipeline.stages.compose import approve, open_issues
from pipeline.stages.deliver import deliver
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, FERRIES, WEEKLY
from tests.compose_scene import REF, Scene, build_scene

MONTH = "ferry-month"
MONTHLY = replace(
    WEEKLY,
    key=MONTH,
    title="The Month at the Quays",
    # the Tuesday after the weekly's Thursday
    rhythm=Rhythm("monthly", "Europe/Oslo", time(8, 0), date(2027, 3, 16), weekday=1, nth=3),
    mode="automatic",
    recap_of=REF,
    lead_days=4,
    cut_off_h=48,
    deadline_h=4,
    review_window_h=24,
    floor=2,
    ceiling=5,
)
MONTH_DUE = datetime.fromisoformat("2027-03-16T08:00:00+01:00")
REVIEW_AT = MONTH_DUE - timedelta(hours=24)


def catalog(**changes: Any) -> Catalog:
    """Both newsletters; the changes are the month's."""
    both = (WEEKLY, replace(MONTHLY, **changes))
    return replace(CATALOG, constellations=(replace(FERRIES, newsletters=both),))


def month_scene(store: SqlStore, folder: Path, **changes: Any) -> Scene:
    return build_scene(store, folder, catalog(**changes))


def weekly_goes_out(scene: Scene, titles: tuple[str, ...] = ("one", "two", "three")) -> Issue:
    """A weekly with commentary on these stories, and its copies have left."""
    for number, title in enumerate(titles):
        scene.story(f"Quay {title} opens an hour earlier", score=10 - number)
    open_issues(scene.ports)
    issue = scene.finish()
    approve(scene.ports, issue.ref)
    scene.at(issue.due_at)
    deliver(scene.ports)
    return scene.issue(issue.ref)


def open_month(scene: Scene, at: datetime = REVIEW_AT) -> Issue:
    """The month's issue, opened in time; then the clock stands at the start of its review."""
    scene.at(MONTH_DUE - timedelta(days=3))
    open_issues(scene.ports)
    scene.at(at)
    return scene.issue(MONTH)


def month_before_review(store: SqlStore, folder: Path) -> Scene:
    """A weekly went out, Fay came after it, and the month stands before its review."""
    scene = month_scene(store, folder)
    scene.people()
    weekly_goes_out(scene)
    scene.person("Fay", "northline")
    open_month(scene)
    return scene
