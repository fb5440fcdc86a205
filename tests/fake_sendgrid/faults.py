"""What can go wrong between a client and SendGrid: scripted one by one, or by seeded chance."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

Kind = Literal[
    "drop_before",  # the line is cut, nothing was taken
    "drop_after",  # taken, and the line is cut without an answer
    "wait_before",  # taken and answered late
    "wait_after",  # taken at once and answered late
    "status_before",  # refused with this status
    "status_after",  # taken, and answered with this status all the same
    "half",  # taken, and half of an answer
    "trickle",  # taken, and the answer comes a byte at a time
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong with one request, or with several in a row."""

    kind: Kind
    on: str = "send"  #: send, batch, hold (cancel and pause), any
    times: int = 1
    wait_s: float = 0.0  #: for waits; for a trickle, between bytes
    status: int = 503
    reset_in_s: float | None = None  #: for 429: X-RateLimit-Reset so far ahead; None: none


def fault_of(words: Mapping[str, Any]) -> Fault:
    """A fault as a test told it over the wire."""
    known = {field.name for field in fields(Fault)}
    return Fault(**{name: value for name, value in words.items() if name in known})


class Faults:
    """Decides for each request what goes wrong with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._script: list[Fault] = []
        self._left: list[int] = []
        self._chances: list[tuple[float, Fault]] = []
        self._random = random.Random(0)

    def script(self, faults: Sequence[Fault]) -> None:
        """These come next, in this order, each for the first requests it fits."""
        with self._lock:
            self._script += faults
            self._left += [fault.times for fault in faults]

    def chance(self, chances: Sequence[tuple[float, Fault]], seed: int) -> None:
        """From now on each request may meet one of these, with its probability."""
        with self._lock:
            self._chances, self._random = list(chances), random.Random(seed)

    def clear(self) -> None:
        with self._lock:
            self._script, self._left, self._chances = [], [], []

    def next(self, what: str) -> Fault | None:
        with self._lock:
            for number, fault in enumerate(self._script):
                if self._left[number] and fault.on in (what, "any"):
                    self._left[number] -= 1
                    return fault
            for probability, fault in self._chances:
                if fault.on in (what, "any") and self._random.random() < probability:
                    return fault
        return None
