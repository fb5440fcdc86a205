"""Wakes the scheduler again and again while the program runs, and takes over changed files."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pipeline.errors import AsterismError, BadInput
from pipeline.ports import Ports
from pipeline.scheduler.lanes import NewsFirst, Watch
from pipeline.scheduler.leaping import in_words, leapt, refusal
from pipeline.scheduler.table import LANES, Lane, Work, jobs, load
from pipeline.scheduler.ticking import tick_of
from pipeline.stages.adopt import adopt

if TYPE_CHECKING:
    from apscheduler.schedulers.background import BackgroundScheduler

log = logging.getLogger("asterism.rounds")

#: So often the tables are looked at; letters leave so late at most while no job runs.
WAKE_S = 15.0
#: A pretended clock that runs fast is looked at once in so many of its own seconds.
_PRETENDED_S = 60.0
_SHORTEST_S = 0.05
#: A running job gets so long to come to its next good place once it is asked to stop.
PATIENCE_S = 20.0


def pace(speed: float = 0.0) -> float:
    """Seconds between two looks at the tables, for a clock that runs `speed` times as fast."""
    if not speed:
        return WAKE_S
    return max(_SHORTEST_S, min(WAKE_S, _PRETENDED_S / speed))


class Rounds:
    """The ports in force, and two lanes that tick every few seconds until they are to stop.

    APScheduler only wakes; what is due our own tables say. Each lane has a thread: letters never
    wait for a slow source. The files are looked at before each tick of the letters: what changed
    is taken over once it has lain still from one look to the next, so that no half-written file
    is read. The news then come to their next good place and go on with the new files. A mistake
    in them leaves the last good ones in force.

    A clock too far ahead to be believed holds the jobs, not the pages; they go on by themselves
    once it is right or somebody has confirmed it, here (after_pause) or by another process.
    """

    def __init__(self, ports: Ports, every_s: float, *, after_pause: bool = False) -> None:
        self._ports = ports
        self._every_s = every_s
        self._after_pause = after_pause
        self._leap: timedelta | None = None  #: so far ahead the clock stands, and is not believed
        self._clock_turn = threading.Lock()  # a leap is told once, whoever sees it first
        self._seen = self._held = ports.workspace.stamp()
        self._ending = threading.Event()
        self._watches = {lane: Watch(lane, every_s) for lane in LANES}
        self._news_first = NewsFirst()

    def ports(self) -> Ports:
        """The ports with the files that are in force."""
        return self._ports

    @contextmanager
    def going(self) -> Iterator[None]:
        """Tick, the first time at once, until the block ends; then end at the next good place."""
        # three modules of it, and only `run` needs them
        from apscheduler.schedulers.background import BackgroundScheduler

        load()
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a tick that lasts is no trouble
        wakes = BackgroundScheduler(timezone=UTC, daemon=True)
        for lane in LANES:
            wakes.add_job(
                self.tick, "interval", args=(lane,), seconds=self._every_s, id=lane, coalesce=True,
                max_instances=1, misfire_grace_time=None, next_run_time=datetime.now(UTC),
            )  # fmt: skip
        ended = threading.Event()
        awake = threading.Thread(target=self._keep_awake, args=(wakes, ended), daemon=True)
        wakes.start()
        awake.start()
        try:
            yield
        finally:
            self._ending.set()
            ended.set()
            awake.join()
            wakes.pause()
            until = time.monotonic() + PATIENCE_S  # one patience for both
            is_idle = all(watch.wait(until - time.monotonic()) for watch in self._all())
            wakes.shutdown(wait=is_idle)

    @property
    def is_idle(self) -> bool:
        """Whether no job is running."""
        return all(watch.is_idle for watch in self._all())

    def trouble(self) -> str:
        """Why this should not be relied on just now; empty when all is well."""
        told = (watch.trouble() for watch in self._all())
        return next(filter(None, told), "") or self._leap_words()

    def tick(self, lane: Lane) -> None:
        """One waking of a lane. Whatever goes wrong is logged, and the next one comes."""
        with self._watches[lane].at_work():
            try:
                if not self._is_ending():
                    self._round(lane)
            except AsterismError as error:
                log.error("%s: the jobs could not be looked at: %s", lane, error.message)
            except Exception:
                log.exception("%s: a tick broke", lane)

    def _round(self, lane: Lane) -> None:
        """Files, with the letters; then the lane's jobs, all of them with the same files."""
        if lane == "letters":
            self._take_over()
        held = self._ports
        ports = replace(held, stopping=lambda: self._is_ending() or self._ports is not held)
        if not self._believes_clock(ports):
            return
        watch = self._watches[lane]
        ticked = tick_of(ports, self._works(lane, ports))
        if not ports.stopping() and not ticked.busy:
            watch.through_at = ports.clock.now()

    def _works(self, lane: Lane, ports: Ports) -> Sequence[Work]:
        works = [work for work in jobs(ports) if work.lane == lane]
        if any(work.after_news for work in works):
            news_at = self._watches["news"].through_at
            if self._news_first.waits(news_at, ports.clock.now()):
                works = [work for work in works if not work.after_news]
        return works

    def _all(self) -> Sequence[Watch]:
        return tuple(self._watches.values())

    def _is_ending(self) -> bool:
        return self._ending.is_set() or self._ports.stopping()

    def _believes_clock(self, ports: Ports) -> bool:
        """Whether jobs may run by it; a leap, and its end, are told once."""
        with self._clock_turn:
            before, ahead = self._leap, leapt(ports)
            self._leap = None if self._after_pause else ahead
            if ahead is None:  # a job has run since: what was confirmed holds for no later leap
                self._after_pause = False
            if self._leap is not None and before is None:
                log.warning("%s", " ".join(str(refusal(self._leap)).splitlines()))
            elif self._leap is None and before is not None:
                log.info("the clock is believed again, and the jobs go on")
            return self._leap is None

    def _leap_words(self) -> str:
        leap = self._leap  # a tick may change it meanwhile
        return "" if leap is None else f"{in_words(leap)}; no job is run"

    def _take_over(self) -> None:
        """Changed files come into force, the database and the pages follow."""
        stamp = self._ports.workspace.stamp()
        still, self._seen = stamp == self._seen, stamp
        if not still or stamp == self._held:
            return
        try:
            catalog = self._ports.workspace.catalog()
        except BadInput as wrong:
            first = f" The first: {wrong.mistakes[0]}" if wrong.mistakes else ""
            log.error(
                "%s The last good files stay in force; `asterism check` names every mistake.%s",
                wrong.message, first,
            )  # fmt: skip
            self._held = stamp
            return
        if catalog.digest != self._ports.catalog.digest:
            changed = replace(self._ports, catalog=catalog)
            adopt(changed)
            self._ports = changed
            log.info("the files changed and are in force")
        self._held = stamp

    def _keep_awake(self, wakes: BackgroundScheduler, ended: threading.Event) -> None:
        """When the clock is set back, the next waking lies days ahead: bring it here.

        The machine's clock says when APScheduler wakes next; this thread's waits do not hang
        on it.
        """
        far = timedelta(seconds=3 * self._every_s + 5)
        while not ended.wait(max(self._every_s, 1.0)):
            for job in wakes.get_jobs():
                if job.next_run_time - datetime.now(UTC) > far:
                    job.modify(next_run_time=datetime.now(UTC))
