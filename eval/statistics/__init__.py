"""How sure a mean is, and whether two systems differ: plain arithmetic on arrays.

Knows neither systems nor metrics nor tables. Every function is deterministic for its seed and gives
an answer for one column that depends on the columns beside it
by rounding at most.
"""

from eval.statistics.bootstrap import (
    CONFIDENCE,
    MIN_CASES,
    RESAMPLES,
    SEED,
    Interval,
    bca_bounds,
    keep_draws,
    mean_intervals,
)
from eval.statistics.multiplicity import holm
from eval.statistics.paired import (
    EXACT_CASES,
    FLIPS,
    PairedDifference,
    flips_for,
    paired_differences,
    sign_flip_p_values,
)
from eval.statistics.ranking import SIGNIFICANCE, tie_ranks

__all__ = [
    "CONFIDENCE",
    "EXACT_CASES",
    "FLIPS",
    "MIN_CASES",
    "RESAMPLES",
    "SEED",
    "SIGNIFICANCE",
    "Interval",
    "PairedDifference",
    "bca_bounds",
    "flips_for",
    "holm",
    "keep_draws",
    "mean_intervals",
    "paired_differences",
    "sign_flip_p_values",
    "tie_ranks",
]
