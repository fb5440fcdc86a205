"""Half a year by itself: clocks go back and forward, a year ends, the machine sleeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.model.catalog import Catalog
from pipeline.ports import Ports
from pipeline.rules.letters.rhythm import beats
from pipeline.scheduler import Ticked, tick
from pipeline.stages.adopt import adopt
from pipeline.wiring import open_ports
from tests.builders import StandingClock
from tests.months.accounts import account, summed
from tests.months.desk import Desk, move_in
from tests.months.world import BEGIN, END, Papers, make_workspace

QUARTER = timedelta(minutes=15)
#: When nothing is near the machine is looked at so often; in truth it would tick on.
FAR = timedelta(hours=20)
NEAR = QUARTER


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc]


#: The machine is off: over a beat by three hours, and over another by three days.
ASLEEP = (
    (utc(2026, 11, 5, 6, 0), utc(2026, 11, 5, 9, 0)),
    (utc(2027, 1, 5, 12, 0), utc(2027, 1, 8, 15, 0)),
)
#: The clock is wrong by so much: an hour over a beat, an hour the other way, and three days.
WRONG = (
    (utc(2026, 11, 18, 12, 0), utc(2026, 11, 19, 12, 0), timedelta(hours=1)),
    (utc(2026, 12, 2, 12, 0), utc(2026, 12, 3, 12, 0), -timedelta(hours=1)),
    (utc(2027, 2, 8, 12, 0), utc(2027, 2, 8, 18, 0), timedelta(days=3)),
)


@dataclass
class Machine:
    """Ticks through the months; `clock` is what it believes."""

    ports: Ports
    clock: StandingClock
    papers: Papers
    desk: Desk = field(default_factory=Desk)
    ticks: list[tuple[datetime, Ticked, int]] = field(default_factory=list)

    def live(self) -> None:
        for moment in looks(self.ports.catalog):
            self.clock.at = moment + wrong_by(moment)
            before = self.papers.asked
            ticked = tick(self.ports)
            self.ticks.append((moment, ticked, self.papers.asked - before))
            self.desk.act(self.ports)


def wrong_by(moment: datetime) -> timedelta:
    return sum((by for since, to, by in WRONG if since <= moment < to), timedelta(0))


def looks(catalog: Catalog) -> Iterator[datetime]:
    """Quarter hours at which something may be due, and one now and then in between."""
    near = sorted(marked(catalog))
    moment, far = BEGIN, BEGIN
    while moment < END:
        while near and near[0] < moment - NEAR:
            near.pop(0)
        is_near = bool(near) and abs(near[0] - moment) <= NEAR
        asleep = any(since <= moment < to for since, to in ASLEEP)
        if not asleep and (is_near or moment >= far):
            yield moment
            far = moment + FAR
        moment += QUARTER


def marked(catalog: Catalog) -> Iterator[datetime]:
    """When issues open, close, and leave; when the machine wakes, and the clock changes."""
    for newsletter in catalog.constellations[0].newsletters:
        for beat in beats(newsletter.rhythm, catalog.firm.holidays, BEGIN.date(), END.date()):
            yield beat.due_at
            yield beat.due_at - timedelta(hours=newsletter.cut_off_h)
            yield beat.due_at - timedelta(days=newsletter.lead_days)
            if newsletter.mode == "automatic":
                yield beat.due_at - timedelta(hours=newsletter.review_window_h)
    yield from (to for _, to in ASLEEP)
    for since, to, _ in WRONG:
        yield from (since, to)


@contextmanager
def at_work(folder: Path) -> Iterator[Machine]:
    with open_ports(folder, actor="asterism") as ports:
        clock = StandingClock(BEGIN)
        papers = Papers(clock.now)
        ports = replace(ports, clock=clock, fetcher=papers)
        adopt(ports)
        move_in(ports)
        yield Machine(ports, clock, papers)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    for name in ("ASTERISM_DATABASE_URL", "ASTERISM_TRANSPORT", "ASTERISM_NOW", "ASTERISM_SECRET"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "quay"
    make_workspace(folder)
    with at_work(folder) as machine:
        yield machine


def test_half_a_year_is_accounted_for(machine: Machine) -> None:
    machine.live()
    told = account(machine.ports.workspace.root, machine.ports.catalog, machine.clock.now())
    assert told.problems == [], told.text()
    assert machine.desk.held == []
    states = summed(told.lines)
    weekly, monthly = told.lines
    assert weekly.planned >= 22
    assert weekly.states["kept"] >= 12
    assert weekly.states["skipped"] == 3, "Christmas Eve, New Year's Eve, Maundy Thursday"
    assert weekly.states["missed"] >= 6, "forgotten, stopped, slept through"
    assert monthly.states["kept"] >= 4
    assert states["kept"] + states["missed"] + states["skipped"] + states["planned"] == sum(
        line.planned for line in told.lines
    )
    assert told.copies > 0
    assert_no_burst(machine)


def assert_no_burst(machine: Machine) -> None:
    """After a sleep, or a jump of the clock, each job runs once, and each source is asked once."""
    sources = len(machine.ports.catalog.sources)
    for moment, ticked, asked in machine.ticks:
        jobs = [run.job for run in ticked.runs]
        assert len(set(jobs)) == len(jobs), moment
        assert asked <= sources, moment
        sent = [
            run.detail for run in ticked.runs if run.job == "deliver" and " is sent" in run.detail
        ]
        assert all(detail.count(" is sent") <= 2 for detail in sent), (moment, sent)
