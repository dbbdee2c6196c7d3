"""The ledger in the database: append at the end, read in order. Nothing updates or deletes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, select, update

from eval.ratings.ledger import Entry, seal
from eval.ratings.schema import campaigns, ledger

_LOCK_HEAD: Final = (
    select(campaigns.c.head_seq, campaigns.c.head_digest)
    .where(campaigns.c.id == bindparam("campaign"))
    .with_for_update(key_share=True)  # rows that merely point here need not wait
)
_WRITE: Final = insert(ledger)
_MOVE_HEAD: Final = update(campaigns).where(campaigns.c.id == bindparam("campaign"))


def iso(now: float) -> str:
    """Seconds since 1970 as ISO 8601 text in UTC with microseconds."""
    return datetime.fromtimestamp(now, tz=UTC).isoformat(timespec="microseconds")


def append(
    connection: Connection, campaign: int, kind: str, payload: Mapping[str, Any], *, now: float
) -> Entry:
    """Append one entry inside a write transaction.

    The campaign's row is locked until the transaction ends, so entries are numbered without gaps;
    callers do this last to hold the lock briefly.
    """
    head = connection.execute(_LOCK_HEAD, {"campaign": campaign}).one()
    entry = seal(
        seq=head.head_seq + 1, at=iso(now), kind=kind, payload=payload, previous=head.head_digest
    )
    connection.execute(_WRITE, {"campaign": campaign, **dataclasses.asdict(entry)})
    moved = {"campaign": campaign, "head_seq": entry.seq, "head_digest": entry.digest}
    connection.execute(_MOVE_HEAD, moved)
    return entry


def read_entries(connection: Connection, campaign: int, *, up_to: int | None = None) -> list[Entry]:
    """All entries of a campaign in order, or those up to a number."""
    query = select(ledger).where(ledger.c.campaign == campaign).order_by(ledger.c.seq)
    if up_to is not None:
        query = query.where(ledger.c.seq <= up_to)
    return [
        Entry(
            seq=row["seq"], at=row["at"], kind=row["kind"], content=row["content"],
            previous=row["previous"], digest=row["digest"],
        )
        for row in connection.execute(query).mappings()
    ]  # fmt: skip
