"""Intervals, tests, adjustment and ranks: against SciPy, by hand, by simulation and by property."""

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eval.statistics import (
    FLIPS,
    MIN_CASES,
    RESAMPLES,
    flips_for,
    holm,
    mean_intervals,
    paired_differences,
    sign_flip_p_values,
    tie_ranks,
)

samples = hnp.arrays(
    np.float64, st.integers(MIN_CASES, 20), elements=st.floats(-1e6, 1e6, allow_subnormal=False)
)


@pytest.mark.parity
@pytest.mark.parametrize("size", [8, 23, 150])
@pytest.mark.parametrize("shape", ["normal", "lognormal"])
def test_bca_agrees_with_scipy(size: int, shape: str):
    data = getattr(np.random.default_rng(size), shape)(size=size)
    [ours] = mean_intervals([data])
    theirs = scipy.stats.bootstrap(
        (data,), np.mean, method="BCa", n_resamples=RESAMPLES, rng=np.random.default_rng(0)
    ).confidence_interval
    assert ours is not None
    # Of 8 cases a few resamples are the sample itself in another order; SciPy lets rounding decide on
    # which side of the estimate those fall, here they count half.
    np.testing.assert_allclose([ours.low, ours.high], theirs, rtol=5e-3 if size == 8 else 1e-9)


def test_columns_of_all_lengths_get_the_interval_they_get_alone():
    generator = np.random.default_rng(3)
    columns = [generator.normal(size=size) for size in (9, 30, 9, 5, 30, 12)]
    together = mean_intervals(columns)
    assert together[3] is None
    for column, interval in zip(columns, together, strict=True):
        [alone] = mean_intervals([column])
        if alone is None or interval is None:
            assert alone is interval
            continue
        np.testing.assert_allclose(
            [interval.low, interval.high], [alone.low, alone.high], rtol=1e-12
        )


@pytest.mark.parametrize("size", range(MIN_CASES))
def test_too_few_cases_give_neither_interval_nor_p(size: int):
    values = np.linspace(1.0, 2.0, size)
    assert mean_intervals([values]) == [None]
    assert sign_flip_p_values([values]) == [None]
    [result] = paired_differences([values])
    assert (result.n, result.interval, result.p) == (size, None, None)
    assert (result.mean is None) == (size == 0)


def test_interval_covers_the_true_mean_of_skewed_data_about_as_often_as_it_says():
    truth = np.exp(0.125)
    data = np.random.default_rng(11).lognormal(0.0, 0.5, size=(2_000, 30))
    intervals = mean_intervals(list(data), resamples=999)
    covered = np.mean([i is not None and i.low <= truth <= i.high for i in intervals])
    # Binomial standard error 0.005; BCa at n = 30 is known to cover a little less than nominal.
    assert 0.92 <= covered <= 0.965


def test_equal_values_give_an_interval_of_no_width():
    [interval] = mean_intervals([np.full(12, 0.1)])
    assert interval is not None
    assert interval.low == pytest.approx(0.1, rel=1e-15)
    assert interval.high == pytest.approx(0.1, rel=1e-15)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_extreme_magnitudes_neither_overflow_nor_vanish(scale: float):
    unit = np.random.default_rng(5).normal(size=40)
    [plain] = mean_intervals([unit])
    [scaled] = mean_intervals([unit * scale])
    assert plain is not None
    assert scaled is not None
    np.testing.assert_allclose([scaled.low / scale, scaled.high / scale], [plain.low, plain.high])
    assert sign_flip_p_values([unit * scale]) == sign_flip_p_values([unit])


@pytest.mark.parametrize("function", [mean_intervals, sign_flip_p_values, paired_differences])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_unmeasured_cases_are_refused_instead_of_averaged(function, bad: float):
    with pytest.raises(ValueError, match="drop unmeasured cases before averaging"):
        function([np.array([1.0] * 9 + [bad])])
    with pytest.raises(ValueError, match="one-dimensional, got shape"):
        function([np.ones((3, 3))])


@settings(max_examples=60, deadline=None)
@given(samples)
def test_interval_holds_the_mean_and_stays_within_the_data(data):
    [interval] = mean_intervals([data], resamples=499)
    slack = 1e-9 * np.abs(data).max()
    assert interval is not None
    assert data.min() - slack <= interval.low <= interval.high <= data.max() + slack


