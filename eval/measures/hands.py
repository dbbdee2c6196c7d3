"""`hands.*`: confidence (HKC) and movement (HKV) of hand keypoints."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from eval.backends.dwpose import DWPoseHands
from eval.backends.mediapipe_hands import (
    MINIMUM_DETECTION,
    MINIMUM_PRESENCE,
    MINIMUM_TRACKING,
    NUM_HANDS,
    MediapipeHands,
)
from eval.backends.mediapipe_pose import MINIMUM_VISIBILITY, MediapipePose
from eval.dwpose import BOX_PADDING, HAND_SCORE, NMS_IOU, PERSON_SCORE
from eval.hands import (
    MEMORY_FRAMES,
    NUM_SIDES,
    SHORT_SIDE,
    HandSighting,
    SideKeeper,
    as_fractions,
    body_relative_spread,
    confidence,
    in_pixels,
    present_rate,
    shoulder_spread,
    spread,
    step,
)
from eval.measure import CannotMeasure, ClipInputs, Measure, Metric, Outcome
from eval.series import Series
from eval.windows import WINDOW_S, clip_windows, long_details
from joystreamer.media import Frame

RATE: Final = 25.0
"""Frames per second: the rate of the paper's clips, and what makes a step a fixed time."""

CONFIDENCE: Final = Metric(
    name="hands.confidence",
    unit="",
    better="higher",
    summary="HKC: how sure the detector is of the hands it sees",
)
VARIANCE: Final = Metric(
    name="hands.variance",
    unit="px at 720",
    better="neither",
    summary="HKV: how widely hands move; descriptive, stillness is not a fault",
)
SQUARED: Final = Metric(
    name="hands.variance_squared",
    unit="px² at 720",
    better="neither",
    summary="HKV read as variance",
)
NORMALISED: Final = Metric(
    name="hands.variance_normalised",
    unit="of the frame",
    better="neither",
    summary="HKV in fractions of width and height (the scale of EMO2)",
)
STEP: Final = Metric(
    name="hands.step", unit="px at 720", better="neither", summary="Mean keypoint travel per 40 ms"
)
SHOULDER: Final = Metric(
    name="hands.variance_shoulder",
    unit="shoulder widths",
    better="neither",
    summary="HKV divided by shoulder width",
)
BODY_RELATIVE: Final = Metric(
    name="hands.variance_body",
    unit="px at 720",
    better="neither",
    summary="HKV of the wrists relative to the shoulders: free of camera and walking",
)


class HandFinder(Protocol):
    """Finds the hands of one clip, frame after frame.

    Attributes:
        all_scores: Scores of hands before any was left out for a low score; empty where a detector
            names only what it is sure of.
    """

    all_scores: list[float]

    def find(self, frame: Frame) -> list[HandSighting]:
        """Return the hands of the next frame."""

    def close(self) -> None:
        """Free what is held."""


