"""Checks of raters on tables small enough to count by hand."""

import numpy as np
import pandas as pd
import pytest

from eval.ratings.statistics.rater_quality import leave_one_rater_out, rater_quality

DIMENSIONS = ("overall_quality", "text_alignment", "visual_quality")


def assignment(
    name, rater, kind, answers, *, first_side="left", case="c1", expected=None, repeat_of=None
):
    rows = []
    for dimension, answer in zip(DIMENSIONS, answers, strict=False):
        outcome = {"same": 0.0, "cant_judge": np.nan}.get(answer)
        if outcome is None:
            outcome = 1.0 if answer == first_side else -1.0
        rows.append(
            {
                "assignment": name, "rater": rater, "kind": kind, "repeat_of": repeat_of,
                "pair": "a|b", "first": "a", "second": "b", "case": case, "first_side": first_side,
                "dimension": dimension, "answer": answer, "outcome": outcome,
                "expected": np.nan if expected is None else float(expected),
                "decision_ms": 12_000.0, "coverage": 0.9,
            }
        )  # fmt: skip
    return rows


@pytest.fixture
def votes():
    rows = assignment("1", "R1", "work", ["left", "left", "left"])
    rows += assignment(
        "2", "R1", "repeat", ["right", "right", "left"], first_side="right", repeat_of="1"
    )
    rows += assignment("3", "R1", "gold", ["left", "right", "same"], expected=1)
    rows += assignment("4", "R1", "null", ["same", "left", "same"])
    rows += assignment("5", "R2", "work", ["left", "same", "cant_judge"])
    return pd.DataFrame(rows)


def test_every_check_counted_by_hand(votes):
    table = rater_quality(votes).set_index("rater")
    one = table.loc["R1"]
    assert (one["assignments"], one["answers"]) == (4, 12)
    assert (one["gold_n"], one["gold_accuracy"]) == (3, pytest.approx(1 / 3))
    assert (one["null_n"], one["null_tie_rate"]) == (3, pytest.approx(2 / 3))
    # Sides are swapped: right, right, left unblind to Good, Good, Bad against Good three times.
    assert (one["repeat_n"], one["repeat_consistency"]) == (3, pytest.approx(2 / 3))
    assert (one["decisive_n"], one["left_rate"]) == (9, pytest.approx(6 / 9))
    assert one["left_low"] < 6 / 9 < one["left_high"]
    assert (one["straight_n"], one["straight_lining"]) == (3, pytest.approx(1 / 3))
    assert (one["decision_s"], one["coverage"]) == (12.0, pytest.approx(0.9))
    # R2 judged two of the three rows: agrees on the first, not on the second.
    assert (one["peer_n"], one["peer_agreement"]) == (2, pytest.approx(0.5))
    two = table.loc["R2"]
    assert (two["answers"], two["gold_n"], two["straight_n"]) == (2, 0, 0)
    assert np.isnan(two["gold_accuracy"])


def test_all_same_is_no_straight_line():
    rows = assignment("1", "R1", "work", ["same", "same", "same"])
    table = rater_quality(pd.DataFrame(rows))
    assert table.loc[0, "straight_lining"] == 0


def test_leaving_a_rater_out_moves_the_net_preference(votes):
    shifts = leave_one_rater_out(votes)
    overall = shifts[(shifts["dimension"] == "text_alignment")].set_index("rater")
    # Good by R1 and Same by R2: together 0.5, without R1 0, without R2 1.
    assert [overall[c]["R1"] for c in ("net", "net_without", "shift")] == [0.5, 0.0, -0.5]
    assert overall["shift"]["R2"] == 0.5
    alone = shifts[shifts["dimension"] == "visual_quality"]
    assert np.isnan(alone["net_without"].iloc[0])
