"""The tables of human ratings, on the metadata of `eval.store.schema`.

The ledger is the record; the other tables are what serving pages needs quickly. Times are seconds since
1970 in UTC.
"""

from typing import Final

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from eval.store.schema import metadata

campaigns: Final = Table(
    "rating_campaigns",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("suite", String(200), nullable=False),
    Column("state", String(20), nullable=False),
    Column("simulated", Boolean, nullable=False),
    Column("record", JSON, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("head_seq", Integer, nullable=False),
    Column("head_digest", String(64), nullable=False),
)

annotators: Final = Table(
    "rating_annotators",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("campaign", Integer, ForeignKey("rating_campaigns.id"), nullable=False),
    Column("seat", Integer, nullable=False),
    Column("name", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    Column("joined_at", Float(53), nullable=False),
    Column("seen_at", Float(53), nullable=False),
    UniqueConstraint("campaign", "seat"),
)

invites: Final = Table(
    "rating_invites",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("campaign", Integer, ForeignKey("rating_campaigns.id"), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("label", String(200), nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("expires_at", Float(53), nullable=False),
    Column("used_at", Float(53)),
    Column("revoked_at", Float(53)),
    Column("annotator", Integer, ForeignKey("rating_annotators.id")),
)

attempts: Final = Table(
    "rating_attempts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("client", String(64), nullable=False),
    Column("at", Float(53), nullable=False),
    Index("ix_rating_attempts_client", "client", "at"),
)

assignments: Final = Table(
    "rating_assignments",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("campaign", Integer, ForeignKey("rating_campaigns.id"), nullable=False),
    Column("key", String(300), nullable=False),
    Column("seat", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("case", String(200), nullable=False),
    Column("first", String(200), nullable=False),
    Column("second", String(200), nullable=False),
    Column("first_side", String(5), nullable=False),
    Column("record", JSON, nullable=False),
    Column("state", String(20), nullable=False),
    Column("leased_at", Float(53)),
    Column("leased_until", Float(53)),
    Column("revision", Integer, nullable=False),
    Column("done_at", Float(53)),
    UniqueConstraint("campaign", "key"),
    Index("ix_rating_assignments_queue", "campaign", "seat", "state", "position"),
)

votes: Final = Table(
    "rating_votes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("campaign", Integer, ForeignKey("rating_campaigns.id"), nullable=False),
    Column("annotator", Integer, ForeignKey("rating_annotators.id"), nullable=False),
    Column("assignment", Integer, ForeignKey("rating_assignments.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("client_key", String(64), nullable=False),
    Column("action", String(10), nullable=False),
    Column("flag", String(20), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at", Float(53), nullable=False),
    UniqueConstraint("assignment", "revision"),
    UniqueConstraint("annotator", "client_key"),
)

ledger: Final = Table(
    "rating_ledger",
    metadata,
    Column("campaign", Integer, ForeignKey("rating_campaigns.id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", String(40), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("content", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
)
"""Append-only: no code updates or deletes a row, and `eval.ratings.audit` finds it when somebody does."""
