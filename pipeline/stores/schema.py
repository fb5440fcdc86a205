"""The tables. Integer keys inside, random 128-bit public ids outside, aware UTC times.

Every table that people edit has a `revision`; a stale write is a Conflict. Rows of things
that live in files have a `key` and are retired, never deleted.
"""

from __future__ import annotations

import secrets
from base64 import b32encode
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in, aware UTC out, on every database; a naive time is refused.

    SQLite keeps no zone, so times are stored there as naive UTC.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive time {value!r}: times inside are aware")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def new_public_id() -> str:
    """Random 128 bits as 26 lower-case letters and digits; safe in addresses and file names."""
    return b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


#: SQLite only numbers rows by itself in INTEGER columns.
BigKey = BigInteger().with_variant(Integer(), "sqlite")


def key_column() -> Column[int]:
    return Column("id", BigKey, primary_key=True, autoincrement=True)


def public_id() -> Column[str]:
    return Column("public_id", String(26), nullable=False, unique=True, default=new_public_id)


def revision() -> Column[int]:
    return Column("revision", Integer, nullable=False, default=1)


def reference(name: str, target: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, BigKey, ForeignKey(target), nullable=nullable, index=True)


def only_one(name: str, where: str, *columns: str) -> Index:
    """At most one row with these values among those for which `where` holds."""
    condition = sa.text(where)
    return Index(name, *columns, unique=True, sqlite_where=condition, postgresql_where=condition)


def at(name: str, *, nullable: bool = False) -> Column[datetime]:
    return Column(name, UtcDateTime(), nullable=nullable)


def text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, default="")


# ── the workspace itself ─────────────────────────────────────────────────────────────────

meta = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

operations = Table(
    "operations",
    metadata,
    key_column(),
    public_id(),
    Column("actor", String(200), nullable=False),
    Column("verb", String(40), nullable=False),
    Column("subject", String(200), nullable=False, index=True),
    Column("before", JSON, nullable=False, default=dict),
    Column("after", JSON, nullable=False, default=dict),
    at("at"),
    Column("undone_by", BigKey, ForeignKey("operations.id"), nullable=True),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("owner", String(100), nullable=False),
    at("until"),
    Column("fence", Integer, nullable=False, default=1),
)

constellations = Table(
    "constellations",
    metadata,
    key_column(),
    public_id(),
    Column("key", String(100), nullable=False, unique=True),
    Column("name", String(300), nullable=False),
    at("retired_at", nullable=True),
)

staff = Table(
    "staff",
    metadata,
    key_column(),
    public_id(),
    Column("key", String(100), nullable=False, unique=True),
    Column("name", String(300), nullable=False),
    Column("address", String(320), nullable=False),
    at("retired_at", nullable=True),
)

services = Table(
    "services",
    metadata,
    key_column(),
    public_id(),
    Column("key", String(100), nullable=False, unique=True),
    Column("name", String(300), nullable=False),
    at("retired_at", nullable=True),
)

newsletters = Table(
    "newsletters",
    metadata,
    key_column(),
    public_id(),
    Column("key", String(100), nullable=False, unique=True),
    reference("constellation_id", "constellations.id"),
    Column("title", String(300), nullable=False),
    at("retired_at", nullable=True),
)

accounts = Table(
    "accounts",
    metadata,
    key_column(),
    public_id(),
    Column("key", String(100), nullable=False, unique=True),
    reference("constellation_id", "constellations.id"),
    Column("name", String(300), nullable=False),
    Column("domain", String(300), nullable=False, default=""),
    Column("relationship", String(20), nullable=False),
    Column("owner_key", String(100), nullable=False),
    at("retired_at", nullable=True),
)

account_relationships = Table(
    "account_relationships",
    metadata,
    key_column(),
    reference("account_id", "accounts.id"),
    Column("relationship", String(20), nullable=False),
    at("since"),
)

