"""Look at people: all of them, or one with everything that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.model.catalog import Account
from pipeline.model.letters import Delivery
from pipeline.model.people import (
    Basis,
    Contact,
    Listed,
    Stand,
    Standing,
    StandingFacts,
    Suppression,
)
from pipeline.ports import Ports
from pipeline.rules.people.standing import current, stand


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
    told: Sequence[Mapping[str, Any]]  #: latest first; by a letter, once that has left
    coming: Sequence[Mapping[str, Any]]  #: what letters will tell that have not left
    deliveries: Sequence[Delivery]


def list_people(ports: Ports, constellation_key: str = "") -> Sequence[Listed]:
    """All contacts, or one constellation's, as they came in, with how each stands.

    Raises: NotFound when no file and no contact knows the constellation
    """
    today = ports.clock.now().date()
    with ports.store.read() as tables:
        listed = [
            Listed(facts.contact, stand(facts, today))
            for facts in tables.people.facts(constellation_key)
            if facts.contact.erased_at is None
        ]
    if not listed and constellation_key:
        ports.catalog.find_constellation(constellation_key)
    return listed


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
        facts_told = tables.people.told(contact.id)
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
            told=tuple(fact for fact in facts_told if fact["goes_at"] is None),
            coming=tuple(fact for fact in facts_told if fact["goes_at"] is not None),
            deliveries=tables.deliveries.of_contact(contact.id),
        )
