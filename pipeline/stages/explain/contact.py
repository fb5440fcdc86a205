"""Why one contact got each letter, or did not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.model.log import Step
from pipeline.model.people import Contact
from pipeline.ports import Ports, Tables
from pipeline.rules.deeds import changes_in_words, in_words
from pipeline.rules.letters.curator_notes import day_in_words


def explain_contact(ports: Ports, ref: str) -> tuple[Step, ...]:
    """Account, basis and standing; each issue's verdict; each copy and what became of it; what
    they were told; touches.

    Raises: NotFound, BadInput
    """
    names = {a.key: a.name for c in ports.catalog.constellations for a in c.accounts}
    with ports.store.read() as tables:
        contact = tables.people.find(ref)
        steps = [
            *_who(contact, names),
            *_bases(tables, contact),
            *_standing(tables, contact),
            *_operations(tables, contact),
            *_verdicts(tables, contact),
            *_deliveries(tables, contact),
            *_told(tables, contact),
            *_touches(tables, contact),
        ]
    return tuple(steps)


def _who(contact: Contact, names: Mapping[str, str]) -> Iterator[Step]:
    account = names.get(contact.account_key, f"{contact.account_key} (no longer in our files)")
    role = f", {contact.role}" if contact.role else ""
    yield Step(None, f"{contact.name or contact.public_id[:8]}{role}, at {account}",
               f"contact {contact.public_id}")  # fmt: skip
    if contact.retired_at:
        yield Step(contact.retired_at, "No longer at the account: gets no letters")
    if contact.invalid:
        yield Step(None, "The address cannot be used: gets no letters", contact.invalid)


def _bases(tables: Tables, contact: Contact) -> Iterator[Step]:
    bases = tables.people.bases(contact.id)
    for basis, recorded_at, actor in reversed(bases):
        kind = basis.kind.replace("_", " ")
        said = f"since {day_in_words(basis.given_on)}, {basis.source}".rstrip(", ")
        wording = f"\n“{basis.wording}”" if basis.wording else ""
        yield Step(recorded_at, f"Basis: {kind}", f"{said}\nrecorded by {actor}{wording}")
    if not bases:
        yield Step(None, "No basis is recorded: gets no letters")


def _standing(tables: Tables, contact: Contact) -> Iterator[Step]:
    rows = tables.reasons.standing_of(contact.id)
    for row in rows:
        ended = f"ended {row['ended_at']:%Y-%m-%d %H:%M} UTC" if row["ended_at"] else ""
        yield Step(row["at"], f"{row['what'].capitalize()}: {row['detail']}", ended)
    if not rows:
        yield Step(None, "Nothing keeps letters from them: no suppression, pause or hold")


def _operations(tables: Tables, contact: Contact) -> Iterator[Step]:
    for operation in tables.log.of(f"contact:{contact.public_id}"):
        yield Step(operation.at, in_words(operation, contact.name), changes_in_words(operation))


def _verdicts(tables: Tables, contact: Contact) -> Iterator[Step]:
    rows = tables.reasons.verdicts_of(contact.id)
    for row in rows:
        if row["is_in"]:
            what = f"In the audience of {row['issue_ref']}, {row['kind']} edition"
        else:
            what = f"Left out of {row['issue_ref']}: {row['reason'].replace('_', ' ')}"
        yield Step(row["approved_at"], what, row["detail"])
    if not rows:
        yield Step(None, "No issue has been approved since they are here")


def _deliveries(tables: Tables, contact: Contact) -> Iterator[Step]:
    refs = {issue.id: issue.ref for issue in tables.letters.issues()}
    for delivery in tables.deliveries.of_contact(contact.id):
        ref = refs.get(delivery.issue_id, "an issue")
        state = delivery.state.replace("_", " ")
        yield Step(None, f"Copy of {ref}: {state}", delivery.reason)
        for at, event, detail in tables.deliveries.history(delivery.id):
            yield Step(at, f"Copy of {ref} became {event.replace('_', ' ')}", detail)


def _told(tables: Tables, contact: Contact) -> Iterator[Step]:
    for fact in reversed(tables.people.told(contact.id)):
        what = f"“{fact['title']}”" if fact["title"] else f"our service {fact['service']}"
        through = fact["issue"] or fact["through"]
        yield Step(fact["at"], f"Told of {what} through {through}", fact["state"])


def _touches(tables: Tables, contact: Contact) -> Iterator[Step]:
    for touch in tables.reasons.touches_of(contact.id):
        by = f" by {touch['staff_key']}" if touch["staff_key"] else ""
        minutes = f"{touch['minutes']} minutes" if touch["minutes"] else ""
        detail = "\n".join(part for part in (minutes, touch["note"]) if part)
        yield Step(touch["at"], f"Touched by {touch['kind']}{by}", detail)
