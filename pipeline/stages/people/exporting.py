"""Everything that is known of one person, as one document that they can read themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from pipeline.ports import Ports
from pipeline.rules.letters.merge import fill_text

#: key of the rows, title, what a reader wants to know of it
SECTIONS: Sequence[tuple[str, str, str]] = (
    ("person", "Who you are to us", "What we hold of you and of the company you work for."),
    ("ids", "Your number in other systems", "So that we find you again in a customer system."),
    (
        "evidence",
        "Why we may write to you",
        "The grounds that are on record, with the very words where you agreed to something.",
    ),
    ("newsletters", "Newsletters you chose", "Wanted or not, as you told us."),
    (
        "blocks",
        "What you are not sent any more",
        "Kept under a code that only we can make from your address.",
    ),
    ("pauses", "Pauses", "Times in which we sent you nothing."),
    ("holds", "Letters held back by a colleague", "And the reason that they gave."),
    ("imports", "Files in which you were brought in", "What each of them changed."),
    ("decisions", "Whether you get each issue", "One reason for each."),
    ("letters", "Letters to you", "Subject, when, and what became of each copy."),
    ("letter_events", "What happened to your letters", "As we and our mail provider noted it."),
    (
        "told",
        "What you were told",
        "Stories and services, so that you hear nothing twice; also what a letter is to tell.",
    ),
    ("touches", "Contact with you", "Letters, calls, notes and visits, with what was noted."),
    ("mails", "Mail of ours to you that we logged", "Only that it was sent, not what it says."),
    ("steps", "Who did what", "Each change of how you stand with us, by whom."),
)


@dataclass(frozen=True, slots=True)
class Export:
    """One person's document."""

    public_id: str
    about: Mapping[str, Any]
    sections: Sequence[Mapping[str, Any]]  #: title, explained, entries

    @property
    def document(self) -> Mapping[str, Any]:
        return {"about": self.about, "sections": self.sections}


def export_person(ports: Ports, ref: str) -> Export:
    """All that the database holds of one person, and of nobody else; writes nothing.

    Units:  times are ISO 8601 in UTC
    Raises: NotFound, BadInput
    """
    firm, now = ports.catalog.firm, ports.clock.now()
    with ports.store.read() as tables:
        contact = tables.people.find(ref)
        rows = dict(tables.export.everything(contact.id))
    rows["letters"] = [_letter(row) for row in rows["letters"]]
    about = {
        "what this is": f"Everything that {firm.name or 'the firm'} holds of one person in its "
        "newsletter system",
        "held by": firm.postal_address,
        "ask us": firm.contact,
        "made at": _told(now),
        "made by": ports.actor,
        "times": "are in UTC: year-month-dayThour:minute",
    }
    sections = [
        {
            "title": title,
            "explained": explained,
            "entries": [_entry(row) for row in rows[key]] or "nothing is on record",
        }
        for key, title, explained in SECTIONS
    ]
    return Export(contact.public_id, _entry(about), sections)


def _letter(row: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with the subject that its reader saw, and without the links that act for them."""
    values = row["what was filled in"]
    shown = {name: value for name, value in values.items() if not name.endswith("_url")}
    return {**row, "subject": fill_text(row["subject"], values), "what was filled in": shown}


def _entry(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what is empty in it."""
    return {name: _told(value) for name, value in row.items() if value not in (None, "", {}, [])}


def _told(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    return value.replace("_", " ") if isinstance(value, str) and value in _STATES else value


#: Words of the program that read better without an underscore.
_STATES = frozenset(
    {"legitimate_interest", "no_basis", "not_subscribed", "had_recap", "too_little_left",
     "invalid_address"}
)  # fmt: skip
