"""human ratings: campaigns, invites, assignments, votes, ledger."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "rating_attempts",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rating_attempts")),
    )
    with op.batch_alter_table("rating_attempts", schema=None) as batch_op:
        batch_op.create_index("ix_rating_attempts_client", ["client", "at"], unique=False)

    op.create_table(
        "rating_campaigns",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("suite", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("head_seq", sa.Integer(), nullable=False),
        sa.Column("head_digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rating_campaigns")),
        sa.UniqueConstraint("name", name=op.f("uq_rating_campaigns_name")),
    )
    op.create_table(
        "rating_annotators",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("campaign", sa.Integer(), nullable=False),
        sa.Column("seat", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("joined_at", sa.Float(precision=53), nullable=False),
        sa.Column("seen_at", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign"],
            ["rating_campaigns.id"],
            name=op.f("fk_rating_annotators_campaign_rating_campaigns"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rating_annotators")),
        sa.UniqueConstraint("campaign", "seat", name=op.f("uq_rating_annotators_campaign_seat")),
    )
    op.create_table(
        "rating_assignments",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("campaign", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("seat", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("case", sa.String(length=200), nullable=False),
        sa.Column("first", sa.String(length=200), nullable=False),
        sa.Column("second", sa.String(length=200), nullable=False),
        sa.Column("first_side", sa.String(length=5), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("leased_at", sa.Float(precision=53), nullable=True),
        sa.Column("leased_until", sa.Float(precision=53), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("done_at", sa.Float(precision=53), nullable=True),
        sa.ForeignKeyConstraint(
            ["campaign"],
            ["rating_campaigns.id"],
            name=op.f("fk_rating_assignments_campaign_rating_campaigns"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rating_assignments")),
        sa.UniqueConstraint("campaign", "key", name=op.f("uq_rating_assignments_campaign_key")),
    )
    with op.batch_alter_table("rating_assignments", schema=None) as batch_op:
        batch_op.create_index(
            "ix_rating_assignments_queue", ["campaign", "seat", "state", "position"], unique=False
        )

    op.create_table(
        "rating_ledger",
        sa.Column("campaign", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign"],
            ["rating_campaigns.id"],
            name=op.f("fk_rating_ledger_campaign_rating_campaigns"),
        ),
        sa.PrimaryKeyConstraint("campaign", "seq", name=op.f("pk_rating_ledger")),
    )
    op.create_table(
        "rating_invites",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("campaign", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("expires_at", sa.Float(precision=53), nullable=False),
        sa.Column("used_at", sa.Float(precision=53), nullable=True),
        sa.Column("revoked_at", sa.Float(precision=53), nullable=True),
        sa.Column("annotator", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["annotator"],
            ["rating_annotators.id"],
            name=op.f("fk_rating_invites_annotator_rating_annotators"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign"],
            ["rating_campaigns.id"],
            name=op.f("fk_rating_invites_campaign_rating_campaigns"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rating_invites")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_rating_invites_token_hash")),
    )
    op.create_table(
        "rating_votes",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("campaign", sa.Integer(), nullable=False),
        sa.Column("annotator", sa.Integer(), nullable=False),
        sa.Column("assignment", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("client_key", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=10), nullable=False),
        sa.Column("flag", sa.String(length=20), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotator"],
            ["rating_annotators.id"],
            name=op.f("fk_rating_votes_annotator_rating_annotators"),
        ),
        sa.ForeignKeyConstraint(
            ["assignment"],
            ["rating_assignments.id"],
            name=op.f("fk_rating_votes_assignment_rating_assignments"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign"],
            ["rating_campaigns.id"],
            name=op.f("fk_rating_votes_campaign_rating_campaigns"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rating_votes")),
        sa.UniqueConstraint(
            "annotator", "client_key", name=op.f("uq_rating_votes_annotator_client_key")
        ),
        sa.UniqueConstraint(
            "assignment", "revision", name=op.f("uq_rating_votes_assignment_revision")
        ),
    )


def downgrade() -> None:
    op.drop_table("rating_votes")
    op.drop_table("rating_invites")
    op.drop_table("rating_ledger")
    with op.batch_alter_table("rating_assignments", schema=None) as batch_op:
        batch_op.drop_index("ix_rating_assignments_queue")

    op.drop_table("rating_assignments")
    op.drop_table("rating_annotators")
    op.drop_table("rating_campaigns")
    with op.batch_alter_table("rating_attempts", schema=None) as batch_op:
        batch_op.drop_index("ix_rating_attempts_client")

    op.drop_table("rating_attempts")
