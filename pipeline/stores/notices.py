"""Mail among ourselves, each once to each of us: who holds it, and how it fared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.model.letters import DeliveryState, Heard, Notice, Receipt
from pipeline.rules.letters import ledger
from pipeline.rules.letters.ledger import LONGEST_LEASE
from pipeline.rules.notices import LOST, hear_of
from pipeline.stores.insert import insert_once
from pipeline.stores.schema import new_public_id, notices

#: Somebody has these in hand.
HELD = ("claimed", "attempting")

#: What may happen to one issue more than once, each time with other words.
AGAIN = "review_refused"

_c = notices.c


class SqlNotices:
    """Fits `NoticesTable`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, notice: Notice) -> bool:
        """Write it down to be sent; False when this person has one of this kind about it.

        One that was refused or came back is written anew when it goes to another address now; and
        one of the kind AGAIN that is through, when there is something else to tell. It is another
        mail then, with an id of its own: what is still told of the old one does not touch it.
        """
        row = {
            "public_id": notice.public_id or new_public_id(),
            "kind": notice.kind,
            "about": notice.about,
            "staff_key": notice.staff_key,
            "address": notice.address,
            "name": notice.name,
            "subject": notice.subject,
            "html": notice.html,
            "text": notice.text,
            "state": "planned",
            "due_at": notice.due_at,
        }
        if insert_once(self._connection, notices, row):
            return True
        mended = sa.and_(_c.state.in_(LOST), _c.address != notice.address)
        is_through = _c.state.not_in(ledger.OPEN)
        news = sa.and_(_c.kind == AGAIN, is_through, _c.text != notice.text)
        fresh = {"attempts": 0, "next_attempt_at": None, "settled_at": None, "reason": ""}
        done = self._connection.execute(
            sa.update(notices)
            .where(
                *(_c[name] == row[name] for name in ("about", "kind", "staff_key")),
                sa.or_(mended, news),
            )
            .values(**row, **fresh, fence=_c.fence + 1)
        )
        return done.rowcount == 1

    def of(self, about: str) -> Sequence[Notice]:
        """Oldest first."""
        return self._read(sa.select(notices).where(_c.about == about).order_by(_c.id))

    def hear_all(self, news: Sequence[tuple[str, Heard, str]], now: datetime) -> Sequence[Notice]:
        """Take in what the world tells of some, (public id, news, detail); those that moved.

        Late, twice or out of order, it ends in the same states.
        """
        rows = self._connection.execute(
            sa.select(notices)
            .where(_c.public_id.in_({public_id for public_id, _, _ in news}))
            .order_by(_c.id)
            .with_for_update()
        ).all()
        was = {row.public_id: _notice(row) for row in rows}
        now_is = dict(was)
        for public_id, what, detail in news:
            one = now_is.get(public_id)
            if one is not None and (state := hear_of(one.state, what)) != one.state:
                now_is[public_id] = replace(one, state=state, reason=detail)
        moved = [one for public_id, one in now_is.items() if one != was[public_id]]
        for one in moved:
            self._connection.execute(
                sa.update(notices)
                .where(_c.id == one.id)
                .values(
                    state=one.state,
                    reason=one.reason,
                    claimed_by="",
                    lease_until=None,
                    next_attempt_at=None,
                    settled_at=sa.func.coalesce(_c.settled_at, now),
                )
            )
        return moved

    # ── claim, begin, settle ─────────────────────────────────────────────────────────────

    def claim(
        self, owner: str, lease_until: datetime, now: datetime, limit: int
    ) -> Sequence[Notice]:
        """Take up to `limit` that are due, and claimed ones whose holder let the lease run out.

        A time that lies further ahead than we ever wait was written before the clock was set back.
        """
        far = now + ledger.LONGEST_PAUSE
        due = sa.or_(
            sa.and_(_c.state == "planned", _is_past(_c.due_at, now, far)),
            sa.and_(_c.state == "deferred", _is_past(_c.next_attempt_at, now, far)),
            sa.and_(_c.state == "claimed", _is_past(_c.lease_until, now, now + LONGEST_LEASE)),
        )
        rows = self._connection.execute(
            sa.select(_c.id)
            .where(due)
            .order_by(_c.due_at, _c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).all()
        ids = [row.id for row in rows]
        if not ids:
            return ()
        self._connection.execute(
            sa.update(notices)
            .where(_c.id.in_(ids))
            .values(state="claimed", claimed_by=owner, lease_until=lease_until, fence=_c.fence + 1)
        )
        return self._read(sa.select(notices).where(_c.id.in_(ids)).order_by(_c.due_at, _c.id))

    def attempting(self, given: Sequence[Notice]) -> Sequence[Notice]:
        """Durable before a byte leaves; returns those that are still ours."""
        standing = self._locked(given)
        ours = [
            replace(one, state="attempting", attempts=one.attempts + 1)
            for one in given
            if _is_held(standing.get(one.id), one, "claimed")
        ]
        for one in ours:
            self._connection.execute(
                sa.update(notices)
                .where(_c.id == one.id)
                .values(state="attempting", attempts=one.attempts)
            )
        return ours

    def settle(
        self, receipts: Sequence[tuple[Notice, Receipt]], now: datetime
    ) -> Mapping[str, int]:
        """Write outcomes; counts per state, and `stale` for lost leases."""
        standing = self._locked([one for one, _ in receipts])
        counts: Counter[str] = Counter()
        for one, receipt in receipts:
            row = standing.get(one.id)
            if not _is_held(row, one, "attempting"):
                counts["stale"] += 1
                continue
            to = ledger.settle(
                receipt.outcome, receipt.detail, one.attempts, now, receipt.retry_after_s
            )
            counts[to.state] += 1
            self._connection.execute(
                sa.update(notices)
                .where(_c.id == one.id)
                .values(
                    state=to.state,
                    reason=to.detail,
                    claimed_by="",
                    lease_until=None,
                    next_attempt_at=to.next_attempt_at,
                    settled_at=None if to.state == "deferred" else now,
                )
            )
        return counts

    def give_back(self, given: Sequence[Notice], reason: str) -> int:
        """Attempting ones that surely did not leave are planned again; how many.

        The attempt does not count, and whoever held them can no longer settle them.
        """
        standing = self._locked(given)
        ids = [one.id for one in given if _is_held(standing.get(one.id), one, "attempting")]
        if ids:
            self._connection.execute(
                sa.update(notices)
                .where(_c.id.in_(ids))
                .values(
                    state="planned",
                    reason=reason,
                    claimed_by="",
                    lease_until=None,
                    attempts=_c.attempts - 1,
                    fence=_c.fence + 1,
                )
            )
        return len(ids)

    # ── who holds what ───────────────────────────────────────────────────────────────────

    def holders(self) -> Sequence[str]:
        """Who holds claimed or attempting ones."""
        query = sa.select(_c.claimed_by).where(_c.state.in_(HELD)).distinct()
        return self._connection.scalars(query.order_by(_c.claimed_by)).all()

    def end_leases(self, owner: str, now: datetime) -> int:
        """What this owner holds may be taken by others from now on; how many."""
        done = self._connection.execute(
            sa.update(notices)
            .where(_c.state.in_(HELD), _c.claimed_by == owner)
            .values(lease_until=now)
        )
        return done.rowcount

    def in_doubt(self, now: datetime) -> Sequence[Notice]:
        """Attempting ones whose lease ran out: somebody died between sending and settling."""
        return self._read(
            sa.select(notices)
            .where(_c.state == "attempting", _is_past(_c.lease_until, now, now + LONGEST_LEASE))
            .order_by(_c.id)
        )

    def next_due(self, now: datetime) -> datetime | None:
        """When the next one may be taken; None: none is waiting."""
        earliest = [
            self._connection.scalar(sa.select(sa.func.min(when)).where(_c.state.in_(states)))
            for states, when in (
                (("planned",), _c.due_at),
                (("deferred",), _c.next_attempt_at),
                (HELD, _c.lease_until),
            )
        ]
        far = now + ledger.LONGEST_PAUSE
        times = (at if at <= far else now for at in earliest if at is not None)
        return min((max(at, now) for at in times), default=None)

    def _locked(self, given: Sequence[Notice]) -> Mapping[int, sa.Row[Any]]:
        """Rows as they are now, and nobody else changes them until we are done."""
        rows = self._connection.execute(
            sa.select(notices)
            .where(_c.id.in_([one.id for one in given]))
            .order_by(_c.id)
            .with_for_update()
        )
        return {row.id: row for row in rows}

    def _read(self, query: sa.Select[Any]) -> Sequence[Notice]:
        return [_notice(row) for row in self._connection.execute(query)]


def _is_past(at: sa.Column[datetime], now: datetime, furthest: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(at <= now, at > furthest)


def _is_held(row: sa.Row[Any] | None, notice: Notice, state: DeliveryState) -> bool:
    return row is not None and row.state == state and row.fence == notice.fence


def _notice(row: sa.Row[Any]) -> Notice:
    return Notice(
        kind=row.kind,
        about=row.about,
        staff_key=row.staff_key,
        address=row.address,
        name=row.name,
        subject=row.subject,
        html=row.html,
        text=row.text,
        due_at=row.due_at,
        id=row.id,
        public_id=row.public_id,
        state=row.state,
        reason=row.reason,
        attempts=row.attempts,
        fence=row.fence,
    )
