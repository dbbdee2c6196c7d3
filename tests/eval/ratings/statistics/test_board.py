"""The board put together, on small tables where every cell can be checked."""

import numpy as np
import pandas as pd
import pytest

from eval.ratings.statistics.board import BoardSettings, build_board, rank_dimension
from joystreamer.errors import InputError

FAST = BoardSettings(draws=300)


def test_counts_and_ratios_of_a_board(vote_table):
    votes = vote_table(dimensions=("overall_quality", "lip_synchronization"))
    board = build_board(votes, settings=FAST)
    assert board["dimension"].tolist() == ["overall_quality", "lip_synchronization"]
    row = board.iloc[0]
    mine = votes[votes["dimension"] == "overall_quality"]["outcome"]
    assert (row["good"], row["same"], row["bad"]) == tuple((mine == v).sum() for v in (1, 0, -1))
    assert row["ratio"] == pytest.approx((row["good"] + row["same"]) / (row["bad"] + row["same"]))
    assert row["net"] == pytest.approx(mine.mean())
    assert (row["votes"], row["cases"], row["raters"]) == (72, 24, 6)
    assert row["majority_good"] + row["majority_same"] + row["majority_bad"] == 24
    assert row["net_low"] < row["net"] < row["net_high"]
    assert row["ratio_low"] < row["ratio"] < row["ratio_high"]
    assert 0 <= row["p"] <= row["p_holm"] <= 1
    assert row["note"] == ""


def test_checks_and_unjudged_rows_never_count(vote_table):
    votes = vote_table()
    extra = votes.head(30).copy()
    extra["kind"] = ["gold", "null", "repeat", "training", "qualification"] * 6
    unjudged = votes.head(5).assign(outcome=np.nan, answer="cant_judge")
    board = build_board(pd.concat([votes, extra, unjudged]), settings=FAST)
    pd.testing.assert_frame_equal(board, build_board(votes, settings=FAST))


def test_the_same_seed_gives_the_same_board_to_the_last_digit(vote_table):
    votes = vote_table(dimensions=("overall_quality", "visual_quality"))
    shuffled = votes.sample(frac=1, random_state=3)
    dims = ("overall_quality", "visual_quality")
    one = build_board(votes, settings=FAST, dimensions=dims)
    two = build_board(shuffled, settings=FAST, dimensions=dims)
    pd.testing.assert_frame_equal(one, two, check_exact=True)


@pytest.mark.parametrize(
    ("cases", "raters", "note"),
    [(24, 3, "too few raters: 3 of 5"), (6, 6, "too few cases: 6 of 8")],
)
def test_small_boards_show_counts_only(vote_table, cases, raters, note):
    row = build_board(vote_table(cases=cases, raters=raters), settings=FAST).iloc[0]
    assert row["note"] == note
    assert row["votes"] == cases * 3
    assert row[["ratio_low", "ratio_high", "net_low", "net_high", "p", "p_holm"]].isna().all()


def test_an_empty_campaign_gives_an_empty_board(vote_table):
    assert build_board(vote_table().head(0)).empty


def test_fixed_cases_are_narrower(vote_table):
    votes = vote_table(cases=60, raters=8)
    fresh = build_board(votes, settings=FAST).iloc[0]
    fixed = build_board(votes, settings=BoardSettings(draws=300, scope="these_cases")).iloc[0]
    assert fixed["net_high"] - fixed["net_low"] < fresh["net_high"] - fresh["net_low"]


def test_ranking_recovers_order_position_and_baseline(vote_table):
    votes = vote_table(
        cases=60, strengths={"a": 1.2, "b": 0.4, "c": 0.35, "d": -1.0}, left_bias=0.3
    )
    ranking = rank_dimension(votes, "overall_quality", baseline="d", settings=FAST)
    assert {s.system for s in ranking.standings[1:3]} == {"b", "c"}
    assert [s.system for s in ranking.standings][::3] == ["a", "d"]
    assert ranking.standings[-1].strength == 0
    middle = [s for s in ranking.standings if s.system in "bc"]
    assert {s.rank for s in middle} == {2}
    assert ranking.position_low > 0
    net = ranking.matrix.net
    assert np.allclose(net, -net.T, equal_nan=True)


def test_ranking_refuses_islands(vote_table):
    votes = vote_table(strengths={"a": 1.0, "b": 0.0})
    other = vote_table(strengths={"c": 1.0, "d": 0.0})
    with pytest.raises(InputError, match="2 groups"):
        rank_dimension(pd.concat([votes, other]), "overall_quality", baseline="a", settings=FAST)
    with pytest.raises(InputError, match="'lip_synchronization' has no votes"):
        rank_dimension(votes, "lip_synchronization", baseline="a")
