"""The board's arrays against the same arithmetic written plainly with pandas, to the last digit."""

import hashlib
import re
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eval.leaderboard import (
    Board,
    build_board,
    check_scores,
    compare,
    prepare_scores,
    select_scores,
)
from eval.leaderboard.means import group_means
from eval.leaderboard.provenance import trace
from eval.statistics import bootstrap, keep_draws, mean_intervals
from joystreamer.errors import InputError
from tests.eval.score_rows import METRICS, row, rows, study

KEYS = ["suite", "case", "column", "system"]


@cache
def mixed() -> pd.DataFrame:
    """Several seeds, suites, nulls, a missing case, two specifications, a published row."""
    some = study(["a", "b", "c"], 14, nulls=0.2)
    again = study(["b"], 14, seed=1).assign(seed=1)
    again["clip_id"] = again["clip_id"].str.replace("|0", "|1", regex=False)
    third = study(["b"], 5, seed=2).assign(seed=2)
    third["clip_id"] = third["clip_id"].str.replace("|0", "|2", regex=False)
    other = study(["a", "c"], 9, seed=3).assign(suite="dance")
    other["clip_id"] = "dance " + other["clip_id"]
    old = rows({"d": [1.0, 2.0]}, fingerprint="e" * 16)
    paper = pd.DataFrame(
        [row("paper", "", "sync.confidence", 7.5, kind="published", suite="theirs")]
    )
    return pd.concat([some, again, third, other[other["case"] != "case003"], old, paper])


def plain_cases(scores: pd.DataFrame) -> pd.DataFrame:
    """The table of cases by one group-by."""
    kept = scores[(scores["kind"] != "published") & (scores["fingerprint"] != "e" * 16)]
    kept = kept.assign(column=kept["metric"] + "/" + kept["variant"])
    kept = kept.sort_values(["metric", "variant", "system", "suite", "case", "seed", "clip_name"])
    grouped = kept.groupby(KEYS, sort=True)
    return grouped.agg(
        value=("value", "mean"), clips=("clip_id", "nunique"), reason=("reason", "first")
    ).reset_index()


def test_cases_means_and_common_means_are_those_of_plain_pandas():
    scores = mixed()
    board = build_board(scores, METRICS)
    expected = plain_cases(scores)
    pd.testing.assert_frame_equal(
        board.cases.drop(columns="reason"), expected.drop(columns="reason"),
        check_exact=True, check_dtype=False,
    )  # fmt: skip
    assert [None if pd.isna(code) else code for code in expected["reason"]] == list(
        board.cases["reason"]
    )
    for column in board.columns:
        of_column = expected[expected["column"] == column.name]
        wide = of_column.pivot_table(index=["suite", "case"], columns="system", values="value")
        common = wide.dropna()
        for system in map(str, wide.columns):
            cell = board.cell(system, column.name)
            sample = wide[system].dropna()
            assert (cell.mean, cell.n) == (sample.to_numpy().mean(), len(sample))
            assert (cell.common_mean, cell.common_n) == (common[system].mean(), len(common))
            [interval] = mean_intervals([sample.to_numpy()])
            if interval is None or cell.interval is None:
                assert cell.interval == interval
            else:  # columns beside it may move the last digit
                assert (cell.interval.low, cell.interval.high) == pytest.approx(
                    (interval.low, interval.high), rel=1e-12
                )


def test_contrasts_are_case_by_case_differences():
    scores = mixed()
    board = build_board(scores, METRICS, baseline="b")
    cases = plain_cases(scores)
    for cell in board.cells:
        if cell.contrast is None:
            assert cell.system == "b"
            continue
        of_column = cases[cases["column"] == cell.column]
        wide = of_column.pivot_table(index=["suite", "case"], columns="system", values="value")
        if cell.system not in wide:
            assert cell.contrast.n == 0
            continue
        difference = (wide[cell.system] - wide["b"]).dropna()
        assert cell.contrast.cases == tuple(difference.index)
        assert cell.contrast.differences == tuple(difference)


