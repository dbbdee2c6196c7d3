"""Resampling against formulas, and its intervals against the coverage they promise."""

import numpy as np
import pytest
from scipy.stats import norm

from eval.ratings.statistics.preference import log_ratio, net_preference
from eval.ratings.statistics.resampling import (
    ballots,
    percentile_interval,
    resample_counts,
    resample_slots,
    resampled_p_value,
    widening,
)
from joystreamer.errors import InputError

CASE_SD, RATER_SD, VOTE_SD, BAND, SHIFT = 0.9, 0.35, 1.0, 0.5, 0.15


def crossed(rng, cases, raters, per_case, case_effects=None):
    """Votes with ordinary case and rater variation; `per_case` random raters on each case."""
    if case_effects is None:
        case_effects = CASE_SD * rng.standard_normal(cases)
    latent = SHIFT + case_effects[:, None] + RATER_SD * rng.standard_normal((1, raters))
    latent = latent + VOTE_SD * rng.standard_normal((cases, raters))
    outcome = np.where(latent > BAND, 1, np.where(latent < -BAND, -1, 0))
    seen = np.argsort(rng.random((cases, raters)), axis=1) < per_case
    case, rater = np.nonzero(seen)
    return ballots(outcome[seen], case, rater)


def population_log_ratio():
    spread = np.sqrt(CASE_SD**2 + RATER_SD**2 + VOTE_SD**2)
    good, bad = norm.sf((BAND - SHIFT) / spread), norm.cdf((-BAND - SHIFT) / spread)
    return float(np.log((1 - bad) / (1 - good)))


def coverage(cases, raters, per_case, *, runs, draws):
    rng = np.random.default_rng(11)
    truth = population_log_ratio()
    hits = 0
    for _ in range(runs):
        votes = crossed(rng, cases, raters, per_case)
        drawn = resample_counts(votes, scope="cases_like_these", draws=draws)[:, 0]
        widen = float(widening(votes, scope="cases_like_these")[0])
        interval = percentile_interval(log_ratio(drawn, continuity=0.5), widen=widen)
        hits += interval is not None and not interval.excludes(truth)
    return hits / runs


@pytest.mark.parametrize(("cases", "raters", "per_case"), [(60, 5, 5), (96, 5, 3)])
def test_intervals_cover_new_cases_and_raters(cases, raters, per_case):
    # 250 runs of a true 95 % interval fall below 0.92 with probability 0.02; the seed is fixed.
    assert coverage(cases, raters, per_case, runs=250, draws=400) >= 0.92


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cases", "raters", "per_case"), [(60, 5, 5), (96, 5, 3), (96, 8, 3), (200, 10, 10), (24, 6, 3)]
)
def test_intervals_cover_new_cases_and_raters_over_many_runs(cases, raters, per_case):
    assert coverage(cases, raters, per_case, runs=2000, draws=1000) >= 0.92


def test_intervals_cover_other_raters_on_the_same_cases():
    rng = np.random.default_rng(5)
    effects = CASE_SD * rng.standard_normal(60)
    spread = np.sqrt(RATER_SD**2 + VOTE_SD**2)
    truth = float(
        np.mean(
            norm.sf((BAND - SHIFT - effects) / spread)
            - norm.cdf((-BAND - SHIFT - effects) / spread)
        )
    )
    hits, runs = 0, 250
    for _ in range(runs):
        votes = crossed(rng, 60, 6, 3, case_effects=effects)
        drawn = net_preference(resample_counts(votes, scope="these_cases", draws=1000)[:, 0])
        widen = float(widening(votes, scope="these_cases")[0])
        interval = percentile_interval(drawn, widen=widen)
        hits += interval is not None and not interval.excludes(truth)
    assert hits / runs >= 0.92


