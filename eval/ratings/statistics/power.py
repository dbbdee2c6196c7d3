"""How small a preference a campaign can show, and how many votes it still needs.

The net preference's variance has three parts: cases differ, raters differ, and single votes differ.
The parts are estimated from the votes at hand, then put into the design one is thinking of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from eval.ratings.statistics.preference import Floats
from joystreamer.errors import InputError

POWER = 0.8
"""Customary chance of finding a preference that is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceParts:
    """Variance of one vote (+1, 0, -1), split.

    Attributes:
        cases: Between cases.
        raters: Between raters.
        votes: What is left, including how raters and cases interact.
    """

    cases: float
    raters: float
    votes: float

    def standard_error(self, *, cases: int, raters: int, per_case: float) -> float:
        """Standard error of the net preference of a balanced design.

        Args:
            cases: Distinct cases.
            raters: Distinct raters.
            per_case: Votes on each case.
        """
        return math.sqrt(
            self.cases / cases + self.raters / raters + self.votes / (cases * per_case)
        )


def variance_parts(outcomes: ArrayLike, cases: ArrayLike, raters: ArrayLike) -> VarianceParts:
    """Unbiased split of the variance of votes, from half squared differences of pairs of votes.

    Pairs on one case by two raters differ by rater and residual; pairs by one rater on two cases by
    case and residual; pairs that share nothing by all three. Three averages, three unknowns; negative
    estimates are set to 0.

    Args:
        outcomes: Shape (n,), +1, 0, -1 of one pair of systems on one dimension.
        cases: Shape (n,).
        raters: Shape (n,); a rater votes at most once on a case.

    Raises:
        InputError: No case has two raters, or no rater has two cases.
    """
    y = np.asarray(outcomes, dtype=np.float64)
    case_sum, case_pairs = _half_squares(y, np.asarray(cases))
    rater_sum, rater_pairs = _half_squares(y, np.asarray(raters))
    all_sum, all_pairs = _half_squares(y, np.zeros(y.size))
    none_pairs = all_pairs - case_pairs - rater_pairs
    if min(case_pairs, rater_pairs, none_pairs) <= 0:
        raise InputError(
            "the votes do not overlap: splitting their variance needs cases with two raters and raters "
            "with two cases; collect more votes before asking for power"
        )
    same_case = case_sum / case_pairs
    same_rater = rater_sum / rater_pairs
    nothing = (all_sum - case_sum - rater_sum) / none_pairs
    return VarianceParts(
        cases=max(0.0, nothing - same_case),
        raters=max(0.0, nothing - same_rater),
        votes=max(0.0, same_case + same_rater - nothing),
    )


def _half_squares(y: Floats, labels: Floats) -> tuple[float, float]:
    """Sum of half squared differences over unordered pairs within a label, and how many pairs."""
    index = np.unique(labels, return_inverse=True)[1]
    n = np.bincount(index).astype(float)
    total, square = np.bincount(index, y), np.bincount(index, y * y)
    return float((n * square - total**2).sum() / 2), float((n * (n - 1) / 2).sum())


def minimum_detectable_difference(
    standard_error: float, *, level: float = 0.95, power: float = POWER
) -> float:
    """Smallest true net preference that a two-sided test finds with the given chance, in [0, inf)."""
    return float(ndtri((1 + level) / 2) + ndtri(power)) * standard_error


def cases_needed(
    parts: VarianceParts,
    *,
    half_width: float,
    raters: int,
    per_case: float,
    level: float = 0.95,
) -> int | None:
    """Cases until the interval of the net preference is at most +- half_width.

    Returns:
        None when no number of cases is enough because the raters' own differences are too large;
        more raters are then the only way.
    """
    room = (half_width / float(ndtri((1 + level) / 2))) ** 2 - parts.raters / raters
    if room <= 0:
        return None
    return max(1, math.ceil((parts.cases + parts.votes / per_case) / room - 1e-9))


def votes_still_needed(
    parts: VarianceParts,
    *,
    half_width: float,
    cases: int,
    raters: int,
    votes: int,
    level: float = 0.95,
) -> int | None:
    """Further votes on the same cases by the same raters until the interval is narrow enough.

    Every further vote is by a rater who has not seen the case, so at most cases x raters votes exist.

    Args:
        parts: Variance of the net preference by cases, raters and votes.
        half_width: Wanted half width of the interval, of a net preference in [-1, 1].
        cases: How many cases there are.
        raters: How many raters.
        votes: How many votes exist.
        level: Of the interval.

    Returns:
        0 when it is narrow enough already; None when even every rater on every case would not do.
    """
    room = (half_width / float(ndtri((1 + level) / 2))) ** 2
    room -= parts.cases / cases + parts.raters / raters
    if room <= 0:
        return 0 if room == 0 and parts.votes == 0 else None
    total = max(0, math.ceil(parts.votes / room - 1e-9))
    if total > cases * raters:
        return None
    return max(0, total - votes)
