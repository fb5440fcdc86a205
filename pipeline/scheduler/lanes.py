"""One lane of a service: whether it is at work, since when, and when it was last through."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from pipeline.scheduler.table import Lane

#: Without a tick for so many wakings a lane counts as stuck.
_MISSED = 8
_LONGEST_TICK_S = 2 * 3600.0
#: News that came in within this time are fresh enough to make an issue of.
_FRESH = timedelta(hours=1)
#: Fresh news are waited for so long, by the machine's seconds and by a clock that runs fast.
_NEWS_FIRST_S = 600.0
_NEWS_FIRST = timedelta(hours=1)


class Watch:
    """What one lane is at; written by its own thread, read by the others."""

    def __init__(self, lane: Lane, every_s: float) -> None:
        self.lane = lane
        self._every_s = every_s
        self._idle = threading.Event()
        self._idle.set()
        self._began = self._ended = time.monotonic()
        #: When, by our clock, it last came to the end of its jobs.
        self.through_at: datetime | None = None

    @property
    def is_idle(self) -> bool:
        return self._idle.is_set()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """For as long as a tick lasts, however it ends."""
        self._began = time.monotonic()
        self._idle.clear()
        try:
            yield
        finally:
            self._ended = time.monotonic()
            self._idle.set()

    def wait(self, seconds: float) -> bool:
        """Whether its tick has ended; it gets so long for that."""
        return self._idle.wait(max(seconds, 0.0))

    def trouble(self) -> str:
        """Why nobody should rely on this lane; empty when all is well."""
        now = time.monotonic()
        if self.is_idle:
            late = now - self._ended > max(_MISSED * self._every_s, 60.0)
            return f"the scheduler has not looked at the {self.lane} lately" if late else ""
        stuck = now - self._began > _LONGEST_TICK_S
        return f"the scheduler has been at the {self.lane} for hours" if stuck else ""


class NewsFirst:
    """Whether issues wait for the news: after a start, or a long sleep, what lies here is old.

    A draft is filled once, and an automatic issue composed once. But no source is so slow that
    issues wait for it longer than a few minutes.
    """

    def __init__(self) -> None:
        self._since: tuple[float, datetime] | None = None

    def waits(self, through_at: datetime | None, now: datetime) -> bool:
        """Ask it again and again; the first time that the news are old, the wait begins.

        Shape:  through_at, when the news were last through; None: not since we started
        """
        if through_at is not None and abs(now - through_at) <= _FRESH:
            self._since = None
            return False
        if self._since is None:
            self._since = time.monotonic(), now
        began_s, began_at = self._since
        return time.monotonic() - began_s < _NEWS_FIRST_S and abs(now - began_at) < _NEWS_FIRST
