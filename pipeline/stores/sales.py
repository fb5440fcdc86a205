"""Touches of every kind, and which accounts had one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import sqlalchemy as sa

from pipeline.errors import BadInput, Conflict
from pipeline.model.sales import MACHINE_TOUCHES, AccountCoverage, Touch
from pipeline.stores.missing import not_adopted
from pipeline.stores.schema import (
    accounts,
    beats,
    constellations,
    contacts,
    mails,
    newsletters,
    told,
    touches,
)


class SqlSales:
    """What was done for each account, by machine and by hand."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add_touch(self, touch: Touch) -> int:
        """Write a touch and return its id.

        A story that somebody passed on to a contact by hand counts as told from then on.

        Raises: NotFound (the account), BadInput (the contact is at another account)
        """
        account_id = self._account_id(touch)
        touch_id = int(
            self._connection.execute(
                sa.insert(touches).returning(touches.c.id),
                {
                    "account_id": account_id,
                    "contact_id": touch.contact_id,
                    "staff_key": touch.staff_key,
                    "kind": touch.kind,
                    "at": touch.at,
                    "minutes": touch.minutes,
                    "note": touch.note,
                    "story_id": touch.story_id,
                    "delivery_id": touch.delivery_id,
                },
            ).scalar_one()
        )
        if touch.kind not in MACHINE_TOUCHES and touch.contact_id and touch.story_id:
            self._connection.execute(
                sa.insert(told),
                {
                    "contact_id": touch.contact_id,
                    "story_id": touch.story_id,
                    "through": touch.kind,
                    "touch_id": touch_id,
                    "at": touch.at,
                },
            )
        return touch_id

    def same_touch(self, touch: Touch, since: datetime) -> int | None:
        """A touch of the same contact in the very same words, logged after `since`; its id.

        Until this transaction ends nobody else logs a touch that would be found here, so that
        of two presses at once the second one sees the first.
        """
        self._connection.execute(
            sa.select(contacts.c.id)
            .where(contacts.c.id == touch.contact_id)
            .with_for_update(key_share=True)
        )
        return self._connection.scalar(
            sa.select(touches.c.id)
            .where(
                touches.c.contact_id == touch.contact_id,
                touches.c.staff_key == touch.staff_key,
                touches.c.kind == touch.kind,
                touches.c.minutes.is_not_distinct_from(touch.minutes),
                touches.c.note == touch.note,
                touches.c.story_id.is_not_distinct_from(touch.story_id),
                touches.c.at > since,
            )
            .limit(1)
        )

    def take_back(self, touch_id: int) -> Touch:
        """Undo a touch by hand: it counts no more, and what it told is told no more.

        Raises: Conflict when it is gone already
        """
        self._connection.execute(sa.delete(told).where(told.c.touch_id == touch_id))
        self._connection.execute(  # the mail it was read from stays known: it is not read again
            sa.update(mails).where(mails.c.touch_id == touch_id).values(touch_id=None)
        )
        account = sa.select(accounts.c.key).where(accounts.c.id == touches.c.account_id)
        row = self._connection.execute(
            sa.delete(touches)
            .where(touches.c.id == touch_id, touches.c.delivery_id.is_(None))
            .returning(*touches.c, account.scalar_subquery().label("account_key"))
        ).first()
        if row is None:
            raise Conflict("That was taken back already.", "Look at the newest state, then go on.")
        return Touch(
            account_key=row.account_key,
            contact_id=row.contact_id,
            kind=row.kind,
            at=row.at,
            staff_key=row.staff_key,
            minutes=row.minutes,
            note=row.note,
            story_id=row.story_id,
        )

    def _account_id(self, touch: Touch) -> int:
        found = self._connection.scalar(
            sa.select(accounts.c.id).where(accounts.c.key == touch.account_key)
        )
        if found is None:
            raise not_adopted("account", touch.account_key)
        if touch.contact_id is not None:
            at = self._connection.scalar(
                sa.select(contacts.c.account_id).where(contacts.c.id == touch.contact_id)
            )
            if at != found:
                raise BadInput(
                    f"Contact number {touch.contact_id} is not at {touch.account_key}.",
                    "Log the touch with the account that the contact is at.",
                )
        return int(found)

    def coverage(
        self, constellation: str, start: datetime, end: datetime
    ) -> Sequence[AccountCoverage]:
        """Every account that is not retired, by name, with its touches; `end` is left out.

        Units:  start and end are aware UTC
        """
        by_machine = touches.c.kind.in_(sorted(MACHINE_TOUCHES))
        rows = self._connection.execute(
            sa.select(
                accounts.c.key,
                accounts.c.name,
                accounts.c.relationship,
                accounts.c.owner_key,
                sa.func.count(sa.case((by_machine, touches.c.id))).label("by_machine"),
                sa.func.count(sa.case((~by_machine, touches.c.id))).label("by_hand"),
            )
            .join(constellations, constellations.c.id == accounts.c.constellation_id)
            .outerjoin(
                touches,
                sa.and_(
                    touches.c.account_id == accounts.c.id,
                    touches.c.at >= start,
                    touches.c.at < end,
                ),
            )
            .where(constellations.c.key == constellation, accounts.c.retired_at.is_(None))
            .group_by(accounts.c.id)
            .order_by(sa.func.lower(accounts.c.name), accounts.c.id)
        )
        return tuple(
            AccountCoverage(
                key=row.key,
                name=row.name,
                relationship=row.relationship,
                owner=row.owner_key,
                by_machine=row.by_machine,
                by_hand=row.by_hand,
            )
            for row in rows
        )

    def beats_between(self, constellation: str, start: date, end: date) -> tuple[int, int]:
        """(kept, planned) beats of the constellation's newsletters; `end` is left out.

        A beat that the rhythm itself skipped was never promised and counts in neither.
        """
        kept = sa.func.count(sa.case((beats.c.state == "kept", beats.c.id)))
        row = self._connection.execute(
            sa.select(kept, sa.func.count(beats.c.id))
            .join(newsletters, newsletters.c.id == beats.c.newsletter_id)
            .join(constellations, constellations.c.id == newsletters.c.constellation_id)
            .where(
                constellations.c.key == constellation,
                beats.c.beat_on >= start,
                beats.c.beat_on < end,
                beats.c.state != "skipped",
            )
        ).one()
        return row[0], row[1]
