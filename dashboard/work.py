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
from eval.ratings.refusals import NotAllowed
from eval.ratings.saving import save, undo
from eval.ratings.schema import assignments
from eval.ratings.serving import (
    Assignment,
    Progress,
    claim,
    count_progress,
    get_assignment,
    owned_assignments,
    progress,
)
from eval.ratings.standing import Standing, get_standing, load_standing
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


def reserve(site: Site, annotator: int) -> list[Assignment]:
    """Reserve the next pairs; the same ones until they are answered."""
    return claim(site.workspace.database, annotator, now=time.time(), ahead=AHEAD)


def tell_work(site: Site, annotator: int, reserved: Sequence[Assignment]) -> dict[str, Any]:
    """Describe the campaign and the reserved pairs up to the first whose clips are still being made."""
    with site.workspace.database.read() as connection:
        standing = load_standing(connection, annotator)
        seen = count_progress(connection, standing)
    pairs = []
    for pair in reserved:
        if not _is_settled(site, standing, pair):
            break
        pairs.append(tell_pair(site, standing, pair))
    return {
        "campaign": _tell_campaign(site, standing),
        "pairs": pairs,
        "preparing": bool(reserved) and not pairs,
        "progress": tell_progress(seen),
    }


def prepare(site: Site, annotator: int, reserved: Sequence[Assignment]) -> None:
    """Make the blind clips of reserved pairs, in their order."""
    standing = get_standing(site.workspace.database, annotator)
    for pair in reserved:
        tell_pair(site, standing, pair)


def save_vote(site: Site, annotator: int, data: Mapping[str, Any]) -> dict[str, Any]:
    """Save what was posted; what the page is told stands in the ledger.

    Raises:
        InputError: The post does not fit, see `eval.ratings.saving.save`.
    """
    pair = _find_pair(site, annotator, data.get("assignment"))
    receipt = save(site.workspace.database, annotator, pair, data, now=time.time())
    feedback = dict(receipt.feedback) if receipt.feedback else None
    return {
        "saved": True, "revision": receipt.revision, "feedback": feedback,
        "progress": tell_progress(receipt.progress),
    }  # fmt: skip


def take_back(site: Site, annotator: int, client_key: object) -> dict[str, Any]:
    """Take back the last answer; its pair comes back, or none when there was no answer.

    Raises:
        InputError: The post does not fit, see `eval.ratings.saving.undo`.
    """
    database = site.workspace.database
    taken = undo(database, annotator, client_key, now=time.time())
    if taken is None:
        return {"pair": None, "progress": tell_progress(progress(database, annotator))}
    receipt, pair = taken
    told = tell_pair(site, get_standing(database, annotator), pair)
    return {"pair": told, "progress": tell_progress(receipt.progress)}


def tell_progress(seen: Progress) -> dict[str, Any]:
    """How far an annotator is, from the database alone."""
    return {
        "done": seen.done, "total": seen.total, "closed": seen.closed,
        "admitted": seen.status == "active",
    }  # fmt: skip


def tell_pair(site: Site, standing: Standing, pair: Assignment) -> dict[str, Any]:
    """A pair under names that mean nothing; `broken` when it cannot be shown."""
    annotator = standing.who.id
    case = _case_media(site, standing, pair.case)
    told: dict[str, Any] = {
        "assignment": site.mint.assignment(pair.id, annotator),
        "training": pair.training,
        "prompt": case.prompt,
        "broken": False,
    }
    try:
        for side in ("left", "right"):
            clip = _open_clip(site, standing, pair, side)
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
    database = site.workspace.database
    found = site.mint.recall_medium(token, annotator)
    if found is None:  # this process has not made it: another one did, before a restart
        found = site.mint.find_medium(token, annotator, owned_assignments(database, annotator))
    if found is None:
        raise NotAllowed("this clip is not yours; reload the page to go on with your own")
    number, medium = found
    standing = get_standing(database, annotator)
    pair = get_assignment(database, annotator, number)
    if medium in ("left", "right"):
        return _open_clip(site, standing, pair, medium).path, MEDIA_TYPES[medium]
    case = _case_media(site, standing, pair.case)
    made = site.media.image(case.image) if medium == "image" else site.media.audio(case.audio)
    return made, MEDIA_TYPES[medium]


def campaign_box(site: Site, campaign: int, case: str) -> tuple[int, int]:
    """The size to which all clips of a case are brought in a campaign, whoever made them.

    It is worked out once: which clips a campaign shows is declared when it opens, and further showings
    show the same.
    """
    known = site.media.boxes.get((campaign, case))
    if known is None:
        known = site.media.boxes[campaign, case] = _shared_box(site, campaign, case)
    return known


def _shared_box(site: Site, campaign: int, case: str) -> tuple[int, int]:
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


def _tell_campaign(site: Site, standing: Standing) -> dict[str, Any]:
    """What the page needs to know of a campaign; neither systems nor cases nor its name."""
    campaign = standing.stored.campaign
    return {
        # Row numbers start at 1, so 0 names no assignment: the browser's own, nothing else.
        "owner": site.mint.assignment(0, standing.who.id),
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


def _find_pair(site: Site, annotator: int, token: object) -> int:
    number = site.mint.recall_assignment(token, annotator)
    if number is None and isinstance(token, str):
        owned = owned_assignments(site.workspace.database, annotator)
        number = site.mint.find_assignment(token, annotator, owned)
    if number is None:
        raise NotAllowed("this pair is not yours; reload the page to go on with your own")
    return number


def _open_clip(site: Site, standing: Standing, pair: Assignment, side: str) -> BlindClip:
    """One clip of a pair, made blind when it is not yet."""
    facts = pair.left if side == "left" else pair.right
    return site.media.clip(facts.digest, campaign_box(site, standing.stored.id, pair.case))


def _case_media(site: Site, standing: Standing, case: str) -> CaseMedia:
    """Prompt, image and speech of a case; empty where the suite has none."""
    suite = standing.stored.campaign.suite
    query = select(cases).where((cases.c.suite == suite) & (cases.c.id == case))
    with site.workspace.database.read() as connection:
        row = connection.execute(query).mappings().first()
    if row is None:
        return CaseMedia("", "", ())
    speakers: Sequence[Mapping[str, Any]] = row["record"].get("speakers", [])
    audio = tuple(speaker["audio"] for speaker in speakers if speaker.get("audio"))
    return CaseMedia(row["record"].get("prompt", ""), row["image"], audio)


def _is_settled(site: Site, standing: Standing, pair: Assignment) -> bool:
    box = campaign_box(site, standing.stored.id, pair.case)
    return all(site.media.is_settled(clip.digest, box) for clip in (pair.left, pair.right))


def _url(site: Site, annotator: int, pair: Assignment, medium: Medium | str) -> str:
    known = next(name for name in MEDIA if name == medium)
    return f"/clip/{site.mint.medium(pair.id, annotator, known)}"
