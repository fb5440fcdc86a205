"""What passing a story on asks: where it was commented, and who had it already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.stores import standing
from pipeline.stores.schema import (
    constellations,
    deliveries,
    issues,
    newsletters,
    pool,
    snippets,
    stories,
    told,
    touches,
)


class SqlForwards:
    """Fits `ForwardsTable`. A story counts together with those that were merged into it."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def issues_with(self, story_id: int, constellation: str) -> Sequence[int]:
        """Ids of the constellation's issues that keep this story, the latest first."""
        found = self._connection.execute(
            sa.select(issues.c.id)
            .join(snippets, snippets.c.issue_id == issues.c.id)
            .join(newsletters, newsletters.c.id == issues.c.newsletter_id)
            .join(constellations, constellations.c.id == newsletters.c.constellation_id)
            .where(
                constellations.c.key == constellation,
                snippets.c.story_id.in_(self._family(story_id)),
                snippets.c.removed.is_(False),
            )
            .order_by(issues.c.due_at.desc(), issues.c.id.desc())
        ).scalars()
        return tuple(dict.fromkeys(found))

    def told_before(self, contact_id: int, story_id: int) -> Sequence[Mapping[str, Any]]:
        """Through what this contact had the story, latest first.

        Shape: at, through (letter, forward, call …), by (staff key, or ""), issue (ref or "")
        """
        rows = self._connection.execute(
            sa.select(
                told.c.at,
                told.c.through,
                touches.c.staff_key,
                newsletters.c.key,
                issues.c.number,
            )
            .select_from(
                told.outerjoin(touches, touches.c.id == told.c.touch_id)
                .outerjoin(deliveries, deliveries.c.id == told.c.delivery_id)
                .outerjoin(issues, issues.c.id == deliveries.c.issue_id)
                .outerjoin(newsletters, newsletters.c.id == issues.c.newsletter_id)
            )
            .where(
                told.c.contact_id == contact_id,
                told.c.story_id.in_(self._family(story_id)),
                standing.TELLS,
            )
            .order_by(told.c.at.desc(), told.c.id.desc())
        )
        return tuple(
            {
                "at": row.at,
                "through": row.through,
                "by": row.staff_key or "",
                "issue": f"{row.key}/{row.number}" if row.key else "",
            }
            for row in rows
        )

    def passed_on(
        self, staff_key: str, contact_id: int, story_id: int, start: datetime, end: datetime
    ) -> bool:
        """Whether this person logged in that time that they passed the story on to them."""
        found = self._connection.scalar(
            sa.select(touches.c.id)
            .where(
                touches.c.staff_key == staff_key,
                touches.c.contact_id == contact_id,
                touches.c.kind == "forward",
                touches.c.story_id.in_(self._family(story_id)),
                touches.c.at.between(start, end),
            )
            .limit(1)
        )
        return found is not None

    def titles(self, since: datetime) -> Sequence[tuple[int, str]]:
        """(story id, title) of what our pools had since then, as its source and as we call it.

        Shape: titles are Markdown; own and general wordings come whole, as they were written;
               the latest first
        """
        in_pool = sa.exists().where(pool.c.story_id == stories.c.id, pool.c.left_out == "")
        rows = self._connection.execute(
            sa.select(
                stories.c.id,
                stories.c.title,
                snippets.c.title.label("ours"),
                snippets.c.own_wording,
                snippets.c.general_wording,
            )
            .outerjoin(snippets, snippets.c.story_id == stories.c.id)
            .where(stories.c.last_at >= since, stories.c.taken_back_at.is_(None))
            .where(sa.or_(in_pool, snippets.c.id.is_not(None)))
            .order_by(stories.c.last_at.desc(), stories.c.id.desc())
        ).all()
        roots = standing.merged_stories(self._connection)
        return tuple(
            (roots.get(row.id, row.id), text)
            for row in rows
            for text in dict.fromkeys(row[1:])
            if text
        )

    def _family(self, story_id: int) -> list[int]:
        roots = standing.merged_stories(self._connection)
        return [story_id, *(merged for merged, root in roots.items() if root == story_id)]
