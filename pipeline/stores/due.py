"""What may go out at this moment, what is held back, and how much has begun to leave lately."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from pipeline.model.letters import DeliveryState
from pipeline.rules.letters import ledger
from pipeline.rules.notices import HEARD
from pipeline.stores.schema import deliveries, delivery_events, issues, meta, notices

#: Only these issues go out.
GOING = ("scheduled", "sending")

#: Somebody has these in hand.
HELD: tuple[DeliveryState, ...] = ("claimed", "attempting", "recalling")

#: A number of our own; whoever counts attempts to begin more waits for whoever does so, too.
_ATTEMPTS_LOCK = 0x61_73_74_72


def may_go(connection: sa.Connection, now: datetime) -> sa.ColumnElement[bool]:
    """Issues of which a copy may leave: going, looked at long enough, not held by a restore.

    Until the mail that asks its approver to look has left, nobody has looked; one that was
    refused or came back never is looked at. Of an issue that has begun to leave the rest goes.
    """
    about = sa.literal("issue:").concat(issues.c.public_id)
    asked = sa.exists().where(notices.c.about == about, notices.c.kind == "review")
    waits = asked.where(notices.c.state.in_(ledger.OPEN))
    heard = asked.where(notices.c.state.in_(HEARD))
    copies = deliveries.alias()
    begun = sa.exists().where(copies.c.issue_id == issues.c.id, copies.c.state.in_(ledger.BEGUN))
    reviewed = sa.or_(
        issues.c.review_until.is_(None),
        sa.and_(issues.c.review_until <= now, ~waits, sa.or_(heard, begun)),
    )
    return sa.and_(issues.c.state.in_(GOING), reviewed, ~_held_since_restore(connection))


def _held_since_restore(connection: sa.Connection) -> sa.ColumnElement[bool]:
    """Issues that were due when the database was restored, and that nobody let go since.

    What went out between the backup and the restore is not on record any more.
    """
    at = connection.scalar(sa.select(meta.c.value).where(meta.c.name == ledger.RESTORED_AT))
    if not at:
        return sa.false()
    allowed = sa.exists().where(
        meta.c.name == sa.literal(ledger.ALLOWED).concat(issues.c.public_id)
    )
    return sa.and_(issues.c.due_at <= datetime.fromisoformat(at), ~allowed)


def may_be_taken(now: datetime) -> sa.ColumnElement[bool]:
    """Copies that somebody may claim.

    A time that lies further ahead than we ever wait was written before the clock was set back.
    """
    c = deliveries.c
    later = c.next_attempt_at > now + ledger.LONGEST_PAUSE
    return sa.or_(
        sa.and_(c.state == "planned", c.due_at <= now),
        sa.and_(c.state == "deferred", sa.or_(c.next_attempt_at <= now, later)),
        sa.and_(c.state == "claimed", lease_is_over(now)),
    )


def lease_is_over(now: datetime) -> sa.ColumnElement[bool]:
    """Rows whose holder has been silent too long, or held them by another clock."""
    until = deliveries.c.lease_until
    return sa.or_(until <= now, until > now + ledger.LONGEST_LEASE)


def due(connection: sa.Connection, now: datetime) -> Sequence[int]:
    """Ids of issues with something to do now, the longest due first.

    Some have copies that may go out; of some the last copy has settled, and whoever
    settled it did not live to close the issue.
    """
    copies = sa.exists().where(deliveries.c.issue_id == issues.c.id)
    return connection.scalars(
        sa.select(issues.c.id)
        .where(
            may_go(connection, now),
            sa.or_(
                copies.where(may_be_taken(now)),
                sa.and_(issues.c.due_at <= now, ~copies.where(deliveries.c.state.in_(ledger.OPEN))),
            ),
        )
        .order_by(issues.c.due_at, issues.c.id)
    ).all()


def is_waiting(connection: sa.Connection, issue_id: int, now: datetime) -> bool:
    """Whether some copy of this issue may be claimed at this moment."""
    waits = (
        sa.select(deliveries.c.id)
        .join(issues, issues.c.id == deliveries.c.issue_id)
        .where(issues.c.id == issue_id, may_go(connection, now), may_be_taken(now))
    )
    return connection.execute(waits.limit(1)).first() is not None


def held_since_restore(connection: sa.Connection, now: datetime) -> Sequence[int]:
    """Ids of issues that would go out now, were they not held back since the restore."""
    open_copies = sa.exists().where(
        deliveries.c.issue_id == issues.c.id, deliveries.c.state.in_(ledger.OPEN)
    )
    return connection.scalars(
        sa.select(issues.c.id)
        .where(
            issues.c.state.in_(GOING),
            issues.c.due_at <= now,
            _held_since_restore(connection),
            open_copies,
        )
        .order_by(issues.c.due_at, issues.c.id)
    ).all()


def next_due(connection: sa.Connection, now: datetime) -> datetime | None:
    """When the next copy may be taken: its due time, a new attempt, or the end of a lease."""
    last_attempt, last_lease = now + ledger.LONGEST_PAUSE, now + ledger.LONGEST_LEASE
    found: list[datetime] = []
    for states, when, furthest in (
        (("planned",), deliveries.c.due_at, None),
        (("deferred",), deliveries.c.next_attempt_at, last_attempt),
        (HELD, deliveries.c.lease_until, last_lease),
    ):
        rows = connection.execute(
            sa.select(sa.func.min(when).label("at"), issues.c.review_until)
            .select_from(deliveries.join(issues))
            .where(
                issues.c.state.in_(GOING),
                ~_held_since_restore(connection),
                deliveries.c.state.in_(states),
            )
            .group_by(issues.c.id)
        )
        for row in rows:
            at = now if furthest is not None and row.at > furthest else row.at
            found.append(max(at, now, row.review_until or now))
    return min([*found, *_next_recall(connection, now)], default=None)


def _next_recall(connection: sa.Connection, now: datetime) -> Sequence[datetime]:
    """When the provider is asked again for what a stop took back, of whatever issue."""
    at = connection.scalar(
        sa.select(sa.func.min(deliveries.c.lease_until)).where(deliveries.c.state == "recalling")
    )
    if at is None:
        return ()
    return (now if at > now + ledger.LONGEST_LEASE else max(at, now),)


# ── how much has begun to leave ──────────────────────────────────────────────────────────


def lock_attempts(connection: sa.Connection) -> None:
    """Whoever else counts attempts to begin more waits for this transaction's end.

    On SQLite there is one writer at a time anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ATTEMPTS_LOCK)))


