"""What providers told us, as it came and in the order it came, and each event once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa

from pipeline.model.letters import Event
from pipeline.stores.insert import inserting
from pipeline.stores.schema import deliveries, postings, provider_events


class SqlPostings:
    """Fits `PostingsTable`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, provider: str, digest: str, body: bytes, now: datetime) -> int | None:
        """Keep a body as it came; its id, or None when the very same was kept before."""
        kept: int | None = self._connection.scalar(
            inserting(self._connection, postings)
            .values(provider=provider, digest=digest, body=body, received_at=now)
            .on_conflict_do_nothing()
            .returning(postings.c.id)
        )
        return kept

    def waiting(self, provider: str) -> Sequence[int]:
        """Ids of what was kept and is not understood yet, oldest first."""
        return self._connection.scalars(
            sa.select(postings.c.id)
            .where(postings.c.provider == provider, postings.c.taken_in_at.is_(None))
            .order_by(postings.c.id)
        ).all()

    def body(self, posting_id: int) -> bytes | None:
        """What was kept; None when it was understood before."""
        return self._connection.scalar(
            sa.select(postings.c.body).where(
                postings.c.id == posting_id, postings.c.taken_in_at.is_(None)
            )
        )

    def add_events(
        self, provider: str, posting_id: int, events: Sequence[Event]
    ) -> Sequence[Event]:
        """Write each event that is new to us, in one go; those, in the order given."""
        first = {event.id: event for event in reversed(events)}
        for known in self._known(provider, first):
            del first[known]
        if not first:
            return ()
        copies = self._copies({event.delivery_public_id for event in first.values()})
        erased = self._erased(copies)
        rows = [
            {
                "provider": provider,
                "event_id": event.id,
                "posting_id": posting_id,
                "delivery_id": copies.get(event.delivery_public_id),
                "what": event.what,
                "detail": "" if event.delivery_public_id in erased else event.detail,
                "at": event.at,
            }
            # in one order, whoever writes: two postings at once may tell of the same
            for _, event in sorted(first.items())
        ]
        written = inserting(self._connection, provider_events).on_conflict_do_nothing()
        new = set(self._connection.scalars(written.returning(provider_events.c.event_id), rows))
        return [event for event in events if event.id in new and event is first[event.id]]

    def _known(self, provider: str, ids: Iterable[str]) -> Sequence[str]:
        return self._connection.scalars(
            sa.select(provider_events.c.event_id).where(
                provider_events.c.provider == provider, provider_events.c.event_id.in_(list(ids))
            )
        ).all()

    def _copies(self, public_ids: set[str]) -> dict[str, int]:
        rows = self._connection.execute(
            sa.select(deliveries.c.public_id, deliveries.c.id).where(
                deliveries.c.public_id.in_(public_ids)
            )
        )
        return {row.public_id: row.id for row in rows}

    def _erased(self, copies: dict[str, int]) -> set[str]:
        """Copies whose reader was erased: what is told of them may hold the address again."""
        rows = self._connection.scalars(
            sa.select(deliveries.c.public_id).where(
                deliveries.c.id.in_(list(copies.values())), deliveries.c.address == ""
            )
        )
        return set(rows)

    def done(self, posting_id: int, now: datetime, detail: str) -> None:
        """It was understood, or it never will be, and why."""
        self._connection.execute(
            sa.update(postings)
            .where(postings.c.id == posting_id)
            .values(taken_in_at=now, detail=detail)
        )

    def forget(self, before: datetime) -> int:
        """Empty the bodies of what was understood before this: they hold addresses; how many.

        Their digests stay, so that the same posting is known when it comes again.
        """
        old = sa.and_(postings.c.taken_in_at < before, postings.c.body != b"")
        return self._connection.execute(sa.update(postings).where(old).values(body=b"")).rowcount
