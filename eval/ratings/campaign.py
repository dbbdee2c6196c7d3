"""A campaign: what is compared, by how many people, with which checks, excluded by which rule.

A campaign is declared in full before the first vote and never changes afterwards: its digest is the
first entry of its ledger. A changed protocol is a new campaign.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from eval.ratings.statistics.connection import components
from eval.records import DIMENSIONS
from joystreamer.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One row of the rating page.

    Attributes:
        id: As in `eval.records.DIMENSIONS`.
        title: Short name.
        question: What to look for, shown to annotators.
    """

    id: str
    title: str
    question: str


PAPER_DIMENSIONS: Final = tuple(
    Dimension(id=identity, title=title, question=question)
    for identity, (title, question) in zip(
        DIMENSIONS,
        (
            (
                "Overall Quality",
                "Whether the generated video appears natural and realistic, adhering to physical "
                "plausibility and visual coherence.",
            ),
            (
                "Text Alignment",
                "The ability to faithfully execute the specified instructions in the text prompt, "
                "including facial expressions, body motions, camera movement trajectories.",
            ),
            (
                "Lip Synchronization",
                "Whether the lip movements accurately reflect the phonetic content and timing of the "
                "input speech.",
            ),
            (
                "Identity Consistency",
                "Whether the identity of the generated character remains faithful to the input "
                "reference image throughout the video, with particular attention to long-duration "
                "sequences where identity drift may occur.",
            ),
            (
                "Visual Quality",
                "The perceptual quality of the generated video, focusing on image sharpness, textural "
                "detail, and the absence of artifacts or synthetic-looking characteristics commonly "
                'associated with AI-generated content (i.e., "AIGC look").',
            ),
        ),
        strict=True,
    )
)
"""The five dimensions in the paper's order and wording (Sec. 4.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two systems to compare; outcomes are told for the first.

    Attributes:
        first: Usually ours.
        second: Usually a competitor.
    """

    first: str
    second: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownItem:
    """A pair of clips whose answer is known: gold, training or qualification.

    Attributes:
        case: Case id.
        first: System that should win (a real clip, say).
        second: System that should lose (its degraded copy, say).
        expected: Dimension id -> good, same or bad for `first`; other dimensions do not count.
        lesson: Shown after answering a training item.
    """

    case: str
    first: str
    second: str
    expected: Mapping[str, str]
    lesson: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """Items that measure the raters rather than the systems.

    Attributes:
        training: Shown first, with the expected answer afterwards.
        qualification: Shown next, without feedback.
        qualification_pass: Share of expected answers needed to go on.
        gold: Mixed into the work; every rater sees every item once.
        nulls: Pairs of a clip with itself per rater; the expected answer is Same.
        repeat_share: Share of a rater's pairs shown again with sides swapped.
        repeat_gap: Pairs between a pair and its repeat.
    """

    training: tuple[KnownItem, ...] = ()
    qualification: tuple[KnownItem, ...] = ()
    qualification_pass: float = 0.7
    gold: tuple[KnownItem, ...] = ()
    nulls: int = 2
    repeat_share: float = 0.08
    repeat_gap: int = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class ExclusionRule:
    """When a rater's votes are left out of results; declared before the first vote.

    A limit applies only to a rater with at least `min_items` answers to that check; None switches a
    limit off. Being paid is another matter and not decided here.

    Attributes:
        min_gold_accuracy: Share of gold answers as expected.
        min_null_tie_rate: Share of Same on pairs of a clip with itself.
        min_repeat_consistency: Share of equal answers to side-swapped repeats.
        max_straight_lining: Share of pairs whose rows all favour one side.
        min_coverage: Mean share of both clips that was watched.
        min_items: Answers below which a check says nothing.
    """

    min_gold_accuracy: float | None = 0.6
    min_null_tie_rate: float | None = 0.3
    min_repeat_consistency: float | None = 0.4
    max_straight_lining: float | None = 0.9
    min_coverage: float | None = 0.5
    min_items: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewing:
    """What must be watched before a vote counts, and how.

    Attributes:
        min_seen: Share of each clip's distinct media time, in [0, 1].
        min_heard: Share of each clip's distinct media time heard.
        modes: Ways to look: side, wipe, flip.
    """

    min_seen: float = 0.9
    min_heard: float = 0.5
    modes: tuple[str, ...] = ("side",)


