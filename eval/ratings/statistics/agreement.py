"""How far raters agree beyond chance: Krippendorff's alpha and plain pairwise agreement.

A unit is what raters judge independently: one case of one pair of systems on one dimension.
Disagreement between answers is nominal (equal or not) or ordinal (Bad < Same < Good).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from eval.ratings.outcomes import OUTCOMES
from eval.ratings.statistics.preference import Floats, Integers, Interval
from eval.ratings.statistics.resampling import MIN_CASES, percentile_interval

Level = Literal["nominal", "ordinal"]

DRAWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Agreement on one dimension.

    Attributes:
        alpha: Krippendorff's alpha; 1 is perfect, 0 is chance, below 0 is worse than chance. None
            when no unit has two answers or all answers are equal.
        interval: Of alpha, cases resampled; None with fewer than 8 units of two or more answers.
        units: Units with at least two answers.
        answers: Answers in those units.
    """

    alpha: float | None
    interval: Interval | None
    units: int
    answers: int


def answer_table(outcomes: ArrayLike, units: ArrayLike) -> Integers:
    """Shape (units, 3): how often each of Bad, Same, Good was given to each unit."""
    values = np.asarray(outcomes, dtype=np.int64)
    index = np.unique(np.asarray(units), return_inverse=True)[1]
    size = int(index.max()) + 1 if index.size else 0
    flat = np.bincount(index * len(OUTCOMES) + values + 1, minlength=size * len(OUTCOMES))
    return flat.reshape(size, len(OUTCOMES))


def coincidences(table: ArrayLike) -> Floats:
    """Shape (units, 3, 3): each unit's pairs of answers, every answer weighing 1 (Krippendorff 2011)."""
    counts = np.asarray(table, dtype=np.float64)
    answers = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]
    diagonal = np.arange(counts.shape[1])
    pairs[:, diagonal, diagonal] -= counts
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = pairs / (answers - 1)[:, None, None]
    return np.asarray(np.where(answers[:, None, None] > 1, scaled, 0.0), dtype=np.float64)


def alpha_of(coincidence: Floats, *, level: Level) -> Floats:
    """Alpha of summed coincidence matrices.

    Args:
        coincidence: Shape (..., v, v).
        level: How disagreement is measured.

    Returns:
        Shape (...); nan where every answer is the same.
    """
    totals = coincidence.sum(axis=-1)
    n = totals.sum(axis=-1)
    values = coincidence.shape[-1]
    distance = np.broadcast_to(1.0 - np.eye(values), coincidence.shape)
    if level == "ordinal":
        # Squared number of answers that lie between two values, half of each end included.
        reach = np.cumsum(totals, axis=-1) - totals / 2
        distance = (reach[..., :, None] - reach[..., None, :]) ** 2
    observed = (coincidence * distance).sum(axis=(-2, -1))
    expected = (totals[..., :, None] * totals[..., None, :] * distance).sum(axis=(-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            np.where(expected > 0, 1 - (n - 1) * observed / expected, np.nan), dtype=np.float64
        )


def krippendorff_alpha(
    outcomes: ArrayLike,
    units: ArrayLike,
    *,
    level: Level = "nominal",
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Agreement:
    """Alpha with an interval from resampled units.

    Args:
        outcomes: Shape (n,), +1, 0, -1.
        units: Shape (n,), labels of what was judged; units with one answer carry no information.
        level: "nominal" or "ordinal".
        confidence: Level of the interval.
        draws: Resamples.
        seed: Of the resampling.
    """
    table = answer_table(outcomes, units)
    table = table[table.sum(axis=1) > 1]
    size, answers = table.shape[0], int(table.sum())
    if size == 0:
        return Agreement(alpha=None, interval=None, units=0, answers=0)
    pairs = coincidences(table)
    alpha = float(alpha_of(pairs.sum(axis=0), level=level))
    if np.isnan(alpha):
        return Agreement(alpha=None, interval=None, units=size, answers=answers)
    interval = None
    if size >= MIN_CASES:
        weights = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), draws)
        drawn = (weights @ pairs.reshape(size, -1)).reshape(draws, *pairs.shape[1:])
        interval = percentile_interval(alpha_of(drawn, level=level), level=confidence)
    return Agreement(alpha=alpha, interval=interval, units=size, answers=answers)


def pairwise_agreement(outcomes: ArrayLike, units: ArrayLike) -> float | None:
    """Share of pairs of answers to the same unit that are equal, in [0, 1]; None without pairs."""
    table = answer_table(outcomes, units).astype(float)
    answers = table.sum(axis=1)
    pairs = float((answers * (answers - 1)).sum())
    return float((table * (table - 1)).sum()) / pairs if pairs > 0 else None
