"""Variance parts against simulation and enumeration, designs against the square-root law."""

import itertools

import numpy as np
import pytest

from eval.ratings.statistics.power import (
    VarianceParts,
    cases_needed,
    minimum_detectable_difference,
    variance_parts,
    votes_still_needed,
)
from joystreamer.errors import InputError


def test_parts_by_enumerating_pairs_of_votes():
    y, case, rater = [1, 0, -1, 1, 1, -1], [0, 0, 1, 1, 2, 2], [0, 1, 0, 2, 1, 2]
    groups: dict[tuple[bool, bool], list[float]] = {}
    for i, j in itertools.combinations(range(6), 2):
        key = (case[i] == case[j], rater[i] == rater[j])
        groups.setdefault(key, []).append((y[i] - y[j]) ** 2 / 2)
    same_case, same_rater = np.mean(groups[True, False]), np.mean(groups[False, True])
    nothing = np.mean(groups[False, False])
    parts = variance_parts(y, case, rater)
    assert parts.cases == pytest.approx(max(0, nothing - same_case))
    assert parts.raters == pytest.approx(max(0, nothing - same_rater))
    assert parts.votes == pytest.approx(max(0, same_case + same_rater - nothing))


def test_parts_come_back_from_simulated_votes():
    rng = np.random.default_rng(0)
    case_effect, rater_effect = 0.5 * rng.standard_normal(400), 0.3 * rng.standard_normal(400)
    y = case_effect[:, None] + rater_effect[None, :] + 0.7 * rng.standard_normal((400, 400))
    seen = rng.random(y.shape) < 0.05
    case, rater = np.nonzero(seen)
    parts = variance_parts(y[seen], case, rater)
    expected = (np.var(case_effect), np.var(rater_effect), 0.49)
    assert (parts.cases, parts.raters, parts.votes) == pytest.approx(expected, abs=0.03)


def test_votes_that_do_not_overlap_have_no_parts():
    with pytest.raises(InputError, match="do not overlap"):
        variance_parts([1, 0], [0, 1], [0, 1])


def test_detectable_difference_halves_with_four_times_the_cases():
    parts = VarianceParts(cases=0.2, raters=0.0, votes=0.5)
    small = parts.standard_error(cases=24, raters=6, per_case=3)
    large = parts.standard_error(cases=96, raters=6, per_case=3)
    assert small == pytest.approx(2 * large)
    ratio = minimum_detectable_difference(small) / minimum_detectable_difference(large)
    assert ratio == pytest.approx(2)
    assert minimum_detectable_difference(1.0) == pytest.approx(1.95996 + 0.84162, abs=1e-4)


def test_cases_needed_reaches_the_width_and_one_fewer_does_not():
    parts = VarianceParts(cases=0.2, raters=0.01, votes=0.5)
    cases = cases_needed(parts, half_width=0.15, raters=6, per_case=3)
    assert cases is not None
    reached = 1.95996 * parts.standard_error(cases=cases, raters=6, per_case=3)
    missed = 1.95996 * parts.standard_error(cases=cases - 1, raters=6, per_case=3)
    assert reached <= 0.15 < missed


def test_some_widths_need_more_raters_not_more_votes():
    parts = VarianceParts(cases=0.2, raters=0.2, votes=0.5)
    assert cases_needed(parts, half_width=0.1, raters=5, per_case=3) is None
    assert votes_still_needed(parts, half_width=0.1, cases=96, raters=5, votes=288) is None


def test_votes_still_needed_counts_from_the_votes_at_hand():
    parts = VarianceParts(cases=0.1, raters=0.0, votes=0.6)
    total = votes_still_needed(parts, half_width=0.1, cases=96, raters=8, votes=0)
    assert total is not None
    assert total > 100
    rest = votes_still_needed(parts, half_width=0.1, cases=96, raters=8, votes=100)
    assert rest == total - 100
    assert votes_still_needed(parts, half_width=0.1, cases=96, raters=8, votes=10_000) == 0
