"""People: bring them in, look at one, and keep letters from somebody."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import PurePath
from typing import Any

from pipeline.errors import BadInput, Conflict
from pipeline.model.catalog import Account
from pipeline.model.letters import Delivery
from pipeline.model.log import Operation
from pipeline.model.people import (
    EVERYWHERE,
    Basis,
    Contact,
    ImportTally,
    Listed,
    Stand,
    Standing,
    StandingFacts,
    Suppression,
)
from pipeline.model.sales import Touch
from pipeline.ports import PeopleTable, Ports, Tables
from pipeline.rules.deeds import in_words, nothing_to_undo
from pipeline.rules.people.csv import parse_people
from pipeline.rules.people.standing import as_logged, current, logged_in_words, stand

#: What `undo` takes back. A suppression is a person's own wish: it stays.
UNDOABLE = ("touch", "pause", "hold", "release")


@dataclass(frozen=True, slots=True)
class Person:
    """A contact with everything that is known of how they stand with us."""

    contact: Contact
    account: Account | None  #: None when no file names it any more
    constellation_key: str
    bases: Sequence[tuple[Basis, datetime, str]]  #: latest first: (evidence, recorded at, by)
    suppressions: Sequence[Suppression]  #: in force, latest first
    standing: Standing
    stand: Stand
    told: Sequence[Mapping[str, Any]]  #: latest first
    deliveries: Sequence[Delivery]


@dataclass(frozen=True, slots=True)
class Edited:
    """What came of a change by hand to how a contact stands."""

    contact: Contact  #: as it is now
    changed: bool  #: False when it was so already
    before: Mapping[str, Any]  #: paused_until, hold, held_by, suppressed
    after: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Undone:
    """What was taken back."""

    operation: Operation
    contact: Contact


def list_people(ports: Ports, constellation_key: str = "") -> Sequence[Listed]:
    """All contacts, or one constellation's, as they came in, with how each stands.

    Raises: NotFound when no file and no contact knows the constellation
    """
    today = ports.clock.now().date()
    with ports.store.read() as tables:
        listed = [
            Listed(facts.contact, stand(facts, today))
            for facts in tables.people.facts(constellation_key)
        ]
    if not listed and constellation_key:
        ports.catalog.find_constellation(constellation_key)
    return listed


def import_people(ports: Ports, raw: bytes, name: str, *, dry_run: bool = False) -> ImportTally:
    """Bring a people file in, all of it in one transaction.

    The same file twice changes nothing. Whoever left, or is opted out in the file, is kept
    and never active. A row without a basis is taken, and its contact is never mailed.

    Shape:  raw is a CSV file's bytes, name is what messages call it
    Raises: BadInput (no CSV, no column of addresses), NotFound (files not taken over yet)
    """
    now = ports.clock.now()
    file_name = PurePath(name).name or "people.csv"
    read = parse_people(raw, name, ports.catalog, now.date())
    ports.progress(0, read.total, "people")
    with ports.store.read() if dry_run else ports.store.write() as tables:
        tally = tables.people.apply_import(
            read.rows,
            name=file_name,
            digest=hashlib.sha256(raw).hexdigest(),
            actor=ports.actor,
            now=now,
            dry_run=dry_run,
        )
        tally = replace(
            tally,
            rows=read.total,
            invalid=read.total - len(read.rows),
            problems=read.problems,
            remarks=read.remarks,
            columns=read.columns,
        )
        if not dry_run:
            _log(ports, tables, "import", f"people:{file_name[:190]}", after=_counts(tally))
    ports.progress(read.total, read.total, "people")
    return tally


def show_person(ports: Ports, ref: str) -> Person:
    """One contact, by address, id, or an unambiguous beginning of the id.

    Raises: NotFound, BadInput
    """
    today = ports.clock.now().date()
    with ports.store.read() as tables:
        contact = tables.people.find(ref)
        bases = tables.people.bases(contact.id)
        suppressions = tuple(tables.people.suppressions(contact.id))
        standing = current(tables.people.standing(contact.id), today)
        facts = StandingFacts(contact, bool(bases), suppressions, standing)
        return Person(
            contact=contact,
            account=ports.catalog.account(contact.account_key),
            constellation_key=next(
                (
                    constellation.key
                    for constellation in ports.catalog.constellations
                    for account in constellation.accounts
                    if account.key == contact.account_key
                ),
                "",
            ),
            bases=bases,
            suppressions=suppressions,
            standing=standing,
            stand=stand(facts, today),
            told=tables.people.told(contact.id),
            deliveries=tables.deliveries.of_contact(contact.id),
        )


# ── letters kept from somebody ───────────────────────────────────────────────────────────


def pause(ports: Ports, ref: str, until_on: date, *, revision: int | None = None) -> Edited:
    """No letters to this contact until that day. The same day again changes nothing.

    Shape:  revision is the one that the caller has seen
    Raises: NotFound, BadInput (a day that is past); Conflict when somebody changed the contact
            after that revision
    """
    now = ports.clock.now()
    if until_on <= now.date():
        raise BadInput(f"{until_on} is not in the future.", "Name the day from which letters go.")

    def do(people: PeopleTable, contact_id: int, seen: int) -> None:
        people.pause(contact_id, until_on, ports.actor, now, revision=seen)

    return _edit(ports, ref, "pause", {"paused_until": until_on.isoformat()}, do, revision)


def hold(
    ports: Ports, ref: str, reason: str, *, staff_key: str = "", revision: int | None = None
) -> Edited:
    """The account owner holds letters to this contact back until they are released.

    Shape:  staff_key is who holds, the actor when empty; revision is the one that the caller
            has seen
    Raises: NotFound, BadInput (no reason); Conflict when somebody changed the contact after
            that revision
    """
    if not reason.strip():
        raise BadInput("A hold needs its reason.", "Say it in a few words, for your colleagues.")
    holder = staff_key or ports.actor

    def do(people: PeopleTable, contact_id: int, seen: int) -> None:
        people.hold(contact_id, holder, reason.strip(), ports.clock.now(), revision=seen)

    wish = {"hold": reason.strip(), "held_by": holder}
    return _edit(ports, ref, "hold", wish, do, revision)


def release(ports: Ports, ref: str, *, revision: int | None = None) -> Edited:
    """End pause and hold of this contact; a suppression stays.

    Shape:  revision is the one that the caller has seen
    Raises: NotFound; Conflict when somebody changed the contact after that revision
    """

    def do(people: PeopleTable, contact_id: int, seen: int) -> None:
        people.release(contact_id, ports.clock.now(), revision=seen)

    wish = {"paused_until": None, "hold": "", "held_by": ""}
    return _edit(ports, ref, "release", wish, do, revision)


def suppress(ports: Ports, ref: str, *, scope: str = EVERYWHERE, detail: str = "") -> Edited:
    """Never mail this contact again: they asked one of us for it.

    It asks for no revision: it takes nothing back that a colleague wrote, and is never refused
    because somebody was quicker.

    Shape:  scope is a newsletter's key, or EVERYWHERE
    Raises: NotFound
    """
    if scope != EVERYWHERE:
        ports.catalog.find_newsletter(scope)
    with ports.store.write() as tables:
        contact = tables.people.find(ref)
        before = _standing(ports, tables, contact)
        if not tables.people.suppress(contact.id, scope, "asked", ports.clock.now(), detail):
            _keep_words(ports, tables, contact, before, detail)
            return Edited(contact, False, before, before)
        tables.people.edited(contact.id)
        return _edited(ports, tables, "suppress", contact, before)


def _keep_words(
    ports: Ports, tables: Tables, contact: Contact, standing: Mapping[str, Any], detail: str
) -> None:
    """What somebody adds to a suppression that is in force changes nothing, but is not lost."""
    known = (one.detail for one in tables.people.suppressions(contact.id))
    if detail and detail not in known:
        subject = f"contact:{contact.public_id}"
        _log(ports, tables, "suppress", subject, before=standing, after={"note": detail})


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
        undone_by = _log(
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
    found = _standing(ports, tables, contact)
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
    after = _standing(ports, tables, contact)
    return found, after | {"revision": tables.people.by_id(contact.id).revision}


# ── what the verbs share ─────────────────────────────────────────────────────────────────


def _edit(
    ports: Ports,
    ref: str,
    verb: str,
    wish: dict[str, Any],
    do: Callable[[PeopleTable, int, int], None],
    revision: int | None,
) -> Edited:
    """Look, act, write down. What is so already counts as no change, whoever was quicker."""
    with ports.store.write() as tables:
        contact = tables.people.find(ref)
        before = _standing(ports, tables, contact)
        if before == before | wish:
            return Edited(contact, False, before, before)
        seen = contact.revision if revision is None else revision
        try:
            do(tables.people, contact.id, seen)
        except Conflict as stale:
            raise _both(ports, tables, contact, seen, wish) from stale
        return _edited(ports, tables, verb, contact, before)


def _edited(
    ports: Ports, tables: Tables, verb: str, was: Contact, before: dict[str, Any]
) -> Edited:
    contact = tables.people.by_id(was.id)
    after = _standing(ports, tables, contact)
    subject = f"contact:{contact.public_id}"
    _log(
        ports,
        tables,
        verb,
        subject,
        before=before,
        after=after | {"revision": contact.revision},
    )
    return Edited(contact, True, before, after)


def _both(
    ports: Ports, tables: Tables, was: Contact, seen: int, wish: Mapping[str, Any]
) -> Conflict:
    """Who changed a contact since, how it stands now, and what was wanted: nothing is lost."""
    contact = tables.people.by_id(was.id)
    who = "; ".join(dict.fromkeys(_since(tables, contact, seen)))
    return Conflict(
        f"{contact.name} changed since you looked: {who}.\n"
        f"  As it stands: {logged_in_words(_standing(ports, tables, contact))}\n"
        f"  Yours: {logged_in_words(wish)}",
        "Look at both, then do yours again on top of the newest.",
    )


def _since(tables: Tables, contact: Contact, seen: int) -> Iterator[str]:
    unsaid = contact.revision - seen
    for operation in tables.log.of(f"contact:{contact.public_id}"):
        if operation.after.get("revision", 0) > seen:
            unsaid -= 1
            yield in_words(operation, contact.name)
    if unsaid > 0:  # imports write one line for all
        yield "a file of people was brought in"


def _counts(tally: ImportTally) -> dict[str, int]:
    names = ("rows", "new", "changed", "same", "left", "invalid", "without_basis")
    return {name: getattr(tally, name) for name in names}


def _standing(ports: Ports, tables: Tables, contact: Contact) -> dict[str, Any]:
    standing = current(tables.people.standing(contact.id), ports.clock.now().date())
    return as_logged(standing, tables.people.suppressions(contact.id))


def _log(
    ports: Ports,
    tables: Tables,
    verb: str,
    subject: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> int:
    return tables.log.add(
        Operation(ports.actor, verb, subject, ports.clock.now(), before or {}, after or {})
    )
