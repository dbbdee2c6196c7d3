"""Invitations and annotators: who gets in, on which seat, and who is sent away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from eval.ratings.chain import append
from eval.ratings.invites import (
    INVITE_LIFETIME_S,
    InviteState,
    RateLimit,
    hash_token,
    is_token,
    may_try,
    new_token,
    refusal,
)
from eval.ratings.refusals import CampaignClosed, InviteRefused, TooManyTries
from eval.ratings.schema import annotators, attempts, campaigns, invites
from eval.ratings.store import StoredCampaign, campaign_by_id
from eval.store.database import Database
from joystreamer.errors import InputError

ACTIVE: Final = "active"
UNQUALIFIED: Final = "unqualified"
REVOKED: Final = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotator:
    """Somebody who rates.

    Attributes:
        id: Row number; goes into the cookie.
        campaign: Row number of the campaign.
        seat: Which part of the plan is theirs.
        name: Pseudonym, the only name results know.
        status: active, unqualified or revoked.
    """

    id: int
    campaign: int
    seat: int
    name: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """A fresh invitation.

    Attributes:
        token: To be put into a link; shown now and never again.
        number: To revoke it by.
        label: The lead's note on whom it is for; never shown to annotators.
        expires_at: Seconds since 1970.
    """

    token: str
    number: int
    label: str
    expires_at: float


def create_invites(
    database: Database,
    stored: StoredCampaign,
    labels: Sequence[str],
    *,
    now: float,
    lifetime_s: float = INVITE_LIFETIME_S,
) -> list[Invite]:
    """Make one invitation per label.

    Raises:
        CampaignClosed: The campaign is frozen.
    """
    made = []
    with database.write() as connection:
        if campaign_by_id(connection, stored.id).state != "open":
            raise CampaignClosed(
                f"campaign {stored.campaign.name!r} is frozen and takes no annotators; declare a new one"
            )
        for label in labels:
            token = new_token()
            result = connection.execute(
                insert(invites).values(
                    campaign=stored.id, token_hash=hash_token(token), label=label, created_at=now,
                    expires_at=now + lifetime_s,
                )
            )  # fmt: skip
            key = result.inserted_primary_key
            assert key is not None
            made.append(
                Invite(token=token, number=int(key[0]), label=label, expires_at=now + lifetime_s)
            )
    return made


def redeem_invite(
    database: Database, token: str, *, client: str, now: float, limit: RateLimit | None = None
) -> Annotator:
    """Turn a token into an annotator, once.

    Args:
        database: Where.
        token: As it came in the link.
        client: Keyed hash of the visitor's address, see `eval.ratings.invites.hash_client`.
        now: Seconds since 1970.
        limit: How many failures a client may have.

    Raises:
        TooManyTries: The client failed too often lately.
        InviteRefused: The token does not open a campaign.
    """
    limit = limit or RateLimit()
    with database.read() as connection:
        recent = select(attempts.c.at).where(
            (attempts.c.client == client) & (attempts.c.at > now - limit.window_s)
        )
        failures = list(connection.execute(recent).scalars())
    if not may_try(failures, now=now, limit=limit):
        raise TooManyTries
    word: str | None = "unknown"
    if is_token(token):
        with database.write() as connection:
            joined, word = _try_to_join(connection, token, now)
            if joined is not None:
                return joined
    with database.write() as connection:
        connection.execute(attempts.delete().where(attempts.c.at <= now - limit.window_s))
        connection.execute(insert(attempts).values(client=client, at=now))
    raise InviteRefused(word or "unknown")


def _try_to_join(
    connection: Connection, token: str, now: float
) -> tuple[Annotator | None, str | None]:
    row = (
        connection.execute(
            select(invites).where(invites.c.token_hash == hash_token(token)).with_for_update()
        )
        .mappings()
        .first()
    )
    if row is None:
        return None, refusal(None, now=now)
    state = InviteState(
        expires_at=row["expires_at"], used_at=row["used_at"], revoked_at=row["revoked_at"]
    )
    word = refusal(state, now=now)
    if word is not None:
        return None, word
    # Locking the campaign keeps two guests from taking the same seat.
    lock = select(campaigns.c.state).where(campaigns.c.id == row["campaign"]).with_for_update()
    if connection.execute(lock).scalar_one() != "open":
        return None, "expired"
    taken = set(
        connection.execute(
            select(annotators.c.seat).where(annotators.c.campaign == row["campaign"])
        ).scalars()
    )
    seat = next(number for number in range(len(taken) + 1) if number not in taken)
    name = f"R{seat + 1:02d}"
    result = connection.execute(
        insert(annotators).values(
            campaign=row["campaign"],
            seat=seat,
            name=name,
            status=ACTIVE,
            joined_at=now,
            seen_at=now,
        )
    )
    key = result.inserted_primary_key
    assert key is not None
    connection.execute(
        update(invites).where(invites.c.id == row["id"]).values(used_at=now, annotator=int(key[0]))
    )
    append(connection, row["campaign"], "join", {"rater": name, "seat": seat}, now=now)
    joined = Annotator(
        id=int(key[0]), campaign=row["campaign"], seat=seat, name=name, status=ACTIVE
    )
    return joined, None


def revoke_invite(database: Database, stored: StoredCampaign, number: int, *, now: float) -> None:
    """Withdraw an invitation; whoever came in by it is sent away and their open pairs go to others.

    Raises:
        InputError: The campaign has no such invitation.
    """
    with database.write() as connection:
        row = (
            connection.execute(
                select(invites).where((invites.c.id == number) & (invites.c.campaign == stored.id))
            )
            .mappings()
            .first()
        )
        if row is None:
            raise InputError(
                f"campaign {stored.campaign.name!r} has no invitation {number}; "
                "see python -m eval ratings status"
            )
        connection.execute(update(invites).where(invites.c.id == number).values(revoked_at=now))
        if row["annotator"] is not None:
            set_status(connection, row["annotator"], REVOKED)
            payload = {"invite": number, "annotator": row["annotator"]}
            append(connection, stored.id, "revoke", payload, now=now)


def set_status(connection: Connection, annotator: int, status: str) -> None:
    """Change what an annotator may do."""
    connection.execute(update(annotators).where(annotators.c.id == annotator).values(status=status))


def list_invites(database: Database, stored: StoredCampaign) -> list[dict[str, Any]]:
    """All invitations of a campaign, without their tokens, which nobody has any more."""
    columns = [column for column in invites.c if column.name != "token_hash"]
    query = select(*columns).where(invites.c.campaign == stored.id).order_by(invites.c.id)
    with database.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]
