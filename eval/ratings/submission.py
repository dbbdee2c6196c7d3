"""Read what a rating page sends, strictly: the browser is never believed.

One submission answers one assignment. Its `client_key` makes sending it twice harmless. Watch evidence
comes with it and is judged against the clip lengths and against the server's own clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from eval.fields import is_encodable, shown
from eval.ratings.answers import FLAG_REASONS, allowed_answers, unknown_answer
from eval.ratings.campaign import Campaign, Viewing
from joystreamer.errors import InputError

MAX_COMMENT: Final = 2000
"""Characters of a comment."""

MAX_SPEED: Final = 2.0
"""Fastest playback the page offers; media time cannot grow faster than this."""

CLOCK_SLACK_S: Final = 5.0
"""Seconds of media that may exceed the server's clock: buffering, rounding, a lease renewed late."""

_CLIENT_KEY = re.compile(r"[A-Za-z0-9_-]{8,64}")
_MAX_SECONDS: Final = 86_400.0

WATCH_NUMBERS: Final = (
    "left_seen_s", "right_seen_s", "left_heard_s", "right_heard_s", "decision_s", "hidden_s",
    "offset_p50_ms", "offset_p95_ms", "plays", "dropped_frames",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the page saw the annotator do.

    Attributes:
        left_seen_s: Distinct seconds of the left clip that were shown; looping adds nothing.
        right_seen_s: The same of the right clip.
        left_heard_s: Distinct seconds of the left clip that were audible.
        right_heard_s: The same of the right clip.
        decision_s: Seconds from the first picture to sending.
        hidden_s: Seconds for which the page was in the background.
        offset_p50_ms: Median offset of the two players.
        offset_p95_ms: 95th percentile of it.
        plays: Times that playback was started.
        dropped_frames: Frames that the browser did not show.
        modes: Ways of looking that were used.
        viewport: Width and height of the page in CSS pixels.
        client: Version of the page.
    """

    left_seen_s: float = 0.0
    right_seen_s: float = 0.0
    left_heard_s: float = 0.0
    right_heard_s: float = 0.0
    decision_s: float = 0.0
    hidden_s: float = 0.0
    offset_p50_ms: float = 0.0
    offset_p95_ms: float = 0.0
    plays: float = 0.0
    dropped_frames: float = 0.0
    modes: tuple[str, ...] = ()
    viewport: tuple[int, int] = (0, 0)
    client: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One answered, skipped or flagged assignment.

    Attributes:
        action: vote, skip or flag.
        client_key: Made by the page once per answer; the same key is the same answer.
        answers: Dimension id -> answer; complete for a vote, empty otherwise.
        flag: Reason, '' for none. A vote may carry one too.
        comment: Free text, as it was typed; escape it wherever it is shown.
        watch: Evidence.
    """

    action: str
    client_key: str
    answers: Mapping[str, str]
    flag: str
    comment: str
    watch: Watch


def read_submission(data: object, campaign: Campaign) -> Submission:
    """Turn decoded JSON into a submission.

    Raises:
        InputError: One sentence about the first thing that does not fit.
    """
    if not isinstance(data, dict):
        raise InputError(f"got {shown(data)}; expected one JSON object per vote")
    unknown = sorted(
        set(data) - {"assignment", "action", "client_key", "answers", "flag", "comment", "watch"}
    )
    if unknown:
        raise InputError(f"field {shown(unknown[0])} is unknown; leave it out")
    action = data.get("action", "vote")
    if action not in ("vote", "skip", "flag"):
        raise InputError(f"action {shown(action)} does not exist; expected vote, skip or flag")
    key = read_client_key(data.get("client_key"))
    flag = data.get("flag") or ""
    if flag and flag not in FLAG_REASONS:
        raise InputError(
            f"flag {shown(flag)} is not on the list; choose from {', '.join(FLAG_REASONS)}"
        )
    if action == "flag" and not flag:
        raise InputError(f"a flag needs a reason; choose from {', '.join(FLAG_REASONS)}")
    comment = data.get("comment") or ""
    if not isinstance(comment, str) or len(comment) > MAX_COMMENT or not is_encodable(comment):
        raise InputError(f"a comment is text of at most {MAX_COMMENT} characters; shorten it")
    answers = _read_answers(data.get("answers"), campaign) if action == "vote" else {}
    return Submission(
        action=action, client_key=key, answers=answers, flag=flag,
        comment=comment.replace("\x00", ""), watch=read_watch(data.get("watch")),
    )  # fmt: skip


def read_client_key(value: object) -> str:
    """Check the key with which a page makes sending twice harmless.

    Raises:
        InputError: It has another form.
    """
    if not isinstance(value, str) or not _CLIENT_KEY.fullmatch(value):
        raise InputError(
            f"client_key {shown(value)} does not fit; expected 8 to 64 letters, digits, - or _"
        )
    return value


def _read_answers(given: object, campaign: Campaign) -> dict[str, str]:
    if not isinstance(given, dict):
        raise InputError(f"answers {shown(given)} do not fit; expected one answer per dimension")
    missing = [name for name in campaign.dimension_ids if name not in given]
    strange = [name for name in given if name not in campaign.dimension_ids]
    if missing or strange:
        what = (
            f"{shown(missing[0])} is not answered"
            if missing
            else f"{shown(strange[0])} is not asked"
        )
        raise InputError(f"{what}; answer exactly {', '.join(campaign.dimension_ids)}")
    allowed = allowed_answers(five_steps=campaign.five_steps)
    for answer in given.values():
        if answer not in allowed:
            raise InputError(unknown_answer(answer, five_steps=campaign.five_steps))
    return {name: given[name] for name in campaign.dimension_ids}


def read_watch(given: object) -> Watch:
    """Read watch evidence; what is absent counts as not watched.

    Raises:
        InputError: A number is negative, not finite or absurd.
    """
    if given is None:
        return Watch()
    if not isinstance(given, dict):
        raise InputError(f"watch {shown(given)} does not fit; expected an object of numbers")
    numbers: dict[str, float] = {}
    for name in WATCH_NUMBERS:
        value = given.get(name, 0.0)
        real = isinstance(value, int | float) and not isinstance(value, bool)
        if not real or not 0 <= value <= _MAX_SECONDS * 1000:
            raise InputError(f"watch.{name} is {shown(value)}; expected a number from 0")
        numbers[name] = float(value)
    modes = given.get("modes", [])
    viewport = given.get("viewport", [0, 0])
    if not isinstance(modes, list) or not all(
        isinstance(m, str) and len(m) < 20 for m in modes[:9]
    ):
        raise InputError(f"watch.modes is {shown(modes)}; expected a list of names")
    if (
        not isinstance(viewport, list)
        or len(viewport) != 2
        or not all(isinstance(side, int) and 0 <= side <= 100_000 for side in viewport)
    ):
        raise InputError(f"watch.viewport is {shown(viewport)}; expected [width, height]")
    return Watch(
        **numbers, modes=tuple(modes[:9]), viewport=(viewport[0], viewport[1]),
        client=str(given.get("client", ""))[:40],
    )  # fmt: skip


def coverage(watch: Watch, *, left_s: float, right_s: float) -> float:
    """Share of the less watched clip that was seen, in [0, 1]; durations in seconds."""
    shares = (_share(watch.left_seen_s, left_s), _share(watch.right_seen_s, right_s))
    return min(shares)


def _share(part: float, whole: float) -> float:
    return min(1.0, part / whole) if whole > 0 else 1.0


def unwatched(
    watch: Watch, viewing: Viewing, *, left_s: float, right_s: float, audible: tuple[bool, bool]
) -> list[str]:
    """What must still be watched or heard before a vote counts; empty when everything was.

    Args:
        watch: Evidence.
        viewing: The campaign's minimum.
        left_s: Seconds of the left clip.
        right_s: Seconds of the right clip.
        audible: Whether the left and the right clip have sound.
    """
    missing = []
    sides = (
        ("left", watch.left_seen_s, watch.left_heard_s, left_s, audible[0]),
        ("right", watch.right_seen_s, watch.right_heard_s, right_s, audible[1]),
    )
    for side, seen, heard, whole, has_sound in sides:
        if _share(seen, whole) < viewing.min_seen:
            missing.append(
                f"the {side} clip was watched for {_share(seen, whole):.0%}, {viewing.min_seen:.0%} is needed"
            )
        if has_sound and _share(heard, whole) < viewing.min_heard:
            missing.append(
                f"the {side} clip was heard for {_share(heard, whole):.0%}, {viewing.min_heard:.0%} is needed"
            )
    return missing


def implausible(watch: Watch, *, elapsed_s: float) -> bool:
    """Whether more was watched than the server's clock allows since the pair was handed out.

    Both clips play at once, but only one is heard at a time.
    """
    room = elapsed_s * MAX_SPEED + CLOCK_SLACK_S
    seen = max(watch.left_seen_s, watch.right_seen_s)
    return seen > room or watch.left_heard_s + watch.right_heard_s > 2 * room
