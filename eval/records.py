"""The records of the harness: what a suite asks, who answers, and what was measured.

Small frozen dataclasses without behaviour. Reading them from files is `eval.reader`'s work, keeping
them is `eval.store`'s; nothing here knows of either.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

Subject = Literal["human", "animal", "cartoon", "doll"]
Mode = Literal["speaking", "speech", "singing"]
Content = Literal["expression", "body", "object", "camera", "background"]
SystemKind = Literal["checkpoint", "competitor", "published"]

DIMENSIONS: Final = (
    "overall_quality",
    "text_alignment",
    "lip_synchronization",
    "identity_consistency",
    "visual_quality",
)
"""The five dimensions people rate, in the order of the paper's Sec. 4.2."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speaker:
    """Somebody who may talk in a case.

    Attributes:
        audio: Speech of this speaker alone.
        box: left, top, right, bottom as fractions of the reference image, or None.
        mask: Image whose bright pixels are this speaker, or None.
        spans: Times (start, end) in seconds at which this speaker talks; empty means the whole audio.
    """

    audio: Path | None = None
    box: tuple[float, float, float, float] | None = None
    mask: Path | None = None
    spans: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Tags:
    """What kind of case it is; leaderboards are filtered by these."""

    subject: Subject = "human"
    mode: Mode = "speaking"
    content: tuple[Content, ...] = ()
    language: str = "en"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One question of a suite: an image, speech and a prompt that a system turns into a clip.

    Attributes:
        id: Unique within its suite.
        prompt: What should be seen.
        image: Reference image; None when the user has not supplied it yet.
        speakers: At least one; more for dialogues.
        tags: Subject, mode, content and language.
        duration_s: Seconds of audio asked for, or None to follow the audio file.
        questions: Yes/no questions a judge asks of the clip, one per checkable clause of the prompt.
        image_needed: What the image must show, for suites whose media the user supplies.
        source: Where it comes from.
        licence: Licence of its media.
        extra: Further facts that belong to a suite (for example a puppet's program).
    """

    id: str
    prompt: str = ""
    image: Path | None = None
    speakers: tuple[Speaker, ...] = ()
    tags: Tags = field(default_factory=Tags)
    duration_s: float | None = None
    questions: tuple[str, ...] = ()
    image_needed: str = ""
    source: str = ""
    licence: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """A named, versioned set of cases.

    Attributes:
        name: How it is chosen; unique in a workspace.
        version: Raised whenever its cases change; scores keep the version they answer.
        asks: One sentence: what a good result on this suite means.
        cases: In the order of the file.
        dimensions: Dimensions people rate on it.
        metrics: Measures that make sense on it, as `family` or `family/variant`; empty means all.
        licence: Of its texts; media carry their own.
        root: Folder the suite was read from; paths of its cases lie inside it.
    """

    name: str
    version: str
    asks: str
    cases: tuple[Case, ...]
    dimensions: tuple[str, ...] = DIMENSIONS
    metrics: tuple[str, ...] = ()
    licence: str = ""
    root: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class System:
    """Somebody who answers cases: one of our checkpoints, a competitor, or a published row.

    Attributes:
        name: Unique in a workspace; shown on leaderboards, never to annotators.
        kind: checkpoint, competitor or published.
        family: Groups the checkpoints of one training run.
        step: Training step of a checkpoint.
        notes: Free text.
        card: Further facts: version, date, command, settings.
    """

    name: str
    kind: SystemKind = "checkpoint"
    family: str = ""
    step: int | None = None
    notes: str = ""
    card: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """A system's answer to a case.

    Attributes:
        system: Name of the system.
        suite: Name of the suite, or '' for a folder that is scored without one.
        case: Id of the case.
        seed: Seed it was generated with; 0 when unknown.
        digest: sha256 of the original file.
        name: File name as it came.
        probe: What the container says (fps, size, duration, audio), JSON-able; empty if unreadable.
        problem: Why it cannot be decoded, in one sentence; '' when it can.
        borders_s: Times at which generated segments join; None when unknown.
    """

    system: str
    case: str
    digest: str
    name: str
    suite: str = ""
    seed: int = 0
    probe: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    borders_s: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """One metric's answer for one clip: a value, or null with a reason.

    Attributes:
        clip_id: Row of the clip in the store.
        metric: `family.name`.
        variant: Specification of the measure, for example `clean`.
        fingerprint: Digest of constants, weights and library versions; equal ones compare.
        value: None when it could not be measured.
        reason: Code from `eval.reasons` when value is None.
        message: One sentence beside the reason.
        details: JSON-able facts.
        series: Digest of the stored series, '' when there is none.
    """

    clip_id: int
    metric: str
    variant: str
    fingerprint: str
    value: float | None
    reason: str | None = None
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    series: str = ""
