"""Forgets one person: what is theirs is emptied, what names them among others loses the name.

Rows stay, so that totals stay true. A test holds the lists below against the schema: a new
column with text, or a new reference to a contact, must say here what becomes of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.errors import Conflict
from pipeline.model.people import EVERYWHERE, Erasing
from pipeline.rules.people.traces import Traces, plain_facts, traces_of
from pipeline.stores import schema
from pipeline.stores.deliveries import STOPPABLE
from pipeline.stores.due import HELD
from pipeline.stores.insert import insert_once
from pipeline.stores.intake import wait_for_approvals
from pipeline.stores.people import address_hash

ERASED = "erased"
#: So many rows are looked through at once: a posting may have a megabyte.
PAGE = 100

Emptied = Mapping[str, Any]

#: Rows that point at the contact, and what stands in their columns afterwards.
OF_CONTACT: Mapping[str, Emptied] = {
    "audience": {"detail": ""},
    "bases": {"source": "", "wording": "", "version": ""},
    "deliveries": {"address": "", "name": "", "merge": {}, "headers": {}, "message_id": ""},
    "external_ids": {},  # deleted
    "holds": {"reason": ""},
    "import_changes": {"before": {}, "after": {}},
    "pauses": {"reason": ""},
    "subscriptions": {},
    "told": {},
    "touches": {"note": ""},
}
#: Rows that point at one of their copies.
OF_COPY: Mapping[str, Emptied] = {
    "batch_copies": {},
    "delivery_events": {"detail": ""},
    "provider_events": {"detail": ""},
    "told": {},
    "touches": {"note": ""},
}
#: Rows that point at a touch of theirs.
OF_TOUCH: Mapping[str, Emptied] = {"mails": {"detail": ""}, "told": {}}

#: Words in which somebody may be named among others; the name and the address go.
SWEPT: Mapping[str, tuple[str, ...]] = {
    "audience": ("detail",),
    "bases": ("source", "wording"),
    "beats": ("reason",),
    "deliveries": ("reason", "merge"),
    "delivery_events": ("detail",),
    "editions": ("snippets",),  # of sales editions, and where a field note was told
    "holds": ("reason",),
    "import_changes": ("before", "after"),
    "imports": ("name",),
    "issues": ("reason", "subject", "preheader", "theme", "opening"),
    "job_runs": ("detail",),
    "jobs": ("detail",),
    "mails": ("detail",),
    "notices": ("subject", "html", "text", "reason", "name", "address"),
    "operations": ("before", "after", "subject"),
    "pauses": ("reason",),
    "postings": ("body", "detail"),
    "provider_events": ("detail",),
    "snippets": (  # of field notes, and where something is said between us
        "title", "fact", "take", "question", "own_wording", "general_wording", "sales_note",
    ),
    "stories": ("title", "lead", "text"),  # field notes
    "suppressions": ("detail",),
    "touches": ("note",),
    "variants": ("subject", "html", "text"),  # of the same editions
}  # fmt: skip

#: What only files, feeds or the program itself write: nobody among our contacts stands there,
#: and what the news says of somebody in public is not ours to change.
IMPERSONAL = frozenset(
    {
        "account_relationships", "accounts", "batches", "constellations", "edition_links",
        "fetches", "items", "leases", "meta", "newsletters", "pool", "services", "sources",
        "staff", "story_mentions", "story_signals",
    }
)  # fmt: skip


class SqlErasing:
    """Fits `ErasingTable`."""

    def __init__(self, connection: sa.Connection, address_key: bytes) -> None:
        self._connection = connection
        self._address_key = address_key

    def erased_at(self, address: str) -> datetime | None:
        """When whoever had this address was erased; None: nobody was."""
        found: datetime | None = self._connection.scalar(
            sa.select(schema.suppressions.c.at).where(
                schema.suppressions.c.address_hash == address_hash(self._address_key, address),
                schema.suppressions.c.reason == ERASED,
                schema.suppressions.c.lifted_at.is_(None),
            )
        )
        return found

    def begin(self, contact_id: int, detail: str, now: datetime) -> Erasing:
        """From now on nothing goes out to them any more, and their address stays blocked.

        Raises: Conflict while a copy of theirs, or one that names them, is being sent
        """
        wait_for_approvals(self._connection)
        traces = self._traces(contact_id)
        naming = [row.id for row in self._naming(contact_id, traces)]
        self._wait_for_copies(contact_id, naming)
        for hash_ in {address_hash(self._address_key, one) for one in traces.addresses}:
            row = {"address_hash": hash_, "scope": EVERYWHERE, "reason": ERASED,
                   "detail": traces.taken_out(detail), "at": now}  # fmt: skip
            insert_once(self._connection, schema.suppressions, row)
        self._withhold(contact_id, now)
        copies = self._copies(contact_id, naming, traces.full)
        return Erasing(contact_id, traces.addresses, traces.names, copies)

    def erase(self, contact_id: int, now: datetime) -> None:
        """Empty everything of theirs, and take them out of what names them among others.

        Raises: Conflict while a copy of theirs, or one that names them, is being sent
        """
        wait_for_approvals(self._connection)
        traces = self._traces(contact_id)
        naming = self._naming(contact_id, traces)
        self._wait_for_copies(contact_id, [row.id for row in naming])
        if self._connection.dialect.name == "sqlite":  # what was there is overwritten, too
            self._connection.exec_driver_sql("PRAGMA secure_delete = ON")
        self._redact_sales(naming, traces, self._role(contact_id))
        self._empty(contact_id)
        self._forget_steps(contact_id)
        self._sweep(traces.full)
        self._empty_contact(contact_id, now)

    # ── what they are known by ───────────────────────────────────────────────────────────

    def _traces(self, contact_id: int) -> Traces:
        """Every address and name that we ever knew of them."""
        ask, contacts, deliveries = self._connection, schema.contacts, schema.deliveries
        row = ask.execute(sa.select(contacts).where(contacts.c.id == contact_id)).one()
        addresses, names = [row.address], [(row.first_name, row.last_name)]
        addresses += ask.scalars(
            sa.select(deliveries.c.address).where(deliveries.c.contact_id == contact_id).distinct()
        )
        changes = schema.import_changes
        for change in ask.execute(
            sa.select(changes.c.before, changes.c.after).where(changes.c.contact_id == contact_id)
        ):
            for side in (change.before, change.after):
                values = side.get("values", {})
                addresses.append(values.get("address", ""))
                names.append(
                    (values.get("first_name", row.first_name),
                     values.get("last_name", row.last_name))
                )  # fmt: skip
        return traces_of(addresses, names)

    def _naming(self, contact_id: int, traces: Traces) -> Sequence[sa.Row[Any]]:
        """Variants of sales editions that name them, of the issues whose audience saw them."""
        variants, editions, audience = schema.variants, schema.editions, schema.audience
        looked_at = sa.select(audience.c.issue_id).where(audience.c.contact_id == contact_id)
        rows = self._connection.execute(
            sa.select(variants)
            .join(editions, editions.c.id == variants.c.edition_id)
            .where(editions.c.kind == "sales", editions.c.issue_id.in_(looked_at))
        )
        return [row for row in rows if any(map(traces.stand_in, (row.subject, row.html, row.text)))]

    def _copies(self, contact_id: int, naming: Sequence[int], traces: Traces) -> tuple[str, ...]:
        """Public ids of copies that are theirs, or that name them in any way."""
        deliveries = schema.deliveries
        mine = deliveries.c.contact_id == contact_id
        shown = [*naming, *self._holding(schema.variants, traces)]
        filled_in = self._holding(deliveries, traces)
        return tuple(
            self._connection.scalars(
                sa.select(deliveries.c.public_id)
                .where(
                    sa.or_(mine, deliveries.c.variant_id.in_(shown), deliveries.c.id.in_(filled_in))
                )
                .order_by(deliveries.c.id)
            )
        )

    def _holding(self, table: sa.Table, traces: Traces) -> Sequence[int]:
        """Rows of a table that hold a trace."""
        columns = SWEPT[table.name]
        return [
            row["id"]
            for row in self._suspects(table, columns, traces)
            if any(traces.stand_in(row[column]) for column in columns)
        ]

    # ── nothing goes out any more ────────────────────────────────────────────────────────

    def _wait_for_copies(self, contact_id: int, naming: Sequence[int]) -> None:
        deliveries = schema.deliveries
        moving = deliveries.c.state.in_(("attempting", "recalling"))
        mine = sa.and_(deliveries.c.contact_id == contact_id, moving)
        named = sa.and_(deliveries.c.variant_id.in_(naming), deliveries.c.state.in_(HELD))
        busy = self._connection.scalars(
            sa.select(deliveries.c.id)
            .where(sa.or_(deliveries.c.contact_id == contact_id, named))
            .order_by(deliveries.c.id)
            .with_for_update()
        ).all()
        if busy and self._connection.scalar(
            sa.select(sa.func.count())
            .select_from(deliveries)
            .where(deliveries.c.id.in_(busy), sa.or_(mine, named))
        ):
            raise Conflict(
                "A copy that holds this person is being sent at this very moment; nothing was "
                "erased.",
                "Try again when it has gone; `asterism status` tells.",
            )

    def _withhold(self, contact_id: int, now: datetime) -> None:
        deliveries = schema.deliveries
        rows = self._connection.scalars(
            sa.update(deliveries)
            .where(deliveries.c.contact_id == contact_id, deliveries.c.state.in_(STOPPABLE))
            .values(state="withheld", reason=ERASED, claimed_by="", lease_until=None)
            .returning(deliveries.c.id)
        ).all()
        if rows:
            self._connection.execute(
                sa.insert(schema.delivery_events),
                [
                    {"delivery_id": id_, "state": "withheld", "detail": "", "at": now}
                    for id_ in rows
                ],
            )

    # ── what is theirs ───────────────────────────────────────────────────────────────────

    def _empty(self, contact_id: int) -> None:
        """Rows that point at the contact, their copies and their touches."""
        deliveries, touches = schema.deliveries, schema.touches
        copies = sa.select(deliveries.c.id).where(deliveries.c.contact_id == contact_id)
        made = sa.select(touches.c.id).where(touches.c.contact_id == contact_id)
        for emptied, target, whose in (
            (OF_TOUCH, touches.c.id, made),
            (OF_COPY, deliveries.c.id, copies),
            (OF_CONTACT, schema.contacts.c.id, sa.select(sa.literal(contact_id))),
        ):
            for name, values in emptied.items():
                table = schema.metadata.tables[name]
                for column in pointing(table, target):
                    if values:
                        self._connection.execute(
                            sa.update(table).where(column.in_(whose)).values(**values)
                        )
        self._connection.execute(
            sa.delete(schema.external_ids).where(schema.external_ids.c.contact_id == contact_id)
        )
        self._empty_copies(contact_id)

    def _empty_copies(self, contact_id: int) -> None:
        """The rest of a copy: why, in a stranger's words, and the hash of where it went."""
        deliveries = schema.deliveries
        ours = sa.and_(
            deliveries.c.state == "withheld", ~deliveries.c.reason.startswith("invalid_address")
        )
        for row in self._connection.execute(
            sa.select(deliveries.c.id, deliveries.c.public_id, deliveries.c.reason, ours)
            .where(deliveries.c.contact_id == contact_id)
        ).all():  # fmt: skip
            self._connection.execute(
                sa.update(deliveries)
                .where(deliveries.c.id == row.id)
                .values(address_hash=nobody(row.public_id), reason=row.reason if row[3] else "")
            )

    def _forget_steps(self, contact_id: int) -> None:
        """What was done with them stays in the log, without a word that somebody wrote."""
        operations, contacts = schema.operations, schema.contacts
        subject = self._connection.scalar(
            sa.select(sa.literal("contact:") + contacts.c.public_id).where(
                contacts.c.id == contact_id
            )
        )
        rows = self._connection.execute(
            sa.select(operations).where(operations.c.subject == subject)
        ).all()
        for row in rows:
            self._connection.execute(
                sa.update(operations)
                .where(operations.c.id == row.id)
                .values(before=plain_facts(row.before), after=plain_facts(row.after))
            )

    def _empty_contact(self, contact_id: int, now: datetime) -> None:
        contacts = schema.contacts
        public_id = self._connection.scalar(
            sa.select(contacts.c.public_id).where(contacts.c.id == contact_id)
        )
        self._connection.execute(
            sa.update(contacts)
            .where(contacts.c.id == contact_id)
            .values(
                address="", address_hash=nobody(str(public_id)), first_name="", last_name="",
                role="", language="", zone="", invalid="", erased_at=now,
                retired_at=sa.func.coalesce(contacts.c.retired_at, now),
                revision=contacts.c.revision + 1,
            )
        )  # fmt: skip

    # ── among others ─────────────────────────────────────────────────────────────────────

    def _role(self, contact_id: int) -> str:
        contacts = schema.contacts
        found = self._connection.scalar(
            sa.select(contacts.c.role).where(contacts.c.id == contact_id)
        )
        return str(found or "")

    def _redact_sales(self, naming: Sequence[sa.Row[Any]], traces: Traces, role: str) -> None:
        """Sales letters list whom to call: without them from now on, and with a new digest."""
        for row in naming:
            html = traces.off_the_list(row.html, role)
            text = traces.off_the_list(row.text, role)
            self._connection.execute(
                sa.update(schema.variants)
                .where(schema.variants.c.id == row.id)
                .values(
                    subject=traces.taken_out(row.subject),
                    html=html,
                    text=text,
                    digest=hashlib.sha256(html + b"\x00" + text).hexdigest(),
                )
            )

    def _sweep(self, traces: Traces) -> None:
        for name, columns in SWEPT.items():
            table = schema.metadata.tables[name]
            for row in self._suspects(table, columns, traces):
                values = {
                    column: traces.taken_out(value)
                    for column in columns
                    if traces.stand_in(value := row[column])
                }
                if values:
                    (key,) = table.primary_key.columns
                    self._connection.execute(
                        sa.update(table).where(key == row[key.name]).values(**values)
                    )

    def _suspects(
        self, table: sa.Table, columns: Sequence[str], traces: Traces
    ) -> Iterator[sa.RowMapping]:
        """Rows that may hold a trace: all with bytes in them, of the others those that match."""
        if not traces.needles():
            return
        asked = [table.c[name] for name in columns]
        (key,) = table.primary_key.columns
        query = sa.select(key, *asked).where(*_ours(table)).order_by(key).limit(PAGE)
        if not any(isinstance(column.type, sa.LargeBinary) for column in asked):
            query = query.where(sa.or_(*_matches(asked, traces.needles())))
        after = query
        while page := self._connection.execute(after).mappings().all():
            yield from page
            after = query.where(key > page[-1][key.name])


