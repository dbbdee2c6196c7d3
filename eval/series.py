"""A quantity over time beside a score. Apart from the measures, so that keeping it needs no decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """A quantity over time, kept beside the score so that it can be plotted under the playhead.

    Attributes:
        times_s: float64, (n,), seconds from the start of the clip, increasing.
        values: float32 or float64, (n,); NaN where nothing could be measured.
        unit: Unit as printed.
    """

    times_s: NDArray[np.float64]
    values: NDArray[np.floating[Any]]
    unit: str = ""
