"""News of one copy: it moves the copy, and ends letters to whom it must."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.model.letters import Delivery, DeliveryState, Heard
from pipeline.model.log import Operation
from pipeline.model.people import EVERYWHERE
from pipeline.ports import Ports, Tables
from pipeline.rules.people.standing import as_logged, current

#: Who acts in the log where it is none of us: who got the letter, or who takes their mail in.
RECIPIENT = "recipient"
MAIL_SERVER = "mail server"


def hear(ports: Ports, delivery_public_id: str, news: Heard, detail: str) -> DeliveryState | None:
    """Take in what the world tells of a copy; None when there is no such copy.

    May come late, twice and out of order. A complaint blocks the person everywhere, a bounce
    for good the address that the copy went to.
    """
    now = ports.clock.now()
    with ports.store.write() as tables:
        state = tables.deliveries.hear(delivery_public_id, news, detail, now)
        copy = tables.deliveries.by_public_id(delivery_public_id)
        if news in ("complained", "bounced") and copy is not None and copy.contact_id is not None:
            _block(ports, tables, copy, copy.contact_id, news, detail)
        return state


def _block(
    ports: Ports, tables: Tables, copy: Delivery, contact_id: int, news: Heard, detail: str
) -> None:
    people, now, before = tables.people, ports.clock.now(), standing(ports, tables, contact_id)
    if news == "bounced":
        if people.block(copy.address, EVERYWHERE, "bounce", now, detail):
            log(ports, tables, copy, MAIL_SERVER, "bounce", before, letters="all")
    elif people.suppress(contact_id, EVERYWHERE, "complaint", now, detail, also=copy.address):
        log(ports, tables, copy, RECIPIENT, "complain", before, letters="all")


def standing(ports: Ports, tables: Tables, contact_id: int) -> Mapping[str, Any]:
    standing = current(tables.people.standing(contact_id), ports.clock.now().date())
    return as_logged(standing, tables.people.suppressions(contact_id))


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
    if copy.contact_id is None:
        return
    contact = tables.people.by_id(copy.contact_id)
    after = {**standing(ports, tables, contact.id), **more, "copy": copy.public_id}
    subject = f"contact:{contact.public_id}"
    tables.log.add(Operation(actor, verb, subject, ports.clock.now(), before, after))
