"""What a month came to: beats, letters and the stories that were told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from pipeline.model.sales import BeatLine, LetterCounts, ToldStory
from pipeline.stores.schema import (
    accounts,
    beats,
    constellations,
    contacts,
    deliveries,
    delivery_events,
    newsletters,
    operations,
    stories,
    told,
    touches,
)
from pipeline.stores.standing import TELLS


class SqlReports:
    """Fits `ReportsTable`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def beats(self, constellation: str, start: date, end: date) -> Sequence[BeatLine]:
        """Every beat of its newsletters, by day; `end` is left out."""
        rows = self._connection.execute(
            sa.select(newsletters.c.title, beats.c.beat_on, beats.c.state, beats.c.reason)
            .join(newsletters, newsletters.c.id == beats.c.newsletter_id)
            .join(constellations, constellations.c.id == newsletters.c.constellation_id)
            .where(
                constellations.c.key == constellation,
                beats.c.beat_on >= start,
                beats.c.beat_on < end,
            )
            .order_by(beats.c.beat_on, newsletters.c.key)
        )
        return [BeatLine(row.title, row.beat_on, row.state, row.reason) for row in rows]

    def letters(self, constellation: str, start: datetime, end: datetime) -> LetterCounts:
        """What became of its letters; `end` is left out.

        Counted from what stays when a person is erased: touches, events and steps.
        """
        return LetterCounts(
            sent=self._sent(constellation, start, end),
            left=self._left(constellation, start, end),
            bounced=self._became("bounced", constellation, start, end),
            complained=self._became("complained", constellation, start, end),
        )

    def _sent(self, constellation: str, start: datetime, end: datetime) -> int:
        return self._count(
            sa.select(sa.func.count())
            .select_from(touches)
            .where(
                touches.c.kind == "letter",
                touches.c.at >= start,
                touches.c.at < end,
                touches.c.account_id.in_(_accounts(constellation)),
            )
        )

    def _left(self, constellation: str, start: datetime, end: datetime) -> int:
        """People, not presses; whoever stayed after all took the step back."""
        subject = sa.literal("contact:") + contacts.c.public_id
        return self._count(
            sa.select(sa.func.count(sa.distinct(contacts.c.id)))
            .select_from(operations)
            .join(contacts, operations.c.subject == subject)
            .where(
                operations.c.verb == "leave",
                operations.c.at >= start,
                operations.c.at < end,
                contacts.c.account_id.in_(_accounts(constellation)),
                ~_stayed(),
            )
        )

    def _became(self, state: str, constellation: str, start: datetime, end: datetime) -> int:
        return self._count(
            sa.select(sa.func.count(sa.distinct(deliveries.c.id)))
            .select_from(delivery_events)
            .join(deliveries, deliveries.c.id == delivery_events.c.delivery_id)
            .where(
                delivery_events.c.state == state,
                delivery_events.c.at >= start,
                delivery_events.c.at < end,
                deliveries.c.purpose == "letter",
                deliveries.c.account_id.in_(_accounts(constellation)),
            )
        )

    def stories(
        self, constellation: str, start: datetime, end: datetime, limit: int
    ) -> Sequence[ToldStory]:
        """Those that most people were told of, by letter or by hand."""
        number = sa.func.count(sa.distinct(told.c.contact_id))
        rows = self._connection.execute(
            sa.select(stories.c.title, stories.c.source_name, stories.c.url, number)
            .select_from(told)
            .join(stories, stories.c.id == told.c.story_id)
            .join(contacts, contacts.c.id == told.c.contact_id)
            .outerjoin(deliveries, deliveries.c.id == told.c.delivery_id)
            .where(
                told.c.at >= start,
                told.c.at < end,
                contacts.c.account_id.in_(_accounts(constellation)),
                sa.or_(told.c.touch_id.is_not(None), deliveries.c.settled_at.is_not(None)),
                TELLS,
            )
            .group_by(stories.c.id)
            .order_by(number.desc(), stories.c.title, stories.c.id)
            .limit(limit)
        )
        return [ToldStory(title, source, url, contacts) for title, source, url, contacts in rows]

    def _count(self, query: sa.Select[Any]) -> int:
        return int(self._connection.execute(query).scalar_one())


def _accounts(constellation: str) -> sa.Select[Any]:
    return (
        sa.select(accounts.c.id)
        .join(constellations, constellations.c.id == accounts.c.constellation_id)
        .where(constellations.c.key == constellation)
    )


def _stayed() -> sa.ColumnElement[bool]:
    """Whether somebody came back after they left."""
    later = operations.alias("later")
    return sa.exists().where(
        later.c.subject == operations.c.subject,
        later.c.verb == "stay",
        later.c.id > operations.c.id,
    )
