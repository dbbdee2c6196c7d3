"""Metrics against people: orientation, known correlations, worst cases."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from eval.ratings.statistics.correlation import (
    _resampled_spearman,
    metric_correlation,
    paired_preferences,
    spearman,
    worst_disagreements,
)
from joystreamer.errors import InputError


def scores_that_follow(votes, *, direction, noise=0.0, seed=0):
    """A metric that knows each case's net preference, up to noise, in either direction."""
    rng = np.random.default_rng(seed)
    net = votes.groupby("case")["outcome"].mean()
    rows = []
    for case, value in net.items():
        for system, sign in (("ours", 0.5), ("other", -0.5)):
            score = direction * (sign * value + noise * rng.standard_normal())
            rows.append((system, case, "m", score, direction))
    return pd.DataFrame(rows, columns=["system", "case", "metric", "value", "direction"])


@pytest.mark.parametrize("direction", [1, -1])
def test_a_metric_that_knows_the_votes_correlates_perfectly(vote_table, direction):
    votes = vote_table()
    preferences = paired_preferences(votes, scores_that_follow(votes, direction=direction))
    row = metric_correlation(preferences, draws=50).iloc[0]
    assert (row["tau"], row["spearman"]) == pytest.approx((1, 1))
    assert row["same_sign"] == 1
    assert (row["units"], row["cases"]) == (24, 24)
    assert worst_disagreements(preferences).empty


def test_a_reversed_metric_is_listed_worst_case_first(vote_table):
    votes = vote_table()
    scores = scores_that_follow(votes, direction=1).assign(direction=-1)
    preferences = paired_preferences(votes, scores)
    assert metric_correlation(preferences, draws=50)["spearman"].iloc[0] == pytest.approx(-1)
    worst = worst_disagreements(preferences, limit=3)
    assert len(worst) == 3
    assert worst["conflict"].is_monotonic_decreasing
    assert worst["human"].abs().iloc[0] == preferences["human"].abs().max()


def test_spearman_is_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, 40) / 1.0, rng.integers(0, 5, 40) / 1.0
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert np.isnan(spearman(a, np.ones(40)))


def test_intervals_contain_the_estimate_and_need_eight_cases(vote_table):
    votes = vote_table(cases=40)
    preferences = paired_preferences(votes, scores_that_follow(votes, direction=1, noise=0.4))
    row = metric_correlation(preferences, draws=200).iloc[0]
    assert row["spearman_low"] < row["spearman"] < row["spearman_high"]
    few = metric_correlation(preferences[preferences["case"] < "c006"], draws=50).iloc[0]
    assert few["note"] == "too few cases: 6 of 8"
    assert np.isnan(few["spearman_low"])


def test_missing_scores_leave_and_double_scores_stop(vote_table):
    votes = vote_table()
    scores = scores_that_follow(votes, direction=1)
    scores.loc[0, "value"] = np.nan
    assert len(paired_preferences(votes, scores)) == 23
    with pytest.raises(InputError, match=r"has two values of m on case"):
        paired_preferences(votes, pd.concat([scores, scores.tail(1)]))
    with pytest.raises(InputError, match="lacks direction, value"):
        paired_preferences(votes, scores[["system", "case", "metric"]])


def test_redrawn_correlations_are_those_of_redrawn_rows():
    rng = np.random.default_rng(3)
    mine = pd.DataFrame(
        {
            "case": [f"c{number % 20}" for number in range(40)],
            "human": rng.integers(-3, 4, 40) / 3,
            "difference": rng.normal(size=40).round(1),
        }
    )
    picked = np.random.default_rng(1).integers(0, 20, (50, 20))
    rows = [np.asarray(found) for found in mine.groupby("case", sort=True).indices.values()]
    expected = []
    for draw in picked:
        chosen = mine.iloc[np.concatenate([rows[case] for case in draw])]
        expected.append(spearman(chosen["human"].to_numpy(), chosen["difference"].to_numpy()))
    assert _resampled_spearman(mine, draws=50, seed=1) == pytest.approx(expected)


def test_redrawing_what_never_varies_gives_nothing():
    mine = pd.DataFrame({"case": ["a", "b"], "human": [0.5, 0.5], "difference": [0.0, 1.0]})
    assert np.isnan(_resampled_spearman(mine, draws=20, seed=0)).all()
