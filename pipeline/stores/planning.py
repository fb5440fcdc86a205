"""Writes the ledger's rows at approval: new ones, and those of a stopped approval again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa

from pipeline.model.letters import PlannedDelivery
from pipeline.rules.letters.ledger import UNSENT
from pipeline.stores.people import address_hash
from pipeline.stores.schema import (
    contacts,
    deliveries,
    delivery_events,
    new_public_id,
    told,
    variants,
)

CHUNK = 500

#: Kept back because another copy of this issue goes to the very same address.
SAME_ADDRESS = "same_address"

Who = tuple[str, int | None, str | None]  #: purpose, contact id, staff key
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Work:
    """What one chunk comes to; nothing is written before all of it is decided."""

    new: list[Row] = field(default_factory=list)
    changed: list[tuple[int, Row]] = field(default_factory=list)  #: (row id, values)
    released: list[int] = field(default_factory=list)  #: unsent rows that gave up an address


class Planner:
    """One call of `SqlDeliveries.plan`."""

    def __init__(
        self,
        connection: sa.Connection,
        secret: bytes,
        issue_id: int,
        variant_ids: Mapping[str, int],
        now: datetime,
    ) -> None:
        self._connection = connection
        self._secret = secret
        self._issue_id = issue_id
        self._variant_ids = variant_ids
        self._now = now
        self._taken: set[tuple[str, str]] = set()  #: (purpose, address hash) of this call
        self._shown = self._what_variants_show()

    def plan(self, rows: Iterable[PlannedDelivery]) -> int:
        """Write them in chunks; how many were new or came back."""
        return sum(self._apply(self._decide(chunk)) for chunk in _chunks(rows))

    def _what_variants_show(self) -> dict[int, tuple[Sequence[int], str]]:
        found = self._connection.execute(
            sa.select(variants.c.id, variants.c.story_ids, variants.c.service_key).where(
                variants.c.id.in_(set(self._variant_ids.values()))
            )
        )
        return {row.id: (tuple(row.story_ids), row.service_key) for row in found}

    # ── decide ───────────────────────────────────────────────────────────────────────────

    def _decide(self, chunk: Sequence[PlannedDelivery]) -> _Work:
        hashes = [address_hash(self._secret, row.address) for row in chunk]
        standing = self._standing(chunk, hashes)
        homes = self._homes(chunk)
        by_who = {(row.purpose, row.contact_id, row.staff_key): row for row in standing}
        by_hash = {(row.purpose, row.address_hash): row for row in standing}
        work = _Work()
        for row, hashed in zip(chunk, hashes, strict=True):
            mine = by_who.get(_who(row))
            other = by_hash.get((row.purpose, hashed))
            values = self._values(row, hashed) | {"account_id": homes.get(row.contact_id)}
            if self._is_taken(row, hashed, mine, other):
                values |= _kept_back(values["public_id"], SAME_ADDRESS)
            elif other is not None and other is not mine:
                work.released.append(other.id)
            if mine is None:
                work.new.append(values)
            elif mine.state in UNSENT and _differs(mine, values):
                del values["public_id"]  # the leave link in a copy is its own for ever
                work.changed.append((mine.id, values))
            self._taken.add((row.purpose, hashed))
        return work

    def _standing(
        self, chunk: Sequence[PlannedDelivery], hashes: Sequence[str]
    ) -> Sequence[sa.Row[Any]]:
        """Rows of this issue that have one of these recipients or addresses."""
        readers = [row.contact_id for row in chunk if row.contact_id is not None]
        staff = [row.staff_key for row in chunk if row.contact_id is None]
        return self._connection.execute(
            sa.select(deliveries)
            .where(
                deliveries.c.issue_id == self._issue_id,
                sa.or_(
                    deliveries.c.contact_id.in_(readers),
                    deliveries.c.staff_key.in_(staff),
                    deliveries.c.address_hash.in_(hashes),
                ),
            )
            .order_by(deliveries.c.id)
            .with_for_update()
        ).all()

    def _homes(self, chunk: Sequence[PlannedDelivery]) -> dict[int | None, int]:
        """The account of each contact at this moment."""
        ids = [row.contact_id for row in chunk if row.contact_id is not None]
        found = self._connection.execute(
            sa.select(contacts.c.id, contacts.c.account_id).where(contacts.c.id.in_(ids))
        )
        return {row.id: row.account_id for row in found}

    def _is_taken(
        self,
        row: PlannedDelivery,
        hashed: str,
        mine: sa.Row[Any] | None,
        other: sa.Row[Any] | None,
    ) -> bool:
        """Whether this address has its copy through another recipient: sent, or planned now."""
        if (row.purpose, hashed) in self._taken:
            return True
        return other is not None and other is not mine and other.state not in UNSENT

    def _values(self, row: PlannedDelivery, hashed: str) -> Row:
        return {
            "public_id": row.public_id or new_public_id(),
            "issue_id": self._issue_id,
            "purpose": row.purpose,
            "variant_id": self._variant_ids[row.variant_key],
            "contact_id": row.contact_id,
            "staff_key": None if row.contact_id is not None else row.staff_key,
            "address": row.address,
            "address_hash": hashed,
            "name": row.name,
            "merge": dict(row.merge),
            "headers": dict(row.headers),
            "state": "planned",
            "reason": "",
            "due_at": row.due_at or self._now,
        }

    # ── apply ────────────────────────────────────────────────────────────────────────────

    def _apply(self, work: _Work) -> int:
        self._release(work.released)
        written = [*self._change(work.changed), *self._insert(work.new)]
        note(self._connection, [(id_, row["state"], row["reason"]) for id_, row in written],
             self._now)  # fmt: skip
        self._tell([(id_, row) for id_, row in written if row["state"] == "planned"])
        return sum(row["state"] == "planned" for _, row in written)

    def _release(self, ids: Sequence[int]) -> None:
        """Unsent rows whose address now belongs to another recipient."""
        if not ids:
            return
        self._connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.id.in_(ids))
            .values(
                state="withheld",
                reason=SAME_ADDRESS,
                address_hash=sa.literal("-") + deliveries.c.public_id,
            )
        )
        note(self._connection, [(id_, "withheld", SAME_ADDRESS) for id_ in ids], self._now)

    def _change(self, changed: Sequence[tuple[int, Row]]) -> list[tuple[int, Row]]:
        ids = [id_ for id_, _ in changed]
        if ids:
            # two recipients may have swapped addresses: nobody holds one while we write
            self._connection.execute(
                sa.update(deliveries)
                .where(deliveries.c.id.in_(ids))
                .values(address_hash=sa.literal("-") + deliveries.c.public_id)
            )
            fresh = {"planned_at": self._now, "next_attempt_at": None, "attempts": 0}
            self._connection.execute(
                sa.update(deliveries).where(deliveries.c.id == sa.bindparam("row_id")),
                [{"row_id": id_, **values, **fresh} for id_, values in changed],
            )
            # what it would have told with its former contents, it will not tell
            self._connection.execute(sa.delete(told).where(told.c.delivery_id.in_(ids)))
        return list(changed)

    def _insert(self, new: Sequence[Row]) -> list[tuple[int, Row]]:
        if not new:
            return []
        ids = self._connection.scalars(
            sa.insert(deliveries).returning(deliveries.c.id, sort_by_parameter_order=True),
            [{**values, "planned_at": self._now} for values in new],
        ).all()
        return list(zip(ids, new, strict=True))

    def _tell(self, planned: Sequence[tuple[int, Row]]) -> None:
        """What a contact will have been told when the letter is out."""
        rows = [
            {
                "contact_id": row["contact_id"],
                "story_id": story_id,
                "service_key": service_key,
                "through": "letter",
                "delivery_id": id_,
                "at": self._now,
            }
            for id_, row in planned
            if row["purpose"] == "letter" and row["contact_id"] is not None
            for story_id, service_key in self._things(row["variant_id"])
        ]
        if rows:
            self._connection.execute(sa.insert(told), rows)

    def _things(self, variant_id: int) -> Iterator[tuple[int | None, str | None]]:
        story_ids, service_key = self._shown[variant_id]
        yield from ((story_id, None) for story_id in dict.fromkeys(story_ids))
        if service_key:
            yield None, service_key


def note(connection: sa.Connection, news: Sequence[tuple[int, str, str]], now: datetime) -> None:
    """Append (delivery id, state, detail) to the ledger's history."""
    if news:
        connection.execute(
            sa.insert(delivery_events),
            [
                {"delivery_id": id_, "state": state, "detail": detail, "at": now}
                for id_, state, detail in news
            ],
        )


def _who(row: PlannedDelivery) -> Who:
    if row.contact_id is not None:
        return row.purpose, row.contact_id, None
    return row.purpose, None, row.staff_key


def _kept_back(public_id: str, reason: str) -> Row:
    """Withheld, with a stand-in where the hash of an address that another copy goes to was."""
    return {"state": "withheld", "reason": reason, "address_hash": f"-{public_id}"}


def _differs(mine: sa.Row[Any], values: Row) -> bool:
    stored = mine._mapping
    return any(stored[name] != value for name, value in values.items() if name != "public_id")


def _chunks(rows: Iterable[PlannedDelivery]) -> Iterator[Sequence[PlannedDelivery]]:
    rest = iter(rows)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
