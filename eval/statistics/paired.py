"""Do two systems differ on the cases both answered? Differences, their interval, and a p.

The test is the sign-flip permutation test of the mean difference: if the systems were alike, each
case's difference could as well have had the other sign. It is exact up to `EXACT_CASES` cases and
drawn at random beyond; it assumes neither a normal nor a continuous distribution, and it tests the
number that is printed (a rank test would test another one).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eval.statistics.bootstrap import (
    CONFIDENCE,
    MIN_CASES,
    RESAMPLES,
    SEED,
    Interval,
    checked_sample,
    mean_intervals,
)

Array = NDArray[np.float64]

EXACT_CASES: Final = 16
"""Up to this many cases all sign patterns are counted: 32,768 after symmetry."""

FLIPS: Final = 9_999
"""Random sign patterns per test beyond that, at least: p is then good to two digits near 0.05."""

_FLIPS_PER_TEST: Final = 40
"""Random flips per test of a family: Holm's smallest p can then still reach 1/40."""

_FEW: Final = 255
"""Patterns whose sums are held at once: they stay in the processor's cache, their counts in a byte."""

_ROUND: Final = 1_000
"""Patterns drawn per generator and counted at once; a multiple of 8."""

_TIE: Final = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifference:
    """What n cases say of one system against another.

    Attributes:
        n: Cases both systems have.
        mean: Mean of first minus second; None when n is 0.
        interval: Interval of that mean; None below `MIN_CASES` cases.
        p: Two-sided p of the sign-flip test; None below `MIN_CASES` cases.
    """

    n: int
    mean: float | None
    interval: Interval | None
    p: float | None


def paired_differences(
    differences: Sequence[Array],
    *,
    family: int | None = None,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> list[PairedDifference]:
    """Summarise columns of per-case differences.

    Args:
        differences: One (n,) array per comparison: first system minus second, case by case.
        family: Tests that will be adjusted together; the number of columns if not given.
        confidence: Two-sided confidence of the intervals.
        resamples: Bootstrap resamples.
        seed: Start of the random draws.

    Raises:
        ValueError: A column is not one-dimensional or not finite.
    """
    columns = [checked_sample(column) for column in differences]
    intervals = mean_intervals(columns, confidence=confidence, resamples=resamples, seed=seed)
    flips = flips_for(len(columns) if family is None else family)
    p_values = sign_flip_p_values(columns, flips=flips, seed=seed)
    return [
        PairedDifference(
            n=column.size,
            mean=float(column.mean()) if column.size else None,
            interval=interval,
            p=p,
        )
        for column, interval, p in zip(columns, intervals, p_values, strict=True)
    ]


def flips_for(family: int) -> int:
    """Return how many random sign flips let a family of so many tests still show a difference."""
    return max(FLIPS, _FLIPS_PER_TEST * family - 1)


def sign_flip_p_values(
    differences: Sequence[Array], *, flips: int = FLIPS, seed: int = SEED
) -> list[float | None]:
    """Return the two-sided p of the sign-flip test of each column's mean being zero.

    Args:
        differences: One finite (n,) array per comparison.
        flips: Random sign patterns per column of more than `EXACT_CASES` cases; the observed pattern
            counts as one more, so p is never 0.
        seed: Start of the random draws.

    Returns:
        One p per column; None where it has fewer than `MIN_CASES` cases.

    Raises:
        ValueError: A column is not one-dimensional or not finite.
    """
    columns = [checked_sample(column) for column in differences]
    found: list[float | None] = [None] * len(columns)
    by_length: dict[int, list[int]] = defaultdict(list)
    long = []
    for index, column in enumerate(columns):
        if MIN_CASES <= column.size <= EXACT_CASES:
            by_length[column.size].append(index)
        elif column.size > EXACT_CASES:
            long.append(index)
    for indices in by_length.values():
        block = _padded([columns[index] for index in indices])
        for index, p in zip(indices, _exact_p_values(block), strict=True):
            found[index] = float(p)
    if long:
        block = _padded([columns[index] for index in long])
        for index, p in zip(long, _random_p_values(block, flips, seed), strict=True):
            found[index] = float(p)
    return found


def _padded(columns: Sequence[Array]) -> Array:
    """Stack columns into (longest, k), each scaled to at most 1; a zero has no sign to flip."""
    block = np.zeros((max(column.size for column in columns), len(columns)))
    for place, column in enumerate(columns):
        scale = np.abs(column).max()
        block[: column.size, place] = column / (scale if scale > 0 else 1.0)
    return block


def _as_extreme(block: Array, signs: Array) -> Array:
    """Count, per column of (n, k), the rows of (r, n) `signs` whose sum is as far from 0 as observed."""
    # Zeros of the padding add nothing; the tolerance is that of a sum of so many numbers up to 1.
    bound = np.abs(block.sum(axis=0)) - _TIE * block.shape[0]
    counts = np.zeros(block.shape[1])
    # Memory that is written again and again stays in the cache; fresh memory costs a third of the time.
    sums = np.empty((min(_FEW, signs.shape[0]), block.shape[1]))
    extreme = np.empty(sums.shape, dtype=bool)
    for start in range(0, signs.shape[0], _FEW):
        rows = signs[start : start + _FEW]
        few = slice(rows.shape[0])
        np.matmul(rows, block, out=sums[few])
        np.abs(sums[few], out=sums[few])
        np.greater_equal(sums[few], bound, out=extreme[few])
        counts += extreme[few].view(np.uint8).sum(axis=0, dtype=np.uint8)
    return counts


def _exact_p_values(block: Array) -> Array:
    """Return p per column of (n, k) from all sign patterns that start with +1.

    The others are their mirror images and have the same distance from zero.
    """
    size = block.shape[0]
    total = 2 ** (size - 1)
    counts = np.zeros(block.shape[1])
    for start in range(0, total, _ROUND):
        patterns = np.arange(start, min(start + _ROUND, total))[:, None] >> np.arange(size - 1)
        signs = np.ones((patterns.shape[0], size))
        signs[:, 1:] -= 2.0 * (patterns & 1)
        counts += _as_extreme(block, signs)
    return counts / total


def _random_p_values(block: Array, flips: int, seed: int) -> Array:
    """Return p per column from `flips` random sign patterns, the observed one counted as well.

    Every case has its own run of signs, so a column's answer does not depend on how long others are.
    """
    size = block.shape[0]
    counts = np.ones(block.shape[1])
    for turn, start in enumerate(range(0, flips, _ROUND)):
        drawn = np.random.default_rng([seed, turn]).bytes(size * _ROUND // 8)
        bits = np.unpackbits(np.frombuffer(drawn, dtype=np.uint8)).reshape(size, _ROUND)
        patterns = bits[:, : min(_ROUND, flips - start)].T
        counts += _as_extreme(block, 2.0 * patterns.astype(np.float64) - 1.0)
    return counts / (flips + 1)