class HandsObserver:
    """Collects keypoints and says how sure and how lively they were.

    Args:
        inputs: The clip.
        find: Opens the detector for this clip.
        readings: Metrics to answer.
        pose: Whether shoulders are needed.
        keep_sides: Whether hands are followed by place, because the detector swaps left and right.
    """

    def __init__(
        self,
        inputs: ClipInputs,
        *,
        find: Callable[[ClipInputs], HandFinder],
        readings: Sequence[Metric],
        pose: bool = False,
        keep_sides: bool = True,
    ) -> None:
        self._inputs = inputs
        self._readings = readings
        self._finder = find(inputs)
        self._pose = MediapipePose(inputs.weights.find("pose-landmarker-lite")) if pose else None
        self._size = (0, 0)
        self._sides = SideKeeper() if keep_sides else None
        self._times: list[float] = []
        self._hands: list[dict[int, HandSighting]] = []
        self._shoulders: list[NDArray[np.float64]] = []

    def see(self, frame: Frame) -> None:
        """Find the hands of one frame."""
        height, width = frame.rgb.shape[:2]
        self._size = (width, height)
        self._times.append(frame.time_s)
        found = self._finder.find(frame)
        self._hands.append(
            {hand.side: hand for hand in found}
            if self._sides is None
            else self._sides.assign(found)
        )
        if self._pose is not None:
            body = self._pose.find(frame)
            self._shoulders.append(np.full((2, 2), np.nan) if body is None else body.shoulders)

    def finish(self) -> Mapping[str, Outcome]:
        """Return one outcome per reading."""
        self._finder.close()
        if self._pose is not None:
            self._pose.close()
        scores, points = stack_sightings(self._hands)
        if not np.isfinite(scores).any():
            raise CannotMeasure("no_hand", f"no hand was found in any of {len(scores)} frames")
        unmasked = self._finder.all_scores
        shoulders = np.asarray(self._shoulders).reshape(-1, 2, 2) if self._shoulders else None
        values = hand_readings(scores, points, self._size, shoulders)
        details = {
            "present_rate": present_rate(points),
            "frames": len(scores),
            "frames_by_side": [
                int(np.isfinite(scores[:, side, 0]).sum()) for side in range(NUM_SIDES)
            ],
            "readings": {name: value for name, value in values.items() if value is not None},
            **({"unmasked_confidence": float(np.mean(unmasked))} if unmasked else {}),
        }
        return {
            metric.name: self._outcome(metric, values, details, scores, points)
            for metric in self._readings
        }

    def _outcome(
        self,
        metric: Metric,
        values: Mapping[str, float | None],
        details: dict[str, Any],
        scores: NDArray[np.float64],
        points: NDArray[np.float64],
    ) -> Outcome:
        value = values[metric.name]
        if value is None:
            pose = metric in (SHOULDER, BODY_RELATIVE)
            return Outcome(
                reason="no_person" if pose else "too_short",
                message="shoulders were never seen together with a hand"
                if pose
                else "no hand was seen in two frames, so nothing is known of its movement",
                details=details,
            )
        times = np.asarray(self._times)
        end_s = max(self._inputs.probe.duration_s, float(times[-1]))
        if metric == CONFIDENCE:
            per_frame = mean_per_frame(scores)
            details = details | long_details(times, per_frame, end_s, "low")
            series = {"score": Series(times_s=times, values=per_frame.astype(np.float32))}
        else:
            details = details | self._movement_windows(times, points, end_s)
            moved = keypoint_steps(in_pixels(points, *self._size))
            series = {
                "step": Series(times_s=times, values=moved.astype(np.float32), unit=STEP.unit)
            }
        return Outcome(value=value, details=details, series=series)

    def _movement_windows(
        self, times: NDArray[np.float64], points: NDArray[np.float64], end_s: float
    ) -> dict[str, Any]:
        """Return HKV of each 10 s window of a long clip: the mean of a series would not be it."""
        if end_s <= WINDOW_S:
            return {}
        pixels = in_pixels(points, *self._size)
        return {
            "windows": [
                {
                    "start_s": window.start_s,
                    "end_s": window.end_s,
                    "value": spread(pixels[(times >= window.start_s) & (times < window.end_s)]),
                }
                for window in clip_windows(times, times, end_s)
            ]
        }


