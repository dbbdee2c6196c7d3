"""The ledger in the database: append at the end, read in order. Nothing updates or deletes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from eval.ratings.ledger import Entry, seal
from eval.ratings.schema import campaigns, ledger


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
    head = connection.execute(
        select(campaigns.c.head_seq, campaigns.c.head_digest)
        .where(campaigns.c.id == campaign)
        .with_for_update(key_share=True)  # rows that merely point here need not wait
    ).one()
    entry = seal(
        seq=head.head_seq + 1, at=iso(now), kind=kind, payload=payload, previous=head.head_digest
    )
    connection.execute(insert(ledger).values(campaign=campaign, **dataclasses.asdict(entry)))
    connection.execute(
        update(campaigns)
        .where(campaigns.c.id == campaign)
        .values(head_seq=entry.seq, head_digest=entry.digest)
    )
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
