"""What an annotator's browser is told: pairs without names, and what they may open.

Everything that leaves the server towards an annotator is built here, field by field; no record is
ever passed on as it is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import select

from dashboard.blind_media import BlindClip, shared_box
from dashboard.site import Site
from eval.ratings.answers import FLAG_REASONS
from eval.ratings.joining import Annotator, load_annotator
from eval.ratings.refusals import NotAllowed
from eval.ratings.schema import assignments
from eval.ratings.serving import Assignment, claim, get_assignment, owned_assignments, progress
from eval.ratings.store import StoredCampaign, campaign_by_id
from eval.ratings.tokens import MEDIA, Medium
from eval.store.schema import cases, clips
from joystreamer.errors import InputError

AHEAD: Final = 3
"""Pairs handed out at once: the one to rate, and the next ones to load and to prepare early."""

MEDIA_TYPES: Final[Mapping[Medium, str]] = {
    "left": "video/mp4", "right": "video/mp4", "image": "image/jpeg", "audio": "audio/wav",
}  # fmt: skip

_log = logging.getLogger(__name__)


class CaseMedia(NamedTuple):
    """What is shown beside a pair: prompt, digest of the image, digests of the speakers' audio."""

    prompt: str
    image: str
    audio: tuple[str, ...]


def whose(site: Site, annotator: int) -> tuple[Annotator, StoredCampaign]:
    """An annotator and their campaign, as the database knows them now.

    Raises:
        NotAllowed: They take part in none.
    """
    with site.workspace.database.read() as connection:
        who = load_annotator(connection, annotator)
        return who, campaign_by_id(connection, who.campaign)


def describe_campaign(site: Site, annotator: int) -> dict[str, Any]:
    """What the page needs to know of a campaign; neither systems nor cases nor its name."""
    _, stored = whose(site, annotator)
    campaign = stored.campaign
    return {
        # Row numbers start at 1, so 0 names no assignment: the browser's own, nothing else.
        "owner": site.mint.assignment(0, annotator),
        "dimensions": [
            {"id": dimension.id, "title": dimension.title, "question": dimension.question}
            for dimension in campaign.dimensions
        ],
        "min_seen": campaign.viewing.min_seen,
        "min_heard": campaign.viewing.min_heard,
        "modes": list(campaign.viewing.modes),
        "five_steps": campaign.five_steps,
        "simulated": campaign.simulated,
        "contact": campaign.contact,
        "flags": list(FLAG_REASONS),
    }


def reserve(site: Site, annotator: int) -> list[Assignment]:
    """Reserve the next pairs; the same ones until they are answered."""
    return claim(site.workspace.database, annotator, now=time.time(), ahead=AHEAD)


def tell_work(site: Site, annotator: int, reserved: Sequence[Assignment]) -> dict[str, Any]:
    """Describe the reserved pairs up to the first whose clips are still being made."""
    pairs = []
    for pair in reserved:
        if not _is_settled(site, annotator, pair):
            break
        pairs.append(pair_for_browser(site, annotator, pair))
    return {
        "pairs": pairs,
        "preparing": bool(reserved) and not pairs,
        "progress": progress_for_browser(site, annotator),
    }


def prepare(site: Site, annotator: int, reserved: Sequence[Assignment]) -> None:
    """Make the blind clips of reserved pairs, in their order."""
    for pair in reserved:
        pair_for_browser(site, annotator, pair)


def progress_for_browser(site: Site, annotator: int) -> dict[str, Any]:
    """How far an annotator is, from the database alone."""
    found = progress(site.workspace.database, annotator)
    return {
        "done": found.done, "total": found.total, "closed": found.closed,
        "admitted": found.status == "active",
    }  # fmt: skip


