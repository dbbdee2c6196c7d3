"""Arithmetic of hands: how sure a detector is of them (HKC) and how widely they move (HKV).

No reference code for either was ever published; definitions and why published numbers fall into two
families are in docs/metrics/hands.md. 'Variance' is the field's word: published values of 18 to 72 fit
the standard deviation in pixels, which is what `hands.variance` is here. Works on keypoints; knows no
detector.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

SHORT_SIDE: Final = 720
"""Pixels of the short side at which movement is expressed, so that resolution does not matter."""

NUM_SIDES: Final = 2
"""Left and right."""

MEMORY_FRAMES: Final = 25
"""Frames for which the place of a lost hand is remembered: one second at 25 fps."""

Spread = Literal["std", "var"]
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class HandSighting:
    """One hand in one frame.

    Attributes:
        side: 0 or 1: which hand the detector says it is.
        score: Confidence of the detector, 0 to 1.
        points: (K, 2), x and y in pixels of the source frame.
    """

    side: int
    score: float
    points: Floats


class SideKeeper:
    """Gives every side at most one hand per frame, and keeps it with the same hand over time.

    Detectors swap left and right now and then, which would look like a hand that jumps across the
    picture. A hand within one hand length of where a side was seen in the last `MEMORY_FRAMES` frames
    is that side; only otherwise the detector's word counts, the surer hand's first. Of more than two
    hands the two surest are kept.
    """

    def __init__(self) -> None:
        self._frame = 0
        self._seen: dict[int, tuple[int, Floats]] = {}

    def assign(self, sightings: Sequence[HandSighting]) -> dict[int, HandSighting]:
        """Return the hands of the next frame by side."""
        hands = sorted(sightings, key=lambda each: -each.score)[:NUM_SIDES]
        taken: dict[int, HandSighting] = {}
        for _, side, index in sorted(self._near(hands)):
            if side not in taken and not any(hands[index] is hand for hand in taken.values()):
                taken[side] = hands[index]
        for hand in hands:
            if any(hand is other for other in taken.values()):
                continue
            side = hand.side if hand.side not in taken else NUM_SIDES - 1 - hand.side
            taken.setdefault(side, hand)
        for side, hand in taken.items():
            self._seen[side] = (self._frame, hand.points[0])
        self._frame += 1
        return taken

    def _near(self, hands: Sequence[HandSighting]) -> list[tuple[float, int, int]]:
        """Return (distance in hand lengths, side, index) of every hand close to a remembered place."""
        near = []
        for index, hand in enumerate(hands):
            length = float(np.max(np.ptp(hand.points, axis=0)))
            for side, (frame, place) in self._seen.items():
                distance = float(np.linalg.norm(hand.points[0] - place))
                if self._frame - frame <= MEMORY_FRAMES and distance <= length:
                    near.append((distance / max(length, 1e-9), side, index))
        return near


def confidence(scores: Floats) -> float | None:
    """Return HKC: the mean score over all hands that were seen; higher is better.

    Args:
        scores: (frames, sides) or (frames, sides, K); NaN where a hand was absent.

    Returns:
        0 to 1 for scores in that range; None when no hand was ever seen.
    """
    seen = scores[np.isfinite(scores)]
    return float(np.mean(seen, dtype=np.float64)) if seen.size else None


def present_rate(points: Floats) -> float:
    """Return the share of frames with at least one hand; `points` is (frames, sides, K, 2)."""
    if len(points) == 0:
        return 0.0
    return float(np.mean(np.isfinite(points[..., 0, 0]).any(axis=1)))


def spread(points: Floats, kind: Spread = "std") -> float | None:
    """Return HKV: how far keypoints stray from their mean over time; descriptive, not a quality.

    Args:
        points: (frames, sides, K, 2), NaN where a hand was absent.
        kind: Population standard deviation or variance over the frames in which the hand is there.

    Returns:
        Mean over coordinates, keypoints and the sides seen in at least two frames, in the unit of
        `points` (or its square); None when no side is.
    """
    values = []
    for side in range(points.shape[1]):
        here = points[np.isfinite(points[:, side, 0, 0]), side].astype(np.float64)
        if len(here) >= 2:
            here -= here[:1].copy()  # a hand at rest has exactly no spread
            values.append(float(np.mean(here.std(axis=0) if kind == "std" else here.var(axis=0))))
    return float(np.mean(values)) if values else None


def step(points: Floats) -> float | None:
    """Return the mean distance a keypoint moves from one frame to the next, in the unit of `points`.

    Only pairs of neighbouring frames that both have the hand count; None when there is none. The
    reading of 'variance' that AnyTalker built its eye metric on.
    """
    moved = np.linalg.norm(np.diff(points.astype(np.float64), axis=0), axis=-1)
    known = moved[np.isfinite(moved)]
    return float(known.mean()) if known.size else None


def in_pixels(points: Floats, width: int, height: int) -> NDArray[np.float64]:
    """Scale keypoints in source pixels to a frame whose short side is `SHORT_SIDE`."""
    scaled: NDArray[np.float64] = points.astype(np.float64) * (SHORT_SIDE / min(width, height))
    return scaled


def as_fractions(points: Floats, width: int, height: int) -> NDArray[np.float64]:
    """Express keypoints in source pixels as fractions of the frame's width and height."""
    fractions: NDArray[np.float64] = points.astype(np.float64) / np.array([width, height])
    return fractions


def shoulder_spread(points: Floats, shoulders: Floats) -> float | None:
    """Return `spread` in shoulder widths: independent of framing and distance.

    Args:
        points: (frames, sides, K, 2).
        shoulders: (frames, 2, 2): both shoulders, NaN where no body was seen.

    Returns:
        HKV divided by the median shoulder width; None without a hand or a body.
    """
    widths = np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=-1)
    widths = widths[np.isfinite(widths)]
    value = spread(points)
    if value is None or not widths.size or np.median(widths) == 0:
        return None
    return value / float(np.median(widths))


def body_relative_spread(points: Floats, shoulders: Floats) -> float | None:
    """Return `spread` of the wrists relative to the point between the shoulders.

    Camera motion and walking cancel. Arguments as in `shoulder_spread`; keypoint 0 is the wrist.
    """
    middle = shoulders.mean(axis=1)[:, None, None, :]
    return spread(points[:, :, :1] - middle)
