"""Who may be on the wire at once: few in all, one per host, and nobody waits for a dawdler."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Manners:
    """Turns at the wire.

    One request is in flight per host, and the next begins a little after it has ended. In
    all there are at most `concurrency`; one that takes longer than `patience_s` makes room
    for another, up to `open_limit` together: slow servers cannot hold up the others.
    """

    def __init__(
        self, *, concurrency: int, open_limit: int, patience_s: float, spacing_s: float
    ) -> None:
        self._brisk = asyncio.Semaphore(concurrency)
        self._open = asyncio.Semaphore(max(open_limit, concurrency))
        self._patience_s = patience_s
        self._spacing_s = spacing_s
        self._hosts: defaultdict[tuple[str, int], _Host] = defaultdict(_Host)

    @asynccontextmanager
    async def turn(self, host: str, port: int) -> AsyncIterator[None]:
        """Wait for a turn at this host, and hold it."""
        loop = asyncio.get_running_loop()
        place = self._hosts[host, port]
        async with place.lock:
            await asyncio.sleep(place.free_at - loop.time())
            try:
                async with self._lane():
                    yield
            finally:
                place.free_at = loop.time() + self._spacing_s

    @asynccontextmanager
    async def _lane(self) -> AsyncIterator[None]:
        async with self._open:
            await self._brisk.acquire()
            left = _Once(self._brisk.release)
            timer = asyncio.get_running_loop().call_later(self._patience_s, left)
            try:
                yield
            finally:
                timer.cancel()
                left()


class _Host:
    """One host's turn, and when its next may begin."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.free_at = 0.0


class _Once:
    """Gives a place back, once, whoever comes first."""

    def __init__(self, release: object) -> None:
        self._release = release

    def __call__(self) -> None:
        release, self._release = self._release, None
        if callable(release):
            release()
