"""Why one contact got each letter, or did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.model.letters import Delivery
from pipeline.model.log import Step
from pipeline.model.people import Contact
from pipeline.model.sales import MACHINE_TOUCHES
from pipeline.ports import Ports, Tables
from pipeline.rules.deeds import changes_in_words, in_words
from pipeline.rules.letters.audience import why_out
from pipeline.rules.letters.curator_notes import day_in_words
from pipeline.stages.explain.parts import Part, Parts, joined, latest, whole

#: Of each list, how many are shown in short.
RELATIONSHIPS = 2
BASES = 2
ENDED = 2
OPERATIONS = 5
ISSUES = 3
TOLD = 5
TOUCHES = 5


def explain_contact(ports: Ports, ref: str) -> Part:
    """Account, basis and standing; for each issue the verdict, each copy and what became of it;
    what they were told; touches.

    Raises: NotFound, BadInput
    """
    names = {a.key: a.name for c in ports.catalog.constellations for a in c.accounts}
    with ports.store.read() as tables:
        contact = tables.people.find(ref)
        return joined([
            whole(*_who(contact, names)),
            _relationships(tables, contact, names),
            _bases(tables, contact),
            _standing(tables, contact),
            _operations(tables, contact),
            _issues(tables, contact),
            _told(tables, contact),
            _touches(tables, contact),
        ])  # fmt: skip


def _who(contact: Contact, names: Mapping[str, str]) -> Iterator[Step]:
    account = names.get(contact.account_key, f"{contact.account_key} (no longer in our files)")
    role = f", {contact.role}" if contact.role else ""
    yield Step(None, f"{contact.name or contact.public_id[:8]}{role}, at {account}",
               f"contact {contact.public_id}")  # fmt: skip
    if contact.retired_at:
        yield Step(contact.retired_at, "No longer at the account: gets no letters")
    if contact.invalid:
        yield Step(None, "The address cannot be used: gets no letters", contact.invalid)


def _relationships(tables: Tables, contact: Contact, names: Mapping[str, str]) -> Part:
    """How the account changed to us, if ever; it decides which edition its people read."""
    rows = tables.reasons.relationships_of(contact.account_key)
    if len(rows) < 2:
        return joined([])
    name = names.get(contact.account_key, contact.account_key)
    parts = [
        whole(Step(row["since"], f"{name} is a {row['relationship']} from the next issue on"))
        for row in rows
    ]
    return latest(parts, RELATIONSHIPS, lambda rest: Step(None, f"{len(rest)} changes before"))


def _bases(tables: Tables, contact: Contact) -> Part:
    parts = []
    for basis, recorded_at, actor in reversed(tables.people.bases(contact.id)):
        kind = basis.kind.replace("_", " ")
        said = f"since {day_in_words(basis.given_on)}, {basis.source}".rstrip(", ")
        wording = f"\n“{basis.wording}”" if basis.wording else ""
        detail = f"{said}\nrecorded by {actor}{wording}"
        parts.append(whole(Step(recorded_at, f"Basis: {kind}", detail)))
    if not parts:
        return whole(Step(None, "No basis is recorded: gets no letters"))
    return latest(parts, BASES, lambda rest: Step(None, f"{len(rest)} earlier bases"))


def _standing(tables: Tables, contact: Contact) -> Part:
    """What is over, then what holds."""
    rows = tables.reasons.standing_of(contact.id)
    if not rows:
        return whole(Step(None, "Nothing keeps letters from them: no suppression, pause or hold"))
    over = [whole(_stand(row)) for row in rows if row["ended_at"]]
    holds = [whole(_stand(row)) for row in rows if not row["ended_at"]]
    ended = latest(over, ENDED, lambda rest: Step(None, f"{len(rest)} more have ended before"))
    return joined([ended, *holds])


def _stand(row: Mapping[str, Any]) -> Step:
    ended = f"ended {row['ended_at']:%Y-%m-%d %H:%M} UTC" if row["ended_at"] else ""
    return Step(row["at"], f"{row['what'].capitalize()}: {row['detail']}", ended)


def _operations(tables: Tables, contact: Contact) -> Part:
    parts = [
        whole(Step(done.at, in_words(done, contact.name), changes_in_words(done)))
        for done in tables.log.of(f"contact:{contact.public_id}")
    ]
    return latest(parts, OPERATIONS, lambda rest: Step(None, f"{len(rest)} steps before that"))


def _issues(tables: Tables, contact: Contact) -> Part:
    refs = {issue.id: issue.ref for issue in tables.letters.issues()}
    copies: dict[str, list[Delivery]] = {}
    for copy in tables.deliveries.of_contact(contact.id):
        copies.setdefault(refs.get(copy.issue_id, "an issue"), []).append(copy)
    verdicts = tables.reasons.verdicts_of(contact.id)
    parts = []
    for row in verdicts:
        own = copies.pop(row["issue_ref"], [])
        made = (_copy(tables, row["issue_ref"], copy) for copy in own)
        parts.append(joined([whole(_verdict(row)), *made]))
    if not parts:
        parts = [whole(Step(None, "No issue has been approved since they are here"))]
    left = (_copy(tables, ref, copy) for ref, own in copies.items() for copy in own)
    return joined([latest(parts, ISSUES, lambda rest: _before(verdicts[: len(rest)])), *left])


def _verdict(row: Mapping[str, Any]) -> Step:
    if row["is_in"]:
        what = f"In the audience of {row['issue_ref']}, {row['kind']} edition"
    else:
        what = f"Left out of {row['issue_ref']}: {why_out(row['reason'])}"
    return Step(row["approved_at"], what, row["detail"])


def _before(verdicts: Sequence[Mapping[str, Any]]) -> Step:
    """The sum of the issues before those that are shown, each with its one reason."""
    reasons = Counter(why_out(row["reason"]) for row in verdicts if not row["is_in"])
    got = sum(1 for row in verdicts if row["is_in"])
    lines = [f"{got} in the audience"] if got else []
    lines += [f"{number} left out: {reason}" for reason, number in reasons.most_common()]
    return Step(None, f"{len(verdicts)} issues before that", "\n".join(lines))


def _copy(tables: Tables, ref: str, copy: Delivery) -> Part:
    """In short: what became of it and when."""
    events = tables.deliveries.history(copy.id)
    what = f"Copy of {ref}: {copy.state.replace('_', ' ')}"
    steps = [
        Step(None, what, "\n".join(part for part in (copy.reason, *_moved(tables, copy)) if part))
    ]
    for at, event, detail in events:
        steps.append(Step(at, f"Copy of {ref} became {event.replace('_', ' ')}", detail))
    last = steps[-1]
    short = copy.reason or last.detail
    if copy.state == "unknown":
        short = "\n".join((short, _way_out(copy)))
    return Part(tuple(steps), (Step(last.at, what, short),))


def _moved(tables: Tables, copy: Delivery) -> Iterator[str]:
    """What moved it in its latest attempt, and what can be done when nobody knows."""
    batch = tables.deliveries.batches_of([copy.id]).get(copy.id)
    if batch is not None:
        yield f"moved by {copy.transport}, batch {batch.provider_id}"
    if copy.state == "unknown":
        yield _way_out(copy)


def _way_out(copy: Delivery) -> str:
    return f"`asterism deliver resolve {copy.public_id[:8]}` says what became of it"


def _told(tables: Tables, contact: Contact) -> Part:
    parts = [_fact(fact) for fact in reversed(tables.people.told(contact.id))]
    return latest(parts, TOLD, lambda rest: Step(None, f"Told of {len(rest)} more before those"))


def _fact(fact: Mapping[str, Any]) -> Part:
    what = f"“{fact['title']}”" if fact["title"] else f"our service {fact['service']}"
    through = f"{what} through {fact['issue'] or fact['through']}"
    if fact["goes_at"] is not None:
        return whole(Step(fact["goes_at"], f"To be told of {through}"))
    step = Step(fact["at"], f"Told of {through}")
    usual = fact["state"] in ("accepted", "delivered")
    told = replace(step, detail=fact["state"].replace("_", " "))
    return Part((told,), (step if usual else told,))


def _touches(tables: Tables, contact: Contact) -> Part:
    """What people did is told one by one, what the machine sent by a count."""
    rows = tables.reasons.touches_of(contact.id)
    by_hand = [whole(_touch(row)) for row in rows if row["kind"] not in MACHINE_TOUCHES]
    letters = [_touch(row) for row in rows if row["kind"] in MACHINE_TOUCHES]
    short = latest(by_hand, TOUCHES, _touched_before).short
    if len(letters) > 1:
        letters = [replace(letters[-1], what=f"Touched by {len(letters)} letters, the last then")]
    return Part(tuple(_touch(row) for row in rows), (*short, *letters))


def _touched_before(rest: Parts) -> Step:
    return Step(None, f"Touched {len(rest)} times by hand before those")


def _touch(row: Mapping[str, Any]) -> Step:
    by = f" by {row['staff_key']}" if row["staff_key"] else ""
    minutes = f"{row['minutes']} minutes" if row["minutes"] else ""
    detail = "\n".join(part for part in (minutes, row["note"]) if part)
    return Step(row["at"], f"Touched by {row['kind']}{by}", detail)