def test_digests_do_not_depend_on_how_rows_are_kept():
    scores = mixed()
    prepared = prepare_scores(scores)
    names = [
        "system",
        "suite",
        "case",
        "seed",
        "metric",
        "variant",
        "fingerprint",
        "value",
        "reason",
    ]
    lines = sorted(
        "\x1f".join(map(repr, values))
        for values in zip(*(scores[n].tolist() for n in names), strict=True)
    )
    digest = hashlib.sha256("\x1e".join(lines).encode()).hexdigest()
    assert trace(prepared).scores_digest == digest


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"systems": ["b", "c"], "metrics": ["sync", "drift.colour"]},
        {"suites": ["dance"], "subject": ["cartoon", "animal"]},
        {"content": ["body"], "length": ["over 10 s"], "metrics": ["sync.distance/clean"]},
        {"systems": ["d"], "suites": ["dance"]},
    ],
)
def test_a_narrowed_board_is_the_board_of_the_narrowed_table(filters):
    scores = mixed()
    prepared = prepare_scores(scores)
    published = scores[scores["kind"] == "published"]
    local = scores[scores["kind"] != "published"]
    chosen, problem = selected(local, filters)
    if chosen is None:
        with pytest.raises(InputError, match=re.escape(problem)):
            prepared.asked_for(**filters)
        return
    expected = build_board(pd.concat([chosen, published]), METRICS, tags=())
    narrowed = prepared.narrow(prepared.asked_for(**filters)).beside(check_scores(published))
    same_board(build_board(narrowed, METRICS, tags=()), expected)


def selected(scores: pd.DataFrame, filters: Any) -> tuple[pd.DataFrame | None, str]:
    try:
        return select_scores(scores, **filters), ""
    except InputError as error:
        return None, str(error)


def same_board(first: Board, second: Board) -> None:
    assert first.to_json() == second.to_json()
    pd.testing.assert_frame_equal(first.cases, second.cases, check_exact=True)


def test_two_systems_compare_the_same_prepared_or_not():
    scores = mixed()
    expected = compare(scores, "b", "a", METRICS, thresholds={"sync.confidence": 6.0})
    prepared = prepare_scores(scores)
    found = compare(prepared, "b", "a", METRICS, thresholds={"sync.confidence": 6.0})
    assert found.to_json() == expected.to_json()
    assert expected.losses
    assert expected.broken
    with pytest.raises(InputError, match="published row without cases"):
        compare(prepared, "paper", "a", METRICS)


def test_group_means_are_those_of_pandas():
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 6, 200)
    values = 10.0 ** generator.integers(-8, 8, 200) * generator.normal(size=200)
    expected = pd.Series(values).groupby(groups).mean().reindex(range(7)).to_numpy()
    np.testing.assert_array_equal(group_means(values, groups, 7), expected)
    assert np.isnan(group_means(values[:0], groups[:0], 2)).all()


@pytest.mark.parametrize("size", [8, 57, 200, 201])
def test_draws_that_are_kept_are_those_drawn_anew(size: int):
    block = np.random.default_rng(size).normal(size=(size, 3))
    anew = [
        counts.astype(np.float64) @ block / size
        for counts in bootstrap._drawn_counts(size, bootstrap.RESAMPLES, 0)
    ]
    for _ in range(2):
        found = bootstrap._resampled_means(block, bootstrap.RESAMPLES, 0)
        np.testing.assert_array_equal(found, np.concatenate(anew))


def test_a_row_drawn_too_often_to_be_kept_is_counted_all_the_same(monkeypatch: pytest.MonkeyPatch):
    block = np.random.default_rng(0).normal(size=(12, 2))
    expected = bootstrap._resampled_means(block, 999, 5)
    bootstrap._kept_counts.cache_clear()
    monkeypatch.setattr(bootstrap, "_NIBBLE", 3)
    assert bootstrap._kept_counts(12, 999, 5) == ()
    np.testing.assert_array_equal(bootstrap._resampled_means(block, 999, 5), expected)
    bootstrap._kept_counts.cache_clear()


def test_draws_made_beforehand_are_those_that_boards_ask_for():
    bootstrap._kept_counts.cache_clear()
    keep_draws(20)
    drawn = bootstrap._kept_counts.cache_info().misses
    mean_intervals([np.arange(size, dtype=np.float64) for size in range(2, 21)])
    assert bootstrap._kept_counts.cache_info().misses == drawn == 13
    keep_draws(5_000)  # more sizes than are kept: none
    assert bootstrap._kept_counts.cache_info().misses == drawn
