"""The board of a campaign: one row per pair of systems and dimension, and a ranking per dimension.

Puts the single statistics together on the vote table of `eval.ratings.vote_table`; all rows share
the same resampled cases and raters, so corrections across the board see how the rows move together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from eval.ratings.statistics.agreement import krippendorff_alpha
from eval.ratings.statistics.davidson import (
    Matchups,
    Standing,
    WinMatrix,
    fit_davidson,
    rank_systems,
    win_matrix,
)
from eval.ratings.statistics.exact_tests import max_t, sign_test, trinomial_test
from eval.ratings.statistics.power import minimum_detectable_difference
from eval.ratings.statistics.preference import (
    HALF_VOTE,
    Counts,
    Floats,
    count,
    log_ratio,
    majority,
    net_preference,
)
from eval.ratings.statistics.resampling import (
    DRAWS,
    MIN_CASES,
    MIN_RATERS,
    Ballots,
    Scope,
    ballots,
    percentile_interval,
    resample_counts,
    resample_slots,
    resampled_p_value,
    widening,
)
from eval.statistics.multiplicity import holm
from joystreamer.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSettings:
    """How a board is computed; part of what an audit repeats.

    Attributes:
        scope: Whether cases are a sample or all there is.
        level: Coverage of every interval.
        draws: Resamples.
        seed: Of the resampling.
    """

    scope: Scope = "cases_like_these"
    level: float = 0.95
    draws: int = DRAWS
    seed: int = 0


def build_board(
    votes: pd.DataFrame,
    *,
    settings: BoardSettings | None = None,
    dimensions: Sequence[str] | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
) -> pd.DataFrame:
    """One row per (first, second, dimension).

    Args:
        votes: Vote table; judged rows of kind `work` count.
        settings: How to compute it.
        dimensions: Order of the rows within a pair; order of appearance when left out.
        pairs: Order of the pairs of systems; likewise.

    Returns:
        Columns first, second, dimension, good, same, bad, votes, cases, raters, ratio, ratio_low,
        ratio_high, majority_good, majority_same, majority_bad, majority_ratio, net, net_low,
        net_high, decisive, tie_share, p, p_holm, p_max_t, p_sign, p_trinomial, alpha, alpha_low,
        alpha_high, alpha_ordinal, detectable, note. Shares lie in [0, 1], net in [-1, 1]; above 0
        (ratio: above 1) favours `first`. `p` comes from resampling, `p_sign` and `p_trinomial` from
        one majority answer per case. Intervals and p are nan, and `note` says why, with fewer than 5
        raters or 8 cases.
    """
    settings = settings or BoardSettings()
    work = work_votes(votes)
    if work.empty:
        return pd.DataFrame(columns=["first", "second", "dimension", "note"])
    order = list(dimensions or dict.fromkeys(work["dimension"]))
    met = dict.fromkeys([*(pairs or ()), *zip(work["first"], work["second"], strict=True)])
    cells = [(first, second, dimension) for first, second in met for dimension in order]
    place = {cell: index for index, cell in enumerate(cells)}
    keys = zip(work["first"], work["second"], work["dimension"], strict=True)
    index = np.array([place[key] for key in keys])
    table = ballots(work["outcome"], work["case"], work["rater"], index, n_cells=len(cells))
    drawn = resample_counts(table, scope=settings.scope, draws=settings.draws, seed=settings.seed)
    widen = widening(table, scope=settings.scope, level=settings.level)
    rows = [
        _board_row(cell, work[index == number], drawn[:, number], float(widen[number]), settings)
        for number, cell in enumerate(cells)
        if (index == number).any()
    ]
    board = pd.DataFrame(rows)
    _correct_across(board, [place[key] for key in _keys(board)], drawn, widen)
    return board


def work_votes(votes: pd.DataFrame) -> pd.DataFrame:
    """The rows that count for results: judged, and neither check nor training nor repeat."""
    return votes[(votes["kind"] == "work") & votes["outcome"].notna()]


def _keys(board: pd.DataFrame) -> list[tuple[str, str, str]]:
    return list(zip(board["first"], board["second"], board["dimension"], strict=True))


def _board_row(
    cell: tuple[str, str, str],
    mine: pd.DataFrame,
    drawn: Floats,
    widen: float,
    settings: BoardSettings,
) -> dict[str, object]:
    pooled = count(mine["outcome"])
    per_case = count(majority(mine["outcome"], mine["case"].factorize()[0]))
    nominal = krippendorff_alpha(mine["outcome"], mine["case"], seed=settings.seed)
    ordinal = krippendorff_alpha(mine["outcome"], mine["case"], level="ordinal", seed=settings.seed)
    row: dict[str, object] = {
        "first": cell[0],
        "second": cell[1],
        "dimension": cell[2],
        "good": int(pooled.good),
        "same": int(pooled.same),
        "bad": int(pooled.bad),
        "votes": int(pooled.n),
        "cases": int(mine["case"].nunique()),
        "raters": int(mine["rater"].nunique()),
        "ratio": _number(pooled.ratio),
        "majority_good": int(per_case.good),
        "majority_same": int(per_case.same),
        "majority_bad": int(per_case.bad),
        "majority_ratio": _number(per_case.ratio),
        "net": _number(pooled.net),
        "decisive": _number(pooled.decisive),
        "tie_share": _number(pooled.tie_share),
        "p_sign": sign_test(int(per_case.good), int(per_case.bad)),
        "p_trinomial": trinomial_test(int(per_case.good), int(per_case.same), int(per_case.bad)),
        "alpha": _number(nominal.alpha),
        "alpha_low": nominal.interval.low if nominal.interval else np.nan,
        "alpha_high": nominal.interval.high if nominal.interval else np.nan,
        "alpha_ordinal": _number(ordinal.alpha),
    }
    row.update(_intervals(pooled, drawn, widen, settings))
    row["note"] = shortage(mine["case"].nunique(), mine["rater"].nunique())
    if row["note"]:
        row.update(dict.fromkeys(("ratio_low", "ratio_high", "net_low", "net_high", "p"), np.nan))
        row["detectable"] = np.nan
    elif np.isnan(widen):
        row["note"] = "one vote per case: nothing to resample"
    return row


def shortage(cases: int, raters: int) -> str:
    """Why a cell shows counts only; '' when it has enough of both."""
    if raters < MIN_RATERS:
        return f"too few raters: {raters} of {MIN_RATERS}"
    if cases < MIN_CASES:
        return f"too few cases: {cases} of {MIN_CASES}"
    return ""


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _intervals(
    pooled: Counts, drawn: Floats, widen: float, settings: BoardSettings
) -> dict[str, float]:
    net = net_preference(drawn)
    ratio_interval = percentile_interval(
        log_ratio(drawn, continuity=HALF_VOTE), widen=widen, level=settings.level
    )
    net_interval = percentile_interval(net, widen=widen, level=settings.level)
    usable = net[~np.isnan(net)]
    error = float(usable.std(ddof=1)) * widen if usable.size > 1 else np.nan
    return {
        "ratio_low": float(np.exp(ratio_interval.low)) if ratio_interval else np.nan,
        "ratio_high": float(np.exp(ratio_interval.high)) if ratio_interval else np.nan,
        "net_low": net_interval.low if net_interval else np.nan,
        "net_high": net_interval.high if net_interval else np.nan,
        "p": resampled_p_value(_number(pooled.net), net, widen=widen),
        "detectable": minimum_detectable_difference(error, level=settings.level),
    }


def _correct_across(board: pd.DataFrame, places: list[int], drawn: Floats, widen: Floats) -> None:
    """Add p-values corrected over all rows that have one."""
    raw = [None if np.isnan(p) else float(p) for p in board["p"]]
    board["p_holm"] = [np.nan if p is None else p for p in holm(raw)]
    board["p_max_t"] = np.nan
    tested = board.index[board["p"].notna()]
    if len(tested) == 0:
        return
    columns = [places[board.index.get_loc(row)] for row in tested]
    net = net_preference(drawn[:, columns])
    net = net[~np.isnan(net).any(axis=1)]
    adjusted = max_t(board.loc[tested, "net"].to_numpy(), net, widen=widen[columns])
    board.loc[tested, "p_max_t"] = adjusted


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Everybody's place on one dimension.

    Attributes:
        dimension: Its id.
        standings: Best first.
        position: Log advantage of the left side.
        position_low: Lower end of its interval.
        position_high: Upper end.
        tie_weight: Davidson's v.
        matrix: Everybody against everybody.
        note: Why intervals are missing, or ''.
    """

    dimension: str
    standings: list[Standing]
    position: float
    position_low: float
    position_high: float
    tie_weight: float
    matrix: WinMatrix
    note: str


