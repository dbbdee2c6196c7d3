"""Davidson's paired comparison model: strengths of many systems from wins, losses and ties.

Davidson (1970): with strengths exp(l) and tie weight v, first : tie : second =
exp(d/2) : v : exp(-d/2), where d = l_first - l_second + g * side and side is +1 when the first system
is shown on the left, -1 on the right. The position term g absorbs a preference for one side. Every
system also plays a weak virtual game, half won and half lost, against an average phantom, which keeps
strengths finite when somebody wins everything (the convention of arenakit and FastChat-like boards).

All fits run over a whole batch of count tables at once, so resampling a board takes a second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.ratings.statistics.connection import components
from eval.ratings.statistics.exact_tests import max_t_critical
from eval.ratings.statistics.preference import Floats, Integers
from joystreamer.errors import InputError

PRIOR_GAMES = 0.5
"""Virtual games per system against an average phantom; half a game, as in arenakit."""

ELO_PER_UNIT = 400 / np.log(10)
"""Elo points per unit of log strength."""

_ITERATIONS = 200
_STEP = 2.0
_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class Matchups:
    """Which comparisons a table of counts is about.

    Attributes:
        systems: Names; positions are used below.
        first: Shape (K,), first system of each row.
        second: Shape (K,), second system of each row.
        side: Shape (K,), +1 if the first system was on the left, -1 if on the right, 0 if unknown.
    """

    systems: tuple[str, ...]
    first: Integers
    second: Integers
    side: Integers

    def design(self) -> Floats:
        """Shape (K, systems + 1): d as a linear function of strengths and position term."""
        rows = np.zeros((self.first.size, len(self.systems) + 1))
        index = np.arange(self.first.size)
        np.add.at(rows, (index, self.first), 1.0)
        np.add.at(rows, (index, self.second), -1.0)
        rows[:, -1] = self.side
        return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Fitted strengths, one row per count table of the batch.

    Attributes:
        strengths: Shape (B, systems), log strengths with mean 0; higher is better.
        position: Shape (B,), log advantage of being on the left; 0 when sides are unknown.
        tie_weight: Shape (B,), v >= 0; larger means more ties between equals.
    """

    strengths: Floats
    position: Floats
    tie_weight: Floats


def require_connected(matchups: Matchups, counts: Floats) -> None:
    """Refuse to rank systems that no chain of comparisons joins.

    Raises:
        InputError: The comparisons fall into groups; the message names them.
    """
    met = counts.sum(axis=-1) > 0
    groups = components(len(matchups.systems), matchups.first[met], matchups.second[met])
    if len(groups) > 1:
        named = " | ".join(", ".join(matchups.systems[i] for i in group) for group in groups)
        raise InputError(
            f"the systems fall into {len(groups)} groups that were never compared with each other "
            f"({named}); a common ranking needs comparisons that join them; add a pair across groups"
        )


def fit_davidson(matchups: Matchups, counts: ArrayLike, *, prior: float = PRIOR_GAMES) -> Fit:
    """Fit one or many count tables by Newton's method on the concave penalised likelihood.

    Args:
        matchups: What the rows are.
        counts: Shape (K, 3) or (B, K, 3): votes for the first system, ties, votes for the second.
        prior: Virtual games per system; must be above 0.

    Raises:
        InputError: The prior is not positive, or the first table is disconnected.
    """
    if prior <= 0:
        raise InputError(
            f"prior {prior} gives no finite strengths when a system wins everything; use > 0"
        )
    tables = np.asarray(counts, dtype=np.float64)
    tables = tables[None] if tables.ndim == 2 else tables
    require_connected(matchups, tables.sum(axis=0))
    size = len(matchups.systems)
    phantom = np.concatenate([np.eye(size), np.zeros((size, 1))], axis=1)
    virtual = np.broadcast_to([prior / 2, 0.0, prior / 2], (tables.shape[0], size, 3))
    rows = np.concatenate([matchups.design(), phantom])
    data = np.concatenate([tables, virtual], axis=1)
    has_side = bool((matchups.side != 0).any())
    parameters, tied = _newton(rows, data, has_side)
    strengths = parameters[:, :size]
    return Fit(
        strengths=strengths - strengths.mean(axis=1, keepdims=True),
        position=parameters[:, size],
        tie_weight=np.where(tied, np.exp(parameters[:, size + 1]), 0.0),
    )


def _probabilities(d: Floats, log_tie: Floats) -> Floats:
    weights = np.stack([d / 2, np.broadcast_to(log_tie, d.shape), -d / 2], axis=-1)
    weights = np.exp(weights - weights.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True), dtype=np.float64)


