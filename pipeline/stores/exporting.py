"""Reads everything that the database holds of one person, in plain words and nobody else's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pipeline.stores import schema

Row = Mapping[str, Any]

#: Which tables each section reads; a test holds them against the references of the schema.
READ: Mapping[str, tuple[str, ...]] = {
    "person": ("contacts", "accounts"),
    "ids": ("external_ids",),
    "evidence": ("bases",),
    "newsletters": ("subscriptions",),
    "blocks": ("suppressions",),
    "pauses": ("pauses",),
    "holds": ("holds",),
    "imports": ("import_changes", "imports"),
    "decisions": ("audience",),
    "letters": ("deliveries", "batch_copies", "batches"),
    "letter_events": ("delivery_events", "provider_events"),
    "told": ("told",),
    "touches": ("touches",),
    "mails": ("mails",),
    "steps": ("operations",),
}

_REF = schema.newsletters.c.key + "/" + sa.cast(schema.issues.c.number, sa.Text)


class SqlExport:
    """Fits `ExportTable`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def everything(self, contact_id: int) -> Mapping[str, Sequence[Row]]:
        """Rows by what they tell of, in plain words; oldest first."""
        queries = {
            "person": _person(contact_id),
            "ids": _ids(contact_id),
            "evidence": _evidence(contact_id),
            "newsletters": _newsletters(contact_id),
            "blocks": _blocks(contact_id),
            "pauses": _pauses(contact_id),
            "holds": _holds(contact_id),
            "imports": _imports(contact_id),
            "decisions": _decisions(contact_id),
            "letters": _letters(contact_id),
            "told": _told(contact_id),
            "touches": _touches(contact_id),
            "mails": _mails(contact_id),
            "steps": _steps(contact_id),
        }
        found = {name: self._rows(query) for name, query in queries.items()}
        events = [*self._rows(_events(contact_id)), *self._rows(_provider_events(contact_id))]
        found["letter_events"] = sorted(events, key=lambda row: row["at"])
        return found

    def _rows(self, query: sa.Select[Any]) -> list[Row]:
        return [dict(row) for row in self._connection.execute(query).mappings()]


def _person(contact_id: int) -> sa.Select[Any]:
    contacts, accounts = schema.contacts, schema.accounts
    return (
        sa.select(
            contacts.c.public_id.label("our id"),
            contacts.c.first_name.label("first name"),
            contacts.c.last_name.label("last name"),
            contacts.c.address.label("e-mail address"),
            contacts.c.role,
            contacts.c.language,
            contacts.c.zone.label("time zone"),
            accounts.c.name.label("company"),
            contacts.c.invalid.label("why the address cannot be used"),
            contacts.c.added_at.label("known since"),
            contacts.c.retired_at.label("no longer active since"),
            contacts.c.erased_at.label("erased at"),
            contacts.c.address_hash.label("code in place of the address"),
        )
        .join(accounts, accounts.c.id == contacts.c.account_id)
        .where(contacts.c.id == contact_id)
    )


def _ids(contact_id: int) -> sa.Select[Any]:
    ids = schema.external_ids
    return (
        sa.select(ids.c.system, ids.c.external_id.label("number there"))
        .where(ids.c.contact_id == contact_id)
        .order_by(ids.c.id)
    )


def _evidence(contact_id: int) -> sa.Select[Any]:
    bases = schema.bases
    return (
        sa.select(
            bases.c.kind.label("ground"),
            bases.c.source.label("where it comes from"),
            bases.c.given_on.label("given on"),
            bases.c.wording.label("what was agreed to"),
            bases.c.version.label("version of the wording"),
            bases.c.actor.label("recorded by"),
            bases.c.at.label("recorded at"),
            bases.c.withdrawn_at.label("withdrawn at"),
        )
        .where(bases.c.contact_id == contact_id)
        .order_by(bases.c.id)
    )


def _newsletters(contact_id: int) -> sa.Select[Any]:
    subscriptions, newsletters = schema.subscriptions, schema.newsletters
    return (
        sa.select(
            newsletters.c.title.label("newsletter"),
            subscriptions.c.subscribed.label("wanted"),
            subscriptions.c.since.label("since"),
        )
        .join(newsletters, newsletters.c.id == subscriptions.c.newsletter_id)
        .where(subscriptions.c.contact_id == contact_id)
        .order_by(subscriptions.c.id)
    )


def _blocks(contact_id: int) -> sa.Select[Any]:
    suppressions, deliveries = schema.suppressions, schema.deliveries
    hashes = (
        sa.select(schema.contacts.c.address_hash)
        .where(schema.contacts.c.id == contact_id)
        .union(sa.select(deliveries.c.address_hash).where(deliveries.c.contact_id == contact_id))
    )
    scope = sa.case((suppressions.c.scope == "*", "every letter"), else_=suppressions.c.scope)
    return (
        sa.select(
            scope.label("no more of"),
            suppressions.c.reason,
            suppressions.c.detail.label("in words"),
            suppressions.c.at.label("since"),
            suppressions.c.lifted_at.label("lifted at"),
        )
        .where(suppressions.c.address_hash.in_(hashes))
        .order_by(suppressions.c.id)
    )


def _pauses(contact_id: int) -> sa.Select[Any]:
    pauses = schema.pauses
    return (
        sa.select(
            pauses.c.until_on.label("no letters until"),
            pauses.c.actor.label("by"),
            pauses.c.reason,
            pauses.c.at,
            pauses.c.lifted_at.label("ended at"),
        )
        .where(pauses.c.contact_id == contact_id)
        .order_by(pauses.c.id)
    )


