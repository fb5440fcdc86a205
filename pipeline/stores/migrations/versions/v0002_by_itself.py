"""What a service needs that runs by itself: jobs, batches, events, notices.

Revision: 0002
Revises:  0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

#: SQLite only numbers rows by itself in INTEGER columns.
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
#: UTC; SQLite keeps no zone.
AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("imports", sa.Column("undone_at", AT, nullable=True))
    op.add_column("contacts", sa.Column("erased_at", AT, nullable=True))
    op.add_column("bases", sa.Column("withdrawn_at", AT, nullable=True))
    op.add_column("issues", sa.Column("review_until", AT, nullable=True))
    op.add_column("deliveries", sa.Column("transport", sa.String(20), nullable=True))
    op.create_index("ix_delivery_events_state_at", "delivery_events", ["state", "at"])
    _imports()
    _batches()
    _events()
    _notices()
    _jobs()
    _mails()


def _imports() -> None:
    op.create_table(
        "import_changes",
        sa.Column("id", KEY, nullable=False),
        sa.Column("import_id", KEY, nullable=False),
        sa.Column("contact_id", KEY, nullable=False),
        sa.Column("what", sa.String(20), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_import_changes"),
        sa.ForeignKeyConstraint(
            ["import_id"], ["imports.id"], name="fk_import_changes_import_id_imports"
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name="fk_import_changes_contact_id_contacts"
        ),
        sa.UniqueConstraint(
            "import_id", "contact_id", name="uq_import_changes_import_id_contact_id"
        ),
    )
    op.create_index("ix_import_changes_import_id", "import_changes", ["import_id"])
    op.create_index("ix_import_changes_contact_id", "import_changes", ["contact_id"])


def _batches() -> None:
    op.create_table(
        "batches",
        sa.Column("id", KEY, nullable=False),
        sa.Column("transport", sa.String(20), nullable=False),
        sa.Column("provider_id", sa.String(200), nullable=False),
        sa.Column("send_at", AT, nullable=False),
        sa.Column("opened_at", AT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
        sa.UniqueConstraint("transport", "provider_id", name="uq_batches_transport_provider_id"),
    )
    op.create_table(
        "batch_copies",
        sa.Column("id", KEY, nullable=False),
        sa.Column("batch_id", KEY, nullable=False),
        sa.Column("delivery_id", KEY, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_batch_copies"),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name="fk_batch_copies_batch_id_batches"
        ),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name="fk_batch_copies_delivery_id_deliveries"
        ),
        sa.UniqueConstraint("delivery_id", name="uq_batch_copies_delivery_id"),
    )
    op.create_index("ix_batch_copies_batch_id", "batch_copies", ["batch_id"])


def _events() -> None:
    op.create_table(
        "postings",
        sa.Column("id", KEY, nullable=False),
        sa.Column("provider", sa.String(20), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", AT, nullable=False),
        sa.Column("taken_in_at", AT, nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_postings"),
        sa.UniqueConstraint("provider", "digest", name="uq_postings_provider_digest"),
    )
    op.create_table(
        "provider_events",
        sa.Column("id", KEY, nullable=False),
        sa.Column("provider", sa.String(20), nullable=False),
        sa.Column("event_id", sa.String(200), nullable=False),
        sa.Column("posting_id", KEY, nullable=False),
        sa.Column("delivery_id", KEY, nullable=True),
        sa.Column("what", sa.String(40), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_provider_events"),
        sa.ForeignKeyConstraint(
            ["posting_id"], ["postings.id"], name="fk_provider_events_posting_id_postings"
        ),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name="fk_provider_events_delivery_id_deliveries"
        ),
        sa.UniqueConstraint("provider", "event_id", name="uq_provider_events_provider_event_id"),
    )
    op.create_index("ix_provider_events_delivery_id", "provider_events", ["delivery_id"])
    op.create_index("ix_provider_events_posting_id", "provider_events", ["posting_id"])


def _notices() -> None:
    op.create_table(
        "notices",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(26), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("about", sa.String(200), nullable=False),
        sa.Column("staff_key", sa.String(100), nullable=False),
        sa.Column("address", sa.String(320), nullable=False),
        sa.Column("name", sa.String(400), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("due_at", AT, nullable=False),
        sa.Column("next_attempt_at", AT, nullable=True),
        sa.Column("claimed_by", sa.String(100), nullable=False),
        sa.Column("lease_until", AT, nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("settled_at", AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
        sa.UniqueConstraint("public_id", name="uq_notices_public_id"),
        sa.UniqueConstraint("about", "kind", "staff_key", name="uq_notices_about_kind_staff_key"),
    )
    op.create_index("ix_notices_state_due_at", "notices", ["state", "due_at"])


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("next_at", AT, nullable=True),
        sa.Column("started_at", AT, nullable=True),
        sa.Column("finished_at", AT, nullable=True),
        sa.Column("outcome", sa.String(20), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_jobs"),
    )
    op.create_table(
        "job_runs",
        sa.Column("id", KEY, nullable=False),
        sa.Column("job", sa.String(40), nullable=False),
        sa.Column("due_at", AT, nullable=True),
        sa.Column("started_at", AT, nullable=False),
        sa.Column("finished_at", AT, nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("owner", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job_runs"),
    )
    op.create_index("ix_job_runs_job_started_at", "job_runs", ["job", "started_at"])


def _mails() -> None:
    op.create_table(
        "mails",
        sa.Column("id", KEY, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("seen_at", AT, nullable=False),
        sa.Column("outcome", sa.String(40), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("touch_id", KEY, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_mails"),
        sa.ForeignKeyConstraint(["touch_id"], ["touches.id"], name="fk_mails_touch_id_touches"),
        sa.UniqueConstraint("digest", name="uq_mails_digest"),
    )
