"""Touches by hand: when two are one, and what the log keeps of each."""

from __future__ import annotations

from datetime import datetime, timedelta

from pipeline.model.log import Operation
from pipeline.model.people import Contact
from pipeline.model.sales import Touch

#: The same words so soon again are a slip of the finger, not a second touch.
SLIP = timedelta(minutes=1)


def as_operation(
    touch: Touch,
    touch_id: int,
    contact: Contact,
    actor: str,
    story_public_id: str = "",
    at: datetime | None = None,
) -> Operation:
    """A touch as the log keeps it; `people undo` takes it back by its number.

    Shape:  at is when it was written down; the touch's own time when None
    """
    return Operation(
        actor,
        "touch",
        f"contact:{contact.public_id}",
        at or touch.at,
        {},
        {
            "kind": touch.kind,
            "minutes": touch.minutes,
            "story": story_public_id,
            "touch": touch_id,
        },
    )
