"""`quality.*`: Q-Align's opinion, and light technical measures that need no network."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eval.backends.flow import shrink
from eval.backends.onealign import AFTER, BEFORE, Bits, Kind, QAlignScorer, load_scorer, prepare
from eval.drift import WINDOW_S, falling_drift
from eval.measure import CannotMeasure, ClipInputs, Measure, Metric, Outcome
from eval.measures.drift import drift_details
from eval.motion import luma
from eval.quality import (
    BLOCK,
    BLUR_WIDTH,
    GROUP,
    LEVEL_VALUES,
    LEVELS,
    blockiness,
    five_point,
    level_score,
    noise,
    sharpness,
)
from eval.series import Series
from eval.windows import long_details
from joystreamer.media import Frame

QALIGN_RATE: Final = 1.0
LIGHT_RATE: Final = 4.0
"""Frames per second."""

SHARPNESS_SHORT_SIDE: Final = 360
"""Pixels to which frames are scaled before sharpness: what a viewer of a small player sees."""

QALIGN: Final = Metric(
    name="quality.qalign",
    unit="",
    better="higher",
    summary="Q-Score: OneAlign's opinion of the picture, 0 to 1",
)
QALIGN_15: Final = Metric(
    name="quality.qalign_15",
    unit="",
    better="higher",
    summary="The same opinion on the 1 to 5 scale",
)
DRIFT_QUALITY: Final = Metric(
    name="drift.quality",
    unit="",
    better="lower",
    summary="Q-Score lost from the beginning to the end",
)
SHARPNESS: Final = Metric(
    name="quality.sharpness",
    unit="",
    better="higher",
    summary="1 minus the blur effect; a technical measure, not an opinion",
)
BLOCKINESS: Final = Metric(
    name="quality.blockiness",
    unit="",
    better="lower",
    summary="Excess of steps across 8-pixel block borders",
)
NOISE: Final = Metric(
    name="quality.noise", unit="grey levels", better="lower", summary="Standard deviation of grain"
)
DRIFT_SHARPNESS: Final = Metric(
    name="drift.sharpness",
    unit="",
    better="lower",
    summary="Sharpness lost from the beginning to the end",
)


def drift_outcome(times: NDArray[np.float64], values: NDArray[np.float64], end_s: float) -> Outcome:
    """Return how much a quality has fallen, or why that is not known."""
    drift = falling_drift(times, values, end_s)
    if drift is None:
        words = f"drift needs {2 * WINDOW_S:g} s, the clip has {end_s:.2f} s"
        return Outcome(reason="too_short", message=words)
    return Outcome(value=drift.value, details=drift_details(drift, WINDOW_S))


class QAlignObserver:
    """Scores one frame per second, or all of them together as a video.

    Args:
        inputs: The clip.
        kind: Head: a mean over images, or one video.
        scorer: The network.
    """

    def __init__(self, inputs: ClipInputs, *, kind: Kind, scorer: QAlignScorer) -> None:
        self._inputs = inputs
        self._kind = kind
        self._scorer = scorer
        self._times: list[float] = []
        self._scores: list[float] = []
        self._looked: list[Any] = []

    def see(self, frame: Frame) -> None:
        """Look at one frame; the reference takes whole seconds only."""
        if frame.time_s >= max(1.0, np.floor(self._inputs.probe.duration_s + 1e-6)):
            return
        looked = self._scorer.look(prepare(frame.rgb, self._scorer.image_size))
        self._times.append(frame.time_s)
        if self._kind == "video":
            self._looked.append(looked)
        else:
            self._scores.append(float(level_score(self._scorer.judge([looked], "image"))))

    def finish(self) -> Mapping[str, Outcome]:
        """Return the score on both scales, and for images its drift."""
        if not self._times:
            raise CannotMeasure("too_short", "the clip has no frame at a whole second")
        end_s = max(self._inputs.probe.duration_s, self._times[-1])
        times = np.asarray(self._times)
        if self._kind == "video":
            logits = self._scorer.judge(self._looked, "video")
            score = float(level_score(logits))
            details: dict[str, Any] = {
                "frames": len(times),
                "logits": dict(zip(LEVELS, logits, strict=True)),
            }
            return {
                QALIGN.name: Outcome(value=score, details=details),
                QALIGN_15.name: Outcome(value=five_point(score)),
            }
        scores = np.asarray(self._scores)
        score = float(scores.mean())
        details = {"frames": len(times), "minimum": float(scores.min())}
        details |= long_details(times, scores, end_s, "low")
        series = {"quality": Series(times_s=times, values=scores.astype(np.float32))}
        return {
            QALIGN.name: Outcome(value=score, details=details, series=series),
            QALIGN_15.name: Outcome(value=five_point(score)),
            DRIFT_QUALITY.name: drift_outcome(times, scores, end_s),
        }


class LightObserver:
    """Technical measures of one frame at a time."""

    def __init__(self, inputs: ClipInputs) -> None:
        self._inputs = inputs
        self._times: list[float] = []
        self._values: list[tuple[float, float, float]] = []

    def see(self, frame: Frame) -> None:
        """Measure one frame."""
        full = luma(frame.rgb)
        small = luma(shrink(frame.rgb, SHARPNESS_SHORT_SIDE))
        self._times.append(frame.time_s)
        self._values.append((sharpness(small), blockiness(full), noise(full)))

    def finish(self) -> Mapping[str, Outcome]:
        """Return the means and the drift of sharpness."""
        if not self._times:
            raise CannotMeasure("too_short", "the clip has no frame")
        times, values = np.asarray(self._times), np.asarray(self._values)
        end_s = max(self._inputs.probe.duration_s, self._times[-1])
        outcomes = {}
        for place, metric in enumerate((SHARPNESS, BLOCKINESS, NOISE)):
            one = values[:, place]
            outcomes[metric.name] = Outcome(
                value=float(one.mean()),
                details={
                    "frames": len(times),
                    **long_details(times, one, end_s, "low" if place == 0 else "high"),
                },
                series={
                    metric.name: Series(
                        times_s=times, values=one.astype(np.float32), unit=metric.unit
                    )
                },
            )
        outcomes[DRIFT_SHARPNESS.name] = drift_outcome(times, values[:, 0], end_s)
        return outcomes


def start_qalign(inputs: ClipInputs, *, kind: Kind, bits: Bits) -> QAlignObserver:
    """Open OneAlign (once per process) for a clip."""
    files = tuple(inputs.weights.find(name) for name in ("onealign-1", "onealign-2"))
    tokenizer = inputs.weights.find("llama-tokenizer")
    scorer = load_scorer(files, tokenizer, bits, inputs.device)
    return QAlignObserver(inputs, kind=kind, scorer=scorer)


def _qalign(
    variant: str, kind: Kind = "image", bits: Bits = 16, *, default: bool = False
) -> Measure:
    metrics = (QALIGN, QALIGN_15, DRIFT_QUALITY) if kind == "image" else (QALIGN, QALIGN_15)
    return Measure(
        name="quality",
        variant=variant,
        version=1,
        metrics=metrics,
        start=partial(start_qalign, kind=kind, bits=bits),
        parameters={
            "head": kind,
            "bits": bits,
            "group": GROUP if bits == 4 else None,
            "prompt": BEFORE.format(kind) + "<image>" + AFTER.format(kind),
            "levels": LEVELS,
            "level_values": LEVEL_VALUES,
            "precision": "half, softmax in double",
        },
        rate=QALIGN_RATE,
        weights=("onealign-1", "onealign-2", "llama-tokenizer"),
        libraries=("torch", "pillow", "sentencepiece"),
        default=default,
        unverified=True,
        source="Q-Future/Q-Align @14dfdff (OneAlign); which head the paper used is not known",
    )


QUALITY: Final[tuple[Measure, ...]] = (
    _qalign("qalign", default=True),
    _qalign("qalign-video", "video"),
    _qalign("qalign-8bit", bits=8),
    _qalign("qalign-4bit", bits=4),
    Measure(
        name="quality",
        variant="light",
        version=1,
        metrics=(SHARPNESS, BLOCKINESS, NOISE, DRIFT_SHARPNESS),
        start=LightObserver,
        parameters={
            "sharpness_short_side": SHARPNESS_SHORT_SIDE,
            "blur_width": BLUR_WIDTH,
            "block": BLOCK,
            "window_s": WINDOW_S,
        },
        rate=LIGHT_RATE,
        libraries=("opencv-contrib-python", "scipy"),
        source="Crete et al. 2007 (blur effect), Immerkaer 1996 (noise); blockiness is ours",
    ),
)
"""The measures of this family."""
