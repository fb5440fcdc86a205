"""A ferry newsletter with contacts and one frozen issue, for tests of what comes after that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from pipeline.model.letters import Beat, Issue, PlannedDelivery, Rendered, Variant
from pipeline.rules.letters.tokens import HmacTokens
from pipeline.stores import schema
from pipeline.stores.people import address_hash
from pipeline.stores.sql import SqlStore
from tests.builders import NOW, SECRET, WEEKLY

TOKENS = HmacTokens(SECRET)
HTML = (
    '<!DOCTYPE html><html lang="en"><head><title>Between Quays</title></head><body>'
    "<h1>Berths \ue000first_name|you\ue001</h1><p>\ue000greeting|Good morning.\ue001</p>"
    '<p><a href="\ue000leave_url|\ue001">Leave this letter</a></p></body></html>'
)
TEXT = "\ue000greeting|Good morning.\ue001\n\nLeave: \ue000leave_url|\ue001\n"
SUBJECT = "Berths by the minute"


@contextmanager
def connection(store: SqlStore) -> Iterator[sa.Connection]:
    """The same database, to write or look at what no stage would."""
    with store.write() as tables:
        yield tables.letters._connection


@dataclass(frozen=True)
class Scene:
    """Where the things of a test lie."""

    store: SqlStore
    issue: Issue
    contact_ids: tuple[int, ...]
    variant_ids: dict[str, int]
    public_variant_id: int
    story_ids: tuple[int, ...]

    def row(self, number: int, **changes: object) -> PlannedDelivery:
        """The planned copy of contact number 0, 1, 2 …"""
        public_id = TOKENS.derive(self.issue.public_id, "letter", f"contact {number}")
        planned = PlannedDelivery(
            purpose="letter",
            address=address(number),
            name=f"Reader {number}",
            merge={
                "greeting": f"Good morning, Reader {number}.",
                "sender_name": "Liv Haugen",
                "sender_address": "liv@quaytide.example",
                "leave_url": f"https://letters.quaytide.example/leave/"
                f"{TOKENS.make('leave', public_id)}",
            },
            variant_key="whole",
            contact_id=self.contact_ids[number],
            due_at=self.issue.due_at,
            public_id=public_id,
        )
        return replace(planned, **changes)

    def rows(self) -> Iterator[PlannedDelivery]:
        return (self.row(number) for number in range(len(self.contact_ids)))

    def plan(self, rows: Sequence[PlannedDelivery] | None = None, at: datetime = NOW) -> int:
        with self.store.write() as tables:
            return tables.deliveries.plan(
                self.issue.id, self.rows() if rows is None else rows, self.variant_ids, at
            )

    def states(self) -> dict[str, int]:
        with self.store.read() as tables:
            counts = tables.deliveries.counts(self.issue.id)
        return {state: number for (_, state), number in counts.items()}

    def variant(self, key: str = "whole") -> Variant:
        with self.store.read() as tables:
            return tables.letters.variant(self.variant_ids[key])


def address(number: int) -> str:
    return f"reader{number}@northline.example"


def build_scene(
    store: SqlStore, contacts: int = 3, *, due_at: datetime = NOW, state: str = "scheduled"
) -> Scene:
    """One issue, approved and frozen in two variants, and contacts who may all be mailed."""
    with store.write() as tables:
        raw = tables.letters._connection
        account_id = _catalog(raw)
        contact_ids = _contacts(raw, tables.deliveries._secret, account_id, contacts)
        story_ids = _stories(raw, due_at)
        issue = tables.letters.open_issue(
            WEEKLY.key,
            Beat(date(2027, 3, 8), due_at, date(2027, 3, 8)),
            cut_off_at=due_at - timedelta(days=1),
            deadline_at=due_at - timedelta(hours=4),
            subject=SUBJECT,
            now=due_at - timedelta(days=5),
        )
        edition = tables.letters.freeze_edition(issue.id, "prospect", "en", "t1", (), (), NOW)
        rendered = Rendered(SUBJECT, HTML, TEXT, "t1")
        whole = tables.letters.freeze_variant(edition, "whole", rendered, story_ids, "berth-audit")
        less = tables.letters.freeze_variant(edition, "less", rendered, story_ids[:1])
        public = tables.letters.freeze_edition(issue.id, "public", "en", "t1", (), (), NOW)
        page = tables.letters.freeze_variant(public, "public", rendered, story_ids)
        tables.letters.set_state(
            issue.id, state, approved_by="liv", approved_at=due_at - timedelta(hours=5)
        )
        issue = tables.letters.by_id(issue.id)
    return Scene(store, issue, contact_ids, {"whole": whole, "less": less}, page, story_ids)


def _one(raw: sa.Connection, table: sa.Table, **values: object) -> int:
    return raw.execute(sa.insert(table).values(**values).returning(table.c.id)).scalar_one()


def _catalog(raw: sa.Connection) -> int:
    constellation = _one(raw, schema.constellations, key="ferries", name="Ferry companies")
    _one(raw, schema.newsletters, key=WEEKLY.key, constellation_id=constellation,
         title=WEEKLY.title)  # fmt: skip
    _one(raw, schema.newsletters, key="ferry-monthly", constellation_id=constellation,
         title="A Month of Quays")  # fmt: skip
    return _one(
        raw, schema.accounts, key="northline", constellation_id=constellation,
        name="Northline", relationship="prospect", owner_key="tom",
    )  # fmt: skip


def _contacts(raw: sa.Connection, key: bytes, account_id: int, number: int) -> tuple[int, ...]:
    rows = [
        {
            "account_id": account_id,
            "address": address(n),
            "address_hash": address_hash(key, address(n)),
            "first_name": "Reader",
            "last_name": str(n),
            "added_at": NOW,
        }
        for n in range(number)
    ]
    insert = sa.insert(schema.contacts).returning(
        schema.contacts.c.id, sort_by_parameter_order=True
    )
    return tuple(raw.scalars(insert, rows).all())


def _stories(raw: sa.Connection, at: datetime) -> tuple[int, ...]:
    return tuple(
        _one(raw, schema.stories, kind="news", title=f"Story {n}", first_at=at, last_at=at)
        for n in (1, 2)
    )
