"""What an annotator's page asks of the database: the next pairs, their clips, progress.

Saving answers is in `eval.ratings.saving`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, case, func, or_, select, update

from eval.ratings.joining import ACTIVE, REVOKED, UNQUALIFIED, Annotator
from eval.ratings.refusals import NotAllowed
from eval.ratings.schema import annotators, assignments, campaigns
from eval.ratings.standing import Standing, load_standing
from eval.ratings.store import ClipFacts, StoredCampaign
from eval.store.database import Database

CHECKED_KINDS = ("training", "qualification")
"""Answered once and for all: feedback was given, or admission decided."""

_OF_SEAT: Final = (assignments.c.campaign == bindparam("campaign")) & (
    assignments.c.seat == bindparam("seat")
)
_OWN: Final = select(assignments).where(_OF_SEAT & (assignments.c.id == bindparam("assignment")))
_OWN_AND_LOCK: Final = _OWN.with_for_update(key_share=True)
_COUNT: Final = (
    select(assignments.c.state, func.count()).where(_OF_SEAT).group_by(assignments.c.state)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A pair as the server knows it. It never goes to the browser as it is.

    Attributes:
        id: Row number.
        kind: work, repeat, gold, null, training or qualification; the page is told of training only.
        case: Case id.
        left: Clip on the left.
        right: Clip on the right.
        position: Place in the annotator's order.
        revision: Number of its last revision, 0 when unanswered.
        leased_until: Until when it is reserved, seconds since 1970.
        training: Whether feedback follows.
    """

    id: int
    kind: str
    case: str
    left: ClipFacts
    right: ClipFacts
    position: int
    revision: int
    leased_until: float
    training: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an annotator is, from the database alone.

    Attributes:
        done: Answered, flagged or skipped.
        total: All showings of the seat.
        status: active or unqualified.
        closed: Whether the campaign is frozen.
    """

    done: int
    total: int
    status: str
    closed: bool


def claim(database: Database, annotator: int, *, now: float, ahead: int = 1) -> list[Assignment]:
    """Reserve the next pairs of an annotator, oldest first; the same ones until they are answered.

    When the own queue is empty, pairs of seats that were given up are taken over, one at a time.

    Args:
        database: Where.
        annotator: Row number from the cookie.
        now: Seconds since 1970.
        ahead: How many, so that the page can load the next ones early.

    Raises:
        NotAllowed: The session takes part in no campaign.
    """
    with database.write() as connection:
        who, stored = load_standing(connection, annotator, lock=True)
        connection.execute(update(annotators).where(annotators.c.id == who.id).values(seen_at=now))
        if stored.state != "open" or who.status != ACTIVE:
            return []
        rows = _own_queue(connection, who, ahead)
        if not rows:
            rows = _take_over(connection, stored, who, now)
        until = now + stored.campaign.lease_s
        numbers = [row["id"] for row in rows]
        fresh = assignments.c.leased_until.is_(None) | (assignments.c.leased_until <= now)
        connection.execute(
            update(assignments)
            .where(assignments.c.id.in_(numbers))
            .values(leased_at=case((fresh, now), else_=assignments.c.leased_at), leased_until=until)
        )
        return [to_assignment(row, until) for row in rows]


def owned_assignments(database: Database, annotator: int) -> list[int]:
    """Row numbers of everything the annotator was ever handed, newest first, for resolving tokens."""
    with database.read() as connection:
        who, _ = load_standing(connection, annotator)
        query = (
            select(assignments.c.id)
            .where(of_seat(who) & assignments.c.leased_at.is_not(None))
            .order_by(assignments.c.leased_at.desc())
        )
        return list(connection.execute(query).scalars())


def get_assignment(database: Database, annotator: int, assignment: int) -> Assignment:
    """One assignment of an annotator, for serving its clips.

    Raises:
        NotAllowed: It is not theirs or was not handed out to them.
    """
    with database.read() as connection:
        who, _ = load_standing(connection, annotator)
        row = own_row(connection, who, assignment)
        return to_assignment(row, row["leased_until"] or 0.0)


def of_seat(who: Annotator) -> Any:
    """Condition: showings that are an annotator's."""
    return (assignments.c.campaign == who.campaign) & (assignments.c.seat == who.seat)