# ── news ─────────────────────────────────────────────────────────────────────────────────

sources = Table(
    "sources",
    metadata,
    key_column(),
    public_id(),
    Column("key", String(100), nullable=False, unique=True),
    Column("name", String(300), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("read_as", String(64), nullable=False, default=""),  # digest of kind and selectors
    text("configured_url"),
    text("url"),
    Column("etag", Text, nullable=False, default=""),
    Column("last_modified", Text, nullable=False, default=""),
    Column("body_hash", String(64), nullable=False, default=""),
    Column("ttl_s", Integer, nullable=True),
    Column("quiet", String(120), nullable=False, default=""),
    at("checked_at", nullable=True),
    at("next_check_at", nullable=True),
    Column("failures", Integer, nullable=False, default=0),
    Column("last_outcome", String(20), nullable=True),
    Column("last_reason", String(40), nullable=False, default=""),
    text("last_detail"),
    text("moved_to"),
    Column("moved_seen", Integer, nullable=False, default=0),
    at("gone_at", nullable=True),
    at("retired_at", nullable=True),
)

fetches = Table(
    "fetches",
    metadata,
    key_column(),
    reference("source_id", "sources.id"),
    at("at"),
    Column("outcome", String(20), nullable=False),
    Column("reason", String(40), nullable=False, default=""),
    text("detail"),
    Column("status", Integer, nullable=True),
    Column("entries", Integer, nullable=False, default=0),
    Column("new", Integer, nullable=False, default=0),
    Column("changed", Integer, nullable=False, default=0),
    Column("elapsed_s", Float, nullable=False, default=0.0),
)

stories = Table(
    "stories",
    metadata,
    key_column(),
    public_id(),
    Column("kind", String(10), nullable=False),
    text("title"),
    text("lead"),
    text("text"),
    text("url"),
    Column("source_name", String(300), nullable=False, default=""),
    at("first_at"),
    at("last_at"),
    Column("learnt_from_id", BigKey, ForeignKey("accounts.id"), nullable=True),
    Column("is_public", Boolean, nullable=False, default=True),
    Column("own_key", String(100), nullable=True, unique=True),
    Column("merged_into", BigKey, ForeignKey("stories.id"), nullable=True),
    at("taken_back_at", nullable=True),  # a field note whose writer undid it: gone for every verb
    Column("matched_with", String(64), nullable=False, default=""),  # digest of files and rules
    revision(),
    Index("ix_stories_last_at", "last_at"),
)

items = Table(
    "items",
    metadata,
    key_column(),
    public_id(),
    reference("source_id", "sources.id"),
    reference("story_id", "stories.id", nullable=True),
    Column("identity", String(64), nullable=False),
    text("url"),
    Column("canonical_url", Text, nullable=False, default=""),
    Column("canonical_hash", String(64), nullable=False, default="", index=True),
    text("title"),
    text("summary_html"),
    text("text"),
    text("author"),
    at("published_at"),
    Column("dated", Boolean, nullable=False, default=True),
    at("seen_at"),
    Column("content_hash", String(64), nullable=False),
    Column("language", String(20), nullable=False, default=""),
    Column("joined_why", String(200), nullable=False, default=""),
    UniqueConstraint("source_id", "identity"),
    Index("ix_items_published_at", "published_at"),
)

story_mentions = Table(
    "story_mentions",
    metadata,
    key_column(),
    reference("story_id", "stories.id"),
    reference("account_id", "accounts.id"),
    Column("relation", String(20), nullable=False),
    Column("place", String(20), nullable=False),
    Column("evidence", String(300), nullable=False),
    Column("weight", Float, nullable=False),
    UniqueConstraint("story_id", "account_id", "relation"),
)

story_signals = Table(
    "story_signals",
    metadata,
    key_column(),
    reference("story_id", "stories.id"),
    Column("signal", String(20), nullable=False),
    Column("evidence", String(300), nullable=False),
    Column("weight", Float, nullable=False),
    UniqueConstraint("story_id", "signal"),
)

pool = Table(
    "pool",
    metadata,
    key_column(),
    reference("story_id", "stories.id"),
    reference("constellation_id", "constellations.id"),
    Column("score", Float, nullable=False),
    Column("parts", JSON, nullable=False, default=list),
    at("scored_at"),
    text("left_out"),  # why it is not in the pool; empty: it is
    at("dropped_at", nullable=True),
    Column("dropped_by", String(200), nullable=False, default=""),
    UniqueConstraint("story_id", "constellation_id"),
)

# ── people ───────────────────────────────────────────────────────────────────────────────

contacts = Table(
    "contacts",
    metadata,
    key_column(),
    public_id(),
    reference("account_id", "accounts.id"),
    Column("address", String(320), nullable=False),
    Column("address_hash", String(64), nullable=False, unique=True),
    Column("first_name", String(200), nullable=False, default=""),
    Column("last_name", String(200), nullable=False, default=""),
    Column("role", String(300), nullable=False, default=""),
    Column("language", String(20), nullable=False, default=""),
    Column("zone", String(60), nullable=False, default=""),
    Column("invalid", String(200), nullable=False, default=""),
    at("added_at"),
    at("retired_at", nullable=True),
    reference("import_id", "imports.id", nullable=True),
    revision(),
    at("erased_at", nullable=True),  # nothing personal is left in this row but the hash
)

external_ids = Table(
    "external_ids",
    metadata,
    key_column(),
    Column("system", String(60), nullable=False),
    Column("external_id", String(200), nullable=False),
    Column("contact_id", BigKey, ForeignKey("contacts.id"), nullable=True, index=True),
    Column("account_id", BigKey, ForeignKey("accounts.id"), nullable=True, index=True),
    CheckConstraint("(contact_id IS NULL) <> (account_id IS NULL)", name="one_subject"),
    # a CRM numbers people and companies apart: contact 7 and company 7 are two things
    only_one("uq_external_ids_contact", "contact_id IS NOT NULL", "system", "external_id"),
    only_one("uq_external_ids_account", "account_id IS NOT NULL", "system", "external_id"),
)

bases = Table(
    "bases",
    metadata,
    key_column(),
    reference("contact_id", "contacts.id"),
    Column("kind", String(30), nullable=False),
    text("source"),
    Column("given_on", Date, nullable=False),
    text("wording"),
    Column("version", String(60), nullable=False, default=""),
    Column("actor", String(200), nullable=False),
    at("at"),
    at("withdrawn_at", nullable=True),  # its import was taken back: on record, in force no more
)

subscriptions = Table(
    "subscriptions",
    metadata,
    key_column(),
    reference("contact_id", "contacts.id"),
    reference("newsletter_id", "newsletters.id"),
    Column("subscribed", Boolean, nullable=False),
    at("since"),
    revision(),
    UniqueConstraint("contact_id", "newsletter_id"),
)

suppressions = Table(
    "suppressions",
    metadata,
    key_column(),
    Column("address_hash", String(64), nullable=False),
    Column("scope", String(100), nullable=False),  # newsletter key, or "*"
    Column("reason", String(20), nullable=False),
    text("detail"),
    at("at"),
    at("lifted_at", nullable=True),
    # for each reason a row of its own: lifting "left" must not lift a complaint with it
    only_one("uq_suppressions_in_force", "lifted_at IS NULL", "address_hash", "scope", "reason"),
)

pauses = Table(
    "pauses",
    metadata,
    key_column(),
    reference("contact_id", "contacts.id"),
    Column("until_on", Date, nullable=False),
    Column("actor", String(200), nullable=False),
    text("reason"),
    at("at"),
    at("lifted_at", nullable=True),
)

holds = Table(
    "holds",
    metadata,
    key_column(),
    reference("contact_id", "contacts.id"),
    Column("staff_key", String(100), nullable=False),
    text("reason"),
    at("at"),
    at("lifted_at", nullable=True),
)

imports = Table(
    "imports",
    metadata,
    key_column(),
    public_id(),
    Column("name", String(300), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("tally", JSON, nullable=False, default=dict),
    at("at"),
    at("undone_at", nullable=True),
)

# what an import did to each contact, so that all of it can be taken back
import_changes = Table(
    "import_changes",
    metadata,
    key_column(),
    reference("import_id", "imports.id"),
    reference("contact_id", "contacts.id"),
    Column("what", String(20), nullable=False),  # new | changed
    Column("before", JSON, nullable=False, default=dict),
    Column("after", JSON, nullable=False, default=dict),
    UniqueConstraint("import_id", "contact_id"),
)

# ── letters ──────────────────────────────────────────────────────────────────────────────

beats = Table(
    "beats",
    metadata,
    key_column(),
    reference("newsletter_id", "newsletters.id"),
    Column("beat_on", Date, nullable=False),
    Column("planned_on", Date, nullable=False),
    at("due_at"),
    Column("state", String(20), nullable=False),
    text("reason"),
    UniqueConstraint("newsletter_id", "beat_on"),
)

issues = Table(
    "issues",
    metadata,
    key_column(),
    public_id(),
    reference("newsletter_id", "newsletters.id"),
    Column("number", Integer, nullable=False),
    Column("beat_on", Date, nullable=False),
    at("due_at"),
    at("cut_off_at"),
    at("deadline_at"),
    Column("state", String(20), nullable=False),
    text("reason"),
    text("subject"),
    text("preheader"),
    text("theme"),
    text("opening"),
    at("opened_at"),
    at("approved_at", nullable=True),
    Column("approved_by", String(200), nullable=False, default=""),
    revision(),
    at("review_until", nullable=True),  # automatic: people may look and stop it until then
    UniqueConstraint("newsletter_id", "beat_on"),
    UniqueConstraint("newsletter_id", "number"),
)

snippets = Table(
    "snippets",
    metadata,
    key_column(),
    public_id(),
    reference("issue_id", "issues.id"),
    reference("story_id", "stories.id"),
    Column("position", Integer, nullable=False),
    Column("section", String(10), nullable=False),
    text("title"),
    text("fact"),
    text("take"),
    text("question"),
    text("own_wording"),
    text("general_wording"),
    Column("cleared_by", String(200), nullable=False, default=""),
    text("sales_note"),
    Column("removed", Boolean, nullable=False, default=False),
    revision(),
    UniqueConstraint("issue_id", "story_id"),
)

editions = Table(
    "editions",
    metadata,
    key_column(),
    public_id(),
    reference("issue_id", "issues.id"),
    Column("kind", String(20), nullable=False),
    Column("language", String(20), nullable=False),
    Column("snippets", JSON, nullable=False, default=list),
    Column("template_digest", String(64), nullable=False),
    at("frozen_at"),
    at("retired_at", nullable=True),  # a stopped approval; the next one freezes anew
    only_one("uq_editions_in_force", "retired_at IS NULL", "issue_id", "kind", "language"),
)

variants = Table(
    "variants",
    metadata,
    key_column(),
    public_id(),
    reference("edition_id", "editions.id"),
    Column("key", String(64), nullable=False),
    text("subject"),
    Column("html", LargeBinary, nullable=False),
    Column("text", LargeBinary, nullable=False),
    Column("digest", String(64), nullable=False),  # of html and text
    Column("story_ids", JSON, nullable=False, default=list),
    Column("service_key", String(100), nullable=False, default=""),
    UniqueConstraint("edition_id", "key"),
)

edition_links = Table(
    "edition_links",
    metadata,
    key_column(),
    reference("edition_id", "editions.id"),
    Column("snippet_id", BigKey, ForeignKey("snippets.id"), nullable=True),
    Column("position", Integer, nullable=False),
    text("url"),
    Column("canonical_hash", String(64), nullable=False, index=True),
)

audience = Table(
    "audience",
    metadata,
    key_column(),
    reference("issue_id", "issues.id"),
    reference("contact_id", "contacts.id"),
    Column("is_in", Boolean, nullable=False),
    Column("reason", String(40), nullable=False),
    text("detail"),
    Column("kind", String(20), nullable=True),
    Column("language", String(20), nullable=False, default=""),
    UniqueConstraint("issue_id", "contact_id"),
)

# ── deliveries ───────────────────────────────────────────────────────────────────────────

deliveries = Table(
    "deliveries",
    metadata,
    key_column(),
    public_id(),
    reference("issue_id", "issues.id"),
    Column("purpose", String(10), nullable=False),
    reference("variant_id", "variants.id"),
    Column("contact_id", BigKey, ForeignKey("contacts.id"), nullable=True, index=True),
    # whose copy it was made as: who moves to a rival meanwhile must not get it
    Column("account_id", BigKey, ForeignKey("accounts.id"), nullable=True),
    Column("staff_key", String(100), nullable=True),
    Column("address", String(320), nullable=False),
    Column("address_hash", String(64), nullable=False, index=True),
    Column("name", String(400), nullable=False, default=""),
    Column("merge", JSON, nullable=False, default=dict),
    Column("headers", JSON, nullable=False, default=dict),
    Column("state", String(20), nullable=False),
    text("reason"),
    at("due_at"),
    at("next_attempt_at", nullable=True),
    Column("claimed_by", String(100), nullable=False, default=""),
    at("lease_until", nullable=True),
    Column("fence", Integer, nullable=False, default=0),
    Column("attempts", Integer, nullable=False, default=0),
    at("planned_at"),
    at("settled_at", nullable=True),
    Column("message_id", String(300), nullable=False, default=""),
    # what moved it in its latest attempt; who asks what became of it asks the same one
    Column("transport", String(20), nullable=True),
    UniqueConstraint("issue_id", "purpose", "contact_id"),
    UniqueConstraint("issue_id", "purpose", "staff_key"),
    UniqueConstraint("issue_id", "purpose", "address_hash"),
    CheckConstraint("(contact_id IS NULL) <> (staff_key IS NULL)", name="one_recipient"),
    Index("ix_deliveries_state_due_at", "state", "due_at"),
)

delivery_events = Table(
    "delivery_events",
    metadata,
    key_column(),
    reference("delivery_id", "deliveries.id"),
    Column("state", String(20), nullable=False),
    text("detail"),
    at("at"),
    Index("ix_delivery_events_state_at", "state", "at"),
)

# a provider's handle under which copies left; known before they did
batches = Table(
    "batches",
    metadata,
    key_column(),
    Column("transport", String(20), nullable=False),
    Column("provider_id", String(200), nullable=False),
    at("send_at"),
    at("opened_at"),
    UniqueConstraint("transport", "provider_id"),
)

# the batch of a copy's latest attempt
batch_copies = Table(
    "batch_copies",
    metadata,
    key_column(),
    reference("batch_id", "batches.id"),
    Column("delivery_id", BigKey, ForeignKey("deliveries.id"), nullable=False, unique=True),
)

# what providers posted to us, as it came: kept before it is understood
postings = Table(
    "postings",
    metadata,
    key_column(),
    Column("provider", String(20), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
    at("received_at"),
    at("taken_in_at", nullable=True),
    text("detail"),
    UniqueConstraint("provider", "digest"),
)

provider_events = Table(
    "provider_events",
    metadata,
    key_column(),
    Column("provider", String(20), nullable=False),
    Column("event_id", String(200), nullable=False),
    reference("posting_id", "postings.id"),
    Column("delivery_id", BigKey, ForeignKey("deliveries.id"), nullable=True, index=True),
    Column("what", String(40), nullable=False),
    text("detail"),
    at("at"),
    UniqueConstraint("provider", "event_id"),
)

# mail among ourselves: reminders, reviews, what did not go
notices = Table(
    "notices",
    metadata,
    key_column(),
    public_id(),
    Column("kind", String(20), nullable=False),
    Column("about", String(200), nullable=False),
    Column("staff_key", String(100), nullable=False),
    Column("address", String(320), nullable=False),
    Column("name", String(400), nullable=False, default=""),
    text("subject"),
    text("html"),
    text("text"),
    Column("state", String(20), nullable=False),
    text("reason"),
    at("due_at"),
    at("next_attempt_at", nullable=True),
    Column("claimed_by", String(100), nullable=False, default=""),
    at("lease_until", nullable=True),
    Column("fence", Integer, nullable=False, default=0),
    Column("attempts", Integer, nullable=False, default=0),
    at("settled_at", nullable=True),
    UniqueConstraint("about", "kind", "staff_key"),
    Index("ix_notices_state_due_at", "state", "due_at"),
)

# ── what runs by itself ──────────────────────────────────────────────────────────────────

jobs = Table(
    "jobs",
    metadata,
    Column("name", String(40), primary_key=True),
    at("next_at", nullable=True),
    at("started_at", nullable=True),
    at("finished_at", nullable=True),
    Column("outcome", String(20), nullable=True),
    text("detail"),
    Column("failures", Integer, nullable=False, default=0),
)

job_runs = Table(
    "job_runs",
    metadata,
    key_column(),
    Column("job", String(40), nullable=False),
    at("due_at", nullable=True),
    at("started_at"),
    at("finished_at"),
    Column("outcome", String(20), nullable=False),
    text("detail"),
    Column("owner", String(100), nullable=False),
    Index("ix_job_runs_job_started_at", "job", "started_at"),
)

# mail copied to our own mailbox, each looked at once
mails = Table(
    "mails",
    metadata,
    key_column(),
    Column("digest", String(64), nullable=False, unique=True),  # of its Message-ID
    at("seen_at"),
    Column("outcome", String(40), nullable=False),
    text("detail"),
    Column("touch_id", BigKey, ForeignKey("touches.id"), nullable=True),
)

told = Table(
    "told",
    metadata,
    key_column(),
    reference("contact_id", "contacts.id"),
    Column("story_id", BigKey, ForeignKey("stories.id"), nullable=True, index=True),
    Column("service_key", String(100), nullable=True),
    Column("through", String(20), nullable=False),  # letter | forward
    Column("delivery_id", BigKey, ForeignKey("deliveries.id"), nullable=True, index=True),
    Column("touch_id", BigKey, ForeignKey("touches.id"), nullable=True),
    at("at"),
    UniqueConstraint("contact_id", "story_id", "delivery_id"),
    UniqueConstraint("contact_id", "service_key", "delivery_id"),
    UniqueConstraint("contact_id", "story_id", "touch_id"),
    CheckConstraint("(story_id IS NULL) <> (service_key IS NULL)", name="one_thing"),
    CheckConstraint("(delivery_id IS NULL) <> (touch_id IS NULL)", name="one_way"),
)

# ── sales ────────────────────────────────────────────────────────────────────────────────

touches = Table(
    "touches",
    metadata,
    key_column(),
    public_id(),
    reference("account_id", "accounts.id"),
    reference("contact_id", "contacts.id", nullable=True),
    Column("staff_key", String(100), nullable=False, default=""),
    Column("kind", String(20), nullable=False),
    at("at"),
    Column("minutes", Integer, nullable=True),
    text("note"),
    Column("story_id", BigKey, ForeignKey("stories.id"), nullable=True),
    Column("delivery_id", BigKey, ForeignKey("deliveries.id"), nullable=True, unique=True),
    revision(),
    Index("ix_touches_at", "at"),
)
