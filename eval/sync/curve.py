"""The arithmetic of SyncNet's score: distances per shift, their mean curve, and what is read off it.

Row i of a distance table belongs to the video window that starts at frame i; column j to the sound
that is `max_shift - j` windows earlier. One window is one frame of 25 fps: 40 ms. Pure numpy; knows
neither networks nor faces. Source: Chung & Zisserman, "Out of time" (2016), as computed by
joonson/syncnet_python, which fills missing sound with zero vectors; see `outside`.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

MAX_SHIFT: Final = 15
"""Windows of 40 ms to both sides; every published number uses this."""

MIN_WINDOWS: Final = 6
"""A shift needs this many windows to have a mean, and a track this many windows to have a score."""

EPSILON: Final = 1e-6
"""Added inside the difference, as torch's pairwise distance does."""

CONFIDENCE_MEDIAN: Final = 9
"""Windows of the median filter over frame-wise confidence."""

Outside = Literal["missing", "zeros"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a table of distances says.

    Attributes:
        offset: Frames of 40 ms by which the sound runs ahead of the picture (negative: late).
        distance: Smallest mean distance over all shifts (Sync-D, LSE-D; lower is better).
        confidence: Median minus minimum of the curve (Sync-C, LSE-C; higher is better).
        distance_zero: Mean distance without any shift; NaN when too few windows have sound.
        confidence_zero: Median of the curve minus `distance_zero`.
        curve: float64, (2 * max_shift + 1,), mean distance per shift; NaN below `MIN_WINDOWS`.
        windows: Video windows behind the reading.
    """

    offset: int
    distance: float
    confidence: float
    distance_zero: float
    confidence_zero: float
    curve: NDArray[np.float64]
    windows: int


def shift_distances(
    video: NDArray[Any],
    sound: NDArray[Any],
    *,
    first: int = 0,
    max_shift: int = MAX_SHIFT,
    outside: Outside = "missing",
) -> NDArray[np.float64]:
    """Return the Euclidean distances of video windows to the sound around them.

    Args:
        video: (n, d) embeddings of consecutive video windows.
        sound: (m, d) embeddings of consecutive sound windows.
        first: Sound window that belongs to video window 0 when nothing is shifted.
        max_shift: Largest shift in windows to either side.
        outside: What a shift beyond the ends of `sound` gives: NaN ("missing", ours), or the
            distance to a zero vector ("zeros", the reference). Zeros pull the means of the wrong
            shifts down, so that short clips get a confidence that is too low: 20 % at 51 frames.

    Returns:
        float64, (n, 2 * max_shift + 1).
    """
    count = len(video)
    table = np.full((count, 2 * max_shift + 1), np.nan)
    if outside == "zeros" and count:
        table[:] = np.linalg.norm(video.astype(np.float64) + EPSILON, axis=1)[:, None]
    for column in range(2 * max_shift + 1):
        begin = first + column - max_shift
        low, high = max(0, -begin), min(count, len(sound) - begin)
        if low < high:
            gap = video[low:high].astype(np.float64) - sound[begin + low : begin + high] + EPSILON
            table[low:high, column] = np.sqrt(np.einsum("nd,nd->n", gap, gap))
    return table


def read_table(table: NDArray[np.float64], *, min_windows: int = MIN_WINDOWS) -> Reading | None:
    """Read offset, distance and confidence off a table of distances.

    Args:
        table: (n, 2 * max_shift + 1); NaN where there was no sound.
        min_windows: Windows below which a shift has no mean.

    Returns:
        None when fewer than half of the shifts have a mean: no optimum can be told from its ends.
    """
    shifts = table.shape[1]
    known = np.isfinite(table)
    counts = known.sum(axis=0)
    sums = np.where(known, table, 0.0).sum(axis=0)
    curve = np.where(counts >= min_windows, sums / np.maximum(counts, 1), np.nan)
    if np.isfinite(curve).sum() <= shifts // 2:
        return None
    best = int(np.nanargmin(curve))
    middle = float(np.nanmedian(curve))
    lowest, still = float(curve[best]), float(curve[shifts // 2])
    return Reading(
        offset=shifts // 2 - best,
        distance=lowest,
        confidence=middle - lowest,
        distance_zero=still,
        confidence_zero=middle - still,
        curve=curve,
        windows=len(table),
    )


def frame_confidence(table: NDArray[np.float64], reading: Reading) -> NDArray[np.float64]:
    """Return the confidence of every video window at the offset of the whole reading.

    Median of the curve minus the window's own distance, median-filtered over 9 windows. The
    reference fills the ends with zeros; here the end values are repeated.

    Args:
        table: (n, 2 * max_shift + 1).
        reading: Of the same table.

    Returns:
        float64, (n,); NaN where the best shift has no sound.
    """
    column = table.shape[1] // 2 - reading.offset
    raw = reading.confidence + reading.distance - table[:, column]
    known = np.isfinite(raw)
    smooth = np.full(len(raw), np.nan)
    if known.any():
        smooth[known] = median_filter(raw[known], size=CONFIDENCE_MEDIAN, mode="nearest")
    return smooth
