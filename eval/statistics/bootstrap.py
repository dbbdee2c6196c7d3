"""Bootstrap intervals of a mean over cases, many columns at once.

BCa (bias-corrected and accelerated) after Efron, "Better Bootstrap Confidence Intervals" (JASA 1987),
with the mid-rank bias correction and the linear percentile of `scipy.stats.bootstrap`; with the same
seed the two agree to rounding. Unlike SciPy, equal values give an interval of width zero instead of
NaN, and too few cases give no interval at all.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]

MIN_CASES: Final = 8
"""Cases below which no interval and no p is given: the bootstrap knows too little of the tails."""

CONFIDENCE: Final = 0.95
"""Two-sided confidence of every interval."""

RESAMPLES: Final = 4_999
"""Resamples per interval: the end points then move by about a hundredth of the width by seed."""

SEED: Final = 0
"""Seed of every resampling, fixed so that a table can be printed twice."""

_CHUNK: Final = 4_000_000
"""Resampled means held at once: 32 MB."""

_DRAWS: Final = 64_000
"""Draws made at once: they then stay in the processor's cache, which saves a third of the time."""

_KEPT_DRAWS: Final = 1_000_000
"""Draws of a sample size that are worth keeping: up to 200 cases, half a MB each."""

_KEPT_SIZES: Final = 96
"""Sample sizes whose draws are kept at once: all up to 103 cases, 14 MB."""

_NIBBLE: Final = 15
"""The largest count that is kept: two to a byte. A row is drawn more often once in 1e13 times."""

_TIE: Final = 1e-12
"""Resampled means closer than this to the estimate, in units of the largest deviation, equal it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A confidence interval, in the unit of its values.

    Attributes:
        low: Lower end.
        high: Upper end, never below `low`.
    """

    low: float
    high: float


