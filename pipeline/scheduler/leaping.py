"""A clock that stands far ahead of all that was done here is not believed by itself."""

from __future__ import annotations

from datetime import timedelta

from pipeline.errors import Conflict
from pipeline.ports import Ports
from pipeline.rules.schedule import leap


def leapt(ports: Ports) -> timedelta | None:
    """How far ahead the clock stands, if too far to be believed.

    Raises: Down when the store cannot be reached
    """
    with ports.store.read() as tables:
        states = tables.jobs.states()
    return leap(states, ports.clock.now())


def refusal(ahead: timedelta) -> Conflict:
    """What somebody is told of it, and what is to be done."""
    return Conflict(
        f"{in_words(ahead)}, so no job is run: what lies between would count as missed.",
        "If the clock is wrong, set it right (or take ASTERISM_NOW out). If nothing ran here for "
        "so long, or you rehearse, confirm it once: asterism tick --after-pause, or asterism run "
        "--after-pause.",
    )


def in_words(ahead: timedelta) -> str:
    """`the clock …`, short enough for a monitor."""
    return f"The clock stands {ahead.days:,} days ahead of the last thing that any job did here"
