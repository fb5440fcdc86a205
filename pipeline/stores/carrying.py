"""What keeps letters from people and issues, carried over a restore that replaces its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from pipeline.rules.letters.ledger import STOPPED, UNSENT
from pipeline.stores import schema
from pipeline.stores.deliveries import SqlDeliveries
from pipeline.stores.letters import SqlLetters

#: An issue that the backup knows in one of these may still be stopped again.
STOPPABLE = ("planned", "draft", "in_review", "approved", "scheduled")

#: Of an entry of the log, what is written again.
LOGGED = ("actor", "verb", "subject", "at", "before", "after")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class InForce:
    """What the rows that are about to be replaced hold against sending; people by their hash."""

    endings: Sequence[Row]  #: suppressions
    pauses: Sequence[Row]
    holds: Sequence[Row]
    refusals: Sequence[Row]  #: newsletters that somebody chose not to get
    stops: Sequence[Row]  #: issues that somebody stopped, each with its entry in the log


@dataclass(frozen=True, slots=True)
class Carried:
    """What of it was new to the backup."""

    endings: int = 0
    kept_back: int = 0  #: pauses, holds and refusals
    stops: tuple[str, ...] = ()  #: issues, by ref


def in_force(connection: sa.Connection, today: date) -> InForce:
    """Read it, at whatever revision the rows are."""
    ends, pauses, holds = schema.suppressions.c, schema.pauses.c, schema.holds.c
    hash_ = schema.contacts.c.address_hash
    return InForce(
        endings=_rows(
            connection,
            sa.select(ends.address_hash, ends.scope, ends.reason, ends.detail, ends.at)
            .where(ends.lifted_at.is_(None))
            .order_by(ends.id),
        ),
        pauses=_rows(
            connection,
            sa.select(hash_, pauses.until_on, pauses.actor, pauses.reason, pauses.at)
            .join(schema.contacts, schema.contacts.c.id == pauses.contact_id)
            .where(pauses.lifted_at.is_(None), pauses.until_on > today)
            .order_by(pauses.id),
        ),
        holds=_rows(
            connection,
            sa.select(hash_, holds.staff_key, holds.reason, holds.at)
            .join(schema.contacts, schema.contacts.c.id == holds.contact_id)
            .where(holds.lifted_at.is_(None))
            .order_by(holds.id),
        ),
        refusals=_refusals(connection),
        stops=_stops(connection),
    )


def carry(connection: sa.Connection, secret: bytes, old: InForce, now: datetime) -> Carried:
    """Write what the backup did not know into its rows; nothing of it is taken away.

    Whoever is not in the backup is nobody to write to, and so only endings are kept of them.
    """
    kept = [
        *(_pause(connection, one, now) for one in old.pauses),
        *(_hold(connection, one) for one in old.holds),
        *(_refuse(connection, one) for one in old.refusals),
    ]
    stopped = (_stop(connection, secret, one, now) for one in old.stops)
    return Carried(_end(connection, old.endings), sum(kept), tuple(filter(None, stopped)))


# ── what is in force ─────────────────────────────────────────────────────────────────────


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> Sequence[Row]:
    return tuple(dict(row) for row in connection.execute(query).mappings())


def _refusals(connection: sa.Connection) -> Sequence[Row]:
    chosen = schema.subscriptions.c
    return _rows(
        connection,
        sa.select(schema.contacts.c.address_hash, schema.newsletters.c.key, chosen.since)
        .select_from(schema.subscriptions)
        .join(schema.contacts, schema.contacts.c.id == chosen.contact_id)
        .join(schema.newsletters, schema.newsletters.c.id == chosen.newsletter_id)
        .where(chosen.subscribed.is_(False))
        .order_by(chosen.id),
    )


def _stops(connection: sa.Connection) -> Sequence[Row]:
    issues, done = schema.issues.c, schema.operations.c
    latest = (
        sa.select(sa.func.max(done.id))
        .where(done.verb == "stop", done.subject == sa.literal("issue:").concat(issues.public_id))
        .correlate(schema.issues)
        .scalar_subquery()
    )
    logged = [done[name] for name in LOGGED]
    return _rows(
        connection,
        sa.select(issues.public_id, issues.reason, *logged)
        .select_from(schema.issues)
        .join(schema.operations, done.id == latest, isouter=True)
        .where(issues.state == STOPPED)
        .order_by(issues.id),
    )


# ── written again ────────────────────────────────────────────────────────────────────────


def _end(connection: sa.Connection, endings: Sequence[Row]) -> int:
    """Who left after the backup was taken has left all the same; how many it did not know."""
    ends = schema.suppressions.c
    there = sa.select(ends.address_hash, ends.scope, ends.reason).where(ends.lifted_at.is_(None))
    known = {tuple(row) for row in connection.execute(there)}
    new = [
        one for one in endings if (one["address_hash"], one["scope"], one["reason"]) not in known
    ]
    if new:
        connection.execute(sa.insert(schema.suppressions), new)
    return len(new)


def _contact(connection: sa.Connection, one: Row) -> int | None:
    contacts = schema.contacts.c
    return connection.scalar(
        sa.select(contacts.id).where(contacts.address_hash == one["address_hash"])
    )


def _pause(connection: sa.Connection, one: Row, now: datetime) -> bool:
    contact_id = _contact(connection, one)
    mine = (schema.pauses.c.contact_id == contact_id, schema.pauses.c.lifted_at.is_(None))
    longest = connection.scalar(sa.select(sa.func.max(schema.pauses.c.until_on)).where(*mine))
    if contact_id is None or (longest is not None and longest >= one["until_on"]):
        return False
    connection.execute(sa.update(schema.pauses).where(*mine).values(lifted_at=now))
    _insert(connection, schema.pauses, one, contact_id=contact_id)
    return True


def _hold(connection: sa.Connection, one: Row) -> bool:
    contact_id = _contact(connection, one)
    holds = schema.holds.c
    mine = sa.select(holds.id).where(holds.contact_id == contact_id, holds.lifted_at.is_(None))
    if contact_id is None or connection.scalar(mine.limit(1)) is not None:
        return False
    _insert(connection, schema.holds, one, contact_id=contact_id)
    return True


def _refuse(connection: sa.Connection, one: Row) -> bool:
    contact_id = _contact(connection, one)
    newsletter_id = connection.scalar(
        sa.select(schema.newsletters.c.id).where(schema.newsletters.c.key == one["key"])
    )
    if contact_id is None or newsletter_id is None:
        return False
    chosen = schema.subscriptions.c
    mine = (chosen.contact_id == contact_id, chosen.newsletter_id == newsletter_id)
    wanted = connection.scalar(sa.select(chosen.subscribed).where(*mine))
    if wanted is None:
        _insert(
            connection, schema.subscriptions, {"since": one["since"], "subscribed": False},
            contact_id=contact_id, newsletter_id=newsletter_id,
        )  # fmt: skip
    elif wanted:
        connection.execute(
            sa.update(schema.subscriptions)
            .where(*mine)
            .values(subscribed=False, since=one["since"], revision=chosen.revision + 1)
        )
    return wanted is not False


def _insert(connection: sa.Connection, table: sa.Table, one: Row, **ids: int) -> None:
    values = {name: value for name, value in one.items() if name in table.c}
    connection.execute(sa.insert(table).values(**values, **ids))


def _stop(connection: sa.Connection, secret: bytes, one: Row, now: datetime) -> str:
    """Its ref; empty when the backup does not know it, or knows it further on."""
    issues, held = schema.issues.c, SqlDeliveries(connection, secret)
    found = connection.execute(
        sa.select(issues.id, issues.number, schema.newsletters.c.key)
        .join(schema.newsletters, schema.newsletters.c.id == issues.newsletter_id)
        .where(issues.public_id == one["public_id"], issues.state.in_(STOPPABLE))
    ).first()
    if found is None or any(state not in UNSENT for _, state in held.counts(found.id)):
        return ""
    held.withhold_planned(found.id, STOPPED, now)
    SqlLetters(connection).retire_editions(found.id, now)
    connection.execute(
        sa.update(schema.issues)
        .where(issues.id == found.id)
        .values(state=STOPPED, reason=one["reason"])
    )
    if one["verb"]:
        logged = {name: one[name] for name in LOGGED}
        connection.execute(sa.insert(schema.operations), logged)
    return f"{found.key}/{found.number}"
