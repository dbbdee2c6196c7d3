"""Exact tests of one pair, and the max-t correction for looking at many pairs at once.

The tests take independent votes (one label per case); clustered votes are tested by resampling.
Holm's correction is `eval.statistics.multiplicity.holm`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from eval.ratings.statistics.preference import Floats

_STILL = 1e-12  # spread of resampled shares below which they are rounding, not variation


def sign_test(good: int, bad: int) -> float:
    """Exact two-sided sign test of Good against Bad; Same votes carry no information here.

    Returns:
        Probability, with fair coins, of a split at least as uneven. 1 without decisive votes.
    """
    n = good + bad
    if n == 0:
        return 1.0
    from scipy.stats import binom  # 45 MB that pages without votes never need

    return min(1.0, 2.0 * float(binom.cdf(min(good, bad), n, 0.5)))


def trinomial_test(good: int, same: int, bad: int) -> float:
    """Two-sided trinomial test of no preference, using ties (Bian, McAleer and Wong 2011).

    Under the null hypothesis each vote is Good or Bad with equal probability (1 - p0)/2 and Same with
    p0 = S/n, plugged in from the data as in the paper. The number of decisive votes is therefore
    binomial, and given it the difference G - B is that of fair coins.

    Returns:
        Probability that |G - B| is at least the observed one.
    """
    n = good + same + bad
    observed = abs(good - bad)
    if n == 0 or observed == 0:
        return 1.0
    from scipy.stats import binom

    decided = np.arange(n + 1)
    chance = binom.pmf(decided, n, 1 - same / n)
    # |2K - m| >= d  <=>  K <= (m - d)/2 or, by symmetry, K >= (m + d)/2.
    reach = np.floor((decided - observed) / 2)
    tail = np.where(reach >= 0, 2 * binom.cdf(reach, decided, 0.5), 0.0)
    return min(1.0, float(np.sum(chance * np.minimum(tail, 1.0))))


def max_t(estimates: ArrayLike, draws: ArrayLike, *, widen: ArrayLike = 1.0) -> Floats:
    """Single-step max-t adjusted p-values from joint draws (Westfall and Young 1993).

    Uses how the cells of a board move together, so it is never more cautious than needed for
    correlated dimensions of the same votes.

    Args:
        estimates: Shape (m,); the null value of each is 0.
        draws: Shape (B, m): joint resampled values.
        widen: Scalar or shape (m,): factor on each standard error for few clusters (Student's
            quantile over the normal one).

    Returns:
        Shape (m,): adjusted p-values; 1 for a cell whose draws never vary and whose estimate is 0,
        nan for a cell whose draws never vary around another value.
    """
    centre = np.asarray(estimates, dtype=np.float64)
    sample = np.asarray(draws, dtype=np.float64)
    spread = sample.std(axis=0, ddof=1)
    moving = spread > _STILL
    safe = np.where(moving, spread, 1.0)
    swing = np.where(moving, np.abs(sample - sample.mean(axis=0)) / safe, 0.0).max(axis=1)
    observed = np.abs(centre) / (safe * np.asarray(widen, dtype=np.float64))
    exceed = (swing[:, None] >= observed[None, :]).sum(axis=0)
    p = (exceed + 1) / (sample.shape[0] + 1)
    return np.asarray(np.where(moving, p, np.where(centre == 0, 1.0, np.nan)), dtype=np.float64)


def max_t_critical(draws: ArrayLike, *, level: float = 0.95) -> float:
    """Critical value of the largest studentised deviation over all columns of joint draws.

    Args:
        draws: Shape (B, m).
        level: Simultaneous coverage.
    """
    sample = np.asarray(draws, dtype=np.float64)
    spread = sample.std(axis=0, ddof=1)
    moving = spread > _STILL
    if not moving.any():
        return float("inf")
    swing = np.abs(sample[:, moving] - sample[:, moving].mean(axis=0)) / spread[moving]
    return float(np.quantile(swing.max(axis=1), level))