def _holds(contact_id: int) -> sa.Select[Any]:
    holds = schema.holds
    return (
        sa.select(
            holds.c.staff_key.label("held back by"),
            holds.c.reason,
            holds.c.at,
            holds.c.lifted_at.label("ended at"),
        )
        .where(holds.c.contact_id == contact_id)
        .order_by(holds.c.id)
    )


def _imports(contact_id: int) -> sa.Select[Any]:
    changes, imports = schema.import_changes, schema.imports
    return (
        sa.select(
            imports.c.name.label("file"),
            imports.c.actor.label("brought in by"),
            imports.c.at,
            changes.c.what,
            changes.c.before,
            changes.c.after,
            imports.c.undone_at.label("taken back at"),
        )
        .join(imports, imports.c.id == changes.c.import_id)
        .where(changes.c.contact_id == contact_id)
        .order_by(changes.c.id)
    )


def _decisions(contact_id: int) -> sa.Select[Any]:
    audience = schema.audience
    return (
        _of_issues(
            audience,
            _REF.label("issue"),
            audience.c.is_in.label("gets it"),
            audience.c.reason,
            audience.c.detail.label("in words"),
        )
        .where(audience.c.contact_id == contact_id)
        .order_by(audience.c.id)
    )


def _letters(contact_id: int) -> sa.Select[Any]:
    deliveries, variants, batches = schema.deliveries, schema.variants, schema.batches
    copies = schema.batch_copies
    return (
        _of_issues(
            deliveries,
            _REF.label("issue"),
            schema.newsletters.c.title.label("newsletter"),
            variants.c.subject,
            deliveries.c.address.label("sent to"),
            deliveries.c.name.label("addressed as"),
            deliveries.c.state,
            deliveries.c.reason,
            deliveries.c.due_at.label("due at"),
            deliveries.c.settled_at.label("done at"),
            deliveries.c.merge.label("what was filled in"),
            deliveries.c.message_id.label("message id"),
            batches.c.transport.label("handed to"),
        )
        .join(variants, variants.c.id == deliveries.c.variant_id)
        .outerjoin(copies, copies.c.delivery_id == deliveries.c.id)
        .outerjoin(batches, batches.c.id == copies.c.batch_id)
        .where(deliveries.c.contact_id == contact_id)
        .order_by(deliveries.c.id)
    )


def _of_issues(table: sa.Table, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    issues, newsletters = schema.issues, schema.newsletters
    return (
        sa.select(*columns)
        .select_from(table)
        .join(issues, issues.c.id == table.c.issue_id)
        .join(newsletters, newsletters.c.id == issues.c.newsletter_id)
    )


def _events(contact_id: int) -> sa.Select[Any]:
    deliveries, events = schema.deliveries, schema.delivery_events
    return (
        _of_issues(
            deliveries,
            _REF.label("issue"),
            events.c.at,
            events.c.state.label("what"),
            events.c.detail.label("in words"),
            sa.literal("us").label("told by"),
        )
        .join(events, events.c.delivery_id == deliveries.c.id)
        .where(deliveries.c.contact_id == contact_id)
        .order_by(events.c.id)
    )


def _provider_events(contact_id: int) -> sa.Select[Any]:
    deliveries, events = schema.deliveries, schema.provider_events
    return (
        _of_issues(
            deliveries,
            _REF.label("issue"),
            events.c.at,
            events.c.what,
            events.c.detail.label("in words"),
            events.c.provider.label("told by"),
        )
        .join(events, events.c.delivery_id == deliveries.c.id)
        .where(deliveries.c.contact_id == contact_id)
        .order_by(events.c.id)
    )


def _told(contact_id: int) -> sa.Select[Any]:
    told, stories, services = schema.told, schema.stories, schema.services
    return (
        sa.select(
            told.c.at,
            told.c.through,
            stories.c.title.label("story"),
            stories.c.url.label("where it stands"),
            sa.func.coalesce(services.c.name, told.c.service_key).label("service of ours"),
            schema.deliveries.c.state.label("how the letter stands"),
        )
        .select_from(told)
        .outerjoin(schema.deliveries, schema.deliveries.c.id == told.c.delivery_id)
        .outerjoin(stories, stories.c.id == told.c.story_id)
        .outerjoin(services, services.c.key == told.c.service_key)
        .where(told.c.contact_id == contact_id)
        .order_by(told.c.id)
    )


def _touches(contact_id: int) -> sa.Select[Any]:
    touches = schema.touches
    return (
        sa.select(
            touches.c.at,
            touches.c.kind,
            touches.c.staff_key.label("by"),
            touches.c.minutes,
            touches.c.note,
        )
        .where(touches.c.contact_id == contact_id)
        .order_by(touches.c.at, touches.c.id)
    )


def _mails(contact_id: int) -> sa.Select[Any]:
    mails, touches = schema.mails, schema.touches
    return (
        sa.select(
            mails.c.seen_at.label("seen at"),
            mails.c.outcome,
            mails.c.detail.label("in words"),
        )
        .join(touches, touches.c.id == mails.c.touch_id)
        .where(touches.c.contact_id == contact_id)
        .order_by(mails.c.id)
    )


def _steps(contact_id: int) -> sa.Select[Any]:
    operations = schema.operations
    subject = (
        sa.select(sa.literal("contact:") + schema.contacts.c.public_id)
        .where(schema.contacts.c.id == contact_id)
        .scalar_subquery()
    )
    return (
        sa.select(
            operations.c.at,
            operations.c.actor.label("by"),
            operations.c.verb.label("what was done"),
            operations.c.before,
            operations.c.after,
        )
        .where(operations.c.subject == subject)
        .order_by(operations.c.at, operations.c.id)
    )