def pointing(table: sa.Table, target: sa.Column[Any]) -> Iterator[sa.Column[Any]]:
    """The columns of a table that point at another one's key."""
    return (
        column for column in table.columns if any(k.column is target for k in column.foreign_keys)
    )


def nobody(public_id: str) -> str:
    """Stands in place of an address's hash, as unique and of no address."""
    return hashlib.sha256(f"{ERASED}:{public_id}".encode()).hexdigest()


def _matches(
    columns: Sequence[sa.Column[Any]], needles: Sequence[str]
) -> Iterator[sa.ColumnElement[bool]]:
    """Whether a column holds one of the needles, which are lowered already."""
    for column in columns:
        text = sa.cast(column, sa.Text)
        for needle in needles:
            yield sa.func.lower(text).contains(needle, autoescape=True)


def _ours(table: sa.Table) -> Iterator[sa.ColumnElement[bool]]:
    """Of tables that hold public words, too: only the rows in which we speak among ourselves.

    An issue that tells of a field note may name whom we had it from.
    """
    stories, editions, snippets = schema.stories, schema.editions, schema.snippets
    notes = sa.select(stories.c.id).where(stories.c.kind == "note")
    confiding = sa.select(snippets.c.issue_id).where(snippets.c.story_id.in_(notes))
    private = sa.or_(editions.c.kind == "sales", editions.c.issue_id.in_(confiding))
    if table is stories:
        yield stories.c.kind == "note"
    elif table is editions:
        yield private
    elif table is schema.variants:
        yield table.c.edition_id.in_(sa.select(editions.c.id).where(private))
    elif table is snippets:
        yield sa.or_(table.c.story_id.in_(notes), table.c.sales_note != "")
