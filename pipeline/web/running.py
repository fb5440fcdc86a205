"""The pages and the scheduler in one process, until somebody says stop."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from pipeline.ports import Ports
from pipeline.scheduler import Rounds, refuse_unsafe
from pipeline.web.app import serve_live

#: Some senders say the same word twice at once: to a process, and to its whole group.
ECHO_S = 1.0


class Stop:
    """Whether SIGTERM or SIGINT came; a second one, later, ends the process where it stands.

    That is safe: whatever is cut off is taken up or made up for by the next start.
    """

    def __init__(self) -> None:
        self._asked_at: float | None = None

    def __call__(self) -> bool:
        return self._asked_at is not None

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Listen to the signals inside this block; in a thread nobody sends any."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, listener in before.items():
                signal.signal(number, listener)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
        elif now - self._asked_at > ECHO_S:
            os._exit(128 + number)


def run(
    ports: Ports,
    host: str,
    port: int,
    *,
    every_s: float,
    public_only: bool,
    after_pause: bool = False,
    ready: Callable[[str], None],
) -> bool:
    """Serve the pages and tick until a signal comes; False when a job did not end in time.

    Shape:  after_pause, the clock is believed however long nothing ran; ready is told
            the address once it is bound, before the first job runs
    Units:  every_s, seconds between two looks at the tables
    Raises: BadInput (an address that others could reach without public_only; letters that
            would leave with an unsealed address), Down (the port is taken)
    """
    refuse_unsafe(ports)
    stop = Stop()
    with stop.heard():
        rounds = Rounds(replace(ports, stopping=stop), every_s, after_pause=after_pause)

        @contextmanager
        def beside(address: str) -> Iterator[None]:
            ready(address)
            with rounds.going():
                yield

        serve_live(
            rounds.ports, host, port, beside=beside, public_only=public_only,
            trouble=rounds.trouble, stopping=stop,
        )  # fmt: skip
    return rounds.is_idle
