"""Exact tests against full enumeration; the joint correction against its limits."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from eval.ratings.statistics.exact_tests import (
    max_t,
    max_t_critical,
    sign_test,
    trinomial_test,
)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_sign_test_is_the_binomial_test(good, bad):
    expected = 1.0 if good + bad == 0 else binomtest(good, good + bad).pvalue
    assert sign_test(good, bad) == pytest.approx(expected)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 4), st.integers(0, 3), st.integers(0, 4))
def test_trinomial_test_by_enumerating_every_sequence_of_votes(good, same, bad):
    n = good + same + bad
    if n == 0 or n > 8:
        return
    tie = same / n
    chance = {1: (1 - tie) / 2, 0: tie, -1: (1 - tie) / 2}
    total = sum(
        float(np.prod([chance[vote] for vote in votes]))
        for votes in itertools.product((1, 0, -1), repeat=n)
        if abs(sum(votes)) >= abs(good - bad)
    )
    assert trinomial_test(good, same, bad) == pytest.approx(total, abs=1e-12)


def test_ties_make_the_trinomial_test_sharper_than_fair_and_never_symmetric_broken():
    assert trinomial_test(20, 30, 5) == trinomial_test(5, 30, 20)
    assert trinomial_test(7, 3, 7) == 1.0
    assert trinomial_test(0, 0, 0) == 1.0


def test_max_t_of_one_column_is_the_plain_test_and_many_columns_cost_more():
    rng = np.random.default_rng(0)
    one = rng.standard_normal((20_000, 1))
    alone = float(max_t([2.0], one)[0])
    assert alone == pytest.approx(2 * norm.sf(2.0), abs=0.004)
    ten = rng.standard_normal((20_000, 10))
    among = float(max_t([2.0] + [0.0] * 9, ten)[0])
    assert among == pytest.approx(1 - (1 - 2 * norm.sf(2.0)) ** 10, abs=0.02)
    together = float(max_t([2.0] * 10, np.repeat(one, 10, axis=1))[0])
    assert together == pytest.approx(alone, abs=1e-9)  # identical columns are one test


def test_max_t_of_draws_that_never_move():
    still = np.zeros((100, 2))
    assert max_t([0.0, 0.5], still).tolist()[0] == 1.0
    assert np.isnan(max_t([0.0, 0.5], still)[1])
    assert max_t_critical(still) == float("inf")


def test_critical_value_for_independent_columns_is_sidak():
    drawn = np.random.default_rng(1).standard_normal((40_000, 5))
    sidak = norm.ppf(1 - (1 - 0.95 ** (1 / 5)) / 2)
    assert max_t_critical(drawn) == pytest.approx(sidak, abs=0.05)
