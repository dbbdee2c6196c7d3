"""Means within a case: over its seeds, so that every case weighs the same. Knows one column at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eval.leaderboard.prepared import Numbers, PreparedScores

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseMeans:
    """One metric under one specification: a mean per case and system.

    Attributes:
        systems: Names of the columns of `values`.
        cases: Number of the case by row of `values`, ascending.
        values: (cases, systems); NaN where a system has no value.
    """

    systems: tuple[str, ...]
    cases: Numbers = field(repr=False)
    values: Array = field(repr=False)

    def of(self, system: str) -> Array:
        """Return a system's means, (cases,), NaN where it has no value."""
        return self.values[:, self.systems.index(system)]

    def sample(self, system: str) -> Array:
        """Return the means a system has."""
        column = self.of(system)
        return column[~np.isnan(column)]

    def held(self) -> tuple[str, ...]:
        """Return the systems that have a value on some case."""
        return tuple(name for name in self.systems if not np.isnan(self.of(name)).all())


def case_means(scores: PreparedScores, rows: Numbers, systems: Sequence[str]) -> CaseMeans:
    """Average the clips of one system on one case.

    Args:
        scores: Where the rows are.
        rows: Numbers of rows of one metric under one fingerprint.
        systems: Which systems, in the order of the columns.
    """
    valued = rows[~np.isnan(scores.value[rows])]
    cases, place = np.unique(scores.case[valued], return_inverse=True)
    column = np.full(len(scores.systems), -1)
    for position, name in enumerate(systems):
        column[scores.systems.index(name)] = position
    wanted = column[scores.system[valued]]
    kept = wanted >= 0
    group = place.reshape(-1)[kept] * len(systems) + wanted[kept]
    means = group_means(scores.value[valued[kept]], group, cases.size * len(systems))
    return CaseMeans(
        systems=tuple(systems),
        cases=cases.astype(np.intp),
        values=means.reshape(cases.size, len(systems)),
    )


def group_means(values: Array, groups: Numbers, count: int) -> Array:
    """Return the mean of each group, NaN for an empty one.

    Sums are compensated (Kahan, "Further remarks on reducing truncation errors", CACM 1965) in the order
    of the rows, as those of pandas' group means are.

    Args:
        values: (n,) finite numbers.
        groups: (n,) number of the group, in [0, count).
        count: How many groups there are.
    """
    sizes = np.bincount(groups, minlength=count)
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    turn = np.arange(ordered.size) - (np.cumsum(sizes) - sizes)[ordered]
    sums, lost = np.zeros(count), np.zeros(count)
    for number in range(int(sizes.max(initial=0))):
        now = turn == number
        which = ordered[now]
        change = values[order[now]] - lost[which]
        total = sums[which] + change
        lost[which] = total - sums[which] - change
        sums[which] = total
    return np.divide(sums, sizes, out=np.full(count, np.nan), where=sizes > 0)
