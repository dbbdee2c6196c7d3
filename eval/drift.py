"""How a quantity changes from the beginning of a clip to its end.

The value of a drift metric compares the first window with the last; the slope per minute stands beside
it. Pure arithmetic on series; what is measured is others' knowledge.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eval.colour import ciede2000
from eval.windows import first_and_last, slope_per_minute

WINDOW_S: Final = 2.0
"""Seconds of the first and the last window; a clip needs twice that."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """Change from the first window to the last.

    Attributes:
        value: Worsening from first to last, or colour distance between them; higher is worse.
        first: Mean of the first window: one number, or three for a colour.
        last: The same of the last window.
        slope_per_minute: Least-squares slope of the series that drifts; None below two moments.
    """

    value: float
    first: tuple[float, ...]
    last: tuple[float, ...]
    slope_per_minute: float | None


def falling_drift(
    times_s: Floats, values: Floats, end_s: float, *, window_s: float = WINDOW_S
) -> Drift | None:
    """Return how much a quantity that should stay high (identity, quality) has fallen.

    Args:
        times_s: (n,), seconds.
        values: (n,), higher is better; NaN where nothing was measured.
        end_s: End of the clip.
        window_s: Seconds per window.

    Returns:
        First window minus last, positive when it fell; None when the windows would overlap or one
        has no value.
    """
    windows = first_and_last(times_s, values, end_s, window_s=window_s)
    if windows is None or not all(np.isfinite(window.value) for window in windows):
        return None
    first, last = windows
    slope = slope_per_minute(times_s, values)
    return Drift(
        value=first.value - last.value,
        first=(first.value,),
        last=(last.value,),
        slope_per_minute=None if slope is None else -slope,
    )


def colour_drift(
    times_s: Floats, lab: Floats, end_s: float, *, window_s: float = WINDOW_S
) -> Drift | None:
    """Return the CIEDE2000 distance between the mean colours of the first and the last window.

    Args:
        times_s: (n,), seconds.
        lab: (n, 3), mean CIELAB colour per frame; NaN rows where nothing was measured.
        end_s: End of the clip.
        window_s: Seconds per window.

    Returns:
        The distance, 0 for a constant colour; its slope is that of the distance from the first
        window's colour. None when the windows would overlap or one has no colour.
    """
    means = []
    for channel in range(3):
        windows = first_and_last(times_s, lab[:, channel], end_s, window_s=window_s)
        if windows is None or not all(np.isfinite(window.value) for window in windows):
            return None
        means.append([window.value for window in windows])
    first, last = np.asarray(means).T
    return Drift(
        value=float(ciede2000(first, last)),
        first=tuple(map(float, first)),
        last=tuple(map(float, last)),
        slope_per_minute=slope_per_minute(times_s, ciede2000(first, lab)),
    )