def _own_queue(connection: Connection, who: Annotator, ahead: int) -> list[Any]:
    query = (
        select(assignments)
        .where(of_seat(who) & (assignments.c.state == "open"))
        .order_by(assignments.c.position)
        .limit(max(1, ahead))
    )
    rows = list(connection.execute(query).mappings())
    # Nothing beyond admission is handed out before admission is decided.
    gate = [row for row in rows if row["kind"] in CHECKED_KINDS]
    return gate or rows


def _take_over(
    connection: Connection, stored: StoredCampaign, who: Annotator, now: float
) -> list[Any]:
    """Move one open pair of a seat that was given up to this annotator's seat."""
    idle = now - stored.campaign.idle_release_s
    gone = (annotators.c.status.in_((REVOKED, UNQUALIFIED))) | (annotators.c.seen_at < idle)
    held = and_(
        annotators.c.campaign == assignments.c.campaign, annotators.c.seat == assignments.c.seat
    )
    given_up = select(annotators.c.id).where(held & gone).exists()
    nobody = ~select(annotators.c.id).where(held).exists()
    if now - _created_at(connection, stored) < stored.campaign.idle_release_s:
        nobody = and_(nobody, assignments.c.seat < 0)  # empty seats are kept for late guests
    own = assignments.alias("own")
    seen = (
        select(own.c.id)
        .where(
            (own.c.campaign == who.campaign) & (own.c.seat == who.seat)
            & (own.c.case == assignments.c.case) & (own.c.first == assignments.c.first)
            & (own.c.second == assignments.c.second)
        )
        .exists()
    )  # fmt: skip
    candidate = (
        select(assignments)
        .where(
            (assignments.c.campaign == who.campaign) & (assignments.c.kind == "work")
            & (assignments.c.state == "open") & (assignments.c.seat != who.seat)
            & or_(given_up, nobody) & ~seen
        )
        .order_by(assignments.c.id)
        .limit(1)
        .with_for_update(skip_locked=True, key_share=True, of=assignments)
    )  # fmt: skip
    row = connection.execute(candidate).mappings().first()
    if row is None:
        return []
    last = connection.execute(select(func.max(assignments.c.position)).where(of_seat(who))).scalar()
    moved = {"seat": who.seat, "position": (-1 if last is None else last) + 1}
    connection.execute(update(assignments).where(assignments.c.id == row["id"]).values(**moved))
    return [{**row, **moved}]


def _created_at(connection: Connection, stored: StoredCampaign) -> float:
    query = select(campaigns.c.created_at).where(campaigns.c.id == stored.id)
    return float(connection.execute(query).scalar_one())


def to_assignment(row: Mapping[str, Any], until: float) -> Assignment:
    """A row as an assignment that is reserved until a time."""
    first, second = (ClipFacts(**row["record"][name]) for name in ("first_clip", "second_clip"))
    left, right = (first, second) if row["first_side"] == "left" else (second, first)
    return Assignment(
        id=row["id"], kind=row["kind"], case=row["case"], left=left, right=right,
        position=row["position"], revision=row["revision"], leased_until=until,
        training=row["kind"] == "training",
    )  # fmt: skip


def own_row(
    connection: Connection, who: Annotator, assignment: int, *, lock: bool = False
) -> Mapping[str, Any]:
    """A showing that was handed out to an annotator.

    Raises:
        NotAllowed: It is not theirs.
    """
    asked = {"campaign": who.campaign, "seat": who.seat, "assignment": assignment}
    row = connection.execute(_OWN_AND_LOCK if lock else _OWN, asked).mappings().first()
    if row is None or row["leased_at"] is None:
        raise NotAllowed("this pair is not yours; reload the page to go on with your own")
    return row  # type: ignore[return-value]  # a row mapping is a mapping


def progress(database: Database, annotator: int) -> Progress:
    """How far an annotator is."""
    with database.read() as connection:
        return count_progress(connection, load_standing(connection, annotator))


def count_progress(connection: Connection, standing: Standing) -> Progress:
    """The same inside a transaction."""
    who, stored = standing
    asked = {"campaign": who.campaign, "seat": who.seat}
    counts: dict[str, int] = {state: int(n) for state, n in connection.execute(_COUNT, asked)}
    total = sum(counts.values())
    return Progress(
        done=total - counts.get("open", 0), total=total, status=who.status,
        closed=stored.state != "open",
    )  # fmt: skip