def rank_dimension(
    votes: pd.DataFrame,
    dimension: str,
    *,
    baseline: str,
    settings: BoardSettings | None = None,
) -> Ranking:
    """Davidson ranking of all systems on one dimension.

    Args:
        votes: Vote table.
        dimension: Which rows.
        baseline: The system at 0.
        settings: How to compute it; cases and raters are always both resampled here, because
            strengths speak about systems beyond these clips.

    Raises:
        InputError: No votes, a disconnected design, or an unknown baseline.
    """
    settings = settings or BoardSettings()
    work = work_votes(votes)
    work = work[work["dimension"] == dimension]
    if work.empty:
        raise InputError(f"dimension {dimension!r} has no votes to rank; collect votes first")
    matchups, row_of_vote = _matchups(work)
    table = ballots(work["outcome"], work["case"], work["rater"])
    slots = row_of_vote * 3 + (1 - table.outcomes)
    width = matchups.first.size * 3
    counts = np.bincount(slots, minlength=width).reshape(-1, 3).astype(float)
    point = fit_davidson(matchups, counts)
    rng = np.random.default_rng(settings.seed)
    drawn = resample_slots(table, slots, width, draws=settings.draws, rng=rng)
    fits = fit_davidson(matchups, drawn.reshape(settings.draws, -1, 3))
    widen = _pooled_widening(table, settings)
    note = shortage(table.n_cases, table.n_raters)
    standings = rank_systems(
        matchups.systems, point.strengths[0], fits.strengths,
        baseline=baseline, level=settings.level, widen=widen,
    )  # fmt: skip
    half = float(ndtri((1 + settings.level) / 2)) * float(fits.position.std(ddof=1)) * widen
    position = float(point.position[0])
    return Ranking(
        dimension=dimension,
        standings=standings,
        position=position,
        position_low=position - half,
        position_high=position + half,
        tie_weight=float(point.tie_weight[0]),
        matrix=win_matrix(matchups, counts),
        note=note,
    )


def _pooled_widening(table: Ballots, settings: BoardSettings) -> float:
    factor = float(widening(table, scope="cases_like_these", level=settings.level)[0])
    return 1.0 if np.isnan(factor) else factor


def _matchups(work: pd.DataFrame) -> tuple[Matchups, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Rows of distinct (first, second, side), and the row of each vote."""
    systems = tuple(sorted({*work["first"], *work["second"]}))
    number = {system: index for index, system in enumerate(systems)}
    side = {"left": 1, "right": -1}
    keys = list(
        zip(
            (number[name] for name in work["first"]),
            (number[name] for name in work["second"]),
            (side.get(value, 0) for value in work["first_side"]),
            strict=True,
        )
    )
    distinct = sorted(set(keys))
    place = {key: index for index, key in enumerate(distinct)}
    columns = np.array(distinct, dtype=np.int64)
    matchups = Matchups(
        systems=systems, first=columns[:, 0], second=columns[:, 1], side=columns[:, 2]
    )
    return matchups, np.array([place[key] for key in keys], dtype=np.int64)
