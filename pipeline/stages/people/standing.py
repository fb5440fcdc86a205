"""Keep letters from somebody: pause, hold, release, suppress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pipeline.errors import BadInput, Conflict
from pipeline.model.people import EVERYWHERE, Contact, Suppression
from pipeline.ports import PeopleTable, Ports, Tables
from pipeline.rules.deeds import in_words
from pipeline.rules.people.standing import logged_in_words, why_suppressed
from pipeline.stages.people.parts import log, standing_as_logged


@dataclass(frozen=True, slots=True)
class Edited:
    """What came of a change by hand to how a contact stands."""

    contact: Contact  #: as it is now
    changed: bool  #: False when it was so already
    before: Mapping[str, Any]  #: paused_until, hold, held_by, suppressed
    after: Mapping[str, Any]


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
    with ports.store.write() as tables:
        if scope != EVERYWHERE and not tables.catalog.has_newsletter(scope):
            ports.catalog.find_newsletter(scope)  # its file may hold a mistake just now
        contact = _still_there(tables, ref)
        before = standing_as_logged(ports, tables, contact)
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
        log(ports, tables, "suppress", subject, before=standing, after={"note": detail})


def lift(ports: Ports, ref: str, evidence: str, *, scope: str = EVERYWHERE) -> Edited:
    """Take back a suppression that somebody here entered by mistake, and only such a one.

    Who left, complained, bounced or was erased is never brought back by hand: that word was
    not ours. Only the constellation's approver may, and says how they know it was a mistake.

    Shape:  scope is a newsletter's key, or EVERYWHERE; evidence in words, kept in the log
    Raises: NotFound; BadInput (no evidence); Conflict when who acts may not, or when what is
            in force is nobody's to lift
    """
    if not evidence.strip():
        raise BadInput(
            "Lifting needs its evidence.",
            "Say how you know that they did not ask: “I took her for her namesake, see mail”.",
        )
    if scope != EVERYWHERE:
        ports.catalog.find_newsletter(scope)
    with ports.store.write() as tables:
        contact = _still_there(tables, ref)
        _be_approver(ports, contact)
        before = standing_as_logged(ports, tables, contact)
        found = [one for one in tables.people.suppressions(contact.id) if one.scope == scope]
        if not any(one.reason == "asked" for one in found):
            raise _nobodys_to_lift(contact, scope, found)
        tables.people.lift(contact.id, scope, ports.clock.now(), "asked")
        tables.people.edited(contact.id)
        more = {"evidence": evidence.strip()}
        return _edited(ports, tables, "lift", contact, before, more)


def _be_approver(ports: Ports, contact: Contact) -> None:
    homes = [
        constellation
        for constellation in ports.catalog.constellations
        if any(account.key == contact.account_key for account in constellation.accounts)
    ] or ports.catalog.constellations
    if not any(ports.catalog.is_approver(ports.actor, home) for home in homes):
        names = " or ".join(dict.fromkeys(home.approver for home in homes))
        raise Conflict(
            f"Only the approver lifts a suppression, and {ports.actor} is not the approver.",
            f"Ask {names}; `--as` says who you are.",
        )


def _nobodys_to_lift(contact: Contact, scope: str, found: Sequence[Suppression]) -> Conflict:
    where = "every letter" if scope == EVERYWHERE else scope
    if not found:
        return Conflict(
            f"Nothing keeps {where} from {contact.name} in this way.",
            f"`asterism people show {contact.public_id[:8]}` says what does.",
        )
    why = ", ".join(why_suppressed(one) for one in found)
    return Conflict(
        f"{contact.name} is out of {where} by a word that is not ours: {why}.",
        "It stays. They can come back themselves, by the leave link in any of our letters.",
    )


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
        contact = _still_there(tables, ref)
        before = standing_as_logged(ports, tables, contact)
        if before == before | wish:
            return Edited(contact, False, before, before)
        seen = contact.revision if revision is None else revision
        try:
            do(tables.people, contact.id, seen)
        except Conflict as stale:
            raise _both(ports, tables, contact, seen, wish) from stale
        return _edited(ports, tables, verb, contact, before)


def _still_there(tables: Tables, ref: str) -> Contact:
    """Raises: NotFound, BadInput; Conflict when they were erased"""
    contact = tables.people.find(ref)
    if contact.erased_at is not None:
        raise Conflict(
            f"This person was erased on {contact.erased_at:%Y-%m-%d}; they get no letters.",
            "Nothing about them can be changed, or written down.",
        )
    return contact


def _edited(
    ports: Ports,
    tables: Tables,
    verb: str,
    was: Contact,
    before: dict[str, Any],
    more: Mapping[str, Any] | None = None,
) -> Edited:
    contact = tables.people.by_id(was.id)
    after = standing_as_logged(ports, tables, contact)
    subject = f"contact:{contact.public_id}"
    log(
        ports,
        tables,
        verb,
        subject,
        before=before,
        after={**after, **(more or {}), "revision": contact.revision},
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
        f"  As it stands: {logged_in_words(standing_as_logged(ports, tables, contact))}\n"
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
