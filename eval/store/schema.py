"""The tables of the measure. Ratings add theirs to the same `metadata` in `eval.ratings.schema`.

Two rules keep history honest. Clips and scores are never overwritten: a clip that changed gets a new
row and the old one is marked `replaced`; a score computed again gets the next `generation`. And rows
are only ever added with growing ids, so that a view can be pinned to "everything up to id N".
"""

from typing import Final

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

suites = Table(
    "suites",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("version", String(50), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("record", JSON, nullable=False),
)

cases = Table(
    "cases",
    metadata,
    Column("suite", String(200), ForeignKey("suites.name"), primary_key=True),
    Column("id", String(200), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("image", String(64), nullable=False, default=""),
    Column("speech", String(64), nullable=False, default=""),
    Column("record", JSON, nullable=False),
)

systems = Table(
    "systems",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("family", String(200), nullable=False, default=""),
    Column("step", Integer),
    Column("notes", Text, nullable=False, default=""),
    Column("card", JSON, nullable=False),
)

clips = Table(
    "clips",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("system", String(200), ForeignKey("systems.name"), nullable=False),
    Column("suite", String(200), nullable=False, default=""),
    Column("case", String(200), nullable=False),
    Column("seed", Integer, nullable=False, default=0),
    Column("digest", String(64), nullable=False),
    Column("name", String(500), nullable=False),
    Column("probe", JSON, nullable=False),
    Column("problem", Text, nullable=False, default=""),
    Column("borders_s", JSON),
    Column("proxy", String(64), nullable=False, default=""),
    Column("poster", String(64), nullable=False, default=""),
    Column("replaced", Boolean, nullable=False, default=False),
    Column("added_at", DateTime(timezone=True), nullable=False),
    Index("ix_clips_answer", "system", "suite", "case", "seed", "replaced"),
)

specs = Table(
    "specs",
    metadata,
    Column("fingerprint", String(16), primary_key=True),
    Column("measure", String(100), nullable=False),
    Column("variant", String(100), nullable=False),
    Column("description", JSON, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Column("worker", String(200), nullable=False),
    Column("report", JSON, nullable=False),
)

scores = Table(
    "scores",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("content", String(64), nullable=False),
    Column("metric", String(100), nullable=False),
    Column("fingerprint", String(16), ForeignKey("specs.fingerprint"), nullable=False),
    Column("generation", Integer, nullable=False, default=0),
    Column("value", Float(53)),
    Column("reason", String(50)),
    Column("message", Text, nullable=False, default=""),
    Column("details", JSON, nullable=False),
    Column("series", String(64), nullable=False, default=""),
    Column("run", Integer, ForeignKey("runs.id"), nullable=False),
    Column("seconds", Float, nullable=False, default=0.0),
    Column("made_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("content", "metric", "fingerprint", "generation"),
)

contents = Table(
    "contents",
    metadata,
    Column("clip", Integer, ForeignKey("clips.id"), primary_key=True),
    Column("fingerprint", String(16), ForeignKey("specs.fingerprint"), primary_key=True),
    Column("content", String(64), nullable=False),
    Index("ix_contents_content", "content", "fingerprint"),
)
"""Which content a clip shows to a measure: the digest of the clip and of the inputs it reads."""

leases = Table(
    "leases",
    metadata,
    Column("content", String(64), primary_key=True),
    Column("fingerprint", String(16), primary_key=True),
    Column("worker", String(200), nullable=False),
    Column("expires_at", Float, nullable=False),
)
