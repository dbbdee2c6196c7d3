"""The contract between the runner and whatever measures a clip.

A **measure** is one pass over a clip that yields one or more **metrics**: hand keypoints are found
once and give both `hands.confidence` and `hands.variance`. The runner decodes a clip once and shows
the frames to the observers of all measures; a measure therefore says which frames it wants, what else
of the case it reads, and every constant that decides its answer. This file knows no metric and no
file format.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from eval.reasons import REASONS
from eval.records import Speaker
from eval.series import Series
from joystreamer.media import Frame, MediaProbe, read_audio

SAMPLE_RATE: Final = 16_000
"""Hz. Every metric hears the clip as mono audio at this rate, made by one resampler."""

Better = Literal["higher", "lower", "neither"]
Input = Literal["reference", "speech", "prompt", "speakers", "borders"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One number about one clip.

    Attributes:
        name: `family.name`, for example `sync.confidence`.
        unit: Unit as printed; empty for a plain number.
        better: Direction in which a system improves; `neither` for descriptive numbers.
        summary: One line that a lead understands.
    """

    name: str
    unit: str
    better: Better
    summary: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one metric says of one clip: a finite value, or nothing and a reason.

    Attributes:
        value: The score; None when it could not be measured.
        reason: Code from `eval.reasons.REASONS` when `value` is None, else None.
        message: One sentence for people beside the reason.
        details: JSON-able facts worth keeping (counts, per-track results, worst windows).
        series: Named quantities over time.
    """

    value: float | None = None
    reason: str | None = None
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    series: Mapping[str, Series] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.value is None) == (self.reason is None):
            raise ValueError(
                f"an outcome has either a value or a reason, got {self.value!r} and {self.reason!r}"
            )
        if self.value is not None and not np.isfinite(self.value):
            raise ValueError(
                f"a score must be finite, got {self.value!r}: say why it is not with a reason"
            )
        if self.reason is not None and self.reason not in REASONS:
            raise ValueError(f"unknown reason {self.reason!r}; known: {', '.join(sorted(REASONS))}")


class CannotMeasure(Exception):
    """Raised by a measure that has no answer for this clip; becomes a null score with this reason."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or REASONS[reason])
        self.reason = reason
        self.message = message or REASONS[reason]


class WeightFinder(Protocol):
    """Where network weights are; see `eval.weights.WeightFolder`."""

    def find(self, name: str) -> Path:
        """Return the verified file of a row of the weights table.

        Raises:
            MissingWeights: It is not on this machine.
        """


@dataclass(frozen=True, kw_only=True)
class ClipInputs:
    """Everything a measure may read of a clip and its case.

    Attributes:
        path: The clip's media file.
        probe: What the container says of it.
        weights: Finds weights by name.
        device: Torch device string for networks that can use one.
        reference: Reference image, None when the clip has no case.
        speech: Clean speech that should be heard; None means the clip's own audio.
        prompt: Text prompt of the case; empty when there is none.
        questions: Yes/no questions a judge asks, one per checkable clause of the prompt.
        extra: Further facts of the case that belong to its suite.
        speakers: The case's speakers, with boxes and masks where given.
        borders_s: Times in seconds at which generated segments join; None when unknown.
    """

    path: Path
    probe: MediaProbe
    weights: WeightFinder
    device: str = "cpu"
    reference: Path | None = None
    speech: Path | None = None
    prompt: str = ""
    questions: Sequence[str] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    speakers: Sequence[Speaker] = ()
    borders_s: tuple[float, ...] | None = None

    @cached_property
    def audio(self) -> NDArray[np.float32] | None:
        """The clip's own sound: float32 mono in [-1, 1] at `SAMPLE_RATE`; None without an audio stream."""
        return read_audio(self.path, sample_rate=SAMPLE_RATE)


class Observer(Protocol):
    """Watches one clip from its first frame to its last and then says what it saw."""

    def see(self, frame: Frame) -> None:
        """Take the next frame; called in time order, never called when `Measure.rate` is 'none'.

        Raises:
            CannotMeasure: This clip has no answer; the observer is not called again.
        """

    def finish(self) -> Mapping[str, Outcome]:
        """Return one outcome per metric of the measure.

        Raises:
            CannotMeasure: This clip has no answer.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A row of the metric table: what is measured, from what, by which constants.

    Attributes:
        name: Family, for example `sync`.
        variant: Named specification, for example `clean` or `mocha`. One variant per family is default.
        version: Raised by hand whenever the code would give another answer for the same constants.
        metrics: The metrics this pass yields.
        start: Opens an observer for one clip; heavy networks are loaded (and kept) behind it.
        parameters: Every constant that decides the answer, JSON-able.
        rate: Frames per second it wants to see; 'own' for the clip's own frames, 'none' for no frames.
        inputs: Parts of the case that decide the answer, besides the clip itself.
        weights: Names in the weights table that must be on this machine.
        libraries: Distributions whose version may change the answer.
        default: Whether `score` runs it when nothing is chosen.
        needs_extra: Key of the case's `extra` that it judges by; clips of other cases are not planned
            for it and leave no score, not even a null one. '' measures every clip.
        unverified: Compatibility modes not yet run against their reference with real weights.
        source: Paper or reference implementation.
    """

    name: str
    variant: str
    version: int
    metrics: tuple[Metric, ...]
    start: Callable[[ClipInputs], Observer]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    rate: float | Literal["own", "none"] = "own"
    inputs: frozenset[Input] = frozenset()
    weights: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    default: bool = True
    needs_extra: str = ""
    unverified: bool = False
    source: str = ""

    @property
    def spec(self) -> str:
        """Name by which people choose it: `family/variant`."""
        return f"{self.name}/{self.variant}"

    def description(self, weight_digests: Mapping[str, str]) -> dict[str, Any]:
        """Return everything that decides the answer, as stored beside the scores.

        Args:
            weight_digests: sha256 by weight name; 'missing' for weights not on this machine.
        """
        return {
            "measure": self.name,
            "variant": self.variant,
            "version": self.version,
            "metrics": [metric.name for metric in self.metrics],
            "parameters": dict(self.parameters),
            "rate": self.rate,
            "weights": {name: weight_digests[name] for name in self.weights},
            "libraries": {name: metadata.version(name) for name in self.libraries},
            "unverified": self.unverified,
        }

    def fingerprint(self, weight_digests: Mapping[str, str]) -> str:
        """Return the first 16 hex digits of the digest of `description`: scores with equal ones compare."""
        text = json.dumps(self.description(weight_digests), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
