"""Wakes the scheduler again and again while the program runs, and takes over changed files."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pipeline.errors import AsterismError, BadInput
from pipeline.ports import Ports
from pipeline.scheduler.leaping import in_words, leapt, refusal
from pipeline.scheduler.ticking import tick
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
#: Without a tick for so many wakings the scheduler counts as stuck.
_MISSED = 8
_LONGEST_TICK_S = 2 * 3600.0


def pace(speed: float = 0.0) -> float:
    """Seconds between two looks at the tables, for a clock that runs `speed` times as fast."""
    if not speed:
        return WAKE_S
    return max(_SHORTEST_S, min(WAKE_S, _PRETENDED_S / speed))


class Rounds:
    """The ports in force, and a tick of the scheduler every few seconds until it is to stop.

    APScheduler only wakes; what is due our own tables say. The files are looked at before
    each tick: what changed is taken over once it has lain still from one look to the next, so
    that no half-written file is read. A mistake in them leaves the last good ones in force.

    A clock too far ahead to be believed holds the jobs, not the pages; they go on by themselves
    once it is right or somebody has confirmed it, here (after_pause) or by another process.
    """

    def __init__(self, ports: Ports, every_s: float, *, after_pause: bool = False) -> None:
        self._ports = ports
        self._every_s = every_s
        self._after_pause = after_pause
        self._leap: timedelta | None = None  #: so far ahead the clock stands, and is not believed
        self._seen = self._held = ports.workspace.stamp()
        self._idle = threading.Event()
        self._idle.set()
        self._began = self._ended = time.monotonic()

    def ports(self) -> Ports:
        """The ports with the files that are in force."""
        return self._ports

    @contextmanager
    def going(self) -> Iterator[None]:
        """Tick, the first time at once, until the block ends; then end at the next good place."""
        # three modules of it, and only `run` needs them
        from apscheduler.schedulers.background import BackgroundScheduler

        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a tick that lasts is no trouble
        wakes = BackgroundScheduler(timezone=UTC, daemon=True)
        wakes.add_job(
            self.tick, "interval", seconds=self._every_s, id="tick", coalesce=True,
            max_instances=1, misfire_grace_time=None, next_run_time=datetime.now(UTC),
        )  # fmt: skip
        ended = threading.Event()
        watch = threading.Thread(target=self._keep_awake, args=(wakes, ended), daemon=True)
        wakes.start()
        watch.start()
        try:
            yield
        finally:
            ended.set()
            watch.join()
            wakes.pause()
            if self._idle.wait(PATIENCE_S):
                wakes.shutdown(wait=True)
            else:
                wakes.shutdown(wait=False)

    @property
    def is_idle(self) -> bool:
        """Whether no job is running."""
        return self._idle.is_set()

    def trouble(self) -> str:
        """Why this should not be relied on just now; empty when all is well."""
        now = time.monotonic()
        if self._idle.is_set():
            late = now - self._ended > max(_MISSED * self._every_s, 60.0)
            return "the scheduler has not ticked lately" if late else self._leap_words()
        return "a job has been running for hours" if now - self._began > _LONGEST_TICK_S else ""

    def tick(self) -> None:
        """One waking: files, then jobs. Whatever goes wrong is logged, and the next one comes."""
        if self._ports.stopping():
            return
        self._began = time.monotonic()
        self._idle.clear()
        try:
            self._take_over()
            if self._believes_clock():
                tick(self._ports, after_pause=True)
        except AsterismError as error:
            log.error("the jobs could not be looked at: %s", error.message)
        except Exception:
            log.exception("a tick broke")
        finally:
            self._ended = time.monotonic()
            self._idle.set()

    def _believes_clock(self) -> bool:
        """Whether jobs may run by it; a leap, and its end, are told once."""
        before, ahead = self._leap, leapt(self._ports)
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
            job = wakes.get_job("tick")
            if job is not None and job.next_run_time - datetime.now(UTC) > far:
                job.modify(next_run_time=datetime.now(UTC))
