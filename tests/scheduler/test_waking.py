"""The rounds: how often, what they take over, what they tell, and how they end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from pipeline.errors import BadInput, Conflict, Down
from pipeline.parsers.local import LocalParser
from pipeline.ports import Ports
from pipeline.scheduler import Rounds, pace, refuse_unsafe, tick
from pipeline.stages.adopt import adopt
from pipeline.stores.sql import SqlStore
from pipeline.transports.file import FileTransport
from pipeline.workspace.files import FileWorkspace
from tests.builders import SECRET, StandingClock
from tests.months.world import Papers, make_workspace
from tests.people_scene import ports_of


@pytest.fixture
def store(sqlite_url: str) -> Iterator[SqlStore]:
    store = SqlStore(sqlite_url, SECRET)
    yield store
    store.close()


@pytest.fixture
def ports(store: SqlStore, tmp_path: Path) -> Iterator[Ports]:
    folder = tmp_path / "quay"
    make_workspace(folder)
    files, clock, parser = FileWorkspace(folder), StandingClock(), LocalParser()
    ports = replace(
        ports_of(store, files.catalog(), clock=clock),
        workspace=files, fetcher=Papers(clock.now), transport=FileTransport(tmp_path / "mail"),
        parser=parser,
    )  # fmt: skip
    adopt(ports)
    yield ports
    parser.close()


@dataclass
class Asked:
    """Says stop when it is told to."""

    stop: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> bool:
        return self.stop.is_set()


def until(happened: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("speed", "seconds"), [(0, 15), (1, 15), (4, 15), (60, 1), (600, 0.1), (1_000_000, 0.05)]
)
def test_a_fast_clock_is_looked_at_more_often(speed: float, seconds: float) -> None:
    assert pace(speed) == seconds


def test_files_are_taken_over_once_they_lie_still(
    ports: Ports, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rounds = Rounds(ports, 60)
    firm = ports.workspace.root / "firm.yaml"
    rounds.tick()
    assert rounds.ports() is ports
    firm.write_text(firm.read_text("utf-8").replace("Quay & Tide\n", "Berth & Buoy\n"), "utf-8")
    rounds.tick()
    assert rounds.ports() is ports, "somebody may still be writing"
    rounds.tick()
    assert rounds.ports().catalog.firm.name == "Berth & Buoy"
    with ports.store.read() as tables:
        assert tables.catalog.digest() == rounds.ports().catalog.digest
    in_force = rounds.ports()
    rounds.tick()
    assert rounds.ports() is in_force
    assert caplog.text.count("the files changed and are in force") == 1


def test_a_broken_file_is_told_once_and_the_last_good_one_stays(
    ports: Ports, caplog: pytest.LogCaptureFixture
) -> None:
    rounds = Rounds(ports, 60)
    feeds = ports.workspace.root / "feeds.yaml"
    good = feeds.read_text("utf-8")
    feeds.write_text(good.replace("https://coastwire.example", "coastwire"), "utf-8")
    for _ in range(4):
        rounds.tick()
    assert rounds.ports() is ports
    assert caplog.text.count("The last good files stay in force") == 1
    assert "feeds.yaml:4:" in caplog.text
    feeds.write_text(good.replace("Coast Wire", "Coast Wire and Post"), "utf-8")
    rounds.tick()
    rounds.tick()
    assert rounds.ports().catalog.sources[0].name == "Coast Wire and Post"


def test_a_tick_that_breaks_is_logged_and_the_next_one_comes(
    ports: Ports, caplog: pytest.LogCaptureFixture
) -> None:
    class Away:
        error: Exception = Down("The database does not answer.")

        def read(self) -> object:
            raise self.error

    away = Away()
    rounds = Rounds(replace(ports, store=away), 60)  # type: ignore[arg-type]
    rounds.tick()
    assert "the jobs could not be looked at: The database does not answer." in caplog.text
    away.error = RuntimeError("broken")
    rounds.tick()
    assert "a tick broke" in caplog.text
    assert rounds.is_idle


def test_it_ticks_at_once_and_again_and_ends_when_asked(ports: Ports) -> None:
    asked = Asked()
    ticks: list[float] = []

    class Counted(FileWorkspace):
        def stamp(self) -> str:
            ticks.append(time.monotonic())
            return super().stamp()

    counted = Counted(ports.workspace.root)
    rounds = Rounds(replace(ports, workspace=counted, stopping=asked), 0.05)
    with rounds.going():
        until(lambda: len(ticks) > 4)
        asked.stop.set()
    seen = len(ticks)
    assert rounds.is_idle
    rounds.tick()
    assert len(ticks) == seen, "who is to stop begins nothing"


def test_who_ends_waits_for_the_running_job(ports: Ports) -> None:
    begun, ended = threading.Event(), threading.Event()

    class Slow(Papers):
        def fetch(self, requests):  # type: ignore[no-untyped-def]
            begun.set()
            time.sleep(0.3)
            yield from super().fetch(requests)
            ended.set()

    rounds = Rounds(replace(ports, fetcher=Slow(ports.clock.now)), 60)
    with rounds.going():
        assert begun.wait(60)
        assert not rounds.is_idle
        assert rounds.trouble() == ""
    assert ended.is_set()
    assert rounds.is_idle


def test_after_the_clock_was_set_back_it_still_wakes(ports: Ports) -> None:
    """To APScheduler the next waking then lies days ahead, which a changed job shows as well."""
    rounds = Rounds(ports, 0.2)
    wakes = BackgroundScheduler(timezone=UTC)
    woken = threading.Event()
    ended = threading.Event()
    wakes.add_job(woken.set, "interval", days=3, id="tick")  # again and again, as in the service
    watch = threading.Thread(target=rounds._keep_awake, args=(wakes, ended))
    wakes.start()
    watch.start()
    try:
        assert woken.wait(60)
    finally:
        ended.set()
        watch.join()
        wakes.shutdown()


def test_a_scheduler_without_a_tick_is_in_trouble(ports: Ports) -> None:
    rounds = Rounds(ports, 0.01)
    assert rounds.trouble() == ""
    rounds._ended -= 3_600
    assert rounds.trouble() == "the scheduler has not ticked lately"
    rounds.tick()
    assert rounds.trouble() == ""


# ── a clock too far ahead ────────────────────────────────────────────────────────────────


FAR = timedelta(days=1_095)


def later(ports: Ports, by: timedelta) -> Ports:
    return replace(ports, clock=StandingClock(ports.clock.now() + by))


def last_job(ports: Ports) -> datetime | None:
    with ports.store.read() as tables:
        states = tables.jobs.states().values()
    return max((state.finished_at for state in states if state.finished_at), default=None)


def issues_of(ports: Ports) -> int:
    with ports.store.read() as tables:
        return len(tables.letters.issues())


def test_a_tick_does_not_believe_a_clock_far_ahead(ports: Ports) -> None:
    tick(ports)
    ahead, marked, issues = later(ports, FAR), last_job(ports), issues_of(ports)
    for _ in range(2):
        with pytest.raises(Conflict, match="The clock stands 1,095 days ahead") as refused:
            tick(ahead)
        assert "asterism tick --after-pause" in refused.value.hint
    assert (last_job(ports), issues_of(ports)) == (marked, issues)
    tick(later(ports, timedelta(minutes=10)))
    assert last_job(ports) == ports.clock.now() + timedelta(minutes=10), "mended, it goes on"


@pytest.mark.parametrize("slept", [timedelta(days=3), timedelta(days=31)])
def test_a_machine_that_slept_catches_up_by_itself(ports: Ports, slept: timedelta) -> None:
    tick(ports)
    woken = later(ports, slept)
    assert tick(woken).runs
    assert last_job(ports) == woken.clock.now()


def test_a_pause_is_confirmed_once(ports: Ports) -> None:
    tick(ports)
    after = later(ports, timedelta(days=40))
    assert tick(after, after_pause=True).runs
    tick(later(after, timedelta(hours=1)))
    with pytest.raises(Conflict, match="The clock stands 40 days ahead"):
        tick(later(after, timedelta(days=40, hours=1)))


@pytest.mark.parametrize("how", ["mended", "confirmed"])
def test_rounds_tell_a_leap_once_and_go_on_by_themselves(
    ports: Ports, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    caplog.set_level(logging.INFO)
    clock = StandingClock(ports.clock.now())
    here = replace(ports, clock=clock)
    rounds = Rounds(here, 60)
    rounds.tick()
    marked = last_job(ports)
    clock.at += FAR
    for _ in range(3):
        rounds.tick()
    assert last_job(ports) == marked
    assert caplog.text.count("The clock stands 1,095 days ahead") == 1
    assert "asterism tick --after-pause" in caplog.text
    assert rounds.is_idle
    assert rounds.trouble().startswith("The clock stands 1,095 days ahead")
    if how == "mended":
        clock.at += timedelta(minutes=10) - FAR
    else:
        tick(here, after_pause=True)
        clock.at += timedelta(minutes=10)
    rounds.tick()
    assert rounds.trouble() == ""
    assert last_job(ports) == clock.at
    assert caplog.text.count("the clock is believed again") == 1


def test_rounds_that_are_told_of_a_pause_believe_one_leap(ports: Ports) -> None:
    tick(ports)
    clock = StandingClock(ports.clock.now() + timedelta(days=40))
    rounds = Rounds(replace(ports, clock=clock), 60, after_pause=True)
    rounds.tick()
    assert last_job(ports) == clock.at
    clock.at += timedelta(minutes=10)
    rounds.tick()
    assert (last_job(ports), rounds.trouble()) == (clock.at, "")
    clock.at += FAR
    rounds.tick()
    assert rounds.trouble().startswith("The clock stands 1,095 days ahead")


@pytest.mark.parametrize(
    ("name", "base_url", "is_safe"),
    [
        ("file", "http://letters.quaytide.example", True),
        ("smtp", "https://letters.quaytide.example", True),
        ("smtp", "http://letters.quaytide.example", False),
        ("sendgrid", "http://localhost:8000", False),
        ("sendgrid", "", False),
    ],
)
def test_letters_leave_only_with_a_sealed_address(
    ports: Ports, name: str, base_url: str, is_safe: bool
) -> None:
    @dataclass
    class Named:
        name: str

    firm = replace(ports.catalog.firm, base_url=base_url)
    these = replace(
        ports,
        transport=Named(name),
        catalog=replace(ports.catalog, firm=firm),  # type: ignore[arg-type]
    )
    if is_safe:
        refuse_unsafe(these)
        return
    with pytest.raises(BadInput, match=f"Mail leaves by {name}") as refused:
        refuse_unsafe(these)
    assert "firm.yaml" in refused.value.hint
