"""From ledger entries to the table of votes, and from checks to exclusion."""

import numpy as np
import pandas as pd

from eval.ratings.campaign import ExclusionRule
from eval.ratings.exclusion import excluded_raters
from eval.ratings.ledger import GENESIS, Entry, seal
from eval.ratings.vote_table import vote_table

VOTE = {
    "assignment": "w1", "revision": 1, "rater": "R01", "kind": "work", "repeat_of": "", "case": "c1",
    "first": "ours", "second": "omni", "first_side": "right", "origin": "simulated",
    "answers": {"overall_quality": "right", "text_alignment": "same", "visual_quality": "cant_judge"},
    "expected": {"overall_quality": "good"}, "decision_ms": 9000, "coverage": 0.95,
}  # fmt: skip


def entries(*events):
    chain: list[Entry] = []
    for number, (kind, payload) in enumerate(events, start=1):
        previous = chain[-1].digest if chain else GENESIS
        chain.append(seal(seq=number, at="t", kind=kind, payload=payload, previous=previous))
    return chain


def test_answers_are_unblinded_per_dimension():
    table = vote_table(entries(("open", {}), ("vote", VOTE))).set_index("dimension")
    assert table["outcome"].iloc[:2].tolist() == [1.0, 0.0]
    assert np.isnan(table["outcome"]["visual_quality"])
    assert table["expected"]["overall_quality"] == 1.0
    assert set(table["origin"]) == {"simulated"}


def test_the_last_revision_counts_and_undo_takes_back():
    second = VOTE | {"revision": 3, "answers": {"overall_quality": "left"}}
    undone = ("undo", {"assignment": "w1", "revision": 2})
    assert vote_table(entries(("vote", VOTE), undone)).empty
    table = vote_table(entries(("vote", VOTE), undone, ("vote", second)))
    assert table["outcome"].tolist() == [-1.0]
    assert table["revision"].tolist() == [3]
    skipped = ("skip", {"assignment": "w1", "revision": 2})
    assert vote_table(entries(("vote", VOTE), skipped)).empty


def test_an_empty_ledger_gives_an_empty_table_with_its_columns():
    table = vote_table([])
    assert table.empty
    assert {"outcome", "rater", "dimension"} <= set(table.columns)


def test_exclusion_follows_the_declared_rule_and_says_why():
    quality = pd.DataFrame(
        {
            "rater": ["R1", "R2", "R3"],
            "assignments": [20, 20, 20],
            "gold_n": [10, 10, 2], "gold_accuracy": [0.9, 0.4, 0.0],
            "null_n": [10, 10, 0], "null_tie_rate": [0.9, 0.1, np.nan],
            "repeat_n": [6, 6, 0], "repeat_consistency": [0.8, 0.8, np.nan],
            "straight_n": [20, 20, 20], "straight_lining": [0.1, 0.95, 0.2],
            "coverage": [0.9, 0.9, 0.2],
        }
    )  # fmt: skip
    out = excluded_raters(quality, ExclusionRule())
    assert list(out) == ["R2", "R3"]
    assert out["R2"] == [
        "gold accuracy 0.40 below 0.6",
        "Same on identical clips 0.10 below 0.3",
        "straight-lining 0.95 above 0.9",
    ]
    # Two gold answers say nothing; watching is measured on all twenty pairs.
    assert out["R3"] == ["watched share 0.20 below 0.5"]
    off = ExclusionRule(
        min_gold_accuracy=None, min_null_tie_rate=None, min_repeat_consistency=None,
        max_straight_lining=None, min_coverage=None,
    )  # fmt: skip
    assert excluded_raters(quality, off) == {}
