"""Alpha against Krippendorff's published table, the `krippendorff` package and identities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.ratings.statistics.agreement import (
    alpha_of,
    answer_table,
    coincidences,
    krippendorff_alpha,
    pairwise_agreement,
)


def test_a_binary_table_worked_by_hand():
    # Ten units, two raters, six agreements: Krippendorff (2011), example A, alpha 0.095.
    one = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    two = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    agreement = krippendorff_alpha(one + two, list(range(10)) * 2)
    assert agreement.alpha == pytest.approx(0.095, abs=0.001)
    assert (agreement.units, agreement.answers) == (10, 20)


@pytest.mark.parity
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["nominal", "ordinal"]))
def test_alpha_is_that_of_the_krippendorff_package(seed, level):
    krippendorff = pytest.importorskip("krippendorff", reason="krippendorff is not installed")
    rng = np.random.default_rng(seed)
    data = rng.integers(-1, 2, size=(4, 9)).astype(float)
    data[rng.random(data.shape) < 0.35] = np.nan
    rater, unit = np.nonzero(~np.isnan(data))
    ours = krippendorff_alpha(data[rater, unit], unit, level=level, draws=10).alpha
    values = data[rater, unit]
    pairable = answer_table(values, unit).sum(axis=1) > 1
    if ours is None:
        assert not pairable.any() or len(set(values[np.isin(unit, np.unique(unit)[pairable])])) == 1
        return
    theirs = krippendorff.alpha(
        reliability_data=data, level_of_measurement=level, value_domain=[-1.0, 0.0, 1.0]
    )
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_perfect_agreement_is_one_and_coin_flips_are_zero():
    units = np.repeat(np.arange(300), 3)
    same = np.repeat(np.random.default_rng(0).integers(-1, 2, 300), 3)
    assert krippendorff_alpha(same, units).alpha == pytest.approx(1)
    flips = np.random.default_rng(1).integers(-1, 2, 900)
    chance = krippendorff_alpha(flips, units)
    assert chance.alpha == pytest.approx(0, abs=0.06)
    assert chance.interval is not None
    assert not chance.interval.excludes(0)


def alpha(outcomes, units, level="nominal"):
    found = krippendorff_alpha(outcomes, units, level=level, draws=2).alpha
    assert found is not None
    return found


def test_ordinal_forgives_near_misses_only():
    units = np.repeat(np.arange(40), 2)
    near = np.tile([1, 0, -1, -1, 0, 0, 1, 1], 10)
    far = np.tile([1, -1, -1, -1, 0, 0, 1, 1], 10)
    assert alpha(near, units, "ordinal") > alpha(near, units)
    assert alpha(far, units, "ordinal") < alpha(far, units)


def test_no_answer_twice_means_no_alpha():
    alone = krippendorff_alpha([1, 0, -1], [0, 1, 2])
    assert (alone.alpha, alone.interval, alone.units) == (None, None, 0)
    assert krippendorff_alpha([1, 1, 1, 1], [0, 0, 1, 1]).alpha is None


def test_interval_covers_the_true_alpha():
    rng = np.random.default_rng(2)

    def sample(units):
        truth = rng.integers(-1, 2, units)
        kept = rng.random((3, units)) < 0.7
        return np.where(kept, truth, rng.integers(-1, 2, (3, units)))

    big = sample(20_000)
    true_alpha = alpha(big.T.ravel(), np.repeat(np.arange(20_000), 3))
    hits = 0
    for _ in range(150):
        votes = sample(60)
        found = krippendorff_alpha(votes.T.ravel(), np.repeat(np.arange(60), 3), draws=300)
        hits += found.interval is not None and not found.interval.excludes(true_alpha)
    assert hits / 150 >= 0.9


def test_pairwise_agreement_by_hand():
    # Unit 0: G G B gives 1 of 3 pairs; unit 1: S S gives 1 of 1.
    assert pairwise_agreement([1, 1, -1, 0, 0], [0, 0, 0, 1, 1]) == pytest.approx(2 / 4)
    assert pairwise_agreement([1, 0], [0, 1]) is None


def test_each_answer_weighs_one_in_the_coincidences():
    table = answer_table([1, 1, 0, -1, -1], [0, 0, 0, 1, 1])
    pairs = coincidences(table)
    assert pairs.sum(axis=(1, 2)).tolist() == [3, 2]
    assert np.isnan(alpha_of(np.zeros((3, 3)), level="nominal"))