@settings(max_examples=60, deadline=None)
@given(samples, st.sampled_from([-3.0, 0.5, 1024.0]), st.integers(-1000, 1000))
def test_interval_moves_with_the_data(data, factor: float, shift: int):
    moved = data * factor + shift
    if np.ptp(data) < 1e-3 * (1 + np.abs(data).max() + abs(shift)):
        return  # rounding would decide
    [first], [second] = (
        mean_intervals([data], resamples=499),
        mean_intervals([moved], resamples=499),
    )
    assert first is not None
    assert second is not None
    expected = sorted([first.low * factor + shift, first.high * factor + shift])
    # A mirrored sample swaps the ends; quantiles of a finite bootstrap then differ by a resample or two.
    tolerance = (0.1 if factor < 0 else 1e-6) * np.ptp(moved)
    np.testing.assert_allclose([second.low, second.high], expected, atol=tolerance)


@pytest.mark.parity
@pytest.mark.parametrize("size", [8, 11, 14])
def test_exact_sign_flip_agrees_with_scipy(size: int):
    data = np.random.default_rng(size).normal(0.5, 1.0, size=size).round(1)
    [ours] = sign_flip_p_values([data])
    theirs = scipy.stats.permutation_test(
        (data,), np.mean, permutation_type="samples", n_resamples=2**size
    ).pvalue
    assert ours == pytest.approx(theirs, rel=1e-12)


def test_sign_flip_by_hand():
    same_sign = np.arange(1.0, 9.0)
    balanced = np.array([1.0, -1.0] * 4)
    # Of the 2 ** 8 sign patterns only all-plus and all-minus reach the observed sum.
    assert sign_flip_p_values([same_sign, balanced, np.zeros(8)]) == [2 / 256, 1.0, 1.0]


def test_random_flips_come_close_to_the_exact_answer():
    generator = np.random.default_rng(2)
    data = generator.normal(0.4, 1.0, size=18)
    signs = np.array(list(itertools.product([1, -1], repeat=18)), dtype=np.float64)
    exact = np.mean(np.abs(signs @ data) >= abs(data.sum()) - 1e-12)
    [drawn] = sign_flip_p_values([data], flips=99_999)
    assert drawn == pytest.approx(exact, abs=0.005)
    [strong] = sign_flip_p_values([np.full(40, 2.0)], flips=9_999)
    assert strong == 1 / 10_000


def test_p_values_are_uniform_when_systems_are_alike():
    null = np.random.default_rng(8).normal(size=(1_500, 12))
    p_values = np.array(sign_flip_p_values(list(null)), dtype=np.float64)
    for level in (0.01, 0.05, 0.2, 0.5):
        assert np.mean(p_values <= level) == pytest.approx(level, abs=0.035)
    assert np.mean(p_values <= 0.05) <= 0.065


@settings(max_examples=60, deadline=None)
@given(samples)
def test_swapping_the_systems_changes_the_sign_and_nothing_else(data):
    [there] = paired_differences([data], resamples=199)
    [back] = paired_differences([-data], resamples=199)
    assert there.mean == -(back.mean or 0.0)
    assert there.p == back.p


def test_a_large_family_can_still_show_a_difference():
    family = 2_000
    [p] = sign_flip_p_values([np.full(30, 1.0)], flips=flips_for(family))
    assert p is not None
    assert p * family < 0.05
    assert flips_for(3) == FLIPS


def test_holm_by_hand():
    # Sorted: 0.01 * 4, 0.02 * 3, 0.03 * 2, 0.2 * 1, each at least the one before.
    assert holm([0.03, 0.01, None, 0.2, 0.02]) == pytest.approx([0.06, 0.04, None, 0.2, 0.06])
    assert holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([None]) == [None]
    with pytest.raises(ValueError, match=r"lies in \[0, 1\], got 1.2"):
        holm([1.2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_order_and_lies_between_plain_and_bonferroni(p_values):
    adjusted = holm(p_values)
    for p, q in zip(p_values, adjusted, strict=True):
        assert q is not None
        assert p <= q <= min(1.0, p * len(p_values)) + 1e-15
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.array(adjusted, dtype=np.float64)[order]) >= 0)


def test_ranks_are_shared_by_those_nobody_told_apart():
    beaten = np.zeros((4, 4), dtype=bool)
    beaten[0, 2] = beaten[0, 3] = beaten[1, 3] = True
    assert tie_ranks(beaten) == [1, 1, 2, 3]
    assert tie_ranks(np.zeros((3, 3), dtype=bool)) == [1, 1, 1]
    assert tie_ranks(np.zeros((0, 0), dtype=bool)) == []
    with pytest.raises(ValueError, match="each be better"):
        tie_ranks(np.ones((2, 2), dtype=bool))
    with pytest.raises(ValueError, match=r"square, got shape \(2, 3\)"):
        tie_ranks(np.zeros((2, 3), dtype=bool))


def test_a_columns_p_does_not_depend_on_longer_ones():
    generator = np.random.default_rng(4)
    columns = [generator.normal(0.2, 1.0, size=size) for size in (17, 60, 25, 9)]
    assert sign_flip_p_values(columns) == [sign_flip_p_values([column])[0] for column in columns]
