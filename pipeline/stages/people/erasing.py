"""Forget one person: everything personal goes, the block of the address stays."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from pipeline.errors import BadInput, Down, NotFound
from pipeline.model.people import Contact
from pipeline.ports import Ports, Tables
from pipeline.rules.people.traces import Traces
from pipeline.stages.people.parts import log


@dataclass(frozen=True, slots=True)
class Erased:
    """What erasing somebody did, or found done."""

    public_id: str  #: what is left to name them by; empty when only the address was known
    erased_at: datetime
    already: bool  #: they were erased before; nothing was left to do
    copies: int = 0  #: of letters that were theirs or named them
    files: int = 0  #: that were removed below output/


def erase(ports: Ports, ref: str, *, reason: str = "") -> Erased:
    """Forget this person in the database and in files; there is no way back.

    What stays is a row without a name, so that totals stay true, and the keyed hash of their
    addresses among those that are never mailed: a later import cannot bring them back. First
    nothing goes out to them any more, then files go, then rows; a run that was killed on the
    way is taken up by the next one. Asked again it says that it is done. News that tells of
    them in public is not ours and stays; so do files that people wrote, and backups.

    Shape:  reason in words, for the log; their own name in it is taken out
    Raises: NotFound; BadInput; Conflict while a copy that holds them is being sent;
            Down when a file cannot be removed (nothing goes out to them all the same)
    """
    now = ports.clock.now()
    with ports.store.write() as tables:
        found = _look(tables, ref)
        if isinstance(found, Erased):
            return found
        erasing = tables.erasing.begin(found.id, reason, now)
    traces = Traces(erasing.addresses, erasing.names)
    files = ports.outbox.forget(erasing.copies, traces.full.stand_in) if ports.outbox else 0
    with ports.store.write() as tables:
        tables.erasing.erase(found.id, now)
        after = {"reason": traces.taken_out(reason), "copies": len(erasing.copies)}
        log(ports, tables, "erase", f"contact:{found.public_id}", after=after)
    with suppress(Down):  # it is done; what a log of the database's own still holds, `tidy` clears
        ports.store.optimize()
    return Erased(found.public_id, now, already=False, copies=len(erasing.copies), files=files)


def _look(tables: Tables, ref: str) -> Contact | Erased:
    try:
        contact = tables.people.find(ref)
    except NotFound:
        if "@" not in ref:
            raise
        at = _erased_at(tables, ref)
        if at is None:
            raise
        return Erased("", at, already=True)
    if contact.erased_at is not None:
        return Erased(contact.public_id, contact.erased_at, already=True)
    return contact


def _erased_at(tables: Tables, address: str) -> datetime | None:
    try:
        return tables.erasing.erased_at(address)
    except BadInput:
        return None