def attempts_between(
    connection: sa.Connection, since: datetime, until: datetime
) -> tuple[int, datetime | None]:
    """How many mails began to leave after `since`, and the earliest of them.

    One that was given back at once, because it surely did not leave, does not count. Mail among
    ourselves uses the sender's limits up as letters do; it counts by when it was settled.
    """
    began, after, later = (delivery_events.alias(name) for name in ("began", "after", "later"))
    following = (
        sa.select(sa.func.min(later.c.id))
        .where(later.c.delivery_id == began.c.delivery_id, later.c.id > began.c.id)
        .correlate(began)
        .scalar_subquery()
    )
    given_back = sa.exists().where(
        after.c.id == following, after.c.state.in_(("planned", "withheld"))
    )
    row = connection.execute(
        sa.select(sa.func.count(), sa.func.min(began.c.at)).where(
            began.c.state == "attempting", began.c.at > since, began.c.at <= until, ~given_back
        )
    ).one()
    settled = sa.and_(notices.c.settled_at > since, notices.c.settled_at <= until)
    ours = connection.execute(
        sa.select(sa.func.count(), sa.func.min(notices.c.settled_at)).where(
            sa.or_(settled, notices.c.state == "attempting")
        )
    ).one()
    earliest = [at for at in (row[1], ours[1]) if at is not None]
    return row[0] + ours[0], min(earliest, default=None)