def mean_intervals(
    samples: Sequence[Array],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> list[Interval | None]:
    """Return the BCa interval of the mean of each sample.

    Samples of equal length share their draws, so thousands of columns cost one matrix product.

    Args:
        samples: One (n,) float array per column, finite, one number per case.
        confidence: Two-sided confidence in (0, 1).
        resamples: Resamples drawn per column.
        seed: Start of the random draws.

    Returns:
        One interval per sample; None where a sample has fewer than `MIN_CASES` numbers.

    Raises:
        ValueError: A sample is not one-dimensional or not finite.
    """
    columns = [checked_sample(sample) for sample in samples]
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, column in enumerate(columns):
        if column.size >= MIN_CASES:
            by_length[column.size].append(index)
    found: list[Interval | None] = [None] * len(columns)
    for indices in by_length.values():
        block = np.stack([columns[index] for index in indices], axis=1)
        low, high = _block_intervals(block, confidence, resamples, seed)
        for position, index in enumerate(indices):
            found[index] = Interval(low=float(low[position]), high=float(high[position]))
    return found


def keep_draws(largest: int) -> None:
    """Draw for every sample size beforehand: a board of a new choice of cases asks for ten to twenty new ones.

    Args:
        largest: Cases of the largest sample; where there are more sizes than are kept, nothing is drawn.
    """
    sizes = range(MIN_CASES, largest + 1)
    if len(sizes) <= _KEPT_SIZES:
        for size in sizes:
            _kept_counts(size, RESAMPLES, SEED)


def bca_bounds(
    resampled: Array, estimate: Array, influence: Array, confidence: float = CONFIDENCE
) -> tuple[Array, Array]:
    """Return the BCa end points of any statistic from its resamples.

    Args:
        resampled: (resamples, k) statistic on each resample.
        estimate: (k,) statistic on the data.
        influence: (n, k) jackknife influence: mean of the leave-one-out statistics minus each of them.
        confidence: Two-sided confidence in (0, 1).

    Returns:
        Lower and upper ends, each (k,).
    """
    count = resampled.shape[0]
    # Sorted once for all counts and both ends, each column in one piece of memory.
    ordered = np.sort(np.ascontiguousarray(resampled.T), axis=1)
    below = np.array(
        [
            np.searchsorted(row, middle - _TIE, "left")
            + np.searchsorted(row, middle + _TIE, "right")
            for row, middle in zip(ordered, estimate, strict=True)
        ]
    )
    # All resamples on one side would put the correction at infinity: half a resample is left over.
    bias = ndtri(np.clip(below / (2 * count), 0.5 / count, 1 - 0.5 / count))
    squares = (influence**2).sum(axis=0)
    cubes = (influence**3).sum(axis=0)
    acceleration = np.zeros_like(squares)
    np.divide(cubes, 6 * squares**1.5, out=acceleration, where=squares > 0)
    tail = ndtri((1 - confidence) / 2)
    ends = []
    for quantile in (tail, -tail):
        shifted = bias + quantile
        level = ndtr(bias + shifted / (1 - acceleration * shifted))
        ends.append(_row_quantiles(ordered, level))
    return ends[0], ends[1]


def checked_sample(sample: Array) -> Array:
    """Return the sample as a float array, refusing what would poison a mean.

    Raises:
        ValueError: It is not one-dimensional or holds NaN or infinity.
    """
    column = np.asarray(sample, dtype=np.float64)
    if column.ndim != 1:
        raise ValueError(f"a sample is one-dimensional, got shape {column.shape}")
    if not np.isfinite(column).all():
        raise ValueError("a sample holds NaN or infinity: drop unmeasured cases before averaging")
    return column


def _block_intervals(
    block: Array, confidence: float, resamples: int, seed: int
) -> tuple[Array, Array]:
    """Return end points (k,), (k,) for a (n, k) block of columns of equal length."""
    size, width = block.shape
    # Deviations in units of the largest one: nothing overflows, and ties have one tolerance.
    scale = np.maximum(np.abs(block).max(axis=0), np.finfo(np.float64).tiny)
    unit = block / scale
    centre = unit.mean(axis=0)
    deviation = unit - centre
    spread = np.abs(deviation).max(axis=0)
    varies = spread > 4 * size * np.finfo(np.float64).eps
    deviation[:, varies] /= spread[varies]
    low, high = np.zeros(width), np.zeros(width)
    step = max(1, _CHUNK // resamples)
    (moving,) = np.nonzero(varies)
    for start in range(0, moving.size, step):
        chosen = moving[start : start + step]
        part = deviation[:, chosen]
        means = _resampled_means(part, resamples, seed)
        ends = bca_bounds(means, np.zeros(chosen.size), part, confidence)
        low[chosen], high[chosen] = (end * spread[chosen] for end in ends)
    return (centre + low) * scale, (centre + high) * scale


def _resampled_means(block: Array, resamples: int, seed: int) -> Array:
    """Return (resamples, k) means of rows drawn with replacement from a (n, k) block."""
    size = block.shape[0]
    means = np.empty((resamples, block.shape[1]))
    kept = _kept_counts(size, resamples, seed) if size * resamples <= _KEPT_DRAWS else ()
    rounds = (_unpacked(each, size) for each in kept) if kept else _drawn_counts(size, resamples, seed)  # fmt: skip
    start = 0
    for counts in rounds:
        stop = start + counts.shape[0]
        means[start:stop] = counts.astype(np.float64, copy=False) @ block / size
        start = stop
    return means


@lru_cache(maxsize=_KEPT_SIZES)
def _kept_counts(size: int, resamples: int, seed: int) -> tuple[NDArray[np.uint8], ...]:
    """Return what `_drawn_counts` yields, packed; nothing if some count is too large to be kept."""
    found = list(_drawn_counts(size, resamples, seed))
    if any(counts.max() > _NIBBLE for counts in found):
        return ()
    return tuple(_packed(counts) for counts in found)


def _packed(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return (r, size) counts in (r, half the size) bytes: the columns of the right half above the left's."""
    half = (counts.shape[1] + 1) // 2
    packed = counts[:, :half].astype(np.uint8)
    right = counts[:, half:]
    packed[:, : right.shape[1]] |= right.astype(np.uint8) << 4
    return packed


def _unpacked(packed: NDArray[np.uint8], size: int) -> Array:
    """Return the counts that `_packed` took."""
    half = packed.shape[1]
    counts = np.empty((packed.shape[0], size))
    counts[:, :half] = packed & _NIBBLE
    counts[:, half:] = packed[:, : size - half] >> 4
    return counts


def _drawn_counts(size: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield (r, size) counts, r resamples at a time: how often each row was drawn."""
    generator = np.random.default_rng(seed)
    step = max(1, _DRAWS // size)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        draws = generator.integers(0, size, (rows, size))
        draws += np.arange(0, rows * size, size)[:, None]
        yield np.bincount(draws.ravel(), minlength=rows * size).reshape(rows, size)


def _row_quantiles(ordered: Array, levels: Array) -> Array:
    """Return the linear quantile of each row of sorted (k, r) values at its own level (k,)."""
    last = ordered.shape[1] - 1
    place = levels * last
    under = np.floor(place).astype(np.intp)
    over = np.minimum(under + 1, last)
    row = np.arange(ordered.shape[0])
    low, high = ordered[row, under], ordered[row, over]
    return np.asarray(low + (high - low) * (place - under), dtype=np.float64)
