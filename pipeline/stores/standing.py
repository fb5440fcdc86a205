"""How many contacts stand at once: one query per question, never one per contact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from pipeline.model.letters import DeliveryState
from pipeline.model.people import EVERYWHERE, Basis, Standing, Suppression
from pipeline.stores.schema import (
    bases,
    deliveries,
    holds,
    issues,
    newsletters,
    pauses,
    stories,
    subscriptions,
    suppressions,
    told,
)

#: A copy in one of these has told its reader something, or soon will.
TELLING: frozenset[DeliveryState] = frozenset(
    {"planned", "claimed", "attempting", "accepted", "deferred", "recalling", "unknown",
     "delivered", "complained"}
)  # fmt: skip

#: What somebody said themselves, or a letter that tells.
TELLS = sa.or_(told.c.touch_id.is_not(None), deliveries.c.state.in_(sorted(TELLING)))


@dataclass(slots=True)
class Told:
    """What one contact was told."""

    stories: set[int] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    recapped: set[int] = field(default_factory=set)  #: stories of the recapped newsletter


def latest_basis(connection: sa.Connection, contact_ids: Sequence[int]) -> Mapping[int, Basis]:
    """The newest evidence of each contact."""
    newest = (
        sa.select(sa.func.max(bases.c.id))
        .where(bases.c.contact_id.in_(contact_ids), bases.c.withdrawn_at.is_(None))
        .group_by(bases.c.contact_id)
    )
    rows = connection.execute(sa.select(bases).where(bases.c.id.in_(newest)))
    return {row.contact_id: basis_of(row) for row in rows}


def basis_of(row: sa.Row[tuple[object, ...]]) -> Basis:
    return Basis(row.kind, row.source, row.given_on, row.wording, row.version)


def suppression_of(row: sa.Row[tuple[object, ...]]) -> Suppression:
    return Suppression(row.scope, row.reason, row.at, row.detail)


def suppression_in_force(
    connection: sa.Connection, hashes: Sequence[str], newsletter: str
) -> Mapping[str, Suppression]:
    """By address hash: what holds everywhere before what holds for this newsletter."""
    rows = connection.execute(
        sa.select(suppressions)
        .where(
            suppressions.c.address_hash.in_(hashes),
            suppressions.c.scope.in_((newsletter, EVERYWHERE)),
            suppressions.c.lifted_at.is_(None),
        )
        .order_by(sa.case((suppressions.c.scope == EVERYWHERE, 0), else_=1), suppressions.c.id)
    )
    found: dict[str, Suppression] = {}
    for row in rows:
        found.setdefault(row.address_hash, suppression_of(row))
    return found


def suppressions_in_force(
    connection: sa.Connection, hashes: Sequence[str]
) -> Mapping[str, Sequence[Suppression]]:
    """By address hash: all of them, latest first."""
    rows = connection.execute(
        sa.select(suppressions)
        .where(suppressions.c.address_hash.in_(hashes), suppressions.c.lifted_at.is_(None))
        .order_by(suppressions.c.id.desc())
    )
    found: dict[str, list[Suppression]] = {hash_: [] for hash_ in hashes}
    for row in rows:
        found[row.address_hash].append(suppression_of(row))
    return found


def standings(connection: sa.Connection, contact_ids: Sequence[int]) -> Mapping[int, Standing]:
    """Pause, hold and chosen newsletters of each contact."""
    chosen: dict[int, list[tuple[str, bool]]] = defaultdict(list)
    for contact_id, key, wanted in connection.execute(
        sa.select(subscriptions.c.contact_id, newsletters.c.key, subscriptions.c.subscribed)
        .join(newsletters, newsletters.c.id == subscriptions.c.newsletter_id)
        .where(subscriptions.c.contact_id.in_(contact_ids))
        .order_by(newsletters.c.key)
    ):
        chosen[contact_id].append((key, wanted))
    until, holding = paused(connection, contact_ids), held(connection, contact_ids)
    return {
        contact_id: Standing(
            until.get(contact_id), *holding.get(contact_id, ("", "")), tuple(chosen[contact_id])
        )
        for contact_id in contact_ids
    }


def paused(connection: sa.Connection, contact_ids: Sequence[int]) -> Mapping[int, date]:
    rows = connection.execute(
        sa.select(pauses.c.contact_id, pauses.c.until_on)
        .where(pauses.c.contact_id.in_(contact_ids), pauses.c.lifted_at.is_(None))
        .order_by(pauses.c.id)
    )
    return dict(rows.all())


def held(connection: sa.Connection, contact_ids: Sequence[int]) -> Mapping[int, tuple[str, str]]:
    """(why, staff key of who holds); the reason is never empty."""
    rows = connection.execute(
        sa.select(holds.c.contact_id, holds.c.reason, holds.c.staff_key)
        .where(holds.c.contact_id.in_(contact_ids), holds.c.lifted_at.is_(None))
        .order_by(holds.c.id)
    )
    return {i: (reason or f"held by {staff_key}", staff_key) for i, reason, staff_key in rows}


def subscribed(
    connection: sa.Connection, contact_ids: Sequence[int], newsletter: str
) -> Mapping[int, bool]:
    rows = connection.execute(
        sa.select(subscriptions.c.contact_id, subscriptions.c.subscribed)
        .join(newsletters, newsletters.c.id == subscriptions.c.newsletter_id)
        .where(subscriptions.c.contact_id.in_(contact_ids), newsletters.c.key == newsletter)
    )
    return dict(rows.all())


def recent_letters(
    connection: sa.Connection, contact_ids: Sequence[int], now: datetime, days: int
) -> Mapping[int, int]:
    """How many letters each contact had, or is to have, since so many days ago."""
    since = now - timedelta(days=days)
    rows = connection.execute(
        sa.select(deliveries.c.contact_id, sa.func.count())
        .where(
            deliveries.c.contact_id.in_(contact_ids),
            deliveries.c.purpose == "letter",
            deliveries.c.state.in_(sorted(TELLING)),
            sa.or_(deliveries.c.due_at >= since, deliveries.c.settled_at >= since),
        )
        .group_by(deliveries.c.contact_id)
    )
    return dict(rows.all())


def what_they_were_told(
    connection: sa.Connection,
    contact_ids: Sequence[int],
    roots: Mapping[int, int],
    recap_of: str,
    recap_since: datetime | None,
) -> Mapping[int, Told]:
    """Stories and services that each contact had, by letter or by hand.

    Shape:  roots as merged_stories() gives them; a merged story counts as both
    """
    rows = connection.execute(
        sa.select(
            told.c.contact_id,
            told.c.story_id,
            told.c.service_key,
            newsletters.c.key.label("newsletter"),
            issues.c.due_at,
        )
        .select_from(
            told.outerjoin(deliveries, deliveries.c.id == told.c.delivery_id)
            .outerjoin(issues, issues.c.id == deliveries.c.issue_id)
            .outerjoin(newsletters, newsletters.c.id == issues.c.newsletter_id)
        )
        .where(told.c.contact_id.in_(contact_ids), TELLS)
    )
    found: dict[int, Told] = defaultdict(Told)
    for row in rows:
        one = found[row.contact_id]
        if row.service_key:
            one.services.add(row.service_key)
            continue
        one.stories |= {row.story_id, roots.get(row.story_id, row.story_id)}
        if (
            recap_of
            and row.newsletter == recap_of
            and (not recap_since or row.due_at >= recap_since)
        ):
            one.recapped.add(row.story_id)
    return found


def merged_stories(connection: sa.Connection) -> Mapping[int, int]:
    """Each story that was merged away, with the story that stands for it now."""
    rows = connection.execute(
        sa.select(stories.c.id, stories.c.merged_into).where(stories.c.merged_into.is_not(None))
    )
    into = dict(rows.all())
    return {story_id: _root(story_id, into) for story_id in into}


def _root(story_id: int, into: Mapping[int, int]) -> int:
    seen = {story_id}
    while (story_id := into.get(story_id, story_id)) not in seen:
        seen.add(story_id)
    return story_id
