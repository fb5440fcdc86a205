"""One tick on both databases: what is due, who runs it, what is written down."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from threading import Event, Thread

import pytest

from pipeline.errors import Conflict, Down, NotFound, SenderRefused
from pipeline.ports import Ports
from pipeline.rules.schedule import Job
from pipeline.scheduler import Ticked, standing, tick
from pipeline.scheduler.table import Work, jobs
from pipeline.scheduler.ticking import tick_of
from pipeline.stores.sql import SqlStore
from tests.builders import NOW, StandingClock
from tests.people_scene import ports_of

MINUTE = timedelta(minutes=1)


@dataclass
class Bench:
    """Jobs of a test, over a real store, with a clock that it sets."""

    store: SqlStore
    clock: StandingClock = field(default_factory=StandingClock)
    done: list[str] = field(default_factory=list)

    def job(
        self, name: str, *, every: timedelta = 10 * MINUTE, error: BaseException | None = None,
        words: str = "3 new items", look: Callable[..., object] | None = None,
    ) -> Work:  # fmt: skip
        def run(ports: Ports) -> str:
            self.done.append(name)
            if error is not None:
                raise error
            return words

        return Work(Job(name, every, 30 * MINUTE), run, look)  # type: ignore[arg-type]

    def ports(self, stopping: Callable[[], bool] = lambda: False) -> Ports:
        return replace(ports_of(self.store, clock=self.clock), stopping=stopping)

    def tick(self, *works: Work, after: timedelta = timedelta(0)) -> Ticked:
        self.clock.at = NOW + after
        return tick_of(self.ports(), works)

    def runs(self, name: str = "") -> Sequence[tuple[str, str, str]]:
        with self.store.read() as tables:
            return [(run.job, run.outcome, run.detail) for run in tables.jobs.runs(name)]


@pytest.fixture
def bench(store: SqlStore) -> Bench:
    return Bench(store)


def test_what_is_due_runs_once_and_is_written_down(bench: Bench) -> None:
    gather = bench.job("gather")
    ticked = bench.tick(gather)
    assert [(run.job, run.outcome, run.detail) for run in ticked.runs] == [
        ("gather", "done", "3 new items")
    ]
    assert bench.runs() == [("gather", "done", "3 new items")]
    assert bench.tick(gather, after=9 * MINUTE).runs == ()
    assert [c.at for c in bench.tick(gather, after=9 * MINUTE).coming] == [NOW + 10 * MINUTE]
    assert len(bench.tick(gather, after=10 * MINUTE).runs) == 1
    assert bench.done == ["gather", "gather"]


def test_jobs_run_in_the_order_of_the_table(bench: Bench) -> None:
    bench.tick(bench.job("events"), bench.job("deliver"), bench.job("gather"))
    assert bench.done == ["events", "deliver", "gather"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Down("No relay for anna@firm.example.", "Look."), "No relay for a…@firm.example."),
        (KeyError("anna@firm.example"), "an error in the program (KeyError); its traceback is"),
    ],
)
def test_a_job_that_fails_keeps_no_other_from_running(
    bench: Bench, caplog: pytest.LogCaptureFixture, error: Exception, told: str
) -> None:
    with caplog.at_level(logging.INFO, "asterism.jobs"):
        ticked = bench.tick(bench.job("deliver", error=error), bench.job("gather"))
    assert bench.done == ["deliver", "gather"]
    assert [run.job for run in ticked.failed] == ["deliver"]
    assert ticked.failed[0].detail.startswith(told)
    assert bench.runs("deliver")[0][1] == "failed"
    assert f"deliver: failed: {told}" in caplog.text


def test_a_job_that_fails_is_tried_again_later_and_later(bench: Bench) -> None:
    down = bench.job("deliver", every=MINUTE, error=Down("No relay."))
    tried = []
    for minute in range(70):
        if bench.tick(down, after=minute * MINUTE).runs:
            tried.append(minute)
    assert tried == [0, 1, 3, 7, 15, 31, 63]
    well = bench.job("deliver", every=MINUTE)
    assert bench.tick(well, after=123 * MINUTE).runs
    assert bench.tick(well, after=124 * MINUTE).runs, "once it works its own pace is back"


def test_a_job_that_failed_in_part_comes_again_soon_for_the_rest(bench: Bench) -> None:
    refused = SenderRefused("The relay takes no mail from one sender.", sender="a@quaytide.example")
    letters = bench.job("deliver", every=MINUTE, error=refused)
    at = timedelta(0)
    for waited in (1, 2, 4, 4, 4, 4):
        (ran,) = bench.tick(letters, after=at).runs
        assert ran.outcome == "failed"
        at += waited * MINUTE
        assert bench.tick(letters, after=at - timedelta(seconds=1)).runs == ()
    assert bench.tick(letters, after=at).runs


def test_a_job_that_finds_nothing_leaves_no_history(bench: Bench) -> None:
    assert bench.tick(bench.job("gather", words="")).runs[0].detail == ""
    assert bench.runs() == []
    assert not bench.tick(bench.job("gather", words=""), after=MINUTE).runs


def test_a_job_whose_look_sees_nothing_writes_nothing(bench: Bench) -> None:
    at = NOW + 5 * MINUTE
    later = bench.job("deliver", every=MINUTE, look=lambda ports, tables, now: at)
    never = bench.job("gather", look=lambda ports, tables, now: None)
    ticked = bench.tick(later, never)
    assert bench.done == []
    assert [(one.job, one.at) for one in ticked.coming] == [("deliver", at)]
    with bench.store.read() as tables:
        assert tables.jobs.states() == {}
    bench.tick(later, never, after=5 * MINUTE)
    assert bench.done == ["deliver"]


def test_a_look_that_breaks_lets_the_job_run_and_keeps_no_other_from_it(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> object:
        raise KeyError("state")

    bench.tick(bench.job("deliver", look=broken), bench.job("gather"))
    assert bench.done == ["deliver", "gather"]
    assert "the look of deliver broke" in caplog.text


def test_a_run_that_cannot_be_written_down_holds_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """The database is away for a moment, just when a job has ended."""

    @dataclass
    class Flaky:
        store: SqlStore
        fails: int = 0

        def read(self) -> object:
            return self.store.read()

        def write(self) -> object:
            self.fails -= 1
            if self.fails == 0:
                raise Down("The database is locked by another program.")
            return self.store.write()

    flaky = Flaky(bench.store, fails=2)
    ports = replace(bench.ports(), store=flaky)  # type: ignore[arg-type]
    ticked = tick_of(ports, [bench.job("gather"), bench.job("open")])
    assert bench.done == ["gather", "open"]
    assert not ticked.failed
    assert "gather: the run could not be written down: The database is locked" in caplog.text
    assert [run.job for run in bench.tick(bench.job("gather")).runs] == ["gather"]


def test_a_job_that_another_process_is_at_is_left_to_it(bench: Bench) -> None:
    begun, may_end = Event(), Event()

    def run(ports: Ports) -> str:
        begun.set()
        assert may_end.wait(60)
        return "done by the first"

    slow = Work(Job("gather", 10 * MINUTE, 30 * MINUTE), run)
    first = Thread(target=tick_of, args=(bench.ports(), [slow]))
    first.start()
    try:
        assert begun.wait(60)
        ticked = bench.tick(bench.job("gather"), bench.job("deliver"))
        assert ticked.busy == ("gather",)
        assert bench.done == ["deliver"]
    finally:
        may_end.set()
        first.join()
    assert bench.tick(bench.job("gather")).runs == (), "it has been done"


def test_what_another_has_just_done_is_not_done_again(bench: Bench) -> None:
    """Two read that it is due; the second gets the lease when the first has finished."""
    gather = bench.job("gather")

    def first_comes(ports: Ports) -> str:
        tick_of(bench.ports(), [gather])
        return ""

    between = Work(Job("events", MINUTE, MINUTE), first_comes)
    ticked = bench.tick(between, gather)
    assert bench.done == ["gather"]
    assert ticked.busy == ("gather",)


def test_who_is_interrupted_lets_go(bench: Bench) -> None:
    with pytest.raises(KeyboardInterrupt):
        bench.tick(bench.job("gather", error=KeyboardInterrupt()))
    assert bench.runs() == []
    assert bench.tick(bench.job("gather")).runs


def test_who_is_to_stop_begins_nothing_more(bench: Bench) -> None:
    works = [bench.job("deliver"), bench.job("gather")]
    ticked = tick_of(bench.ports(stopping=lambda: bench.done == ["deliver"]), works)
    assert ticked.stopped
    assert bench.done == ["deliver"]


def test_what_was_cut_short_is_due_again_at_once(bench: Bench) -> None:
    stopping = bench.ports(stopping=lambda: bench.done == ["gather"])
    assert tick_of(stopping, [bench.job("gather")]).runs
    assert bench.tick(bench.job("gather"), after=MINUTE).runs
    assert bench.tick(bench.job("gather"), after=2 * MINUTE).runs == ()


def test_who_is_to_stop_does_not_forget_that_a_job_failed(bench: Bench) -> None:
    down = bench.job("deliver", every=MINUTE, error=Down("No relay."))
    tick_of(bench.ports(stopping=lambda: bench.done == ["deliver"]), [down])
    assert bench.tick(down, after=timedelta(seconds=30)).runs == ()


def test_a_clock_that_leaps_in_the_midst_of_a_tick_lets_no_more_job_run(bench: Bench) -> None:
    def leaps(ports: Ports) -> str:
        bench.clock.at = NOW + timedelta(days=1_095)
        return "3 new items"

    slow = Work(Job("gather", 10 * MINUTE, 30 * MINUTE), leaps)
    ticked = tick_of(bench.ports(), [slow, bench.job("open")])
    assert ticked.stopped
    assert bench.done == []
    with pytest.raises(Conflict, match="The clock stands 1,095 days ahead"):
        tick(bench.ports())


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=3), -timedelta(hours=1),
                                  -timedelta(days=3)])  # fmt: skip
def test_a_clock_that_jumps_makes_it_run_once(bench: Bench, jump: timedelta) -> None:
    gather = bench.job("gather")
    bench.tick(gather)
    assert len(bench.tick(gather, after=jump).runs) == 1
    assert bench.tick(gather, after=jump + MINUTE).runs == ()
    assert len(bench.tick(gather, after=jump + 11 * MINUTE).runs) == 1


def test_the_whole_table_has_names_of_its_own_and_leases_that_last(bench: Bench) -> None:
    works = jobs(replace(bench.ports(), mailbox=object()))  # type: ignore[arg-type]
    names = [work.job.name for work in works]
    assert len(set(names)) == len(names)
    assert "mailbox" in names
    assert "mailbox" not in [work.job.name for work in jobs(bench.ports())]
    assert names.index("events") < names.index("deliver") < names.index("gather")
    assert names.index("gather") < names.index("sift") < names.index("open")
    assert [work.job.name for work in works if work.lane == "news"] == ["gather", "sift"]
    assert [work.job.name for work in works if work.after_news] == ["open", "automatic"]


def test_how_each_job_stands(bench: Bench) -> None:
    bench.tick(bench.job("tidy", every=timedelta(days=1), words="1 left-over file swept"))
    everyone = standing(bench.ports())
    tidy = {one.job: one for one in everyone}["tidy"]
    assert tidy.state is not None
    assert tidy.runs[0].detail == "1 left-over file swept"
    assert tidy.next_at == NOW.replace(hour=0) + timedelta(days=1)
    assert [one.job for one in standing(bench.ports(), "tidy", limit=5)] == ["tidy"]
    with pytest.raises(NotFound, match="There is no job “tydi”"):
        standing(bench.ports(), "tydi")


def test_a_store_that_is_away_is_told(bench: Bench) -> None:
    class Away:
        def read(self) -> object:
            raise Down("The database does not answer.")

    with pytest.raises(Down):
        tick(replace(bench.ports(), store=Away()))  # type: ignore[arg-type]