def pair_for_browser(site: Site, annotator: int, pair: Assignment) -> dict[str, Any]:
    """A pair under names that mean nothing; `broken` when it cannot be shown."""
    case = case_media(site, annotator, pair.case)
    told: dict[str, Any] = {
        "assignment": site.mint.assignment(pair.id, annotator),
        "training": pair.training,
        "prompt": case.prompt,
        "broken": False,
    }
    try:
        for side in ("left", "right"):
            clip = open_clip(site, annotator, pair, side)
            told[side] = {
                "url": _url(site, annotator, pair, side),
                "frame_rate": clip.frame_rate,
                "duration_s": clip.duration_s,
                "audible": clip.has_audio,
            }
    except InputError:
        _log.warning("assignment %d cannot be shown; audit the campaign's media", pair.id)
        told["broken"] = True
    told["image"] = _url(site, annotator, pair, "image") if case.image else ""
    told["audio"] = _url(site, annotator, pair, "audio") if case.audio else ""
    return told


def open_medium(site: Site, annotator: int, token: str) -> tuple[Path, str]:
    """The file that a token stands for, and its media type.

    Raises:
        NotAllowed: The token names nothing of this annotator's.
        InputError: The file cannot be made.
    """
    found = site.mint.find_medium(
        token, annotator, owned_assignments(site.workspace.database, annotator)
    )
    if found is None:
        raise NotAllowed("this clip is not yours; reload the page to go on with your own")
    number, medium = found
    pair = get_assignment(site.workspace.database, annotator, number)
    if medium in ("left", "right"):
        return open_clip(site, annotator, pair, medium).path, MEDIA_TYPES[medium]
    case = case_media(site, annotator, pair.case)
    made = site.media.image(case.image) if medium == "image" else site.media.audio(case.audio)
    return made, MEDIA_TYPES[medium]


def find_pair(site: Site, annotator: int, token: object) -> int:
    """Row number of the assignment that a token names.

    Raises:
        NotAllowed: It is not this annotator's.
    """
    owned = owned_assignments(site.workspace.database, annotator)
    number = site.mint.find_assignment(token, annotator, owned) if isinstance(token, str) else None
    if number is None:
        raise NotAllowed("this pair is not yours; reload the page to go on with your own")
    return number


def open_clip(site: Site, annotator: int, pair: Assignment, side: str) -> BlindClip:
    """One clip of a pair, made blind when it is not yet."""
    facts = pair.left if side == "left" else pair.right
    return site.media.clip(facts.digest, case_box(site, annotator, pair.case))


def case_box(site: Site, annotator: int, case: str) -> tuple[int, int]:
    """The size to which all clips of a case are brought in a campaign, whoever made them."""
    _, stored = whose(site, annotator)
    return campaign_box(site, stored.id, case)


def campaign_box(site: Site, campaign: int, case: str) -> tuple[int, int]:
    """The same by row number of the campaign."""
    shown = select(assignments.c.record).where(
        (assignments.c.campaign == campaign) & (assignments.c.case == case)
    )
    with site.workspace.database.read() as connection:
        ids = {
            record[name]["id"]
            for record in connection.execute(shown).scalars()
            for name in ("first_clip", "second_clip")
        }
        probes = (
            connection.execute(select(clips.c.probe).where(clips.c.id.in_(ids))).scalars().all()
        )
    return shared_box([(p["width"], p["height"]) for p in probes if p and p.get("width")])


def case_media(site: Site, annotator: int, case: str) -> CaseMedia:
    """Prompt, image and speech of a case; empty where the suite has none."""
    _, stored = whose(site, annotator)
    query = select(cases).where((cases.c.suite == stored.campaign.suite) & (cases.c.id == case))
    with site.workspace.database.read() as connection:
        row = connection.execute(query).mappings().first()
    if row is None:
        return CaseMedia("", "", ())
    speakers: Sequence[Mapping[str, Any]] = row["record"].get("speakers", [])
    audio = tuple(speaker["audio"] for speaker in speakers if speaker.get("audio"))
    return CaseMedia(row["record"].get("prompt", ""), row["image"], audio)


def _is_settled(site: Site, annotator: int, pair: Assignment) -> bool:
    box = case_box(site, annotator, pair.case)
    return all(site.media.is_settled(clip.digest, box) for clip in (pair.left, pair.right))


def _url(site: Site, annotator: int, pair: Assignment, medium: Medium | str) -> str:
    known = next(name for name in MEDIA if name == medium)
    return f"/clip/{site.mint.medium(pair.id, annotator, known)}"
