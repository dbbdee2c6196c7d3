"""Two systems side by side: by hand, and what cannot be compared."""

import json

import pandas as pd
import pytest

from eval.leaderboard import compare
from joystreamer.errors import InputError
from tests.eval.score_rows import METRICS, row, rows, study


def test_by_hand():
    scores = pd.concat(
        [
            rows({"new": [1.0, 5.0, "no_face", 2.0, "no_face"], "old": [2.0, 3.0, 4.0, "too_short", "no_face"]}),
            rows({"new": [1.0, 5.0], "old": [2.0, 3.0]}, metric="sync.distance"),
        ]
    )  # fmt: skip
    found = compare(scores, "new", "old", METRICS)
    up, down = found.rows
    assert up.contrast.cases == (("talk", "c0"), ("talk", "c1"))
    assert up.contrast.differences == (-1.0, 2.0)
    assert (up.first_mean, up.second_mean, up.first_only, up.second_only) == (3.0, 2.5, 1, 1)
    assert (up.contrast.n, up.contrast.mean, up.contrast.verdict) == (2, 0.5, "too few")
    # Losing means lower on one metric and higher on the other.
    assert [(loss.column, loss.case, loss.loss) for loss in found.losses] == [
        ("sync.confidence/clean", "c0", 1.0),
        ("sync.distance/clean", "c1", 2.0),
    ]
    assert [(c.case, c.first, c.second, c.why) for c in found.broken] == [
        ("c2", None, 4.0, "no_face")
    ]
    assert [(c.case, c.first, c.second, c.why) for c in found.fixed] == [
        ("c3", 2.0, None, "too_short")
    ]
    assert list(found.cases()["difference"]) == [-1.0, 2.0, -1.0, 2.0]
    assert down.contrast.n == 2


def test_thresholds_say_what_broke():
    scores = pd.concat(
        [
            rows({"new": [1.0, 5.0, 3.0], "old": [3.0, 1.0, 3.0]}),
            rows({"new": [1.0, 5.0, 3.0], "old": [3.0, 1.0, 3.0]}, metric="sync.distance"),
        ]
    )
    found = compare(
        scores, "new", "old", METRICS, thresholds={"sync.confidence": 3.0, "sync.distance": 2.0}
    )
    assert [(c.column, c.case, c.why) for c in found.broken] == [
        ("sync.confidence/clean", "c0", "crosses the threshold 3"),
        ("sync.distance/clean", "c1", "crosses the threshold 2"),
    ]
    assert [(c.column, c.case) for c in found.fixed] == [
        ("sync.confidence/clean", "c1"),
        ("sync.distance/clean", "c0"),
    ]


def test_losses_come_worst_first_and_a_descriptive_metric_has_none():
    found = compare(study(["old", "new"], 20, nulls=0), "old", "new", METRICS)
    by_column: dict[str, list[float | None]] = {}
    for loss in found.losses:
        by_column.setdefault(loss.column, []).append(loss.loss)
    assert "hands.variance/clean" not in by_column
    assert all(values == sorted(values, key=lambda v: -(v or 0)) for values in by_column.values())
    assert all(value is not None and value > 0 for values in by_column.values() for value in values)
    verdicts = {r.column: r.contrast.verdict for r in found.rows}
    assert verdicts["sync.confidence/clean"] == verdicts["drift.colour/clean"] == "worse"


def test_swapping_the_two_mirrors_everything():
    scores = study(["a", "b"], 15)
    there, back = compare(scores, "a", "b", METRICS), compare(scores, "b", "a", METRICS)
    for one, other in zip(there.rows, back.rows, strict=True):
        assert one.contrast.mean == -(other.contrast.mean or 0)
        assert one.contrast.adjusted_p == other.contrast.adjusted_p
        assert (one.first_mean, one.first_only) == (other.second_mean, other.second_only)
    assert [c.case for c in there.broken] == [c.case for c in back.fixed]


def test_a_case_that_only_one_was_asked_is_not_broken():
    scores = pd.concat([rows({"new": [1.0]}), rows({"old": [1.0, 2.0, 3.0]})])
    found = compare(scores, "new", "old", METRICS)
    assert (found.broken, found.rows[0].second_only) == ((), 2)


def test_json_and_table_hold_no_nan():
    found = compare(study(["a", "b"], 4, nulls=0.5), "a", "b", METRICS)
    text = json.dumps(found.to_json(), allow_nan=False)
    assert json.loads(text)["first"] == "a"
    assert list(found.table()["metric"]) == list(METRICS)


OLD, NEW = "a" * 16, "b" * 16
DESCRIPTIONS = {OLD: {"libraries": {"numpy": "1.26"}}, NEW: {"libraries": {"numpy": "2.4"}}}


def test_different_specifications_are_refused_naming_what_differs():
    scores = pd.concat([rows({"a": [1.0]}, fingerprint=OLD), rows({"b": [1.0]}, fingerprint=NEW)])
    with pytest.raises(InputError) as refused:
        compare(scores, "a", "b", METRICS, descriptions=DESCRIPTIONS)
    assert str(refused.value) == (
        "'a' and 'b' have no metric in common that compares: sync.confidence/clean: 'a' does not "
        f"compare, specification {OLD} differs from {NEW}: libraries.numpy is 1.26, not 2.4; "
        "score it again"
    )


def test_a_metric_of_one_system_is_left_out_with_a_sentence():
    scores = pd.concat([rows({"a": [1.0], "b": [2.0]}), rows({"a": [1.0]}, metric="sync.distance")])
    found = compare(scores, "a", "b", METRICS)
    assert [column.name for column in found.columns] == ["sync.confidence/clean"]
    assert found.skipped == {
        "sync.distance/clean": "'b' has no scores of it; run `python -m eval score`"
    }


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        ("a", "a", "'a' cannot be compared with itself; name two systems"),
        ("a", "klin", "no score has the system 'klin'; did you mean 'kling'?"),
        ("a", "Table 1", "'Table 1' is a published row without cases and cannot be paired"),
    ],
)
def test_what_cannot_be_compared_is_refused(first: str, second: str, sentence: str):
    published = pd.DataFrame([row("Table 1", "", "sync.confidence", 5.0, kind="published")])
    scores = pd.concat([rows({"a": [1.0], "kling": [2.0]}), published])
    with pytest.raises(InputError, match=sentence.replace("?", r"\?")):
        compare(scores, first, second, METRICS)
