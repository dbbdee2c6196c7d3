"""Intervals of pairwise votes that treat cases, and raters, as samples.

Votes on one case resemble each other, and so do votes by one rater. Resampling single votes ignores
both and covers 38-63 % where 95 % is promised. Two scopes are offered:

- `cases_like_these`: cases and raters are both redrawn (pigeonhole bootstrap, Owen 2007). Answers
  "would it hold on new cases and new raters?".
- `these_cases`: the cases stay, raters are redrawn around each case's own mean. Answers "would other
  raters say the same of exactly these clips?".

Percentiles are widened for few clusters, following Hesterberg (2015) with Satterthwaite's degrees of
freedom, because plain percentiles of five raters cover too little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri, stdtrit

from eval.ratings.outcomes import OUTCOMES
from eval.ratings.statistics.preference import Floats, Integers, Interval
from joystreamer.errors import InputError

Scope = Literal["cases_like_these", "these_cases"]
SCOPES: tuple[Scope, ...] = ("cases_like_these", "these_cases")

DRAWS = 2000
"""Resamples of a board: the 2.5 % quantile then rests on 50 draws."""

MIN_RATERS = 5
"""Fewer raters: counts only. Simulated coverage falls to 82 % with three."""

MIN_CASES = 8
"""Fewer cases: counts only, as for every other aggregate of the project."""

STILL = 1e-12
"""Spread of resampled shares below which they are rounding, not variation."""

_CHUNK_FLOATS = 4_000_000
"""Draws are made in chunks whose largest temporary stays near this many numbers (32 MB)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballots:
    """Votes as arrays, one entry per vote.

    Attributes:
        outcomes: Shape (n,), +1, 0 or -1 for the first system of the vote's cell.
        cases: Shape (n,), 0 .. n_cases - 1.
        raters: Shape (n,), 0 .. n_raters - 1.
        cells: Shape (n,), 0 .. n_cells - 1; a cell is one pair of systems on one dimension. All cells
            share the drawn cases and raters, so their draws are joint.
        n_cells: Number of cells, empty ones included.
    """

    outcomes: Integers
    cases: Integers
    raters: Integers
    cells: Integers
    n_cells: int

    @property
    def n_cases(self) -> int:
        """Distinct case labels (the largest plus one)."""
        return int(self.cases.max()) + 1 if self.cases.size else 0

    @property
    def n_raters(self) -> int:
        """Distinct rater labels (the largest plus one)."""
        return int(self.raters.max()) + 1 if self.raters.size else 0

    def slots(self) -> Integers:
        """Shape (n,): position of each vote in a flattened (cell, outcome) table."""
        return self.cells * len(OUTCOMES) + (1 - self.outcomes)

    def totals(self) -> Floats:
        """Shape (n_cells, 3): Good, Same, Bad."""
        width = self.n_cells * len(OUTCOMES)
        return np.bincount(self.slots(), minlength=width).reshape(self.n_cells, 3).astype(float)


def ballots(
    outcomes: ArrayLike,
    cases: ArrayLike,
    raters: ArrayLike,
    cells: ArrayLike | None = None,
    *,
    n_cells: int | None = None,
) -> Ballots:
    """Gather votes, turning any labels of cases and raters into consecutive numbers.

    Args:
        outcomes: Shape (n,), +1, 0, -1.
        cases: Shape (n,), sortable labels.
        raters: Shape (n,), sortable labels.
        cells: Shape (n,), integers from 0; all 0 when left out.
        n_cells: Number of cells; the largest plus one when left out.

    Raises:
        InputError: Lengths differ or an outcome is none of the three.
    """
    values = np.asarray(outcomes).astype(np.int64)
    columns = np.zeros(values.shape, np.int64) if cells is None else np.asarray(cells, np.int64)
    labels = [np.unique(np.asarray(each), return_inverse=True)[1] for each in (cases, raters)]
    sizes = {values.size, columns.size, *(each.size for each in labels)}
    if len(sizes) > 1:
        raise InputError(
            f"votes have columns of {sorted(sizes)} entries; outcomes, cases, raters and cells need "
            "the same length; pass one entry per vote in each"
        )
    if not np.isin(values, OUTCOMES).all():
        raise InputError(
            "vote outcomes other than +1, 0 and -1 do not fit; leave out unjudged rows"
        )
    if n_cells is None:
        n_cells = int(columns.max()) + 1 if columns.size else 1
    return Ballots(
        outcomes=values, cases=labels[0], raters=labels[1], cells=columns, n_cells=n_cells
    )