def stack_sightings(
    hands: Sequence[Mapping[int, HandSighting]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lay sightings out as arrays.

    Returns:
        Scores (frames, sides, 1) and keypoints (frames, sides, K, 2) in source pixels; NaN where a
        hand was absent.
    """
    num_points = next((len(hand.points) for seen in hands for hand in seen.values()), 1)
    scores = np.full((len(hands), NUM_SIDES, 1), np.nan)
    points = np.full((len(hands), NUM_SIDES, num_points, 2), np.nan)
    for index, seen in enumerate(hands):
        for side, hand in seen.items():
            scores[index, side, 0] = hand.score
            points[index, side] = hand.points
    return scores, points


def hand_readings(
    scores: NDArray[np.float64],
    points: NDArray[np.float64],
    size: tuple[int, int],
    shoulders: NDArray[np.float64] | None = None,
) -> dict[str, float | None]:
    """Return every reading of the same keypoints by metric name.

    Args:
        scores: (frames, sides, ...).
        points: (frames, sides, K, 2) in source pixels.
        size: Width and height of the source frame.
        shoulders: (frames, 2, 2) in source pixels, or None.
    """
    pixels = in_pixels(points, *size)
    readings = {
        CONFIDENCE.name: confidence(scores),
        VARIANCE.name: spread(pixels),
        SQUARED.name: spread(pixels, "var"),
        NORMALISED.name: spread(as_fractions(points, *size)),
        STEP.name: step(pixels),
    }
    if shoulders is not None:
        readings[SHOULDER.name] = shoulder_spread(points, shoulders)
        readings[BODY_RELATIVE.name] = body_relative_spread(pixels, in_pixels(shoulders, *size))
    return readings


def mean_per_frame(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the finite values of each frame, (frames,); NaN where there is none."""
    flat = values.reshape(len(values), -1)
    known = np.isfinite(flat)
    counts = known.sum(axis=1)
    sums = np.where(known, flat, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def keypoint_steps(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean keypoint travel into each frame, (frames,); NaN where it is not known."""
    moved = np.linalg.norm(np.diff(points, axis=0), axis=-1)
    return np.concatenate([[np.nan], mean_per_frame(moved)])


def open_mediapipe(inputs: ClipInputs, *, weights: str) -> HandFinder:
    """Return a fresh MediaPipe landmarker for one clip."""
    return MediapipeHands(inputs.weights.find(weights))


def _mediapipe(
    variant: str,
    readings: tuple[Metric, ...],
    *,
    weights: str = "hand-landmarker",
    pose: bool = False,
    default: bool = False,
) -> Measure:
    return Measure(
        name="hands",
        variant=variant,
        version=1,
        metrics=readings,
        start=partial(
            HandsObserver,
            find=partial(open_mediapipe, weights=weights),
            readings=readings,
            pose=pose,
        ),
        parameters={
            "mode": "video, fresh state per clip",
            "num_hands": NUM_HANDS,
            "minimum_detection": MINIMUM_DETECTION,
            "minimum_presence": MINIMUM_PRESENCE,
            "minimum_tracking": MINIMUM_TRACKING,
            "short_side": SHORT_SIDE,
            "score": "one per hand",
            "sides": f"by place within a hand length, {MEMORY_FRAMES} frames",
            **({"minimum_visibility": MINIMUM_VISIBILITY} if pose else {}),
        },
        rate=RATE,
        weights=(weights, "pose-landmarker-lite") if pose else (weights,),
        libraries=("mediapipe",),
        default=default,
        source="MediaPipe HandLandmarker; HKC and HKV after CyberHost (arXiv 2409.01876)",
    )


def open_dwpose(inputs: ClipInputs) -> HandFinder:
    """Return DWPose's two networks."""
    return DWPoseHands(inputs.weights.find("yolox-l"), inputs.weights.find("dwpose"))


_DWPOSE: Final = Measure(
    name="hands",
    variant="dwpose-min",
    version=1,
    metrics=(CONFIDENCE, VARIANCE),
    start=partial(
        HandsObserver, find=open_dwpose, readings=(CONFIDENCE, VARIANCE), keep_sides=False
    ),
    parameters={
        "score": "per keypoint, smaller of both SimCC maxima",
        "hand_score": HAND_SCORE,
        "person": "largest box",
        "person_score": PERSON_SCORE,
        "nms_iou": NMS_IOU,
        "box_padding": BOX_PADDING,
        "short_side": SHORT_SIDE,
    },
    rate=RATE,
    weights=("yolox-l", "dwpose"),
    libraries=("opencv-contrib-python",),
    default=False,
    unverified=True,
    source="IDEA-Research/DWPose; HKC and HKV after CyberHost (arXiv 2409.01876)",
)


HANDS: Final[tuple[Measure, ...]] = (
    _mediapipe("mediapipe", (CONFIDENCE, VARIANCE), default=True),
    _mediapipe("mediapipe-lite", (CONFIDENCE, VARIANCE), weights="hand-landmarker-lite"),
    _mediapipe("mediapipe-readings", (SQUARED, NORMALISED, STEP)),
    _mediapipe("mediapipe-body", (SHOULDER, BODY_RELATIVE), pose=True),
    _DWPOSE,
)
"""The measures of this family."""
