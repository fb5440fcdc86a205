"""Touches by hand: what one of us passed on to a contact, or said to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from pipeline.errors import BadInput
from pipeline.model.sales import MACHINE_TOUCHES, Touch, TouchKind
from pipeline.ports import Ports
from pipeline.rules.people.by_hand import SLIP, as_operation

KINDS = tuple(kind for kind in get_args(TouchKind) if kind not in MACHINE_TOUCHES)

#: A week; what is longer was another key, and one such touch would drown all others.
MOST_MINUTES = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class Logged:
    """A touch as it stands in the log."""

    touch: Touch
    new: bool  #: False: a moment ago it was logged in the same words


def touch(
    ports: Ports,
    ref: str,
    kind: TouchKind,
    *,
    story_ref: str = "",
    minutes: int | None = None,
    note: str = "",
) -> Logged:
    """Log what was done by hand. A story that was passed on is not told again by a letter.

    The same person, contact, kind, story, minutes and note within a minute are one touch: no
    call is made, ended and made again in that time, but a button is pressed twice, or the
    arrow key brings the last command back; and a touch too many is believed, for nobody
    counts again. Two short calls are two with a word of their own in the note.

    Shape:  ref is a contact's address or id; kind is one of KINDS; a forward names its story
    Raises: NotFound, BadInput
    """
    if kind not in KINDS:
        raise BadInput(f"“{kind}” is nothing done by hand.", f"There are: {', '.join(KINDS)}.")
    if kind == "forward" and not story_ref:
        raise BadInput("A forward passes a story on.", "Name it: its id, its beginning, or a link.")
    if minutes is not None and not 0 <= minutes <= MOST_MINUTES:
        raise BadInput(
            f"Minutes are counted from 0 to {MOST_MINUTES}, a week.",
            "Leave them out when nobody looked.",
        )
    staff = ports.catalog.staff(ports.actor)
    with ports.store.write() as tables:
        contact = tables.people.find(ref)
        found = tables.stories.find(story_ref) if story_ref else None
        story = tables.stories.heir(found) if found else None
        done = Touch(
            account_key=contact.account_key,
            contact_id=contact.id,
            kind=kind,
            at=ports.clock.now(),
            staff_key=staff.key if staff else ports.actor,
            minutes=minutes,
            note=note.strip(),
            story_id=story.id if story else None,
        )
        if tables.sales.same_touch(done, done.at - SLIP) is not None:
            return Logged(done, new=False)
        touch_id = tables.sales.add_touch(done)
        told = story.public_id if story else ""
        tables.log.add(as_operation(done, touch_id, contact, ports.actor, told))
    return Logged(done, new=True)
