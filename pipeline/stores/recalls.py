"""Copies that a stop takes back from a provider: which can be, and who is asking for them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.model.letters import Batch
from pipeline.rules.letters.ledger import STOPPED
from pipeline.stores.due import lease_is_over
from pipeline.stores.schema import batch_copies, batches, deliveries, delivery_events

PAGE = 1000

#: A provider has these, or may have them, and nothing is known of how they fared.
TAKEN = ("accepted", "attempting")


def out(
    connection: sa.Connection,
    issue_id: int,
    transport: str,
    can: Callable[[Batch], bool],
    now: datetime,
    *,
    lock: bool = False,
) -> Sequence[sa.Row[Any]]:
    """Copies of this issue that a provider has and can still give back; (id, state) and more.

    With a lock: as they are when nobody else changes them.
    """
    query = (
        _with_batch(deliveries.c.id, deliveries.c.state)
        .where(
            deliveries.c.issue_id == issue_id,
            deliveries.c.state.in_(TAKEN),
            batches.c.transport == transport,
            batches.c.send_at > now,
        )
        .order_by(deliveries.c.id)
    )
    if lock:
        query = query.with_for_update(of=deliveries)
    rows = connection.execute(query).all()
    found = {row.provider_id: Batch(row.provider_id, row.send_at) for row in rows}
    back = {name for name, batch in found.items() if can(batch)}
    return [row for row in rows if row.provider_id in back]


def begin(connection: sa.Connection, rows: Sequence[sa.Row[Any]], now: datetime) -> None:
    """They are to be called back, by whoever comes first.

    Who was posting one of them stays written on it: of that one nobody knows whether the
    provider has it. One that it surely has belongs to nobody.
    """
    for page in _pages([row.id for row in rows]):
        held = sa.case((deliveries.c.state == "accepted", ""), else_=deliveries.c.claimed_by)
        connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.id.in_(page))
            .values(
                state="recalling",
                reason=STOPPED,
                claimed_by=held,
                lease_until=now,
                fence=deliveries.c.fence + 1,
            )
        )


def take(
    connection: sa.Connection,
    owner: str,
    lease_until: datetime,
    now: datetime,
    apart: Collection[str] = (),
) -> Sequence[sa.Row[Any]]:
    """Rows of one batch that nobody is asking for, ours from now on; each as it was before.

    The batch that leaves first; those apart, by the provider's id, had their turn.
    """
    waiting = (deliveries.c.state == "recalling", lease_is_over(now))
    first = connection.scalar(
        _with_batch(batches.c.id)
        .where(*waiting, batches.c.provider_id.not_in(apart))
        .order_by(batches.c.send_at, batches.c.id)
        .limit(1)
    )
    rows = connection.execute(
        _with_batch(deliveries)
        .where(*waiting, batches.c.id == first)
        .order_by(deliveries.c.id)
        .with_for_update(of=deliveries, skip_locked=True)
    ).all()
    for page in _pages([row.id for row in rows]):
        connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.id.in_(page))
            .values(claimed_by=owner, lease_until=lease_until, fence=deliveries.c.fence + 1)
        )
    return rows


def asked_back(connection: sa.Connection, ids: Sequence[int]) -> Sequence[int]:
    """Of these, the copies that a stop asked back since they were last planned."""
    asked, planned = delivery_events.alias("asked"), delivery_events.alias("planned")
    anew = sa.exists().where(
        planned.c.delivery_id == asked.c.delivery_id,
        planned.c.state == "planned",
        planned.c.id > asked.c.id,
    )
    return connection.scalars(
        sa.select(asked.c.delivery_id)
        .where(asked.c.delivery_id.in_(ids), asked.c.state == "recalling", ~anew)
        .distinct()
        .order_by(asked.c.delivery_id)
    ).all()


def put_back(
    connection: sa.Connection, ids: Sequence[int], now: datetime, *, forget: bool = False
) -> None:
    """Whoever comes next asks again; with forget: as if nobody had asked so far."""
    whose = {"claimed_by": ""} if forget else {}
    for page in _pages(ids):
        connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.id.in_(page))
            .values(lease_until=now, fence=deliveries.c.fence + 1, **whose)
        )


def count_attempt(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Asking for one back was an attempt, too: a receipt of the one before tells no more."""
    for page in _pages(ids):
        connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.id.in_(page))
            .values(attempts=deliveries.c.attempts + 1)
        )


def _with_batch(*columns: Any) -> sa.Select[Any]:
    return (
        sa.select(*columns, batches.c.provider_id, batches.c.send_at)
        .join(batch_copies, batch_copies.c.delivery_id == deliveries.c.id)
        .join(batches, batches.c.id == batch_copies.c.batch_id)
    )


def _pages(ids: Sequence[int]) -> Sequence[Sequence[int]]:
    return [ids[start : start + PAGE] for start in range(0, len(ids), PAGE)]
