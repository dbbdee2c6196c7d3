"""Good / Same / Bad counts of one pair of systems and every number that is read off them.

A vote is +1 (the first system is better: Good), 0 (Same) or -1 (the second is better: Bad). This file
knows neither cases nor raters beyond the majority rule: intervals that respect them are in
`eval.ratings.statistics.resampling`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from eval.ratings.outcomes import OUTCOMES, SAME
from joystreamer.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

HALF_VOTE = 0.5
"""Continuity constant added to numerator and denominator of a resampled ratio (Haldane-Anscombe), so
that a draw without a single Bad or Same vote stays finite. The reported ratio itself is never shifted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Closed interval of one number.

    Attributes:
        low: Lower end, in the unit of the number.
        high: Upper end.
        level: Nominal coverage, for example 0.95.
    """

    low: float
    high: float
    level: float

    def excludes(self, value: float) -> bool:
        """Whether `value` lies outside."""
        return not self.low <= value <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How often the first system of a pair was better, the same, or worse.

    Attributes:
        good: Votes for the first system.
        same: Votes for neither.
        bad: Votes for the second system.
    """

    good: float
    same: float
    bad: float

    @property
    def n(self) -> float:
        """All votes."""
        return self.good + self.same + self.bad

    @property
    def ratio(self) -> float | None:
        """The field's number (G+S)/(B+S), the paper's Sec. 4.2; above 1 favours the first system.

        None when nobody voted Bad or Same: the ratio is then undefined, not infinite praise.
        """
        below = self.bad + self.same
        return (self.good + self.same) / below if below > 0 else None

    @property
    def net(self) -> float | None:
        """Net preference (G-B)/n in [-1, 1]; above 0 favours the first system."""
        return (self.good - self.bad) / self.n if self.n > 0 else None

    @property
    def decisive(self) -> float | None:
        """Decisive win rate G/(G+B) in [0, 1]; above 0.5 favours the first system."""
        decided = self.good + self.bad
        return self.good / decided if decided > 0 else None

    @property
    def tie_share(self) -> float | None:
        """Share of Same votes in [0, 1]; neither end is better."""
        return self.same / self.n if self.n > 0 else None

    def mirrored(self) -> Counts:
        """The same votes seen from the second system."""
        return Counts(good=self.bad, same=self.same, bad=self.good)


def count(outcomes: ArrayLike) -> Counts:
    """Count votes.

    Args:
        outcomes: Any shape, values +1, 0, -1.

    Raises:
        InputError: A value is none of the three.
    """
    values = np.asarray(outcomes)
    good, same, bad = (int((values == outcome).sum()) for outcome in OUTCOMES)
    if good + same + bad != values.size:
        strange = sorted({float(v) for v in values.ravel()} - {1.0, 0.0, -1.0})
        raise InputError(
            f"vote outcomes contain {strange[:3]}; only +1 (Good), 0 (Same) and -1 (Bad) fit; "
            "leave out unjudged rows before counting"
        )
    return Counts(good=good, same=same, bad=bad)


def majority(outcomes: ArrayLike, units: ArrayLike) -> Integers:
    """One outcome per unit (case): the most frequent one, Same when the top is shared.

    Kling-Avatar votes by majority of three; with three different answers, or two against two, nothing
    has a majority and the honest reading is Same.

    Args:
        outcomes: Shape (n,), values +1, 0, -1.
        units: Shape (n,), any integer labels of the cases.

    Returns:
        Shape (distinct units,), in ascending order of the label.
    """
    values = np.asarray(outcomes)
    _, index = np.unique(np.asarray(units), return_inverse=True)
    size = int(index.max()) + 1 if index.size else 0
    table = np.stack(
        [np.bincount(index[values == outcome], minlength=size) for outcome in OUTCOMES], axis=-1
    )
    top = table.max(axis=1, keepdims=True, initial=0) == table
    winner = np.asarray(OUTCOMES)[top.argmax(axis=1)]
    return np.where(top.sum(axis=1) == 1, winner, SAME).astype(np.int64)


def log_ratio(counts: Floats, *, continuity: float = 0.0) -> Floats:
    """Natural logarithm of (G+S)/(B+S): 0 is no preference, antisymmetric under swapping the systems.

    Args:
        counts: Shape (..., 3): Good, Same, Bad.
        continuity: Votes added above and below the line.

    Returns:
        Shape (...); nan or infinite where a side has no votes and `continuity` is 0.
    """
    above = counts[..., 0] + counts[..., 1] + continuity
    below = counts[..., 2] + counts[..., 1] + continuity
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(above) - np.log(below), dtype=np.float64)


def net_preference(counts: Floats) -> Floats:
    """(G-B)/n over the last axis; nan without votes."""
    return _share(counts[..., 0] - counts[..., 2], counts.sum(axis=-1))


def tie_share(counts: Floats) -> Floats:
    """S/n over the last axis; nan without votes."""
    return _share(counts[..., 1], counts.sum(axis=-1))


def _share(part: Floats, whole: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(whole > 0, part / whole, np.nan), dtype=np.float64)


def closed_form_log_ratio_variance(counts: Counts) -> float:
    """Variance of ln((G+S)/(B+S)) if every vote were independent (delta method, multinomial).

    With g = G/n and b = B/n: [b/(1-b) + g/(1-g) + 2gb/((1-b)(1-g))]/n. Votes of one rater or on one
    case are not independent, so this is the floor that resampled intervals are compared with, never
    the headline.

    Raises:
        InputError: Every vote is Good, or every vote is Bad: the ratio has no variance.
    """
    if counts.n <= 0 or counts.good >= counts.n or counts.bad >= counts.n:
        raise InputError(
            f"votes {counts.good:g}/{counts.same:g}/{counts.bad:g} (Good/Same/Bad) leave one side of "
            "(G+S)/(B+S) empty; the logarithm needs both sides; report the counts instead"
        )
    g, b = counts.good / counts.n, counts.bad / counts.n
    return (b / (1 - b) + g / (1 - g) + 2 * g * b / ((1 - b) * (1 - g))) / counts.n


def closed_form_ratio_interval(counts: Counts, *, level: float = 0.95) -> Interval:
    """Interval of (G+S)/(B+S) on the log scale for independent votes (one label per case)."""
    centre = math.log((counts.good + counts.same) / (counts.bad + counts.same))
    half = float(ndtri((1 + level) / 2)) * math.sqrt(closed_form_log_ratio_variance(counts))
    return Interval(low=math.exp(centre - half), high=math.exp(centre + half), level=level)


def wilson_interval(successes: float, n: float, *, level: float = 0.95) -> Interval:
    """Wilson score interval of a single share of independent trials (Wilson 1927)."""
    if n <= 0:
        raise InputError("a share of 0 trials has no interval; collect at least one answer first")
    z = float(ndtri((1 + level) / 2))
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(low=max(0.0, centre - half), high=min(1.0, centre + half), level=level)
