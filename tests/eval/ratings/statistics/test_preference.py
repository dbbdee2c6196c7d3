"""Counts and everything read off them, against tables worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.ratings.statistics.preference import (
    Counts,
    closed_form_log_ratio_variance,
    closed_form_ratio_interval,
    count,
    log_ratio,
    majority,
    net_preference,
    wilson_interval,
)
from joystreamer.errors import InputError


@pytest.mark.parametrize(
    ("good", "same", "bad", "ratio", "net", "decisive"),
    [
        (3, 96, 1, 99 / 97, 0.02, 0.75),
        (60, 10, 30, 1.75, 0.30, 2 / 3),
        (40, 50, 10, 1.50, 0.30, 0.80),
        (12, 3, 0, 5.0, 0.80, 1.00),
    ],
)
def test_numbers_of_a_hand_table(good, same, bad, ratio, net, decisive):
    counts = count([1] * good + [0] * same + [-1] * bad)
    assert (counts.good, counts.same, counts.bad) == (good, same, bad)
    assert counts.ratio == pytest.approx(ratio)
    assert counts.net == pytest.approx(net)
    assert counts.decisive == pytest.approx(decisive)
    assert counts.tie_share == pytest.approx(same / (good + same + bad))


def test_undefined_numbers_are_none_not_zero():
    assert Counts(good=5, same=0, bad=0).ratio is None
    assert Counts(good=0, same=4, bad=0).decisive is None
    empty = count([])
    assert (empty.ratio, empty.net, empty.decisive, empty.tie_share) == (None, None, None, None)


def test_unknown_outcome_is_refused():
    with pytest.raises(InputError, match=r"contain \[2\.0\]; only \+1 \(Good\), 0 \(Same\)"):
        count([1, 2, 0])


def test_majority_by_hand():
    outcomes = [1, 1, -1, 1, 0, -1, -1, -1, 0, 1, -1, 1, 1, 0, 0]
    units = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 5]
    assert majority(outcomes, units).tolist() == [1, 0, -1, 0, 1, 0]


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 60), st.integers(0, 60))
def test_swapping_the_systems_mirrors_every_number(good, same, bad):
    counts = Counts(good=good, same=same, bad=bad)
    there = np.array([good, same, bad], float)
    back = np.array([bad, same, good], float)
    assert log_ratio(there) == pytest.approx(-log_ratio(back))
    assert net_preference(there) == pytest.approx(-net_preference(back))
    assert counts.net is not None
    assert counts.ratio is not None
    assert counts.mirrored().net == pytest.approx(-counts.net)
    assert counts.mirrored().ratio == pytest.approx(1 / counts.ratio)


@pytest.mark.parametrize(
    ("counts", "low", "ratio", "high"),
    [((50, 20, 26), 1.13, 1.52, 2.06), ((45, 20, 31), 0.95, 1.27, 1.71), ((40, 30, 26), 0.97, 1.25, 1.61)],
)  # fmt: skip
def test_closed_form_interval_of_the_papers_size(counts, low, ratio, high):
    table = Counts(good=counts[0], same=counts[1], bad=counts[2])
    interval = closed_form_ratio_interval(table)
    assert (interval.low, table.ratio, interval.high) == pytest.approx(
        (low, ratio, high), abs=0.006
    )


def test_closed_form_variance_matches_sampling():
    rng = np.random.default_rng(3)
    drawn = rng.multinomial(480, [0.4, 0.4, 0.2], size=40_000).astype(float)
    sampled = float(log_ratio(drawn).std())
    formula = math.sqrt(closed_form_log_ratio_variance(Counts(good=192, same=192, bad=96)))
    assert sampled == pytest.approx(formula, rel=0.02)


def test_one_sided_votes_have_no_closed_form():
    with pytest.raises(InputError, match=r"12/0/0 .* needs both sides"):
        closed_form_log_ratio_variance(Counts(good=12, same=0, bad=0))


def test_wilson_interval_against_its_published_example():
    # 1 of 10: Newcombe (1998), method 3.
    interval = wilson_interval(1, 10)
    assert (interval.low, interval.high) == pytest.approx((0.0179, 0.4042), abs=1e-4)
    assert wilson_interval(0, 5).low == 0.0