def _newton(rows: Floats, data: Floats, has_side: bool) -> tuple[Floats, NDArray[np.bool_]]:
    """Maximise the likelihood of every table; parameters are strengths, position, log tie weight."""
    batch, width = data.shape[0], rows.shape[1]
    tied = data[..., 1].sum(axis=1) > 0
    parameters = np.zeros((batch, width + 1))
    games = data.sum(axis=-1)
    score = np.array([0.5, 0.0, -0.5])
    free = np.ones((batch, width + 1), dtype=bool)
    free[:, width - 1] = has_side
    free[:, width] = tied
    active = np.arange(batch)
    for _ in range(_ITERATIONS):
        current = parameters[active]
        d = current[:, :width] @ rows.T
        log_tie = np.where(tied[active], current[:, width], -np.inf)[:, None]
        p = _probabilities(d, log_tie)
        n = games[active]
        mean = p @ score
        variance = p @ score**2 - mean**2
        pull = data[active] @ score - n * mean
        gradient = np.concatenate(
            [pull @ rows, (data[active][..., 1] - n * p[..., 1]).sum(axis=1)[:, None]], axis=1
        )
        curvature = np.zeros((active.size, width + 1, width + 1))
        curvature[:, :width, :width] = np.einsum("bk,ki,kj->bij", n * variance, rows, rows)
        cross = (n * -mean * p[..., 1]) @ rows
        curvature[:, :width, width] = curvature[:, width, :width] = cross
        curvature[:, width, width] = (n * p[..., 1] * (1 - p[..., 1])).sum(axis=1)
        gradient[~free[active]] = 0.0
        blocked = ~free[active]
        curvature[blocked[:, :, None] | blocked[:, None, :]] = 0.0
        diagonal = np.arange(width + 1)
        curvature[:, diagonal, diagonal] += np.where(blocked, 1.0, 1e-12)
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        longest = np.abs(step).max(axis=1, keepdims=True)
        step *= np.minimum(1.0, _STEP / np.maximum(longest, _STEP))
        parameters[active] = current + step
        active = active[longest[:, 0] > _TOLERANCE]
        if active.size == 0:
            return parameters, tied
    raise InputError(
        f"{active.size} of {batch} strength fits did not settle in {_ITERATIONS} steps; "
        "the votes are too one-sided for the prior; use a larger prior"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One system's place.

    Attributes:
        system: Name.
        strength: Log strength relative to the baseline, whose strength is 0; higher is better.
        low: Lower end of the strength's simultaneous interval against the baseline.
        high: Upper end.
        elo: The same in Elo points relative to the baseline.
        rank: Shared rank, 1 is best: one more than the number of systems shown to be better.
        rank_low: Best rank the votes allow.
        rank_high: Worst rank the votes allow.
        group: Letter groups: neighbours that the votes do not separate share a number, from 1.
    """

    system: str
    strength: float
    low: float
    high: float
    elo: float
    rank: int
    rank_low: int
    rank_high: int
    group: int


def rank_systems(
    systems: tuple[str, ...],
    point: Floats,
    draws: Floats,
    *,
    baseline: str,
    level: float = 0.95,
    widen: float = 1.0,
) -> list[Standing]:
    """Standings with rank intervals that hold simultaneously over all pairs of systems.

    Pairs are separated by a max-t test on the drawn differences; rank intervals count who is
    significantly better and worse (Mogstad, Romano, Shaikh and Wilhelm 2024).

    Args:
        systems: Names.
        point: Shape (systems,), fitted log strengths.
        draws: Shape (B, systems), resampled log strengths.
        baseline: The system at 0.
        level: Simultaneous coverage.
        widen: Factor on standard errors for few clusters.

    Returns:
        Best first.

    Raises:
        InputError: The baseline is not among the systems.
    """
    if baseline not in systems:
        raise InputError(
            f"baseline {baseline!r} was not compared; choose one of {', '.join(systems)}"
        )
    size = len(systems)
    a, b = np.triu_indices(size, k=1)
    gaps = draws[:, a] - draws[:, b]
    spread = gaps.std(axis=0, ddof=1) * widen
    critical = max_t_critical(gaps, level=level)
    beats = np.zeros((size, size), dtype=bool)
    separated = np.abs(point[a] - point[b]) > critical * spread
    sign = point[a] > point[b]
    beats[a, b] = separated & sign
    beats[b, a] = separated & ~sign
    anchor = systems.index(baseline)
    half = np.zeros((size, size))
    half[a, b] = half[b, a] = critical * spread
    order = np.argsort(-point, kind="stable")
    standings: list[Standing] = []
    group = 1
    for place, system in enumerate(order):
        if place and beats[order[place - 1], system]:
            group += 1
        strength = float(point[system] - point[anchor])
        better, worse = int(beats[:, system].sum()), int(beats[system].sum())
        standings.append(
            Standing(
                system=systems[system],
                strength=strength,
                low=strength - float(half[system, anchor]),
                high=strength + float(half[system, anchor]),
                elo=float(strength * ELO_PER_UNIT),
                rank=1 + better,
                rank_low=1 + better,
                rank_high=size - worse,
                group=group,
            )
        )
    return standings


@dataclass(frozen=True, slots=True, kw_only=True)
class WinMatrix:
    """Everybody against everybody.

    Attributes:
        systems: Names, rows and columns.
        net: Shape (S, S), net preference for the row system in [-1, 1]; antisymmetric, nan where two
            systems never met and on the diagonal.
        score: Shape (S, S), (wins + ties/2)/n for the row system; mirrored entries sum to 1.
        votes: Shape (S, S), number of votes; symmetric.
    """

    systems: tuple[str, ...]
    net: Floats
    score: Floats
    votes: Floats


def win_matrix(matchups: Matchups, counts: ArrayLike) -> WinMatrix:
    """Tabulate counts (K, 3) as a matrix whose mirrored entries agree."""
    table = np.asarray(counts, dtype=np.float64)
    size = len(matchups.systems)
    wins, ties = np.zeros((size, size)), np.zeros((size, size))
    np.add.at(wins, (matchups.first, matchups.second), table[:, 0])
    np.add.at(wins, (matchups.second, matchups.first), table[:, 2])
    np.add.at(ties, (matchups.first, matchups.second), table[:, 1])
    np.add.at(ties, (matchups.second, matchups.first), table[:, 1])
    votes = wins + wins.T + ties
    np.fill_diagonal(votes, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        net = np.where(votes > 0, (wins - wins.T) / votes, np.nan)
    return WinMatrix(systems=matchups.systems, net=net, score=(net + 1) / 2, votes=votes)