MODES: Final = ("side", "wipe", "flip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """The whole protocol.

    Attributes:
        name: Unique; part of command lines.
        suite: Suite whose cases are shown.
        cases: Case ids, all of which need a clip of every system.
        pairs: Which systems meet.
        dimensions: Rows of the page, in fixed order.
        raters: Seats; at least 5 for intervals.
        per_case: Distinct raters that see each pair on each case.
        checks: Items that measure raters.
        exclusion: Whose votes are left out.
        viewing: What must be watched.
        five_steps: Whether strength is asked too.
        window: Pairs between two showings of the same case to one rater.
        lease_s: Seconds for which a shown pair is reserved.
        idle_release_s: Seconds of silence after which a seat's open pairs may go to others.
        blind_until_frozen: Whether results are hidden until the campaign is frozen.
        simulated: Whether the votes are scripted; said on every result and export.
        seed: Of design and resampling.
        contact: Shown to annotators.
    """

    name: str
    suite: str
    cases: tuple[str, ...]
    pairs: tuple[Pair, ...]
    dimensions: tuple[Dimension, ...] = PAPER_DIMENSIONS
    raters: int = 5
    per_case: int = 3
    checks: Checks = field(default_factory=Checks)
    exclusion: ExclusionRule = field(default_factory=ExclusionRule)
    viewing: Viewing = field(default_factory=Viewing)
    five_steps: bool = False
    window: int = 10
    lease_s: float = 1800.0
    idle_release_s: float = 3 * 86_400.0
    blind_until_frozen: bool = False
    simulated: bool = False
    seed: int = 0
    contact: str = ""

    @property
    def systems(self) -> tuple[str, ...]:
        """All compared systems, in order of appearance."""
        return tuple(
            dict.fromkeys(name for pair in self.pairs for name in (pair.first, pair.second))
        )

    @property
    def dimension_ids(self) -> tuple[str, ...]:
        """Ids of the rows."""
        return tuple(dimension.id for dimension in self.dimensions)


def check_campaign(campaign: Campaign) -> None:
    """Refuse a protocol that cannot give a result.

    Raises:
        InputError: One sentence about the first thing that does not fit.
    """
    if not campaign.cases:
        raise InputError(f"campaign {campaign.name!r} has no cases; choose a suite or name cases")
    _check_unique("case", campaign.cases)
    _check_unique("dimension", campaign.dimension_ids)
    if not campaign.dimensions:
        raise InputError(f"campaign {campaign.name!r} has no dimensions; keep at least one")
    _check_pairs(campaign)
    if not 1 <= campaign.per_case <= campaign.raters:
        raise InputError(
            f"{campaign.per_case} raters per case do not fit {campaign.raters} raters; "
            f"choose 1 to {campaign.raters} per case, or more raters"
        )
    shares = {
        "checks.repeat_share": (campaign.checks.repeat_share, 0.5),
        "checks.qualification_pass": (campaign.checks.qualification_pass, 1.0),
        "viewing.min_seen": (campaign.viewing.min_seen, 1.0),
        "viewing.min_heard": (campaign.viewing.min_heard, 1.0),
    }
    for name, (value, most) in shares.items():
        if not 0 <= value <= most:
            raise InputError(f"{name} is {value}; expected a share between 0 and {most:g}")
    for mode in campaign.viewing.modes:
        if mode not in MODES:
            raise InputError(
                f"viewing mode {mode!r} does not exist; choose from {', '.join(MODES)}"
            )
    if campaign.lease_s < 1:
        raise InputError(
            f"lease_s is {campaign.lease_s}; a pair needs at least a second to be answered"
        )
    _check_known_items(campaign)


def _check_unique(what: str, names: tuple[str, ...]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{what} {twice[0]!r} is listed twice; list every {what} once")


def _check_pairs(campaign: Campaign) -> None:
    if not campaign.pairs:
        raise InputError(
            f"campaign {campaign.name!r} compares nothing; give at least one pair of systems"
        )
    met: set[frozenset[str]] = set()
    for pair in campaign.pairs:
        if pair.first == pair.second:
            raise InputError(
                f"pair {pair.first!r} against itself is a check, not a comparison; raise checks.nulls instead"
            )
        both = frozenset((pair.first, pair.second))
        if both in met:
            raise InputError(
                f"pair {pair.first!r} and {pair.second!r} is listed twice; list it once"
            )
        met.add(both)
    systems = campaign.systems
    first = [systems.index(pair.first) for pair in campaign.pairs]
    second = [systems.index(pair.second) for pair in campaign.pairs]
    groups = components(len(systems), first, second)
    if len(groups) > 1:
        named = " | ".join(", ".join(systems[i] for i in group) for group in groups)
        raise InputError(
            f"the pairs form {len(groups)} groups that never meet ({named}), which no ranking can join; "
            "add a pair across groups or make one campaign per group"
        )


def _check_known_items(campaign: Campaign) -> None:
    checks = campaign.checks
    for item in (*checks.training, *checks.qualification, *checks.gold):
        for dimension, outcome in item.expected.items():
            if dimension not in campaign.dimension_ids:
                raise InputError(
                    f"a known item on case {item.case!r} expects an answer to {dimension!r}, which is not "
                    f"asked; choose from {', '.join(campaign.dimension_ids)}"
                )
            if outcome not in ("good", "same", "bad"):
                raise InputError(
                    f"a known item on case {item.case!r} expects {outcome!r}; expected good, same or bad"
                )
        if not item.expected:
            raise InputError(
                f"a known item on case {item.case!r} expects nothing; name at least one dimension"
            )


def campaign_record(campaign: Campaign) -> dict[str, Any]:
    """The campaign as JSON-able data."""
    record: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(campaign)))
    return record


def campaign_digest(record: Mapping[str, Any]) -> str:
    """Digest of a campaign record, 64 hex digits: the pre-registered protocol."""
    text = json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
