"""The first schema.

Revision: 0001
Revises:  nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

#: SQLite only numbers rows by itself in INTEGER columns.
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
#: UTC; SQLite keeps no zone.
AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _workspace()
    _news()
    _people()
    _letters()
    _ledger()


def _workspace() -> None:
    """The workspace itself, and rows of what lives in files."""
    op.create_table(
        "meta",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_meta"),
    )
    op.create_table(
        "operations",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("verb", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.Column("undone_by", KEY, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_operations"),
        sa.ForeignKeyConstraint(
            ["undone_by"], ["operations.id"], name="fk_operations_undone_by_operations"
        ),
        sa.UniqueConstraint("public_id", name="uq_operations_public_id"),
    )
    op.create_index("ix_operations_subject", "operations", ["subject"])
    op.create_table(
        "leases",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("owner", sa.String(100), nullable=False),
        sa.Column("until", AT, nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "constellations",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("retired_at", AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_constellations"),
        sa.UniqueConstraint("public_id", name="uq_constellations_public_id"),
        sa.UniqueConstraint("key", name="uq_constellations_key"),
    )
    op.create_table(
        "staff",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("address", sa.String(320), nullable=False),
        sa.Column("retired_at", AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_staff"),
        sa.UniqueConstraint("public_id", name="uq_staff_public_id"),
        sa.UniqueConstraint("key", name="uq_staff_key"),
    )
    op.create_table(
        "services",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("retired_at", AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_services"),
        sa.UniqueConstraint("public_id", name="uq_services_public_id"),
        sa.UniqueConstraint("key", name="uq_services_key"),
    )
    op.create_table(
        "newsletters",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("constellation_id", KEY, nullable=False),
        sa.Column("title", sa.String(300), nullable=False),
        sa.Column("retired_at", AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_newsletters"),
        sa.ForeignKeyConstraint(
            ["constellation_id"],
            ["constellations.id"],
            name="fk_newsletters_constellation_id_constellations",
        ),
        sa.UniqueConstraint("public_id", name="uq_newsletters_public_id"),
        sa.UniqueConstraint("key", name="uq_newsletters_key"),
    )
    op.create_index("ix_newsletters_constellation_id", "newsletters", ["constellation_id"])
    op.create_table(
        "accounts",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("constellation_id", KEY, nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("domain", sa.String(300), nullable=False),
        sa.Column("relationship", sa.String(20), nullable=False),
        sa.Column("owner_key", sa.String(100), nullable=False),
        sa.Column("retired_at", AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.ForeignKeyConstraint(
            ["constellation_id"],
            ["constellations.id"],
            name="fk_accounts_constellation_id_constellations",
        ),
        sa.UniqueConstraint("public_id", name="uq_accounts_public_id"),
        sa.UniqueConstraint("key", name="uq_accounts_key"),
    )
    op.create_index("ix_accounts_constellation_id", "accounts", ["constellation_id"])
    op.create_table(
        "account_relationships",
        sa.Column("id", KEY, nullable=False),
        sa.Column("account_id", KEY, nullable=False),
        sa.Column("relationship", sa.String(20), nullable=False),
        sa.Column("since", AT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_account_relationships"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_account_relationships_account_id_accounts"
        ),
    )
    op.create_index("ix_account_relationships_account_id", "account_relationships", ["account_id"])


def _news() -> None:
    """Sources, items, stories and each constellation's pool."""
    op.create_table(
        "sources",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("read_as", sa.String(64), nullable=False),
        sa.Column("configured_url", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("last_modified", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.String(64), nullable=False),
        sa.Column("ttl_s", sa.Integer(), nullable=True),
        sa.Column("quiet", sa.String(120), nullable=False),
        sa.Column("checked_at", AT, nullable=True),
        sa.Column("next_check_at", AT, nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_outcome", sa.String(20), nullable=True),
        sa.Column("last_reason", sa.String(40), nullable=False),
        sa.Column("last_detail", sa.Text(), nullable=False),
        sa.Column("moved_to", sa.Text(), nullable=False),
        sa.Column("moved_seen", sa.Integer(), nullable=False),
        sa.Column("gone_at", AT, nullable=True),
        sa.Column("retired_at", AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_sources"),
        sa.UniqueConstraint("public_id", name="uq_sources_public_id"),
        sa.UniqueConstraint("key", name="uq_sources_key"),
    )
    op.create_table(
        "fetches",
        sa.Column("id", KEY, nullable=False),
        sa.Column("source_id", KEY, nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("reason", sa.String(40), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("new", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("elapsed_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_fetches"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_fetches_source_id_sources"),
    )
    op.create_index("ix_fetches_source_id", "fetches", ["source_id"])
    op.create_table(
        "stories",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("lead", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("source_name", sa.String(300), nullable=False),
        sa.Column("first_at", AT, nullable=False),
        sa.Column("last_at", AT, nullable=False),
        sa.Column("learnt_from_id", KEY, nullable=True),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("own_key", sa.String(100), nullable=True),
        sa.Column("merged_into", KEY, nullable=True),
        sa.Column("taken_back_at", AT, nullable=True),
        sa.Column("matched_with", sa.String(64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stories"),
        sa.ForeignKeyConstraint(
            ["learnt_from_id"], ["accounts.id"], name="fk_stories_learnt_from_id_accounts"
        ),
        sa.ForeignKeyConstraint(
            ["merged_into"], ["stories.id"], name="fk_stories_merged_into_stories"
        ),
        sa.UniqueConstraint("public_id", name="uq_stories_public_id"),
        sa.UniqueConstraint("own_key", name="uq_stories_own_key"),
    )
    op.create_index("ix_stories_last_at", "stories", ["last_at"])
    op.create_table(
        "items",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("source_id", KEY, nullable=False),
        sa.Column("story_id", KEY, nullable=True),
        sa.Column("identity", sa.String(64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("canonical_url", sa.Text(), nullable=False),
        sa.Column("canonical_hash", sa.String(64), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("summary_html", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("published_at", AT, nullable=False),
        sa.Column("dated", sa.Boolean(), nullable=False),
        sa.Column("seen_at", AT, nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("language", sa.String(20), nullable=False),
        sa.Column("joined_why", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_items"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_items_source_id_sources"),
        sa.ForeignKeyConstraint(["story_id"], ["stories.id"], name="fk_items_story_id_stories"),
        sa.UniqueConstraint("public_id", name="uq_items_public_id"),
        sa.UniqueConstraint("source_id", "identity", name="uq_items_source_id_identity"),
    )
    op.create_index("ix_items_canonical_hash", "items", ["canonical_hash"])
    op.create_index("ix_items_published_at", "items", ["published_at"])
    op.create_index("ix_items_source_id", "items", ["source_id"])
    op.create_index("ix_items_story_id", "items", ["story_id"])
    op.create_table(
        "story_mentions",
        sa.Column("id", KEY, nullable=False),
        sa.Column("story_id", KEY, nullable=False),
        sa.Column("account_id", KEY, nullable=False),
        sa.Column("relation", sa.String(20), nullable=False),
        sa.Column("place", sa.String(20), nullable=False),
        sa.Column("evidence", sa.String(300), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_story_mentions"),
        sa.ForeignKeyConstraint(
            ["story_id"], ["stories.id"], name="fk_story_mentions_story_id_stories"
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_story_mentions_account_id_accounts"
        ),
        sa.UniqueConstraint(
            "story_id",
            "account_id",
            "relation",
            name="uq_story_mentions_story_id_account_id_relation",
        ),
    )
    op.create_index("ix_story_mentions_account_id", "story_mentions", ["account_id"])
    op.create_index("ix_story_mentions_story_id", "story_mentions", ["story_id"])
    op.create_table(
        "story_signals",
        sa.Column("id", KEY, nullable=False),
        sa.Column("story_id", KEY, nullable=False),
        sa.Column("signal", sa.String(20), nullable=False),
        sa.Column("evidence", sa.String(300), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_story_signals"),
        sa.ForeignKeyConstraint(
            ["story_id"], ["stories.id"], name="fk_story_signals_story_id_stories"
        ),
        sa.UniqueConstraint("story_id", "signal", name="uq_story_signals_story_id_signal"),
    )
    op.create_index("ix_story_signals_story_id", "story_signals", ["story_id"])
    op.create_table(
        "pool",
        sa.Column("id", KEY, nullable=False),
        sa.Column("story_id", KEY, nullable=False),
        sa.Column("constellation_id", KEY, nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("scored_at", AT, nullable=False),
        sa.Column("left_out", sa.Text(), nullable=False),
        sa.Column("dropped_at", AT, nullable=True),
        sa.Column("dropped_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pool"),
        sa.ForeignKeyConstraint(["story_id"], ["stories.id"], name="fk_pool_story_id_stories"),
        sa.ForeignKeyConstraint(
            ["constellation_id"],
            ["constellations.id"],
            name="fk_pool_constellation_id_constellations",
        ),
        sa.UniqueConstraint(
            "story_id", "constellation_id", name="uq_pool_story_id_constellation_id"
        ),
    )
    op.create_index("ix_pool_constellation_id", "pool", ["constellation_id"])
    op.create_index("ix_pool_story_id", "pool", ["story_id"])


def _people() -> None:
    """Contacts, the basis on which we write, and what keeps us from it."""
    op.create_table(
        "imports",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("tally", sa.JSON(), nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_imports"),
        sa.UniqueConstraint("public_id", name="uq_imports_public_id"),
    )
    op.create_table(
        "contacts",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("account_id", KEY, nullable=False),
        sa.Column("address", sa.String(320), nullable=False),
        sa.Column("address_hash", sa.String(64), nullable=False),
        sa.Column("first_name", sa.String(200), nullable=False),
        sa.Column("last_name", sa.String(200), nullable=False),
        sa.Column("role", sa.String(300), nullable=False),
        sa.Column("language", sa.String(20), nullable=False),
        sa.Column("zone", sa.String(60), nullable=False),
        sa.Column("invalid", sa.String(200), nullable=False),
        sa.Column("added_at", AT, nullable=False),
        sa.Column("retired_at", AT, nullable=True),
        sa.Column("import_id", KEY, nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_contacts"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_contacts_account_id_accounts"
        ),
        sa.ForeignKeyConstraint(
            ["import_id"], ["imports.id"], name="fk_contacts_import_id_imports"
        ),
        sa.UniqueConstraint("public_id", name="uq_contacts_public_id"),
        sa.UniqueConstraint("address_hash", name="uq_contacts_address_hash"),
    )
    op.create_index("ix_contacts_account_id", "contacts", ["account_id"])
    op.create_index("ix_contacts_import_id", "contacts", ["import_id"])
    op.create_table(
        "external_ids",
        sa.Column("id", KEY, nullable=False),
        sa.Column("system", sa.String(60), nullable=False),
        sa.Column("external_id", sa.String(200), nullable=False),
        sa.Column("contact_id", KEY, nullable=True),
        sa.Column("account_id", KEY, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_external_ids"),
        sa.CheckConstraint(
            "(contact_id IS NULL) <> (account_id IS NULL)", name="ck_external_ids_one_subject"
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name="fk_external_ids_contact_id_contacts"
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_external_ids_account_id_accounts"
        ),
    )
    op.create_index("ix_external_ids_account_id", "external_ids", ["account_id"])
    op.create_index("ix_external_ids_contact_id", "external_ids", ["contact_id"])
    op.create_index(
        "uq_external_ids_account",
        "external_ids",
        ["system", "external_id"],
        unique=True,
        sqlite_where=sa.text("account_id IS NOT NULL"),
        postgresql_where=sa.text("account_id IS NOT NULL"),
    )
    op.create_index(
        "uq_external_ids_contact",
        "external_ids",
        ["system", "external_id"],
        unique=True,
        sqlite_where=sa.text("contact_id IS NOT NULL"),
        postgresql_where=sa.text("contact_id IS NOT NULL"),
    )
    op.create_table(
        "bases",
        sa.Column("id", KEY, nullable=False),
        sa.Column("contact_id", KEY, nullable=False),
        sa.Column("kind", sa.String(30), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("given_on", sa.Date(), nullable=False),
        sa.Column("wording", sa.Text(), nullable=False),
        sa.Column("version", sa.String(60), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_bases"),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name="fk_bases_contact_id_contacts"
        ),
    )
    op.create_index("ix_bases_contact_id", "bases", ["contact_id"])
    op.create_table(
        "subscriptions",
        sa.Column("id", KEY, nullable=False),
        sa.Column("contact_id", KEY, nullable=False),
        sa.Column("newsletter_id", KEY, nullable=False),
        sa.Column("subscribed", sa.Boolean(), nullable=False),
        sa.Column("since", AT, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_subscriptions"),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name="fk_subscriptions_contact_id_contacts"
        ),
        sa.ForeignKeyConstraint(
            ["newsletter_id"], ["newsletters.id"], name="fk_subscriptions_newsletter_id_newsletters"
        ),
        sa.UniqueConstraint(
            "contact_id", "newsletter_id", name="uq_subscriptions_contact_id_newsletter_id"
        ),
    )
    op.create_index("ix_subscriptions_contact_id", "subscriptions", ["contact_id"])
    op.create_index("ix_subscriptions_newsletter_id", "subscriptions", ["newsletter_id"])
    op.create_table(
        "suppressions",
        sa.Column("id", KEY, nullable=False),
        sa.Column("address_hash", sa.String(64), nullable=False),
        sa.Column("scope", sa.String(100), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.Column("lifted_at", AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_suppressions"),
    )
    op.create_index(
        "uq_suppressions_in_force",
        "suppressions",
        ["address_hash", "scope", "reason"],
        unique=True,
        sqlite_where=sa.text("lifted_at IS NULL"),
        postgresql_where=sa.text("lifted_at IS NULL"),
    )
    op.create_table(
        "pauses",
        sa.Column("id", KEY, nullable=False),
        sa.Column("contact_id", KEY, nullable=False),
        sa.Column("until_on", sa.Date(), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.Column("lifted_at", AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_pauses"),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name="fk_pauses_contact_id_contacts"
        ),
    )
    op.create_index("ix_pauses_contact_id", "pauses", ["contact_id"])
    op.create_table(
        "holds",
        sa.Column("id", KEY, nullable=False),
        sa.Column("contact_id", KEY, nullable=False),
        sa.Column("staff_key", sa.String(100), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.Column("lifted_at", AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_holds"),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name="fk_holds_contact_id_contacts"
        ),
    )
    op.create_index("ix_holds_contact_id", "holds", ["contact_id"])


def _letters() -> None:
    """Beats, issues, snippets, frozen editions and audiences."""
    op.create_table(
        "beats",
        sa.Column("id", KEY, nullable=False),
        sa.Column("newsletter_id", KEY, nullable=False),
        sa.Column("beat_on", sa.Date(), nullable=False),
        sa.Column("planned_on", sa.Date(), nullable=False),
        sa.Column("due_at", AT, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_beats"),
        sa.ForeignKeyConstraint(
            ["newsletter_id"], ["newsletters.id"], name="fk_beats_newsletter_id_newsletters"
        ),
        sa.UniqueConstraint("newsletter_id", "beat_on", name="uq_beats_newsletter_id_beat_on"),
    )
    op.create_index("ix_beats_newsletter_id", "beats", ["newsletter_id"])
    op.create_table(
        "issues",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("newsletter_id", KEY, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("beat_on", sa.Date(), nullable=False),
        sa.Column("due_at", AT, nullable=False),
        sa.Column("cut_off_at", AT, nullable=False),
        sa.Column("deadline_at", AT, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("preheader", sa.Text(), nullable=False),
        sa.Column("theme", sa.Text(), nullable=False),
        sa.Column("opening", sa.Text(), nullable=False),
        sa.Column("opened_at", AT, nullable=False),
        sa.Column("approved_at", AT, nullable=True),
        sa.Column("approved_by", sa.String(200), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_issues"),
        sa.ForeignKeyConstraint(
            ["newsletter_id"], ["newsletters.id"], name="fk_issues_newsletter_id_newsletters"
        ),
        sa.UniqueConstraint("public_id", name="uq_issues_public_id"),
        sa.UniqueConstraint("newsletter_id", "number", name="uq_issues_newsletter_id_number"),
        sa.UniqueConstraint("newsletter_id", "beat_on", name="uq_issues_newsletter_id_beat_on"),
    )
    op.create_index("ix_issues_newsletter_id", "issues", ["newsletter_id"])
    op.create_table(
        "snippets",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("issue_id", KEY, nullable=False),
        sa.Column("story_id", KEY, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("section", sa.String(10), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("fact", sa.Text(), nullable=False),
        sa.Column("take", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("own_wording", sa.Text(), nullable=False),
        sa.Column("general_wording", sa.Text(), nullable=False),
        sa.Column("cleared_by", sa.String(200), nullable=False),
        sa.Column("sales_note", sa.Text(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_snippets"),
        sa.ForeignKeyConstraint(["issue_id"], ["issues.id"], name="fk_snippets_issue_id_issues"),
        sa.ForeignKeyConstraint(["story_id"], ["stories.id"], name="fk_snippets_story_id_stories"),
        sa.UniqueConstraint("public_id", name="uq_snippets_public_id"),
        sa.UniqueConstraint("issue_id", "story_id", name="uq_snippets_issue_id_story_id"),
    )
    op.create_index("ix_snippets_issue_id", "snippets", ["issue_id"])
    op.create_index("ix_snippets_story_id", "snippets", ["story_id"])
    op.create_table(
        "editions",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("issue_id", KEY, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("language", sa.String(20), nullable=False),
        sa.Column("snippets", sa.JSON(), nullable=False),
        sa.Column("template_digest", sa.String(64), nullable=False),
        sa.Column("frozen_at", AT, nullable=False),
        sa.Column("retired_at", AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_editions"),
        sa.ForeignKeyConstraint(["issue_id"], ["issues.id"], name="fk_editions_issue_id_issues"),
        sa.UniqueConstraint("public_id", name="uq_editions_public_id"),
    )
    op.create_index("ix_editions_issue_id", "editions", ["issue_id"])
    op.create_index(
        "uq_editions_in_force",
        "editions",
        ["issue_id", "kind", "language"],
        unique=True,
        sqlite_where=sa.text("retired_at IS NULL"),
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_table(
        "variants",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("edition_id", KEY, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("html", sa.LargeBinary(), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("story_ids", sa.JSON(), nullable=False),
        sa.Column("service_key", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_variants"),
        sa.ForeignKeyConstraint(
            ["edition_id"], ["editions.id"], name="fk_variants_edition_id_editions"
        ),
        sa.UniqueConstraint("public_id", name="uq_variants_public_id"),
        sa.UniqueConstraint("edition_id", "key", name="uq_variants_edition_id_key"),
    )
    op.create_index("ix_variants_edition_id", "variants", ["edition_id"])
    op.create_table(
        "edition_links",
        sa.Column("id", KEY, nullable=False),
        sa.Column("edition_id", KEY, nullable=False),
        sa.Column("snippet_id", KEY, nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("canonical_hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_edition_links"),
        sa.ForeignKeyConstraint(
            ["edition_id"], ["editions.id"], name="fk_edition_links_edition_id_editions"
        ),
        sa.ForeignKeyConstraint(
            ["snippet_id"], ["snippets.id"], name="fk_edition_links_snippet_id_snippets"
        ),
    )
    op.create_index("ix_edition_links_canonical_hash", "edition_links", ["canonical_hash"])
    op.create_index("ix_edition_links_edition_id", "edition_links", ["edition_id"])
    op.create_table(
        "audience",
        sa.Column("id", KEY, nullable=False),
        sa.Column("issue_id", KEY, nullable=False),
        sa.Column("contact_id", KEY, nullable=False),
        sa.Column("is_in", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(40), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=True),
        sa.Column("language", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audience"),
        sa.ForeignKeyConstraint(["issue_id"], ["issues.id"], name="fk_audience_issue_id_issues"),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name="fk_audience_contact_id_contacts"
        ),
        sa.UniqueConstraint("issue_id", "contact_id", name="uq_audience_issue_id_contact_id"),
    )
    op.create_index("ix_audience_contact_id", "audience", ["contact_id"])
    op.create_index("ix_audience_issue_id", "audience", ["issue_id"])


def _ledger() -> None:
    """Deliveries, touches, and what each contact was told."""
    op.create_table(
        "deliveries",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("issue_id", KEY, nullable=False),
        sa.Column("purpose", sa.String(10), nullable=False),
        sa.Column("variant_id", KEY, nullable=False),
        sa.Column("contact_id", KEY, nullable=True),
        sa.Column("account_id", KEY, nullable=True),
        sa.Column("staff_key", sa.String(100), nullable=True),
        sa.Column("address", sa.String(320), nullable=False),
        sa.Column("address_hash", sa.String(64), nullable=False),
        sa.Column("name", sa.String(400), nullable=False),
        sa.Column("merge", sa.JSON(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("due_at", AT, nullable=False),
        sa.Column("next_attempt_at", AT, nullable=True),
        sa.Column("claimed_by", sa.String(100), nullable=False),
        sa.Column("lease_until", AT, nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("planned_at", AT, nullable=False),
        sa.Column("settled_at", AT, nullable=True),
        sa.Column("message_id", sa.String(300), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.CheckConstraint(
            "(contact_id IS NULL) <> (staff_key IS NULL)", name="ck_deliveries_one_recipient"
        ),
        sa.ForeignKeyConstraint(["issue_id"], ["issues.id"], name="fk_deliveries_issue_id_issues"),
        sa.ForeignKeyConstraint(
            ["variant_id"], ["variants.id"], name="fk_deliveries_variant_id_variants"
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name="fk_deliveries_contact_id_contacts"
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_deliveries_account_id_accounts"
        ),
        sa.UniqueConstraint("public_id", name="uq_deliveries_public_id"),
        sa.UniqueConstraint(
            "issue_id", "purpose", "contact_id", name="uq_deliveries_issue_id_purpose_contact_id"
        ),
        sa.UniqueConstraint(
            "issue_id", "purpose", "staff_key", name="uq_deliveries_issue_id_purpose_staff_key"
        ),
        sa.UniqueConstraint(
            "issue_id",
            "purpose",
            "address_hash",
            name="uq_deliveries_issue_id_purpose_address_hash",
        ),
    )
    op.create_index("ix_deliveries_address_hash", "deliveries", ["address_hash"])
    op.create_index("ix_deliveries_contact_id", "deliveries", ["contact_id"])
    op.create_index("ix_deliveries_issue_id", "deliveries", ["issue_id"])
    op.create_index("ix_deliveries_state_due_at", "deliveries", ["state", "due_at"])
    op.create_index("ix_deliveries_variant_id", "deliveries", ["variant_id"])
    op.create_table(
        "delivery_events",
        sa.Column("id", KEY, nullable=False),
        sa.Column("delivery_id", KEY, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_delivery_events"),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name="fk_delivery_events_delivery_id_deliveries"
        ),
    )
    op.create_index("ix_delivery_events_delivery_id", "delivery_events", ["delivery_id"])
    op.create_table(
        "touches",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("account_id", KEY, nullable=False),
        sa.Column("contact_id", KEY, nullable=True),
        sa.Column("staff_key", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("story_id", KEY, nullable=True),
        sa.Column("delivery_id", KEY, nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_touches"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_touches_account_id_accounts"
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name="fk_touches_contact_id_contacts"
        ),
        sa.ForeignKeyConstraint(["story_id"], ["stories.id"], name="fk_touches_story_id_stories"),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name="fk_touches_delivery_id_deliveries"
        ),
        sa.UniqueConstraint("public_id", name="uq_touches_public_id"),
        sa.UniqueConstraint("delivery_id", name="uq_touches_delivery_id"),
    )
    op.create_index("ix_touches_account_id", "touches", ["account_id"])
    op.create_index("ix_touches_at", "touches", ["at"])
    op.create_index("ix_touches_contact_id", "touches", ["contact_id"])
    op.create_table(
        "told",
        sa.Column("id", KEY, nullable=False),
        sa.Column("contact_id", KEY, nullable=False),
        sa.Column("story_id", KEY, nullable=True),
        sa.Column("service_key", sa.String(100), nullable=True),
        sa.Column("through", sa.String(20), nullable=False),
        sa.Column("delivery_id", KEY, nullable=True),
        sa.Column("touch_id", KEY, nullable=True),
        sa.Column("at", AT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_told"),
        sa.CheckConstraint("(story_id IS NULL) <> (service_key IS NULL)", name="ck_told_one_thing"),
        sa.CheckConstraint("(delivery_id IS NULL) <> (touch_id IS NULL)", name="ck_told_one_way"),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name="fk_told_contact_id_contacts"
        ),
        sa.ForeignKeyConstraint(["story_id"], ["stories.id"], name="fk_told_story_id_stories"),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name="fk_told_delivery_id_deliveries"
        ),
        sa.ForeignKeyConstraint(["touch_id"], ["touches.id"], name="fk_told_touch_id_touches"),
        sa.UniqueConstraint(
            "contact_id", "story_id", "delivery_id", name="uq_told_contact_id_story_id_delivery_id"
        ),
        sa.UniqueConstraint(
            "contact_id", "story_id", "touch_id", name="uq_told_contact_id_story_id_touch_id"
        ),
        sa.UniqueConstraint(
            "contact_id",
            "service_key",
            "delivery_id",
            name="uq_told_contact_id_service_key_delivery_id",
        ),
    )
    op.create_index("ix_told_contact_id", "told", ["contact_id"])
    op.create_index("ix_told_delivery_id", "told", ["delivery_id"])
    op.create_index("ix_told_story_id", "told", ["story_id"])
