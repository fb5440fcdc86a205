"""Take back the last thing that somebody did with a contact."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from pipeline.errors import Conflict
from pipeline.model.log import Operation
from pipeline.model.people import Contact, Standing
from pipeline.model.sales import Touch
from pipeline.ports import Ports, Tables
from pipeline.rules.deeds import nothing_to_undo
from pipeline.rules.people.standing import logged_in_words
from pipeline.stages.people.parts import log, standing_as_logged

#: What `undo` takes back. A suppression is a person's own wish: it stays.
UNDOABLE = ("touch", "pause", "hold", "release")


@dataclass(frozen=True, slots=True)
class Undone:
    """What was taken back."""

    operation: Operation
    contact: Contact


def undo(ports: Ports, ref: str = "") -> Undone:
    """Take back the last thing that this actor did with a contact; again, the one before it.

    A touch counts no more, and what it told may be told by a letter; its words stay in the
    log. A pause, hold or release becomes what was before.

    Shape:  ref names whose last step it is; empty for the last step with anybody
    Raises: NotFound when there is nothing left to undo; Conflict when somebody changed the
            same since, or when the last step with anybody was a suppression, which stays:
            what lies before it may be long ago and on somebody else
    """
    with ports.store.write() as tables:
        wanted = tables.people.find(ref) if ref else None
        operation = _last_step(ports, tables, wanted)
        contact = wanted or _contact_of(tables, operation)
        if operation.verb == "touch":
            before = _take_touch_back(tables, operation)
            after: dict[str, Any] = {}
        else:
            before, after = _restore(ports, tables, contact, operation)
        undone_by = log(
            ports,
            tables,
            "undo",
            operation.subject,
            before=before,
            after=after | {"undoes": operation.id},
        )
        tables.log.mark_undone(operation.id, undone_by)
        return Undone(operation, tables.people.by_id(contact.id))


def _last_step(ports: Ports, tables: Tables, contact: Contact | None) -> Operation:
    subject = f"contact:{contact.public_id}" if contact else ""
    verbs = UNDOABLE if contact else (*UNDOABLE, "suppress")
    operation = tables.log.last_undoable(ports.actor, verbs, subject)
    if operation is None:
        raise nothing_to_undo(ports.actor)
    if operation.verb not in UNDOABLE:
        raise Conflict(
            f"Your last step ended letters to {_contact_of(tables, operation).name}: "
            "that was their wish, and stays.",
            "`asterism people undo WHO` takes back what you did last with that contact.",
        )
    return operation


def _contact_of(tables: Tables, operation: Operation) -> Contact:
    return tables.people.find(operation.subject.removeprefix("contact:"))


def _take_touch_back(tables: Tables, operation: Operation) -> dict[str, Any]:
    """What was logged, for the log."""
    touch: Touch = tables.sales.take_back(operation.after["touch"])
    return {
        "kind": touch.kind,
        "at": touch.at.isoformat(),
        "minutes": touch.minutes,
        "note": touch.note,
        "story": operation.after["story"],
    }


def _restore(
    ports: Ports, tables: Tables, contact: Contact, operation: Operation
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A contact as it stood before an operation: (what it found, what it left)."""
    found = standing_as_logged(ports, tables, contact)
    names = ("paused_until", "hold", "held_by")
    if any(found[name] != operation.after[name] for name in names):
        raise Conflict(
            f"{contact.name} changed after your {operation.verb}; nothing was undone.\n"
            f"  As it stands: {logged_in_words(found)}",
            "Change it by hand: what came after it would be lost otherwise.",
        )
    was = operation.before
    until = was["paused_until"]
    tables.people.restore(
        contact.id,
        Standing(date.fromisoformat(until) if until else None, was["hold"], was["held_by"]),
        ports.actor,
        ports.clock.now(),
        revision=contact.revision,
    )
    after = standing_as_logged(ports, tables, contact)
    return found, after | {"revision": tables.people.by_id(contact.id).revision}
