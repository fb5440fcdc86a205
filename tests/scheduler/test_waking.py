"""The rounds: how often, what they take over, what they tell, and how they end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from pipeline.errors import BadInput, Conflict, Down
from pipeline.model.news import Answer, Request
from pipeline.model.running import JobState
from pipeline.parsers.local import LocalParser
from pipeline.ports import Ports
from pipeline.scheduler import Rounds, pace, refuse_unsafe, tick
from pipeline.scheduler.table import LANES, Lane
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


def both(rounds: Rounds) -> None:
    """One waking of each lane, one after the other."""
    rounds.tick("letters")
    rounds.tick("news")


def state_of(ports: Ports, name: str) -> JobState | None:
    with ports.store.read() as tables:
        return tables.jobs.states().get(name)


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
    both(rounds)
    assert rounds.ports() is ports
    firm.write_text(firm.read_text("utf-8").replace("Quay & Tide\n", "Berth & Buoy\n"), "utf-8")
    both(rounds)
    assert rounds.ports() is ports, "somebody may still be writing"
    both(rounds)
    assert rounds.ports().catalog.firm.name == "Berth & Buoy"
    with ports.store.read() as tables:
        assert tables.catalog.digest() == rounds.ports().catalog.digest
    in_force = rounds.ports()
    both(rounds)
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
        both(rounds)
    assert rounds.ports() is ports
    assert caplog.text.count("The last good files stay in force") == 1
    assert "feeds.yaml:4:" in caplog.text
    feeds.write_text(good.replace("Coast Wire", "Coast Wire and Post"), "utf-8")
    both(rounds)
    both(rounds)
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
    both(rounds)
    for lane in ("letters", "news"):
        said = f"{lane}: the jobs could not be looked at: The database does not answer."
        assert said in caplog.text
    away.error = RuntimeError("broken")
    both(rounds)
    assert "letters: a tick broke" in caplog.text
    assert "news: a tick broke" in caplog.text
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
    both(rounds)
    assert len(ticks) == seen, "who is to stop begins nothing"


def test_who_ends_waits_for_the_running_job(ports: Ports) -> None:
    begun, ended = threading.Event(), threading.Event()

    class Slow(Papers):
        def fetch(self, requests):  # type: ignore[no-untyped-def]
            begun.set()
            until(rounds._is_ending)  # and only then the job goes on
            try:
                yield from super().fetch(requests)
            finally:
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


# ── two lanes ────────────────────────────────────────────────────────────────────────────


class Held(Papers):
    """Sources that answer when they are let: the first one at once, if it is to."""

    def __init__(self, now: Callable[[], datetime], at_once: int = 0) -> None:
        super().__init__(now)
        self.at_once = at_once
        self.keys: list[str] = []
        self.begun, self.may_go = threading.Event(), threading.Event()

    def fetch(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Answer]]:
        for number, answer in enumerate(super().fetch(requests)):
            if number == self.at_once:
                self.begun.set()
                assert self.may_go.wait(60)
            self.keys.append(answer[0].key)
            yield answer


def test_letters_do_not_wait_for_a_source_that_hangs(ports: Ports) -> None:
    held = Held(ports.clock.now)
    rounds = Rounds(replace(ports, fetcher=held), 0.05)
    with rounds.going():
        try:
            until(lambda: state_of(ports, "tidy"))  # the last of the letters
            assert held.begun.wait(60)
            assert state_of(ports, "gather") is None
            assert rounds.trouble() == ""
            assert not rounds.is_idle
        finally:
            held.may_go.set()
        until(lambda: state_of(ports, "sift"))
    assert rounds.is_idle


def test_both_lanes_end_at_their_next_good_place(ports: Ports) -> None:
    """The news are in the midst of it, and two of its sources are not asked any more."""
    asked = Asked()
    held = Held(ports.clock.now, at_once=1)
    rounds = Rounds(replace(ports, fetcher=held, stopping=asked), 0.05)
    with rounds.going():
        assert held.begun.wait(60)
        asked.stop.set()
        held.may_go.set()
    assert rounds.is_idle
    assert len(held.keys) == 2, "the answer that was there, and the one that came"
    gathered = state_of(ports, "gather")
    assert gathered is not None
    assert gathered.next_at == ports.clock.now(), "it is due again at once"
    assert state_of(ports, "sift") is None


def test_who_ends_without_a_word_begins_nothing_more(ports: Ports) -> None:
    """The pages broke, say: nobody was asked to stop."""
    held = Held(ports.clock.now)
    rounds = Rounds(replace(ports, fetcher=held), 0.05)

    def serve() -> None:
        with rounds.going():
            assert held.begun.wait(60)
            held.may_go.set()
            raise RuntimeError("the pages broke")

    with pytest.raises(RuntimeError):
        serve()
    assert rounds.is_idle
    both(rounds)
    assert state_of(ports, "sift") is None


def test_news_go_on_with_new_files_at_their_next_good_place(ports: Ports) -> None:
    held = Held(ports.clock.now)
    rounds = Rounds(replace(ports, fetcher=held), 60)
    feeds = ports.workspace.root / "feeds.yaml"
    news = threading.Thread(target=rounds.tick, args=("news",))
    news.start()
    try:
        assert held.begun.wait(60)
        rounds.tick("letters")
        feeds.write_text(feeds.read_text("utf-8").replace("Coast Wire", "Coast Wire & Post"))
        rounds.tick("letters")
        rounds.tick("letters")
        assert rounds.ports() is not ports
    finally:
        held.may_go.set()
        news.join()
    assert len(held.keys) == 1
    assert state_of(ports, "sift") is None, "no job begins with the old files"
    rounds.tick("news")
    assert len(held.keys) == len(set(held.keys)) == len(ports.catalog.sources)
    assert state_of(ports, "sift") is not None


def test_issues_wait_for_the_news_after_a_start_and_after_a_sleep(ports: Ports) -> None:
    clock = StandingClock(ports.clock.now())
    rounds = Rounds(replace(ports, clock=clock), 60)
    for _ in range(2):
        rounds.tick("letters")
    assert state_of(ports, "tidy") is not None
    assert state_of(ports, "open") is None
    assert state_of(ports, "automatic") is None
    both(rounds)
    rounds.tick("letters")
    first = state_of(ports, "open")
    assert first is not None
    clock.at += timedelta(days=3)
    rounds.tick("letters")
    assert state_of(ports, "open") == first, "what lies here is three days old"
    both(rounds)
    rounds.tick("letters")
    second = state_of(ports, "open")
    assert second is not None
    assert second.finished_at == clock.at


def test_issues_wait_while_another_process_is_at_the_news(ports: Ports) -> None:
    now = ports.clock.now()
    with ports.store.write() as tables:
        lease = tables.jobs.take("gather", "another machine|1|a", now + timedelta(minutes=9), now)
    assert lease is not None
    rounds = Rounds(ports, 60)
    both(rounds)
    both(rounds)
    assert state_of(ports, "open") is None
    with ports.store.write() as tables:
        tables.jobs.let_go(lease)
    both(rounds)
    rounds.tick("letters")
    assert state_of(ports, "open") is not None


def test_issues_do_not_wait_for_the_news_for_long(ports: Ports) -> None:
    clock = StandingClock(ports.clock.now())
    rounds = Rounds(replace(ports, clock=clock), 60)
    rounds.tick("letters")
    clock.at += timedelta(minutes=59)
    rounds.tick("letters")
    assert state_of(ports, "open") is None
    clock.at += timedelta(minutes=1)
    rounds.tick("letters")
    assert state_of(ports, "open") is not None
    assert state_of(ports, "automatic") is not None


@pytest.mark.parametrize("lane", LANES)
def test_a_lane_without_a_tick_is_in_trouble(ports: Ports, lane: Lane) -> None:
    rounds = Rounds(ports, 0.01)
    assert rounds.trouble() == ""
    rounds._watches[lane]._ended -= 3_600
    assert rounds.trouble() == f"the scheduler has not looked at the {lane} lately"
    rounds.tick(lane)
    assert rounds.trouble() == ""


def test_a_lane_that_does_not_come_back_is_in_trouble(ports: Ports) -> None:
    rounds = Rounds(ports, 60)
    watch = rounds._watches["news"]
    with watch.at_work():
        assert rounds.trouble() == ""
        watch._began -= 3 * 3_600
        assert rounds.trouble() == "the scheduler has been at the news for hours"
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
    both(rounds)
    marked = last_job(ports)
    clock.at += FAR
    for _ in range(3):
        both(rounds)
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
    both(rounds)
    assert rounds.trouble() == ""
    assert last_job(ports) == clock.at
    assert caplog.text.count("the clock is believed again") == 1


def test_rounds_that_are_told_of_a_pause_believe_one_leap(ports: Ports) -> None:
    tick(ports)
    clock = StandingClock(ports.clock.now() + timedelta(days=40))
    rounds = Rounds(replace(ports, clock=clock), 60, after_pause=True)
    both(rounds)
    assert last_job(ports) == clock.at
    clock.at += timedelta(minutes=10)
    both(rounds)
    assert (last_job(ports), rounds.trouble()) == (clock.at, "")
    clock.at += FAR
    both(rounds)
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
