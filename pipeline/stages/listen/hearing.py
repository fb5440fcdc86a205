"""News of one mail: it moves the copy or the notice, and ends letters to whom it must."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import NotFound
from pipeline.model.letters import Delivery, DeliveryState, Heard, Notice
from pipeline.model.log import Operation
from pipeline.model.people import EVERYWHERE
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.ledger import UNSETTLED
from pipeline.rules.people.standing import as_logged, current

#: Who acts in the log where it is none of us: who got the letter, or who takes their mail in.
RECIPIENT = "recipient"
MAIL_SERVER = "mail server"


@dataclass(frozen=True, slots=True)
class Ending:
    """Why letters end, all of them."""

    bounced: bool = False  #: for good: the address is dead
    complained: bool = False
    left: bool = False  #: asked the provider for no more mail


def hear(ports: Ports, delivery_public_id: str, news: Heard, detail: str) -> DeliveryState | None:
    """Take in what the world tells of a copy; None when there is no such copy.

    May come late, twice and out of order. A complaint blocks the person everywhere, a bounce
    for good the address that the copy went to. News that settle the last doubt move the
    issue on.
    """
    now = ports.clock.now()
    with ports.store.write() as tables:
        moved = tables.deliveries.hear_all([(delivery_public_id, news, detail)], now)
        if not moved:
            return None
        copy = moved[0].delivery
        ending = Ending(bounced=news == "bounced", complained=news == "complained")
        end_letters(ports, tables, copy, ending, detail)
        if moved[0].was in UNSETTLED:
            tables.deliveries.move_on(copy.issue_id, now)
        return copy.state


def end_letters(ports: Ports, tables: Tables, copy: Delivery, why: Ending, detail: str) -> int:
    """Whoever got this copy gets no letters any more, from us at all; how much was new.

    Each reason stands for itself. Mail among ourselves ends for nobody.
    """
    if copy.contact_id is None:
        return 0
    new = 0
    people, now = tables.people, ports.clock.now()
    before = standing(ports, tables, copy.contact_id)
    dead = copy.address if why.bounced else ""
    if dead and people.block(dead, EVERYWHERE, "bounce", now, detail):
        log(ports, tables, copy, MAIL_SERVER, "bounce", before, letters="all")
        new += 1
    if why.complained and people.suppress(
        copy.contact_id, EVERYWHERE, "complaint", now, detail, also=copy.address
    ):
        log(ports, tables, copy, RECIPIENT, "complain", before, letters="all")
        new += 1
    how = "at the provider"
    if why.left and people.suppress(
        copy.contact_id,
        EVERYWHERE,
        "left",
        now,
        f"{how}, copy {copy.public_id}",
        also=copy.address,
    ):
        log(ports, tables, copy, RECIPIENT, "leave", before, letters="all", how=how)
        new += 1
    return new


def end_letters_at(ports: Ports, tables: Tables, notice: Notice, detail: str) -> int:
    """A mail among ourselves was refused for good: the address is dead for a contact, too.

    Where no contact has it nothing ends: our own people stand on no list.
    """
    if "@" not in notice.address:
        return 0
    try:
        contact = tables.people.find(notice.address)
    except NotFound:
        return 0
    now, before = ports.clock.now(), standing(ports, tables, contact.id)
    if not tables.people.block(notice.address, EVERYWHERE, "bounce", now, detail):
        return 0
    after = {"letters": "all", "notice": notice.public_id}
    _log(ports, tables, contact.id, MAIL_SERVER, "bounce", before, after)
    return 1


def standing(ports: Ports, tables: Tables, contact_id: int) -> Mapping[str, Any]:
    """How a contact stands at this moment, as the log keeps it."""
    now_is = current(tables.people.standing(contact_id), ports.clock.now().date())
    return as_logged(now_is, tables.people.suppressions(contact_id))


def log(
    ports: Ports,
    tables: Tables,
    copy: Delivery,
    actor: str,
    verb: str,
    before: Mapping[str, Any],
    **more: str,
) -> None:
    """A fact for whoever asks later why letters stopped, or came again; nobody undoes it."""
    if copy.contact_id is not None:
        after = {**more, "copy": copy.public_id}
        _log(ports, tables, copy.contact_id, actor, verb, before, after)


def _log(
    ports: Ports,
    tables: Tables,
    contact_id: int,
    actor: str,
    verb: str,
    before: Mapping[str, Any],
    more: Mapping[str, Any],
) -> None:
    after = {**standing(ports, tables, contact_id), **more}
    subject = f"contact:{tables.people.by_id(contact_id).public_id}"
    tables.log.add(Operation(actor, verb, subject, ports.clock.now(), before, after))
