"""Arithmetic of motion: how much moves, how much flickers, and whether segment borders show.

Works on what a backend measured between frames; knows neither frames nor optical flow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LUMA: Final = (0.299, 0.587, 0.114)
"""ITU-R BT.601 weights of R, G and B."""

SEAM_FLOOR: Final = 0.25
"""Grey levels below which the spread of frame differences is not trusted: 8-bit rounding noise."""

MAD_TO_STD: Final = 1.4826
"""Standard deviations per median absolute deviation of a normal distribution."""

Floats = NDArray[np.floating[Any]]


def luma(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the brightness of an image.

    Args:
        rgb: uint8, (height, width, 3).

    Returns:
        float32, (height, width), 0 to 255.
    """
    return (rgb.astype(np.float32) @ np.asarray(LUMA, dtype=np.float32)).astype(np.float32)


def difference(before: Floats, after: Floats) -> float:
    """Return the mean absolute change of brightness between two frames, in grey levels, 0 to 255."""
    return float(np.mean(np.abs(after - before)))


def second_difference(before: Floats, middle: Floats, after: Floats) -> float:
    """Return the mean absolute second difference of brightness over time, halved, in grey levels.

    A steady fade has none; a pixel that jumps by d for one frame has d. Unlike the mean absolute first
    difference (VBench's temporal flickering) it does not reward stillness over steady motion.
    """
    return float(np.mean(np.abs(before - 2 * middle + after)) / 2)


def flow_speed(flow: Floats, interval_s: float) -> float:
    """Return the mean speed of an optical flow field in percent of the short side per second.

    Args:
        flow: (height, width, 2), displacement in pixels of the same grid.
        interval_s: Seconds between the two frames.
    """
    short = min(flow.shape[0], flow.shape[1])
    return float(100.0 * np.mean(np.hypot(flow[..., 0], flow[..., 1])) / short / interval_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seam:
    """How one segment border stands out.

    Attributes:
        time_s: Time of the first frame after the border.
        jump: Brightness change across the border, in grey levels.
        score: `jump` in robust standard deviations from the changes inside segments.
    """

    time_s: float
    jump: float
    score: float


def seam_scores(times_s: Floats, jumps: Floats, borders_s: Sequence[float]) -> list[Seam]:
    """Compare the change across each border with the changes inside the segments.

    The change at a border is the one between the last frame before it and the first frame at or after
    it. Centre and spread of the others are median and scaled median absolute deviation, so that a cut
    inside a segment does not hide a seam.

    Args:
        times_s: (n,), time of the later frame of each pair, increasing.
        jumps: (n,), change between the frames of each pair.
        borders_s: Times at which segments join.

    Returns:
        One seam per border that lies between two frames, in order; empty when there is none.
    """
    if len(times_s) == 0:
        return []
    # A border may be given as a rounded time: a frame this close before it already belongs behind it.
    slack = 0.25 * float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
    # A border at or before the first frame joins nothing; a pair's earlier frame may be that one.
    places = {
        int(np.searchsorted(times_s, border - slack)) for border in borders_s if border > slack
    }
    at = sorted(place for place in places if place < len(times_s))
    inside = np.delete(jumps, at)
    if not at or len(inside) == 0:
        return []
    centre = float(np.median(inside))
    spread = max(MAD_TO_STD * float(np.median(np.abs(inside - centre))), SEAM_FLOOR)
    return [
        Seam(
            time_s=float(times_s[place]),
            jump=float(jumps[place]),
            score=(float(jumps[place]) - centre) / spread,
        )
        for place in at
    ]
