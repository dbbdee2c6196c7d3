"""Automatic metrics against human votes: do they prefer the same clips, and where not?

The unit is one case of one pair of systems: people give a net preference in [-1, 1], a metric gives
the difference of two scores, turned so that up is better. Rank correlation is Kendall's tau-b (ties
are common among votes) and Spearman's rho; intervals resample cases.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from eval.ratings.statistics.board import work_votes
from eval.ratings.statistics.preference import Floats
from eval.ratings.statistics.resampling import MIN_CASES, percentile_interval
from joystreamer.errors import InputError

DRAWS = 1000


def paired_preferences(votes: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Join votes with metric differences, one row per pair, case, dimension and metric.

    Args:
        votes: Vote table.
        scores: Columns system, case, metric, value (nan where a metric could not be computed) and
            direction (+1 when higher is better, -1 when lower is better; rows of 0 are left out).

    Returns:
        Columns first, second, case, dimension, metric, human (net preference for `first`), votes,
        difference (metric difference in favour of `first`).

    Raises:
        InputError: A column is missing, or a system has two values of a metric on a case.
    """
    needed = {"system", "case", "metric", "value", "direction"}
    missing = sorted(needed - set(scores.columns))
    if missing:
        raise InputError(
            f"the score table lacks {', '.join(missing)}; it needs columns {', '.join(sorted(needed))}"
        )
    usable = scores[scores["value"].notna() & (scores["direction"] != 0)]
    twice = usable[usable.duplicated(["system", "case", "metric"])]
    if not twice.empty:
        row = twice.iloc[0]
        raise InputError(
            f"system {row['system']!r} has two values of {row['metric']} on case {row['case']!r}; "
            "keep one per system, case and metric, for example one seed or their mean"
        )
    usable = usable.assign(oriented=usable["value"] * usable["direction"])
    human = work_votes(votes).groupby(["first", "second", "case", "dimension"], sort=True)[
        "outcome"
    ]
    frame = human.agg(human="mean", votes="count").reset_index()
    value = usable[["system", "case", "metric", "oriented"]]
    frame = frame.merge(value, left_on=["first", "case"], right_on=["system", "case"])
    frame = frame.merge(
        value,
        left_on=["second", "case", "metric"],
        right_on=["system", "case", "metric"],
        suffixes=("_first", "_second"),
    )
    frame["difference"] = frame["oriented_first"] - frame["oriented_second"]
    columns = ["first", "second", "case", "dimension", "metric", "human", "votes", "difference"]
    return frame[columns]


def metric_correlation(
    preferences: pd.DataFrame, *, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> pd.DataFrame:
    """Rank correlation of every metric with people, per dimension.

    Args:
        preferences: From `paired_preferences`.
        level: Coverage of the interval.
        draws: Resamples of cases.
        seed: Of the resampling.

    Returns:
        Columns dimension, metric, units, cases, tau, spearman, spearman_low, spearman_high,
        same_sign (share of units, both decided, on which metric and people favour the same system),
        note. Correlations in [-1, 1], higher means the metric follows people; the interval is nan
        with fewer than 8 cases.
    """
    rows = []
    for (dimension, metric), mine in preferences.groupby(["dimension", "metric"], sort=True):
        human, difference = mine["human"].to_numpy(), mine["difference"].to_numpy()
        cases = mine["case"].nunique()
        both = (human != 0) & (difference != 0)
        low = high = np.nan
        if cases >= MIN_CASES:
            drawn = _resampled_spearman(mine, draws=draws, seed=seed)
            interval = percentile_interval(drawn, level=level)
            low, high = (interval.low, interval.high) if interval else (np.nan, np.nan)
        rows.append(
            {
                "dimension": dimension,
                "metric": metric,
                "units": len(mine),
                "cases": cases,
                "tau": _tau(human, difference),
                "spearman": spearman(human, difference),
                "spearman_low": low,
                "spearman_high": high,
                "same_sign": float((np.sign(human) == np.sign(difference))[both].mean())
                if both.any()
                else np.nan,
                "note": "" if cases >= MIN_CASES else f"too few cases: {cases} of {MIN_CASES}",
            }
        )
    return pd.DataFrame(rows)


def spearman(a: Floats, b: Floats) -> float:
    """Spearman's rho with mid-ranks; nan when either side never varies."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    from scipy.stats import rankdata  # 45 MB that pages without votes never need

    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def _tau(a: Floats, b: Floats) -> float:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    from scipy.stats import kendalltau

    return float(kendalltau(a, b).statistic)


def _resampled_spearman(mine: pd.DataFrame, *, draws: int, seed: int) -> Floats:
    """Spearman's rho with cases redrawn; shape (draws,), nan where either side never varies.

    A redrawn sample is the same units with other weights, so all draws are ranked at once.
    """
    rng = np.random.default_rng(seed)
    case = mine["case"].factorize(sort=True)[0]
    cases = int(case.max()) + 1
    picked = rng.integers(0, cases, (draws, cases))
    times = np.stack([np.bincount(row, minlength=cases) for row in picked])
    weights = times[:, case].astype(np.float64)
    a = _weighted_ranks(mine["human"].to_numpy(), weights)
    b = _weighted_ranks(mine["difference"].to_numpy(), weights)
    total = weights.sum(axis=1, keepdims=True)
    a -= (weights * a).sum(axis=1, keepdims=True) / total
    b -= (weights * b).sum(axis=1, keepdims=True) / total
    product = (weights * a * b).sum(axis=1)
    spread = (weights * a**2).sum(axis=1) * (weights * b**2).sum(axis=1)
    varies = spread > 1e-9  # ranks are halves of whole numbers: less is rounding
    return np.where(varies, product / np.sqrt(np.where(varies, spread, 1.0)), np.nan)


def _weighted_ranks(values: Floats, weights: Floats) -> Floats:
    """Mid-ranks of units that occur `weights` times each, shape (draws, units); absent ones get some."""
    below = (values[None, :] < values[:, None]) + 0.5 * (values[None, :] == values[:, None])
    return np.asarray(weights @ below.T + 0.5, dtype=np.float64)


def worst_disagreements(preferences: pd.DataFrame, *, limit: int | None = None) -> pd.DataFrame:
    """Cases on which a metric and people point in opposite directions, worst first.

    The metric's difference is divided by its own standard deviation over all units, so that metrics
    of different units can be listed together; the conflict is the product of the two opposed
    preferences.

    Returns:
        The columns of `paired_preferences` plus `scaled` and `conflict` (> 0), largest first.
    """
    frame = preferences.copy()
    spread = frame.groupby("metric")["difference"].transform(
        lambda d: float(np.sqrt((d**2).mean()))
    )
    frame["scaled"] = np.where(spread > 0, frame["difference"] / spread.where(spread > 0, 1), 0.0)
    frame["conflict"] = -frame["scaled"] * frame["human"]
    frame = frame[frame["conflict"] > 0].sort_values(
        ["conflict", "metric", "dimension", "case"], ascending=[False, True, True, True]
    )
    return (frame if limit is None else frame.head(limit)).reset_index(drop=True)
