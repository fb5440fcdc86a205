"""One tick: every job that is due, by our own tables, and that nobody else is at."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from pipeline.errors import AsterismError, NotFound, SenderRefused
from pipeline.model.running import JobOutcome, JobRun, JobState, Lease
from pipeline.owners import this_process
from pipeline.ports import Ports, Tables
from pipeline.rules.mask import mask
from pipeline.rules.schedule import LONGEST_SLEEP, is_due, next_after
from pipeline.scheduler.leaping import leapt, refusal
from pipeline.scheduler.table import Work, jobs

log = logging.getLogger("asterism.jobs")

#: A job that failed in part waits as after so many failures at most.
_FEW = 3
BROKEN = "an error in the program ({kind}); its traceback is in the log"


@dataclass(frozen=True, slots=True)
class Ran:
    """One job that was run."""

    job: str
    outcome: JobOutcome
    detail: str  #: what it did, or why it failed; empty: there was nothing to do
    seconds: float


@dataclass(frozen=True, slots=True)
class Coming:
    """When a job will have something to do; not before this."""

    job: str
    at: datetime
    after_news: bool = False  #: a service that has just begun gathers first


@dataclass(frozen=True, slots=True)
class Ticked:
    """What one tick did."""

    at: datetime
    runs: tuple[Ran, ...] = ()
    busy: tuple[str, ...] = ()  #: due, and another process is at it
    coming: tuple[Coming, ...] = ()  #: the soonest first
    stopped: bool = False  #: before it had looked at every job

    @property
    def failed(self) -> tuple[Ran, ...]:
        return tuple(run for run in self.runs if run.outcome == "failed")


def tick(ports: Ports, *, after_pause: bool = False) -> Ticked:
    """Run each job that is due and has something to do, unless another process is at it.

    A job that fails is recorded with its reason, is tried again after a wait that doubles,
    and keeps no other job from running. Whoever is killed in a job loses it at once on this
    machine, elsewhere when the lease ends; every job can be cut off and run again.

    Shape:  after_pause, somebody says that the clock is right, however long nothing ran
    Raises: Conflict when the clock stands too far ahead to be believed, Down when the store
            cannot be reached
    """
    ahead = None if after_pause else leapt(ports)
    if ahead is not None:
        raise refusal(ahead)
    return tick_of(ports, jobs(ports))


def tick_of(ports: Ports, works: Sequence[Work]) -> Ticked:
    """The same, of this table of jobs."""
    at = ports.clock.now()
    owner = this_process()
    with ports.store.read() as tables:
        states = tables.jobs.states()
    runs: list[Ran] = []
    busy: list[str] = []
    for work in works:
        leapt_meanwhile = ports.clock.now() - at > LONGEST_SLEEP  # the next tick looks into it
        if ports.stopping() or leapt_meanwhile:
            return Ticked(at, tuple(runs), tuple(busy), stopped=True)
        if not _has_work(ports, work, states):
            continue
        lease = _take(ports, work, owner)
        if lease is None:
            busy.append(work.job.name)
            continue
        runs.append(_run(ports, work, lease, states.get(work.job.name)))
    return Ticked(at, tuple(runs), tuple(busy), _coming(ports, works))


@dataclass(frozen=True, slots=True)
class Standing:
    """How a job stands, and its latest runs that did something."""

    job: str
    every_s: float
    state: JobState | None  #: None: it never ran here
    next_at: datetime | None  #: when it will have something to do; None: nothing is in sight
    runs: tuple[JobRun, ...] = ()


def standing(ports: Ports, name: str = "", *, limit: int = 1) -> tuple[Standing, ...]:
    """Every job, or the one that is named, in the order of a tick.

    Raises: NotFound
    """
    works = [work for work in jobs(ports) if name in ("", work.job.name)]
    if not works:
        names = [work.job.name for work in jobs(ports)]
        raise NotFound(f"There is no job “{name}”.", f"There are: {', '.join(names)}.")
    soon = {one.job: one.at for one in coming(ports)}
    with ports.store.read() as tables:
        states = tables.jobs.states()
        return tuple(
            Standing(
                work.job.name,
                work.job.every.total_seconds(),
                states.get(work.job.name),
                soon.get(work.job.name),
                tuple(tables.jobs.runs(work.job.name, limit)),
            )
            for work in works
        )


def coming(ports: Ports) -> tuple[Coming, ...]:
    """When each job will have something to do, as far as can be told; the soonest first."""
    return _coming(ports, jobs(ports))


def _coming(ports: Ports, works: Sequence[Work]) -> tuple[Coming, ...]:
    now = ports.clock.now()
    found = []
    with ports.store.read() as tables:
        states = tables.jobs.states()
        for work in works:
            state = states.get(work.job.name)
            paced = now if is_due(work.job, state, now) or state is None else state.next_at or now
            seen = _look(ports, work, tables, now)
            if seen is not None:
                found.append(Coming(work.job.name, max(paced, seen), work.after_news))
    return tuple(sorted(found, key=lambda one: one.at))


def _has_work(ports: Ports, work: Work, states: Mapping[str, JobState]) -> bool:
    now = ports.clock.now()
    if not is_due(work.job, states.get(work.job.name), now):
        return False
    if work.look is None:
        return True
    with ports.store.read() as tables:
        seen = _look(ports, work, tables, now)
    return seen is not None and seen <= now


def _look(ports: Ports, work: Work, tables: Tables, now: datetime) -> datetime | None:
    """When it has something to do; now, when the look breaks: the run will tell why."""
    if work.look is None:
        return now
    try:
        return work.look(ports, tables, now)
    except AsterismError:
        raise
    except Exception:
        log.exception("the look of %s broke", work.job.name)
        return now


def _take(ports: Ports, work: Work, owner: str) -> Lease | None:
    """The right to run it; None when somebody is at it, or has just done it."""
    now = ports.clock.now()
    with ports.store.write() as tables:
        lease = tables.jobs.take(work.job.name, owner, now + work.job.lease, now)
        if lease is None:
            return None
        if not is_due(work.job, tables.jobs.states().get(work.job.name), now):
            tables.jobs.let_go(lease)
            return None
        return lease


def _run(ports: Ports, work: Work, lease: Lease, before: JobState | None) -> Ran:
    """Run it, and write down what became of it."""
    started_at, clock = ports.clock.now(), time.perf_counter()
    try:
        outcome, detail, is_partial = _done(ports, work)
    except BaseException:  # somebody ends the program: another one may run it at once
        with ports.store.write() as tables:
            tables.jobs.let_go(lease)
        raise
    finished_at = ports.clock.now()
    run = JobRun(
        work.job.name, before.next_at if before else None, started_at, finished_at,
        outcome, detail, lease.owner,
    )  # fmt: skip
    try:
        _record(ports, work, run, lease, is_partial)
    except AsterismError as error:  # what it did is done, and whoever comes next finds it so
        log.error("%s: the run could not be written down: %s", run.job, error.message)
        with suppress(AsterismError), ports.store.write() as tables:
            tables.jobs.let_go(lease)
    ran = Ran(work.job.name, outcome, detail, round(time.perf_counter() - clock, 2))
    _log(ran)
    return ran


def _record(ports: Ports, work: Work, run: JobRun, lease: Lease, is_partial: bool) -> None:
    """One that we were asked to cut short is due again at once: something may be left to do.

    One that failed in part comes again soon, however often it did: the rest waits for it.
    """
    cut_short = run.outcome == "done" and ports.stopping()
    with ports.store.write() as tables:
        state = tables.jobs.states().get(run.job)
        failures = (state.failures if state else 0) + 1 if run.outcome == "failed" else 0
        most = min(failures, _FEW) if is_partial else failures
        next_at = run.finished_at if cut_short else next_after(work.job, run.finished_at, most)
        tables.jobs.record(run, next_at)
        tables.jobs.let_go(lease)


def _done(ports: Ports, work: Work) -> tuple[JobOutcome, str, bool]:
    """What became of it, in words; whether it failed in part, and did all the rest."""
    try:
        return "done", work.run(ports), False
    except AsterismError as error:
        return "failed", mask(error.message), isinstance(error, SenderRefused)
    except Exception as error:
        log.exception("%s broke", work.job.name)
        return "failed", BROKEN.format(kind=type(error).__name__), False


def _log(ran: Ran) -> None:
    if ran.outcome == "done" and not ran.detail:
        return
    level = logging.INFO if ran.outcome == "done" else logging.ERROR
    told = ran.detail if ran.outcome == "done" else f"failed: {ran.detail}"
    fields = {"job": ran.job, "outcome": ran.outcome, "seconds": ran.seconds}
    log.log(level, "%s: %s", ran.job, told, extra={"fields": fields})
