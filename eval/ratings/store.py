"""Campaigns in the database: create, find, list, plan, freeze.

Everything a visitor does is in `eval.ratings.joining` and `eval.ratings.serving`; this is what leads do.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, update

from eval.fields import nearest
from eval.ratings.campaign import Campaign, campaign_digest, campaign_record, check_campaign
from eval.ratings.campaign_reader import load_campaign
from eval.ratings.chain import append, read_entries
from eval.ratings.design import Showing, plan_design
from eval.ratings.ledger import GENESIS, Entry, canonical
from eval.ratings.refusals import CampaignClosed
from eval.ratings.schema import assignments, campaigns
from eval.store.database import Database
from eval.store.schema import clips
from joystreamer.errors import InputError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """What rating needs to know of a clip.

    Attributes:
        id: Row number in the store, 0 when it has none.
        digest: sha256 of the original file.
        duration_s: Seconds; 0 when unknown, and then nothing is demanded of watching.
        audible: Whether it has sound.
    """

    id: int = 0
    digest: str = ""
    duration_s: float = 0.0
    audible: bool = False


ClipTable = Mapping[tuple[str, str], ClipFacts]
"""(system, case) -> clip."""


class StoredCampaign(NamedTuple):
    """A campaign with its row.

    Attributes:
        id: Row number.
        state: open or frozen.
        campaign: The protocol.
        digest: Digest of the protocol.
        head_seq: Number of its last ledger entry.
        head_digest: Digest of that entry; print it beside results.
    """

    id: int
    state: str
    campaign: Campaign
    digest: str
    head_seq: int
    head_digest: str

    @property
    def is_blind(self) -> bool:
        """Whether nobody may see its results yet, as declared."""
        return self.campaign.blind_until_frozen and self.state != "frozen"


def stored_clips(connection: Connection, suite: str) -> dict[tuple[str, str], ClipFacts]:
    """Playable clips of a suite by (system, case); of several seeds, the lowest."""
    query = (
        select(clips)
        .where((clips.c.suite == suite) & ~clips.c.replaced & (clips.c.problem == ""))
        .order_by(clips.c.seed.desc(), clips.c.id)
    )
    return {
        (row["system"], row["case"]): ClipFacts(
            id=row["id"],
            digest=row["digest"],
            duration_s=float((row["probe"] or {}).get("duration_s") or 0.0),
            audible=bool((row["probe"] or {}).get("audio_streams")),
        )
        for row in connection.execute(query).mappings()
    }


def create_campaign(
    database: Database, campaign: Campaign, *, clip_table: ClipTable, now: float
) -> StoredCampaign:
    """Declare a campaign: protocol and plan become the first entries of its ledger.

    Raises:
        InputError: The protocol does not fit, a clip is missing, or the name is taken.
    """
    check_campaign(campaign)
    plan = plan_design(campaign)
    require_clips(plan, clip_table)
    record = campaign_record(campaign)
    digest = campaign_digest(record)
    shown = {(s, showing.case) for showing in plan for s in (showing.first, showing.second)}
    digests = {
        f"{system}/{case}": clip_table[system, case].digest for system, case in sorted(shown)
    }
    with database.write() as connection:
        taken = select(campaigns.c.id).where(campaigns.c.name == campaign.name)
        if connection.execute(taken).first():
            raise InputError(
                f"campaign {campaign.name!r} exists and a declared protocol never changes; "
                "choose another name"
            )
        result = connection.execute(
            insert(campaigns).values(
                name=campaign.name, suite=campaign.suite, state="open", simulated=campaign.simulated,
                record=record, digest=digest, created_at=now, head_seq=0, head_digest=GENESIS,
            )
        )  # fmt: skip
        key = result.inserted_primary_key
        assert key is not None
        number = int(key[0])
        opening = {"campaign": record, "digest": digest, "clips": digests}
        append(connection, number, "open", opening, now=now)
        add_showings(connection, number, plan, clip_table, now=now)
    return get_campaign(database, campaign.name)


def require_clips(plan: Sequence[Showing], clip_table: ClipTable) -> None:
    """Refuse a plan that shows clips which are not there.

    Raises:
        InputError: Names the first missing one and how many there are.
    """
    needed = {(s, showing.case) for showing in plan for s in (showing.first, showing.second)}
    missing = sorted(needed - set(clip_table))
    if missing:
        system, case = missing[0]
        known = sorted({name for name, _ in clip_table})
        hint = "" if system in known else nearest(system, known)
        raise InputError(
            f"system {system!r} has no playable clip of case {case!r}{hint} ({len(missing)} clips are "
            "missing in all); ingest them first, or name the cases to show with --case"
        )


def add_showings(
    connection: Connection,
    campaign: int,
    plan: Sequence[Showing],
    clip_table: ClipTable,
    *,
    now: float,
) -> None:
    """Store planned showings and seal them in the ledger."""
    if plan:
        connection.execute(
            insert(assignments),
            [_assignment_row(campaign, showing, clip_table) for showing in plan],
        )
    sealed = {
        "showings": len(plan),
        "digest": plan_digest(plan),
        "round": max((s.round for s in plan), default=0),
    }
    append(connection, campaign, "plan", sealed, now=now)


def plan_digest(plan: Sequence[Showing]) -> str:
    """Digest over all showings of a plan in order."""
    total = hashlib.sha256()
    for showing in plan:
        total.update(canonical(dataclasses.asdict(showing)).encode())
    return total.hexdigest()


def _assignment_row(campaign: int, showing: Showing, clip_table: ClipTable) -> dict[str, Any]:
    return {
        "campaign": campaign,
        "key": showing.key,
        "seat": showing.seat,
        "position": showing.position,
        "kind": showing.kind,
        "case": showing.case,
        "first": showing.first,
        "second": showing.second,
        "first_side": showing.first_side,
        "record": {
            "expected": dict(showing.expected),
            "lesson": showing.lesson,
            "repeat_of": showing.repeat_of,
            "round": showing.round,
            "first_clip": dataclasses.asdict(clip_table[showing.first, showing.case]),
            "second_clip": dataclasses.asdict(clip_table[showing.second, showing.case]),
        },
        "state": "open",
        "revision": 0,
    }


def _stored(row: Any) -> StoredCampaign:
    return StoredCampaign(
        row["id"], row["state"], load_campaign(row["record"]), row["digest"], row["head_seq"], row["head_digest"],
    )  # fmt: skip


def get_campaign(database: Database, name: str) -> StoredCampaign:
    """Find a campaign by name.

    Raises:
        InputError: There is none; the message names the nearest.
    """
    with database.read() as connection:
        row = (
            connection.execute(select(campaigns).where(campaigns.c.name == name)).mappings().first()
        )
        if row is not None:
            return _stored(row)
        names = list(connection.execute(select(campaigns.c.name)).scalars())
    there = ", ".join(names) or "none"
    raise InputError(f"campaign {name!r} does not exist{nearest(name, names)}; there are: {there}")


def campaign_by_id(connection: Connection, number: int) -> StoredCampaign:
    """Find a campaign by row number."""
    row = connection.execute(select(campaigns).where(campaigns.c.id == number)).mappings().one()
    return _stored(row)


def list_campaigns(database: Database) -> list[StoredCampaign]:
    """All campaigns in the order of their creation."""
    with database.read() as connection:
        rows = connection.execute(select(campaigns).order_by(campaigns.c.id)).mappings().all()
    return [_stored(row) for row in rows]


def campaign_entries(
    database: Database, name: str, *, up_to: int | None = None
) -> tuple[StoredCampaign, list[Entry]]:
    """A campaign and its ledger, read in one go."""
    stored = get_campaign(database, name)
    with database.read() as connection:
        return stored, read_entries(connection, stored.id, up_to=up_to)


def close_campaign(
    connection: Connection, stored: StoredCampaign, publication: Mapping[str, Any], *, now: float
) -> Entry:
    """Freeze a campaign inside a transaction: the publication is its last word.

    Raises:
        CampaignClosed: It is frozen already.
    """
    changed = connection.execute(
        update(campaigns)
        .where((campaigns.c.id == stored.id) & (campaigns.c.state == "open"))
        .values(state="frozen")
    )
    if changed.rowcount != 1:
        raise CampaignClosed(
            f"campaign {stored.campaign.name!r} is frozen already; its results stand; "
            "declare a new campaign to go on"
        )
    return append(connection, stored.id, "freeze", publication, now=now)
