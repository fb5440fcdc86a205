"""People: bring them in, look at one, and keep letters from somebody."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import PurePath
from typing import Any

from pipeline.errors import BadInput, NotFound
from pipeline.model.catalog import Account
from pipeline.model.letters import Delivery
from pipeline.model.log import Operation
from pipeline.model.people import (
    EVERYWHERE,
    Basis,
    Contact,
    ImportTally,
    Standing,
    Suppression,
)
from pipeline.ports import Ports, Tables
from pipeline.rules.people.csv import parse_people


@dataclass(frozen=True, slots=True)
class Person:
    """A contact with everything that is known of how they stand with us."""

    contact: Contact
    account: Account | None  #: None when no file names it any more
    constellation_key: str
    bases: Sequence[tuple[Basis, datetime, str]]  #: latest first: (evidence, recorded at, by)
    suppressions: Sequence[Suppression]  #: in force, latest first
    standing: Standing
    told: Sequence[Mapping[str, Any]]  #: latest first
    deliveries: Sequence[Delivery]


def list_people(ports: Ports, constellation_key: str = "") -> Sequence[Contact]:
    """All contacts, or one constellation's, as they came in.

    Raises: NotFound when no file and no contact knows the constellation
    """
    with ports.store.read() as tables:
        contacts = tables.people.contacts(constellation_key)
    if not contacts and constellation_key and not ports.catalog.constellation(constellation_key):
        keys = ", ".join(c.key for c in ports.catalog.constellations)
        raise NotFound(f"There is no constellation “{constellation_key}”.", f"There are: {keys}.")
    return contacts


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
    with ports.store.read() as tables:
        contact = tables.people.find(ref)
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
            bases=tables.people.bases(contact.id),
            suppressions=tables.people.suppressions(contact.id),
            standing=tables.people.standing(contact.id),
            told=tables.people.told(contact.id),
            deliveries=tables.deliveries.of_contact(contact.id),
        )


def pause(ports: Ports, ref: str, until_on: date) -> Contact:
    """No letters to this contact until that day.

    Raises: NotFound, BadInput (a day that is past)
    """
    now = ports.clock.now()
    if until_on <= now.date():
        raise BadInput(f"{until_on} is not in the future.", "Name the day from which letters go.")
    with ports.store.write() as tables:
        contact = tables.people.find(ref)
        before = _standing(tables, contact)
        tables.people.pause(contact.id, until_on, ports.actor, now)
        _log_contact(ports, tables, "pause", contact, before)
    return contact


def hold(ports: Ports, ref: str, reason: str, *, staff_key: str = "") -> Contact:
    """The account owner holds letters to this contact back until they are released.

    Shape:  staff_key is who holds, the actor when empty
    Raises: NotFound, BadInput (no reason)
    """
    if not reason.strip():
        raise BadInput("A hold needs its reason.", "Say it in a few words, for your colleagues.")
    with ports.store.write() as tables:
        contact = tables.people.find(ref)
        before = _standing(tables, contact)
        holder = staff_key or ports.actor
        tables.people.hold(contact.id, holder, reason.strip(), ports.clock.now())
        _log_contact(ports, tables, "hold", contact, before)
    return contact


def release(ports: Ports, ref: str) -> Contact:
    """End pause and hold of this contact; a suppression stays.

    Raises: NotFound
    """
    with ports.store.write() as tables:
        contact = tables.people.find(ref)
        before = _standing(tables, contact)
        tables.people.release(contact.id, ports.clock.now())
        _log_contact(ports, tables, "release", contact, before)
    return contact


def suppress(ports: Ports, ref: str, *, scope: str = EVERYWHERE, detail: str = "") -> bool:
    """Never mail this contact again: they asked one of us for it.

    Shape:  scope is a newsletter's key, or EVERYWHERE; False when it was so already
    Raises: NotFound
    """
    if scope != EVERYWHERE and ports.catalog.newsletter(scope) is None:
        raise NotFound(
            f"There is no newsletter {scope}.", "Leave it out to end every letter to them."
        )
    with ports.store.write() as tables:
        contact = tables.people.find(ref)
        before = _standing(tables, contact)
        new = tables.people.suppress(contact.id, scope, "asked", ports.clock.now(), detail)
        if new:
            _log_contact(ports, tables, "suppress", contact, before)
    return new


def _counts(tally: ImportTally) -> dict[str, int]:
    names = ("rows", "new", "changed", "same", "left", "invalid", "without_basis")
    return {name: getattr(tally, name) for name in names}


def _standing(tables: Tables, contact: Contact) -> dict[str, Any]:
    """As JSON, for the log."""
    now = tables.people.standing(contact.id)
    return {
        "paused_until": now.paused_until.isoformat() if now.paused_until else None,
        "hold": now.hold,
        "suppressed": [f"{s.scope} {s.reason}" for s in tables.people.suppressions(contact.id)],
    }


def _log_contact(
    ports: Ports, tables: Tables, verb: str, contact: Contact, before: Mapping[str, Any]
) -> None:
    after = _standing(tables, contact)
    _log(ports, tables, verb, f"contact:{contact.public_id}", before=before, after=after)


def _log(
    ports: Ports,
    tables: Tables,
    verb: str,
    subject: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    tables.log.add(
        Operation(ports.actor, verb, subject, ports.clock.now(), before or {}, after or {})
    )
