"""Who is asking and in which campaign, in one statement: every request of a rating page begins with it.

A declared protocol never changes, so it is read once per process and found by its digest afterwards.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, select

from eval.ratings.campaign import Campaign
from eval.ratings.campaign_reader import load_campaign
from eval.ratings.joining import REVOKED, Annotator
from eval.ratings.refusals import NotAllowed
from eval.ratings.schema import annotators, campaigns
from eval.ratings.store import StoredCampaign
from eval.store.database import Database

# Statements of a vote are built once: building them anew took longer than running them.
_FIND: Final = (
    select(
        annotators.c.id, annotators.c.campaign, annotators.c.seat, annotators.c.name,
        annotators.c.status, campaigns.c.state, campaigns.c.digest, campaigns.c.head_seq,
        campaigns.c.head_digest,
    )
    .join(campaigns, campaigns.c.id == annotators.c.campaign)
    .where(annotators.c.id == bindparam("annotator"))
)  # fmt: skip
_FIND_AND_LOCK: Final = _FIND.with_for_update(key_share=True, of=annotators)

_protocols: Final[dict[str, Campaign]] = {}


class Standing(NamedTuple):
    """An annotator and their campaign, as the database knows them now."""

    who: Annotator
    stored: StoredCampaign


def get_standing(database: Database, annotator: int) -> Standing:
    """The standing of a cookie's annotator.

    Raises:
        NotAllowed: There is no such annotator, or they were sent away.
    """
    with database.read() as connection:
        return load_standing(connection, annotator)


def load_standing(connection: Connection, annotator: int, *, lock: bool = False) -> Standing:
    """The same inside a transaction.

    Whoever changes an annotator's showings locks the annotator first: then a page that saves and asks
    for more at the same time can never wait for itself.
    """
    query = _FIND_AND_LOCK if lock else _FIND
    row = connection.execute(query, {"annotator": annotator}).first()
    if row is None or row.status == REVOKED:
        raise NotAllowed("this session takes part in no campaign; open your invitation link again")
    who = Annotator(
        id=row.id, campaign=row.campaign, seat=row.seat, name=row.name, status=row.status
    )
    protocol = _protocol(connection, row.campaign, row.digest)
    stored = StoredCampaign(
        row.campaign, row.state, protocol, row.digest, row.head_seq, row.head_digest
    )
    return Standing(who, stored)


def _protocol(connection: Connection, number: int, digest: str) -> Campaign:
    if digest not in _protocols:
        query = select(campaigns.c.record).where(campaigns.c.id == number)
        _protocols[digest] = load_campaign(connection.execute(query).scalar_one())
    return _protocols[digest]