def resample_slots(
    votes: Ballots, slots: Integers, width: int, *, draws: int, rng: np.random.Generator
) -> Floats:
    """Weighted counts per slot when cases and raters are redrawn together.

    Args:
        votes: The votes; only their cases and raters are used.
        slots: Shape (n,): where each vote counts, 0 .. width - 1.
        width: Number of slots.
        draws: Resamples.
        rng: Source of randomness.

    Returns:
        Shape (draws, width). A vote weighs (times its case was drawn) x (times its rater was drawn).
    """
    cases, raters = votes.n_cases, votes.n_raters
    where = (votes.cases * raters + votes.raters) * width + slots
    table = np.bincount(where, minlength=cases * raters * width).astype(float)
    table = table.reshape(cases, raters * width)
    case_weights = rng.multinomial(cases, np.full(cases, 1 / cases), size=draws).astype(float)
    rater_weights = rng.multinomial(raters, np.full(raters, 1 / raters), size=draws).astype(float)
    result = np.empty((draws, width))
    step = max(1, _CHUNK_FLOATS // (raters * width))
    for start in range(0, draws, step):
        rows = slice(start, start + step)
        drawn = (case_weights[rows] @ table).reshape(-1, raters, width)
        result[rows] = np.einsum("brw,br->bw", drawn, rater_weights[rows])
    return result


def resample_within_cases(
    votes: Ballots, slots: Integers, width: int, *, draws: int, rng: np.random.Generator
) -> Floats:
    """Counts per slot when the cases stay and raters are redrawn around each case's mean.

    Each vote is written as its case's mean plus a deviation; only the deviations are reweighted by
    how often their rater was drawn. Deviations from a mean of k raters are too small by 1 - 1/k where
    raters differ from each other throughout (and by its root where single votes differ); dividing by
    it, (n - units)/n over all cases, restores the former and is a little cautious about the latter.

    Returns:
        Shape (draws, width), clipped at 0; nan in every cell that has one vote per case, where this
        question has no answer.
    """
    raters = votes.n_raters
    unit = votes.cases * votes.n_cells + votes.cells
    _, unit = np.unique(unit, return_inverse=True)
    units = int(unit.max()) + 1
    size = np.bincount(unit, minlength=units).astype(float)
    sums = np.bincount(unit * width + slots, minlength=units * width).reshape(units, width)
    means = sums / size[:, None]
    deviations = np.bincount(votes.raters * width + slots, minlength=raters * width).astype(float)
    deviations = deviations.reshape(raters, width)
    presence = np.bincount(votes.raters * units + unit, minlength=raters * units)
    deviations -= presence.reshape(raters, units) @ means
    cell_of_unit = np.zeros(units, np.int64)
    cell_of_unit[unit] = votes.cells
    cell_of_slot = np.zeros(width, np.int64)
    cell_of_slot[slots] = votes.cells
    n = np.bincount(votes.cells, minlength=votes.n_cells).astype(float)
    spare = n - np.bincount(cell_of_unit, minlength=votes.n_cells)
    with np.errstate(divide="ignore", invalid="ignore"):
        restore = np.where(spare > 0, n / spare, np.nan)[cell_of_slot]
    totals = np.bincount(slots, minlength=width).astype(float)
    weights = rng.multinomial(raters, np.full(raters, 1 / raters), size=draws) - 1.0
    return np.asarray(np.maximum(totals + (weights @ deviations) * restore, 0.0), dtype=np.float64)


def resample_counts(votes: Ballots, *, scope: Scope, draws: int = DRAWS, seed: int = 0) -> Floats:
    """Joint draws of the Good / Same / Bad counts of every cell.

    Returns:
        Shape (draws, n_cells, 3).
    """
    rng = np.random.default_rng(seed)
    width = votes.n_cells * len(OUTCOMES)
    redraw = resample_slots if scope == "cases_like_these" else resample_within_cases
    drawn = redraw(votes, _slots_with_empty_cells(votes), width, draws=draws, rng=rng)
    return drawn.reshape(draws, votes.n_cells, len(OUTCOMES))


def _slots_with_empty_cells(votes: Ballots) -> Integers:
    if votes.outcomes.size == 0:
        raise InputError(
            "there are no votes to resample; collect votes before asking for intervals"
        )
    return votes.slots()


def widening(votes: Ballots, *, scope: Scope, level: float = 0.95) -> Floats:
    """Factor per cell by which a normal quantile is stretched because clusters are few.

    Student's quantile with Satterthwaite's degrees of freedom for a variance made of a case part
    (n_cases - 1) and a rater part (n_raters - 1), over the normal quantile, times the root of
    m/(m - 1) with which a bootstrap of m clusters understates each part. With fixed cases only raters
    count, and `resample_within_cases` has made up for their number already.

    Returns:
        Shape (n_cells,), at least 1; nan where a cell has fewer than two raters (or, with new cases,
        fewer than two cases).
    """
    z = float(ndtri((1 + level) / 2))
    factors = np.full(votes.n_cells, np.nan)
    for cell in range(votes.n_cells):
        mine = votes.cells == cell
        if not mine.any():
            continue
        y = votes.outcomes[mine].astype(float)
        case = np.unique(votes.cases[mine], return_inverse=True)[1]
        rater = np.unique(votes.raters[mine], return_inverse=True)[1]
        cases, raters = int(case.max()) + 1, int(rater.max()) + 1
        if raters < 2 or (scope == "cases_like_these" and cases < 2):
            continue
        if scope == "these_cases":
            factors[cell] = float(stdtrit(raters - 1, (1 + level) / 2)) / z
            continue
        residual = y - y.mean()
        by_case = float(np.sum(np.bincount(case, residual) ** 2))
        by_rater = float(np.sum(np.bincount(rater, residual) ** 2))
        whole = by_case + by_rater
        if whole <= 0:
            factors[cell] = 1.0
            continue
        freedom = whole**2 / (by_case**2 / (cases - 1) + by_rater**2 / (raters - 1))
        grown = by_case * cases / (cases - 1) + by_rater * raters / (raters - 1)
        factors[cell] = float(stdtrit(freedom, (1 + level) / 2)) / z * np.sqrt(grown / whole)
    return factors


def percentile_interval(
    draws: Floats, *, widen: float = 1.0, level: float = 0.95
) -> Interval | None:
    """Interval between percentiles of resampled values, taken further out by `widen`.

    Percentiles commute with monotone maps, so an interval of a logarithm is the logarithm of the
    interval.

    Args:
        draws: Shape (B,); nan draws (nothing drawn) are left out.
        widen: Factor on the normal quantile, see `widening`.
        level: Nominal coverage.

    Returns:
        None when fewer than half of the draws carry a number or `widen` is nan.
    """
    usable = draws[~np.isnan(draws)]
    if usable.size * 2 < draws.size or usable.size == 0 or np.isnan(widen):
        return None
    tail = float(ndtr(-float(ndtri((1 + level) / 2)) * widen))
    low, high = np.quantile(usable, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high), level=level)


def resampled_p_value(estimate: float, draws: Floats, *, widen: float = 1.0) -> float:
    """Two-sided p-value of 'no preference' from the spread of resampled values.

    Normal tail of estimate / (standard error x widening): agrees with the interval to first order.

    Returns:
        nan when the draws never vary or `widen` is nan.
    """
    usable = draws[~np.isnan(draws)]
    spread = float(usable.std(ddof=1)) if usable.size > 1 else 0.0
    if spread <= STILL or np.isnan(widen):
        return float("nan")
    return float(2 * ndtr(-abs(estimate) / (spread * widen)))
