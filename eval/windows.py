"""Cuts a series over time into windows: slopes, worst moments, first against last.

Long clips go wrong slowly, and a mean hides it. Pure arithmetic on times and values; which direction
is worse is the caller's knowledge.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

WINDOW_S: Final = 10.0
"""Seconds per window of a long clip, as printed by long-video work (InfinityHuman, tables per 10 s)."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Mean of a series over [start_s, end_s).

    Attributes:
        start_s: Start in seconds.
        end_s: End in seconds.
        value: Mean of the finite values inside; NaN when there is none.
        count: How many finite values there were.
    """

    start_s: float
    end_s: float
    value: float
    count: int


def clip_windows(
    times_s: Floats, values: Floats, end_s: float, *, window_s: float = WINDOW_S
) -> list[Window]:
    """Cut [0, end_s) into windows of `window_s`; a rest of less than half of one joins the last.

    Args:
        times_s: (n,), seconds, increasing.
        values: (n,), NaN where nothing was measured.
        end_s: End of the clip.
        window_s: Length of a window in seconds.

    Returns:
        At least one window.
    """
    count = max(1, int(np.floor(end_s / window_s + 0.5)))
    edges = [index * window_s for index in range(count)] + [
        max(end_s, float(np.max(times_s, initial=0)))
    ]
    windows = []
    for index, (start, stop) in enumerate(pairwise(edges)):
        last = index == count - 1
        inside = (times_s >= start) & ((times_s <= stop) if last else (times_s < stop))
        windows.append(_window(start, stop, values[inside]))
    return windows


def first_and_last(
    times_s: Floats, values: Floats, end_s: float, *, window_s: float
) -> tuple[Window, Window] | None:
    """Return the windows [0, w) and [end - w, end], or None when they would overlap.

    A window without a finite value has a NaN value; the caller decides what that means.
    """
    if end_s < 2 * window_s - 1e-6:
        return None
    first = values[times_s < window_s]
    last = values[times_s >= end_s - window_s]
    return _window(0.0, window_s, first), _window(end_s - window_s, end_s, last)


def slope_per_minute(times_s: Floats, values: Floats) -> float | None:
    """Return the least-squares slope of a series in units per minute; None below two moments."""
    finite = np.isfinite(values)
    times, known = times_s[finite].astype(np.float64), values[finite].astype(np.float64)
    if len(times) < 2 or np.ptp(times) == 0:
        return None
    centred = times - times.mean()
    return float(60.0 * (centred @ (known - known.mean())) / (centred @ centred))


def worst_window(windows: Sequence[Window], worse: Literal["high", "low"]) -> Window | None:
    """Return the window with the highest or lowest value; None when none has a value."""
    known = [window for window in windows if np.isfinite(window.value)]
    if not known:
        return None
    pick = max if worse == "high" else min
    return pick(known, key=lambda window: window.value)


def long_details(
    times_s: Floats, values: Floats, end_s: float, worse: Literal["high", "low"]
) -> dict[str, Any]:
    """Return what is kept of clips longer than one window: windows, slope per minute, worst window.

    Returns:
        JSON-able; empty for clips of at most `WINDOW_S`.
    """
    if end_s <= WINDOW_S:
        return {}
    windows = clip_windows(times_s, values, end_s)
    worst = worst_window(windows, worse)
    return {
        "windows": [as_json(window) for window in windows],
        "slope_per_minute": slope_per_minute(times_s, values),
        "worst_window": None if worst is None else as_json(worst),
    }


def as_json(window: Window) -> dict[str, float | int | None]:
    """Return a window as plain numbers, None for a missing value."""
    value = window.value if np.isfinite(window.value) else None
    return {"start_s": window.start_s, "end_s": window.end_s, "value": value, "count": window.count}


def _window(start_s: float, end_s: float, values: Floats) -> Window:
    known = values[np.isfinite(values)]
    value = float(np.mean(known, dtype=np.float64)) if len(known) else float("nan")
    return Window(start_s=float(start_s), end_s=float(end_s), value=value, count=len(known))