def test_row_resampling_would_have_covered_far_too_little():
    """The reason for this file: the same votes, resampled one by one."""
    rng = np.random.default_rng(11)
    truth, hits, runs = population_log_ratio(), 0, 150
    for _ in range(runs):
        votes = crossed(rng, 96, 5, 5)
        share = votes.totals()[0] / votes.outcomes.size
        drawn = rng.multinomial(votes.outcomes.size, share, size=400).astype(float)
        interval = percentile_interval(log_ratio(drawn))
        hits += interval is not None and not interval.excludes(truth)
    assert hits / runs < 0.75


def test_weights_are_products_of_case_and_rater_draws():
    rng = np.random.default_rng(2)
    votes = ballots([1, 1, 0, -1], [0, 0, 1, 1], [0, 1, 0, 1])
    drawn = resample_slots(votes, votes.slots(), 3, draws=4000, rng=rng)
    # Two cases and two raters: every total is (sum of case draws) x (sum of rater draws) on a full
    # crossing, so n stays 4 in every draw.
    assert np.allclose(drawn.sum(axis=1), 4)
    assert drawn.mean(axis=0) == pytest.approx([2, 1, 1], abs=0.1)


def test_cells_share_their_draws():
    rng = np.random.default_rng(4)
    votes = crossed(rng, 30, 6, 3)
    twice = ballots(
        np.tile(votes.outcomes, 2), np.tile(votes.cases, 2), np.tile(votes.raters, 2),
        np.repeat([0, 1], votes.outcomes.size),
    )  # fmt: skip
    for scope in ("cases_like_these", "these_cases"):
        drawn = resample_counts(twice, scope=scope, draws=50)
        assert np.allclose(drawn[:, 0], drawn[:, 1])


def test_the_same_seed_gives_the_same_draws_and_another_seed_does_not():
    votes = crossed(np.random.default_rng(4), 20, 5, 3)
    one, again, other = (
        resample_counts(votes, scope="cases_like_these", draws=20, seed=s) for s in (1, 1, 2)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_fixed_cases_do_not_add_their_own_variance():
    """All raters agree on every case: new raters would say the same, new cases might not."""
    case, rater = np.divmod(np.arange(40 * 5), 5)
    outcome = np.where(case % 2 == 0, 1, -1)
    votes = ballots(outcome, case, rater)
    fixed = net_preference(resample_counts(votes, scope="these_cases", draws=200)[:, 0])
    fresh = net_preference(resample_counts(votes, scope="cases_like_these", draws=200)[:, 0])
    assert np.ptp(fixed) == pytest.approx(0, abs=1e-12)
    assert np.std(fresh) > 0.1


def test_one_vote_per_case_cannot_speak_about_other_raters():
    votes = ballots([1, -1, 0, 1], [0, 1, 2, 3], [0, 1, 0, 1])
    drawn = net_preference(resample_counts(votes, scope="these_cases", draws=50)[:, 0])
    assert percentile_interval(drawn) is None


def test_widening_needs_two_raters_and_grows_with_fewer():
    rng = np.random.default_rng(6)
    assert np.isnan(widening(ballots([1, 0], [0, 1], [0, 0]), scope="cases_like_these")[0])
    few = widening(crossed(rng, 60, 3, 3), scope="these_cases")[0]
    many = widening(crossed(rng, 60, 12, 3), scope="these_cases")[0]
    assert few > many > 1


def test_p_value_agrees_with_the_interval():
    drawn = np.random.default_rng(8).normal(0.3, 0.1, 50_000)
    assert resampled_p_value(0.3, drawn) == pytest.approx(2 * norm.sf(3), rel=0.1)
    assert np.isnan(resampled_p_value(0.3, np.full(10, 0.3)))


def test_bad_votes_are_refused_in_one_sentence():
    with pytest.raises(InputError, match="need the same length"):
        ballots([1, 0], [0], [0, 1])
    with pytest.raises(InputError, match="other than"):
        ballots([2], [0], [0])
    with pytest.raises(InputError, match="no votes to resample"):
        resample_counts(ballots([], [], []), scope="cases_like_these")
