"""The board: means by hand, coverage that adds up, ranks, contrasts, and what must not be mixed."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.leaderboard import Board, build_board, select_scores
from eval.measure import Metric
from eval.statistics import holm, mean_intervals, sign_flip_p_values
from joystreamer.errors import InputError
from tests.eval.score_rows import FINGERPRINTS, METRICS, row, rows, study

CONFIDENCE = "sync.confidence/clean"


def test_three_cases_give_means_and_the_differences_but_no_interval():
    board = build_board(rows({"ours": [1.0, 2.0, 6.0], "theirs": [1.0, 3.0, 5.0]}), METRICS)
    ours, theirs = board.cell("ours", CONFIDENCE), board.cell("theirs", CONFIDENCE)
    assert (ours.mean, ours.n, ours.interval, ours.too_few, ours.rank) == (3.0, 3, None, True, None)
    assert ours.contrast is None
    assert theirs.contrast is not None
    assert theirs.contrast.differences == (0.0, 1.0, -1.0)
    assert theirs.contrast.cases == (("talk", "c0"), ("talk", "c1"), ("talk", "c2"))
    assert (theirs.contrast.mean, theirs.contrast.p, theirs.contrast.verdict) == (
        0.0,
        None,
        "too few",
    )
    assert board.comparisons == 0


def test_seeds_of_a_case_are_averaged_before_cases():
    scores = pd.concat(
        [
            rows({"ours": [0.0, 9.0]}),
            rows({"ours": [3.0]}, seed=1),
            rows({"ours": ["no_face"]}, seed=2),
        ]
    )
    cell = build_board(scores, METRICS).cell("ours", CONFIDENCE)
    assert (cell.mean, cell.n) == ((1.5 + 9.0) / 2, 2)
    assert (cell.scored, cell.clips, dict(cell.reasons)) == (3, 4, {"no_face": 1})
    assert cell.coverage == 0.75


def test_nulls_stay_out_of_means_and_in_coverage():
    scores = pd.concat(
        [
            rows({"ours": [2.0, "no_face", 4.0, "too_short"], "theirs": [1.0, 1.0]}),
            rows({"ours": [1.0, 1.0, 1.0]}, metric="sync.distance"),
        ]
    )
    board = build_board(scores, METRICS)
    ours = board.cell("ours", CONFIDENCE)
    assert (ours.mean, ours.n, ours.coverage) == (3.0, 2, 0.5)
    assert ours.reasons == {"no_face": 1, "too_short": 1}
    assert (ours.common_mean, ours.common_n) == (2.0, 1)
    assert board.cell("theirs", CONFIDENCE).reasons == {"no_clip": 2}
    assert board.cell("ours", "sync.distance/clean").reasons == {"not_scored": 1}
    assert board.cell("theirs", "sync.distance/clean").reasons == {"no_clip": 2, "not_scored": 2}


def test_intervals_tests_and_ranks_are_those_of_the_statistics():
    scores = study(["a", "b", "c"], 40, nulls=0)
    board = build_board(scores, METRICS)
    wide = scores.pivot_table(index="case", columns=["metric", "system"], values="value")
    tests = []
    for name in METRICS:
        for system in ("b", "c"):
            cell = board.cell(system, f"{name}/clean")
            column = wide[name][system].to_numpy()
            assert cell.mean == pytest.approx(column.mean(), rel=1e-12)
            [expected] = mean_intervals([column])
            assert expected is not None
            assert cell.interval is not None
            assert cell.interval.low == pytest.approx(expected.low, rel=1e-12)
            assert cell.interval.high == pytest.approx(expected.high, rel=1e-12)
            tests.append(wide[name][system].to_numpy() - wide[name]["a"].to_numpy())
    p_values = sign_flip_p_values(tests)
    contrasts = [board.cell(s, f"{name}/clean").contrast for name in METRICS for s in ("b", "c")]
    assert [contrast.p for contrast in contrasts if contrast] == p_values
    assert [contrast.adjusted_p for contrast in contrasts if contrast] == holm(p_values)
    assert board.comparisons == 8
    assert [board.cell(s, CONFIDENCE).rank for s in "abc"] == [3, 2, 1]
    assert [board.cell(s, "sync.distance/clean").rank for s in "abc"] == [3, 2, 1]
    assert [board.cell(s, "hands.variance/clean").rank for s in "abc"] == [None] * 3
    verdicts = {c.column: c.contrast.verdict for c in board.cells if c.contrast and c.system == "c"}
    assert verdicts == {
        "sync.confidence/clean": "better",
        "sync.distance/clean": "better",
        "hands.variance/clean": "differs",
        "drift.colour/clean": "better",
    }


def test_indistinguishable_systems_share_a_rank():
    values = np.random.default_rng(1).normal(size=(2, 20))
    board = build_board(rows({"a": list(values[0]), "b": list(values[1])}), METRICS)
    assert [(cell.rank, cell.tied) for cell in board.cells] == [(1, ("b",)), (1, ("a",))]
    assert board.cells[1].contrast is not None
    assert board.cells[1].contrast.verdict == "undecided"


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_a_worse_system_is_called_worse_in_the_metrics_own_direction(better):
    metric = Metric(name="m.x", unit="", better=better, summary="")
    low, high = [1.0 + 0.01 * i for i in range(12)], [2.0 + 0.02 * i for i in range(12)]
    board = build_board(rows({"a": low, "b": high}, metric="m.x"), {"m.x": metric})
    contrast = board.cell("b", "m.x/clean").contrast
    assert contrast is not None
    assert contrast.verdict == ("better" if better == "higher" else "worse")


def test_one_system_has_no_baseline_and_no_rank():
    board = build_board(rows({"only": [float(i) for i in range(10)]}), METRICS)
    assert (board.baseline, board.comparisons) == ("", 0)
    assert (board.cells[0].rank, board.cells[0].contrast) == (None, None)
    assert board.cells[0].interval is not None


def test_metrics_without_any_value_are_shown_with_their_reason():
    board = build_board(rows({"a": ["weights_missing"] * 3, "b": ["weights_missing"] * 3}), METRICS)
    for cell in board.cells:
        assert (cell.mean, cell.n, cell.coverage) == (None, 0, 0.0)
        assert cell.reasons == {"weights_missing": 3}
        assert cell.common_n == 0
    assert board.cells[1].contrast is not None
    assert board.cells[1].contrast.verdict == "none"


def test_huge_values_survive():
    board = build_board(rows({"a": [1e300, -1e300] * 5, "b": [-1e300, 1e300] * 5}), METRICS)
    json.dumps(board.to_json(), allow_nan=False)
    assert board.cell("a", CONFIDENCE).mean == 0.0


def test_rows_follow_family_and_step_then_competitors_and_the_first_is_the_baseline():
    scores = study(["late", "early", "kling", "a competitor"], 3)
    scores["step"] = scores["system"].map({"late": 20_000, "early": 3_000})
    board = build_board(scores, METRICS)
    assert board.systems == ("early", "late", "a competitor", "kling")
    assert board.baseline == "early"
    assert build_board(scores, METRICS, baseline="kling").baseline == "kling"
    assert [column.metric.name for column in board.columns] == list(METRICS)


def test_a_retired_metric_is_shown_without_a_direction():
    [column] = build_board(rows({"a": [1.0]}, metric="old.thing"), METRICS).columns
    assert (column.metric.better, column.metric.summary) == (
        "neither",
        "not in the metric table of this version",
    )


OLD, NEW = "a" * 16, "b" * 16
DESCRIPTIONS = {
    OLD: {"weights": {"hand": "missing"}, "parameters": {"window": 5}},
    NEW: {"weights": {"hand": "77ab"}, "parameters": {"window": 5}},
}


class TestFingerprints:
    def test_scores_of_another_specification_are_refused_by_name(self):
        scores = pd.concat(
            [
                rows({"a": [1.0, 2.0], "b": [3.0, 4.0]}, fingerprint=NEW),
                rows({"c": [9.0, 9.0]}, fingerprint=OLD),
            ]
        )
        board = build_board(scores, METRICS, descriptions=DESCRIPTIONS)
        assert board.columns[0].fingerprint == NEW
        cell = board.cell("c", CONFIDENCE)
        assert (cell.mean, dict(cell.reasons)) == (None, {"other_spec": 2})
        [refusal] = board.refused
        assert (refusal.system, refusal.scores, refusal.fingerprint) == ("c", 2, OLD)
        assert refusal.why == (
            f"specification {OLD} differs from {NEW}: weights.hand is missing, not 77ab; "
            "score these clips again to compare them"
        )

    def test_unknown_specifications_are_refused_without_a_guess(self):
        scores = pd.concat(
            [rows({"a": [1.0]}, fingerprint=NEW), rows({"b": [1.0]}, fingerprint=OLD)]
        )
        [refusal] = build_board(scores, METRICS).refused
        assert "what they stand for is not stored" in refusal.why

    def test_older_scores_of_the_same_clips_are_superseded_silently(self):
        scores = pd.concat(
            [
                rows({"a": [1.0], "b": [2.0]}, fingerprint=OLD),
                rows(
                    {"a": [5.0], "b": [6.0]},
                    fingerprint=NEW,
                    created_at="2026-03-02T00:00:00Z",
                ),
            ]
        )
        board = build_board(scores, METRICS)
        assert [cell.mean for cell in board.cells] == [5.0, 6.0]
        assert board.refused == ()

    def test_a_specification_with_values_beats_a_newer_one_without(self):
        scores = pd.concat(
            [
                rows({"a": [1.0]}, fingerprint=OLD),
                rows(
                    {"a": ["weights_missing"]},
                    fingerprint=NEW,
                    created_at="2026-03-02T00:00:00Z",
                ),
            ]
        )
        assert build_board(scores, METRICS).cells[0].mean == 1.0

    def test_variants_are_columns_of_their_own(self):
        scores = pd.concat(
            [rows({"a": [1.0]}), rows({"a": [9.0]}, variant="mocha", fingerprint="c" * 16)]
        )
        board = build_board(scores, METRICS, descriptions={"c" * 16: {"unverified": True}})
        assert [(c.name, c.unverified) for c in board.columns] == [
            (CONFIDENCE, False),
            ("sync.confidence/mocha", True),
        ]


class TestPublished:
    def published(self, **changes):
        return pd.DataFrame(
            [row("Table 1", "", "sync.confidence", 5.57, kind="published", clip_id=None, **changes)]
        )

    def test_stand_apart_and_never_enter_a_mean_or_a_test(self):
        scores = pd.concat(
            [rows({"a": [1.0, 2.0], "b": [1.0, 3.0]}), self.published(fingerprint="")]
        )
        board = build_board(scores, METRICS)
        assert board.systems == ("a", "b")
        assert board.cell("a", CONFIDENCE).clips == 2
        [published] = board.published
        assert (published.value, published.column) == (5.57, "")
        assert published.why == "its specification is not the one measured here"
        table = board.table()
        [note] = table.loc[table["system"] == "Table 1", "note"]
        assert note == "published; its specification is not the one measured here"

    def test_compare_only_on_the_same_specification_and_cases(self):
        local = rows({"a": [1.0, 2.0]})
        same = build_board(pd.concat([local, self.published()]), METRICS).published[0]
        assert (same.column, same.why) == (CONFIDENCE, "")
        other = self.published(suite="paper")
        elsewhere = build_board(pd.concat([local, other]), METRICS).published[0]
        assert (elsewhere.column, elsewhere.why) == ("", "it was measured on other cases")

    def test_can_be_shown_alone(self):
        board = build_board(self.published(), METRICS)
        assert (board.systems, board.cells, len(board.published)) == ((), (), 1)


class TestTags:
    def test_means_per_tag_by_hand(self):
        scores = rows({"a": [1.0, 2.0, "no_face"], "b": [3.0, 4.0, 5.0]})
        scores["subject"] = scores["case"].map({"c0": "human", "c1": "cartoon", "c2": "cartoon"})
        scores["content"] = scores["case"].map(
            {"c0": ("body", "camera"), "c1": ("camera",), "c2": ()}
        )
        board = build_board(scores, METRICS)
        found = {(c.tag, c.value, c.system): (c.mean, c.n, c.scored, c.clips) for c in board.tags}
        assert found == {
            ("subject", "cartoon", "a"): (2.0, 1, 1, 2),
            ("subject", "cartoon", "b"): (4.5, 2, 2, 2),
            ("subject", "human", "a"): (1.0, 1, 1, 1),
            ("subject", "human", "b"): (3.0, 1, 1, 1),
            ("content", "body", "a"): (1.0, 1, 1, 1),
            ("content", "body", "b"): (3.0, 1, 1, 1),
            ("content", "camera", "a"): (1.5, 2, 2, 2),
            ("content", "camera", "b"): (3.5, 2, 2, 2),
        }

    def test_can_be_left_out(self):
        assert build_board(study(["a"], 6), METRICS, tags=()).tags == ()


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.integers(0, 12),
            st.integers(0, 1),
            st.sampled_from(list(METRICS)),
            st.one_of(st.floats(-1e9, 1e9), st.sampled_from(["no_face", "no_hand"])),
        ),
        min_size=1,
        max_size=40,
        unique_by=lambda item: item[:4],
    ),
    st.randoms(use_true_random=False),
)
def test_every_clip_is_accounted_for_and_order_does_not_matter(items, random):
    found = [row(s, f"c{c}", metric, value, seed=seed) for s, c, seed, metric, value in items]
    board = build_board(pd.DataFrame(found), METRICS, tags=())
    random.shuffle(found)
    again = build_board(pd.DataFrame(found), METRICS, tags=())
    json.dumps(board.to_json(), allow_nan=False)
    assert board.provenance.scores_digest == again.provenance.scores_digest
    for cell, other in zip(board.cells, again.cells, strict=True):
        assert cell.scored + sum(cell.reasons.values()) == cell.clips
        assert 0 <= cell.n <= cell.scored
        assert (cell.mean is None) == (cell.n == 0)
        assert cell.mean is None or math.isfinite(cell.mean)
        assert (cell.reasons, cell.n, cell.rank) == (other.reasons, other.n, other.rank)
        assert cell.mean == other.mean


def test_the_same_scores_give_the_same_board_to_the_last_digit():
    scores = study(["a", "b", "c"], 30)
    first, second = build_board(scores, METRICS), build_board(scores.iloc[::-1], METRICS)
    assert json.dumps(first.to_json()) == json.dumps(second.to_json())


def test_one_other_system_does_not_move_anybodys_interval():
    scores = study(["a", "b", "c"], 30)
    small = build_board(scores[scores["system"] != "c"], METRICS)
    large = build_board(scores, METRICS)
    for cell in small.cells:
        same = large.cell(cell.system, cell.column)
        assert cell.mean == same.mean
        assert cell.interval is not None
        assert same.interval is not None
        assert cell.interval.low == pytest.approx(same.interval.low, rel=1e-12)
        assert cell.interval.high == pytest.approx(same.interval.high, rel=1e-12)


def test_table_holds_every_cell_in_plain_types():
    board = build_board(study(["a", "b"], 9, nulls=0.3), METRICS)
    table = board.table()
    assert len(table) == 8
    assert str(table["n"].dtype) == str(table["rank"].dtype) == "Int64"
    assert set(table["baseline"]) == {"a"}
    assert table["mean"].dtype == np.float64
    missing = table["scored"] < table["clips"]
    assert table.loc[missing, "reasons"].str.contains("no_face").all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.iloc[:0], "there are no scores to show; ingest clips and run"),
        (lambda t: t.drop(columns=["variant"]), "lacks the columns variant; it needs system, kind"),
        (
            lambda t: t.assign(value=np.inf),
            r"is not a number within ±1e\+300 \(value inf, reason None\)",
        ),
        (lambda t: t.assign(value=np.nan), "is null without a reason"),
        (lambda t: t.assign(reason="no_face"), "has both a value and a reason"),
        (lambda t: pd.concat([t, t]), "is there twice with the same fingerprint"),
    ],
)
def test_unfit_tables_are_refused_in_one_sentence(change, sentence: str):
    with pytest.raises(InputError, match=sentence):
        build_board(change(rows({"a": [1.0], "b": [2.0]})), METRICS)


def test_an_unknown_baseline_is_refused():
    with pytest.raises(
        InputError, match="baseline 'x' has no local scores here; choose one of a, b"
    ):
        build_board(rows({"a": [1.0], "b": [2.0]}), METRICS, baseline="x")


class TestSelect:
    SCORES = study(["a", "b", "c"], 12)

    def kept(self, **filters) -> pd.DataFrame:
        return select_scores(self.SCORES, **filters)

    def test_filters(self):
        assert set(self.kept(systems=["a", "c"])["system"]) == {"a", "c"}
        assert set(self.kept(metrics=["sync"])["metric"]) == {"sync.confidence", "sync.distance"}
        assert set(self.kept(metrics=["sync.distance/clean"])["metric"]) == {"sync.distance"}
        assert set(self.kept(subject=["cartoon"])["case"]) == {
            f"case{c:03d}" for c in (1, 4, 7, 10)
        }
        assert set(self.kept(content=["camera"])["case"]) == {f"case{c:03d}" for c in (2, 5, 8, 11)}
        assert set(self.kept(length=["over 10 s"])["duration_s"]) == {20.0}
        assert len(self.kept()) == len(self.SCORES)

    @pytest.mark.parametrize(
        ("filters", "sentence"),
        [
            ({"systems": ["kling"]}, "no score has the system 'kling'; known: a, b, c"),
            (
                {"metrics": ["sync.distanc"]},
                "the metric 'sync.distanc'; did you mean 'sync.distance'?",
            ),
            ({"subject": ["cartoons"]}, "the subject 'cartoons'; did you mean 'cartoon'?"),
            ({"suites": ["x"]}, "the suite 'x'; known: talk"),
            (
                {"subject": ["human"], "content": ["camera"]},
                "no score fits all the filters together",
            ),
        ],
    )
    def test_a_filter_that_leaves_nothing_is_refused(self, filters, sentence: str):
        with pytest.raises(InputError, match=sentence.replace("?", r"\?")):
            self.kept(**filters)

    def test_published_rows_pass_filters_by_tag_but_cannot_fill_an_empty_board(self):
        published = pd.DataFrame([row("Table 1", "", "sync.confidence", 5.0, kind="published")])
        both = pd.concat([self.SCORES, published])
        assert "Table 1" in set(select_scores(both, subject=["animal"])["system"])
        with pytest.raises(InputError, match="no score fits"):
            select_scores(both, subject=["human"], content=["camera"])


def test_columns_know_their_fingerprint():
    board: Board = build_board(study(["a"], 2), METRICS)
    assert {c.metric.name: c.fingerprint for c in board.columns} == FINGERPRINTS
