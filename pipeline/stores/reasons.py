"""Reads across the tables: why things are as they are, and how many there are of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pipeline.model.checkup import DatabaseFacts
from pipeline.model.log import Operation
from pipeline.stores import schema

Row = Mapping[str, Any]

#: An item is written within moments of the fetch that brought it.
_SAME_ROUND = timedelta(minutes=10)


class SqlReasons:
    """Fits `ReasonsTable`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    # ── a story ──────────────────────────────────────────────────────────────────────────

    def issues_of_story(self, story_id: int) -> Sequence[Row]:
        snippets = schema.snippets
        return self._rows(
            sa.select(
                _REF.label("issue_ref"),
                schema.issues.c.public_id,
                schema.constellations.c.key.label("constellation"),
                schema.issues.c.state,
                schema.issues.c.beat_on,
                snippets.c.section,
                snippets.c.position,
                snippets.c.removed,
            )
            .select_from(snippets)
            .join(schema.issues, schema.issues.c.id == snippets.c.issue_id)
            .join(schema.newsletters, schema.newsletters.c.id == schema.issues.c.newsletter_id)
            .join(
                schema.constellations,
                schema.constellations.c.id == schema.newsletters.c.constellation_id,
            )
            .where(snippets.c.story_id == story_id)
            .order_by(schema.issues.c.due_at, schema.issues.c.id)
        )

    def told_of_story(self, story_id: int) -> Sequence[Row]:
        told, contacts = schema.told, schema.contacts
        return self._rows(
            sa.select(
                told.c.at,
                told.c.through,
                contacts.c.first_name,
                contacts.c.last_name,
                contacts.c.address,
                contacts.c.public_id.label("contact"),
                schema.accounts.c.name.label("account"),
                _REF.label("issue_ref"),
                schema.deliveries.c.state.label("delivery_state"),
            )
            .select_from(told)
            .join(contacts, contacts.c.id == told.c.contact_id)
            .join(schema.accounts, schema.accounts.c.id == contacts.c.account_id)
            .outerjoin(schema.deliveries, schema.deliveries.c.id == told.c.delivery_id)
            .outerjoin(schema.issues, schema.issues.c.id == schema.deliveries.c.issue_id)
            .outerjoin(schema.newsletters, schema.newsletters.c.id == schema.issues.c.newsletter_id)
            .where(told.c.story_id == story_id)
            .order_by(told.c.at, told.c.id)
        )

    def items_of_story(self, story_id: int) -> Sequence[Row]:
        items, sources = schema.items, schema.sources
        rows = self._rows(
            sa.select(
                items.c.source_id,
                sources.c.key.label("source_key"),
                sources.c.name.label("source_name"),
                items.c.url,
                items.c.title,
                items.c.published_at,
                items.c.dated,
                items.c.seen_at,
                items.c.joined_why,
            )
            .join(sources, sources.c.id == items.c.source_id)
            .where(items.c.story_id == story_id)
            .order_by(items.c.seen_at, items.c.id)
        )
        return [{**row, **self._fetch_of(row)} for row in rows]

    def _fetch_of(self, item: Row) -> Row:
        """The answer that brought an item, told from the time at which both were written."""
        fetches = schema.fetches
        row = self._connection.execute(
            sa.select(
                fetches.c.at.label("fetched_at"),
                fetches.c.outcome,
                fetches.c.status,
                fetches.c.entries,
                fetches.c.new,
            )
            .where(
                fetches.c.source_id == item["source_id"],
                fetches.c.outcome == "fetched",
                fetches.c.at >= item["seen_at"] - _SAME_ROUND,
                fetches.c.at <= item["seen_at"] + _SAME_ROUND,
            )
            .order_by(fetches.c.new.desc(), fetches.c.at)
            .limit(1)
        ).first()
        nothing = dict.fromkeys(("fetched_at", "outcome", "status", "entries", "new"))
        return row._asdict() if row else nothing

    def merged_into_story(self, story_id: int) -> Sequence[str]:
        stories = schema.stories
        query = (
            sa.select(stories.c.title)
            .where(stories.c.merged_into == story_id)
            .order_by(stories.c.id)
        )
        return [row.title for row in self._connection.execute(query)]

    def operations_about(self, public_id: str) -> Sequence[Operation]:
        """By subject, or because the public id (26 random characters) stands in what changed.

        Nothing tells of an issue before it was opened: only what came since is read through.
        """
        operations = schema.operations
        opened = sa.select(sa.func.min(operations.c.id)).where(
            operations.c.subject == f"issue:{public_id}"
        )
        named = [
            sa.cast(column, sa.Text).contains(public_id, autoescape=True)
            for column in (operations.c.before, operations.c.after)
        ]
        rows = self._connection.execute(
            sa.select(operations)
            .where(
                operations.c.id >= sa.func.coalesce(opened.scalar_subquery(), 0),
                sa.or_(operations.c.subject.endswith(f":{public_id}", autoescape=True), *named),
            )
            .order_by(operations.c.at, operations.c.id)
        )
        return tuple(_operation(row) for row in rows)

    # ── a contact ────────────────────────────────────────────────────────────────────────

    def standing_of(self, contact_id: int) -> Sequence[Row]:
        found = [
            *self._suppressed(contact_id),
            *self._paused(contact_id),
            *self._held(contact_id),
            *self._subscribed(contact_id),
        ]
        return sorted(found, key=lambda row: row["at"])

    def _suppressed(self, contact_id: int) -> list[Row]:
        suppressions = schema.suppressions
        address = sa.select(schema.contacts.c.address_hash).where(
            schema.contacts.c.id == contact_id
        )
        rows = self._connection.execute(
            sa.select(suppressions).where(suppressions.c.address_hash.in_(address))
        )
        return [
            _standing(
                row.at,
                "suppressed",
                f"{row.reason}, {'everywhere' if row.scope == '*' else row.scope}",
                row.detail,
                row.lifted_at,
            )
            for row in rows
        ]

    def _paused(self, contact_id: int) -> list[Row]:
        pauses = schema.pauses
        rows = self._connection.execute(sa.select(pauses).where(pauses.c.contact_id == contact_id))
        return [
            _standing(row.at, "paused", f"until {row.until_on:%d %B %Y} by {row.actor}",
                      row.reason, row.lifted_at)
            for row in rows
        ]  # fmt: skip

    def _held(self, contact_id: int) -> list[Row]:
        holds = schema.holds
        rows = self._connection.execute(sa.select(holds).where(holds.c.contact_id == contact_id))
        return [
            _standing(row.at, "held", f"by {row.staff_key}", row.reason, row.lifted_at)
            for row in rows
        ]

    def _subscribed(self, contact_id: int) -> list[Row]:
        subscriptions, newsletters = schema.subscriptions, schema.newsletters
        rows = self._connection.execute(
            sa.select(subscriptions, newsletters.c.key)
            .join(newsletters, newsletters.c.id == subscriptions.c.newsletter_id)
            .where(subscriptions.c.contact_id == contact_id)
        )
        return [
            _standing(row.since, "subscribed" if row.subscribed else "unsubscribed", row.key)
            for row in rows
        ]

    def verdicts_of(self, contact_id: int) -> Sequence[Row]:
        audience = schema.audience
        return self._rows(
            sa.select(
                _REF.label("issue_ref"),
                schema.issues.c.state,
                schema.issues.c.due_at,
                schema.issues.c.approved_at,
                audience.c.is_in,
                audience.c.reason,
                audience.c.detail,
                audience.c.kind,
            )
            .select_from(audience)
            .join(schema.issues, schema.issues.c.id == audience.c.issue_id)
            .join(schema.newsletters, schema.newsletters.c.id == schema.issues.c.newsletter_id)
            .where(audience.c.contact_id == contact_id)
            .order_by(schema.issues.c.due_at, schema.issues.c.id)
        )

    def relationships_of(self, account_key: str) -> Sequence[Row]:
        history, accounts = schema.account_relationships, schema.accounts
        return self._rows(
            sa.select(history.c.relationship, history.c.since)
            .join(accounts, accounts.c.id == history.c.account_id)
            .where(accounts.c.key == account_key)
            .order_by(history.c.id)
        )

    def touches_of(self, contact_id: int) -> Sequence[Row]:
        touches = schema.touches
        return self._rows(
            sa.select(
                touches.c.at,
                touches.c.kind,
                touches.c.staff_key,
                touches.c.minutes,
                touches.c.note,
            )
            .where(touches.c.contact_id == contact_id)
            .order_by(touches.c.at, touches.c.id)
        )

    # ── an issue ─────────────────────────────────────────────────────────────────────────

    def beat_of(self, issue_id: int) -> Row | None:
        beats, issues = schema.beats, schema.issues
        rows = self._rows(
            sa.select(
                beats.c.beat_on, beats.c.planned_on, beats.c.due_at, beats.c.state, beats.c.reason
            )
            .select_from(issues)
            .join(
                beats,
                sa.and_(
                    beats.c.newsletter_id == issues.c.newsletter_id,
                    beats.c.beat_on == issues.c.beat_on,
                ),
            )
            .where(issues.c.id == issue_id)
        )
        return rows[0] if rows else None

    def database(self) -> str:
        """Where the data lies, without a password."""
        return self._connection.engine.url.render_as_string(hide_password=True)

    # ── how many ─────────────────────────────────────────────────────────────────────────

    def story_counts(self) -> Mapping[str, int]:
        items, stories = schema.items, schema.stories
        return {
            "items": self._count(items),
            "ungrouped": self._count(items, items.c.story_id.is_(None)),
            "stories": self._count(
                stories, stories.c.merged_into.is_(None), stories.c.taken_back_at.is_(None)
            ),
        }

    def pool_counts(self, constellation: str, since: datetime) -> Mapping[str, int]:
        pool, stories = schema.pool, schema.stories
        kept = (
            sa.select(schema.snippets.c.story_id)
            .join(schema.issues, schema.issues.c.id == schema.snippets.c.issue_id)
            .join(schema.newsletters, schema.newsletters.c.id == schema.issues.c.newsletter_id)
            .where(
                schema.newsletters.c.constellation_id == pool.c.constellation_id,
                schema.snippets.c.story_id == pool.c.story_id,
                schema.snippets.c.removed.is_(False),
                schema.issues.c.state.not_in(("missed", "cancelled")),
            )
            .exists()
        )
        state = sa.case(
            (kept, "kept"), (pool.c.dropped_at.is_not(None), "dropped"), else_="open"
        ).label("state")
        rows = self._connection.execute(
            sa.select(state, sa.func.count())
            .select_from(pool)
            .join(stories, stories.c.id == pool.c.story_id)
            .join(schema.constellations, schema.constellations.c.id == pool.c.constellation_id)
            .where(
                schema.constellations.c.key == constellation,
                stories.c.last_at >= since,
                stories.c.merged_into.is_(None),
                stories.c.taken_back_at.is_(None),
                pool.c.left_out == "",
            )
            .group_by(state)
        )
        return {"open": 0, "kept": 0, "dropped": 0} | {row[0]: row[1] for row in rows}

    def delivery_counts(self) -> Mapping[str, int]:
        deliveries = schema.deliveries
        rows = self._connection.execute(
            sa.select(deliveries.c.state, sa.func.count())
            .group_by(deliveries.c.state)
            .order_by(deliveries.c.state)
        )
        return {row[0]: row[1] for row in rows}

    def contact_counts(self) -> Mapping[str, int]:
        contacts, bases, suppressions = schema.contacts, schema.bases, schema.suppressions
        here = contacts.c.retired_at.is_(None)
        based = sa.exists().where(
            bases.c.contact_id == contacts.c.id, bases.c.withdrawn_at.is_(None)
        )
        suppressed = sa.exists().where(
            suppressions.c.address_hash == contacts.c.address_hash,
            suppressions.c.scope == "*",
            suppressions.c.lifted_at.is_(None),
        )
        return {
            "contacts": self._count(contacts, here),
            "without_basis": self._count(contacts, here, ~based),
            "invalid": self._count(contacts, here, contacts.c.invalid != ""),
            "suppressed": self._count(contacts, here, suppressed),
        }

    def checkup(self) -> DatabaseFacts:
        """Whether the database is whole, what its clock says, and the latest time in it."""
        ask = self._connection.exec_driver_sql
        facts: tuple[str, ...] = ()
        whole, clock = "ok", None
        if self._connection.dialect.name == "sqlite":
            whole = "; ".join(str(row[0]) for row in ask("PRAGMA quick_check(5)"))
            pages, size = ask("PRAGMA page_count").scalar(), ask("PRAGMA page_size").scalar()
            facts = (f"{int(pages or 0) * int(size or 0) / 1e6:,.1f} MB",)
        else:
            clock = self._connection.scalar(sa.select(sa.func.clock_timestamp()))
            facts = (str(ask("SHOW server_version").scalar()),)
        times = [
            self._connection.scalar(sa.select(sa.func.max(column)))
            for column in (
                schema.operations.c.at, schema.fetches.c.at, schema.delivery_events.c.at,
                schema.job_runs.c.finished_at,
            )
        ]  # fmt: skip
        latest = max((at for at in times if at is not None), default=None)
        return DatabaseFacts(self.database(), whole, clock, latest, facts)

    # ── how it is asked ──────────────────────────────────────────────────────────────────

    def _rows(self, query: sa.Select[Any]) -> list[Row]:
        return [dict(row) for row in self._connection.execute(query).mappings()]

    def _count(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).select_from(table).where(*conditions)
        return int(self._connection.execute(query).scalar_one())


#: newsletter/number, as people name an issue.
_REF = schema.newsletters.c.key + "/" + sa.cast(schema.issues.c.number, sa.Text)


def _standing(
    at: datetime, what: str, detail: str, reason: str = "", ended_at: datetime | None = None
) -> Row:
    told = f"{detail}: {reason}" if reason else detail
    return {"at": at, "what": what, "detail": told, "ended_at": ended_at}


def _operation(row: Any) -> Operation:
    return Operation(
        row.actor, row.verb, row.subject, row.at, row.before, row.after, row.id, row.undone_by
    )
