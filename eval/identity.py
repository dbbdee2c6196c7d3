"""Arithmetic of identity: how alike the embeddings of frames and of the reference image are.

Works on embeddings; knows no network. Cosines of different networks, crops or input sizes are
different metrics: even at equal weights, resampled position embeddings move the third decimal.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eval.windows import slope_per_minute

LOW_PERCENTILE: Final = 5.0
"""Percentile kept beside mean and minimum: one blurred frame does not decide it."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Likeness:
    """How alike a clip is to its reference.

    Attributes:
        mean: Mean cosine over the frames in which there was something to compare; -1 to 1, up.
        minimum: Lowest cosine.
        low: 5th percentile.
        slope_per_minute: Least-squares slope of the cosine; None below two moments.
        found_rate: Share of frames in which there was something to compare.
    """

    mean: float
    minimum: float
    low: float
    slope_per_minute: float | None
    found_rate: float


def cosine(first: Floats, second: Floats) -> NDArray[np.float64]:
    """Return the cosine between vectors.

    Args:
        first: (..., channels).
        second: (..., channels), broadcast against `first`.

    Returns:
        float64, (...), -1 to 1; NaN where a vector has NaN or no length.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    product = np.sum(first * second, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: NDArray[np.float64] = np.clip(
            np.where(lengths > 0, product / lengths, np.nan), -1, 1
        )
    return result


def likeness(times_s: Floats, cosines: Floats) -> Likeness | None:
    """Summarise cosines over time; None when there was never anything to compare.

    Args:
        times_s: (n,), seconds.
        cosines: (n,), NaN where there was nothing to compare.
    """
    known = cosines[np.isfinite(cosines)]
    if not known.size:
        return None
    return Likeness(
        mean=float(known.mean()),
        minimum=float(known.min()),
        low=float(np.percentile(known, LOW_PERCENTILE)),
        slope_per_minute=slope_per_minute(times_s, cosines),
        found_rate=float(known.size / cosines.size),
    )


def square_around(
    left: float, top: float, right: float, bottom: float, factor: float, width: int, height: int
) -> tuple[slice, slice]:
    """Return rows and columns of a square around a box, shifted into the picture where it can be.

    Args:
        left: Of the box, in pixels.
        top: Of the box.
        right: Of the box.
        bottom: Of the box.
        factor: Side of the square over the box's longer side.
        width: Of the picture.
        height: Of the picture.
    """
    side = max(1, min(round(max(right - left, bottom - top) * factor), width, height))
    start_x = min(max(round((left + right - side) / 2), 0), width - side)
    start_y = min(max(round((top + bottom - side) / 2), 0), height - side)
    return slice(start_y, start_y + side), slice(start_x, start_x + side)
