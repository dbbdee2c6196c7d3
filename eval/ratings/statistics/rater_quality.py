"""What the checks say about each rater: accuracy, consistency, bias, effort, influence.

Takes the vote table of `eval.ratings.vote_table` and returns one row per rater. Judges nobody:
excluding a rater follows the campaign's declared rule in `eval.ratings.exclusion`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from eval.ratings.statistics.preference import wilson_interval

QUALITY_COLUMNS = (
    "rater",
    "assignments",
    "answers",
    "gold_n",
    "gold_accuracy",
    "null_n",
    "null_tie_rate",
    "repeat_n",
    "repeat_consistency",
    "decisive_n",
    "left_rate",
    "left_low",
    "left_high",
    "straight_n",
    "straight_lining",
    "decision_s",
    "coverage",
    "peer_n",
    "peer_agreement",
)
"""Columns of `rater_quality`: counts end in _n; every rate is in [0, 1] or nan without data."""

MIN_ROWS_FOR_STRAIGHT_LINE = 3
"""Equal answers on fewer rows are no pattern."""


def rater_quality(votes: pd.DataFrame) -> pd.DataFrame:
    """One row of checks per rater.

    Args:
        votes: Vote table with columns rater, assignment, kind, repeat_of, pair, case, dimension,
            answer, outcome, expected, decision_ms, coverage.

    Returns:
        Columns `QUALITY_COLUMNS`, sorted by rater. `gold_accuracy`, `null_tie_rate`,
        `repeat_consistency`, `coverage` and `peer_agreement`: higher is better; `left_rate`: 0.5 is
        unbiased; `straight_lining`: lower is better; `decision_s`: median seconds per assignment.
    """
    judged = votes[votes["outcome"].notna()]
    peers = _peer_agreement(judged[judged["kind"] == "work"])
    rows = []
    for rater, mine in votes.groupby("rater", sort=True):
        answered = mine[mine["outcome"].notna()]
        row: dict[str, object] = {
            "rater": rater,
            "assignments": int(mine["assignment"].nunique()),
            "answers": len(answered),
        }
        row["gold_n"], row["gold_accuracy"] = gold_accuracy(answered)
        row["null_n"], row["null_tie_rate"] = null_tie_rate(answered)
        row["repeat_n"], row["repeat_consistency"] = repeat_consistency(answered)
        row.update(_left_choice(answered))
        row["straight_n"], row["straight_lining"] = straight_lining(answered)
        per_assignment = mine.drop_duplicates("assignment")
        row["decision_s"] = float(per_assignment["decision_ms"].median()) / 1000
        row["coverage"] = float(per_assignment["coverage"].mean())
        row["peer_n"], row["peer_agreement"] = peers.get(rater, (0, float("nan")))
        rows.append(row)
    return pd.DataFrame(rows, columns=list(QUALITY_COLUMNS))


def gold_accuracy(answered: pd.DataFrame) -> tuple[int, float]:
    """Answers to gold pairs and the share that matches the expected outcome."""
    gold = answered[(answered["kind"] == "gold") & answered["expected"].notna()]
    return _rate(gold["outcome"] == gold["expected"])


def null_tie_rate(answered: pd.DataFrame) -> tuple[int, float]:
    """Answers to pairs of a clip with itself and the share of Same."""
    null = answered[answered["kind"] == "null"]
    return _rate(null["outcome"] == 0)


def repeat_consistency(answered: pd.DataFrame) -> tuple[int, float]:
    """Answers to side-swapped repeats and the share that equals the first answer, unblinded."""
    repeats = answered[answered["kind"] == "repeat"]
    both = repeats.merge(
        answered[["assignment", "dimension", "outcome"]],
        left_on=["repeat_of", "dimension"],
        right_on=["assignment", "dimension"],
        suffixes=("", "_before"),
    )
    return _rate(both["outcome"] == both["outcome_before"])


def straight_lining(answered: pd.DataFrame) -> tuple[int, float]:
    """Assignments with enough decisive rows, and the share whose rows all favour one side.

    All rows Same is an honest answer to a null pair, so Same rows make no straight line.
    """
    work = answered[answered["kind"] != "null"]
    sides = work.groupby("assignment")["answer"].agg(["nunique", "count", "first"])
    enough = sides[sides["count"] >= MIN_ROWS_FOR_STRAIGHT_LINE]
    return _rate((enough["nunique"] == 1) & (enough["first"] != "same"))


def _left_choice(answered: pd.DataFrame) -> dict[str, object]:
    decisive = answered[answered["answer"].isin(["left", "right"])]
    n, rate = _rate(decisive["answer"] == "left")
    if n == 0:
        return {"decisive_n": 0, "left_rate": rate, "left_low": rate, "left_high": rate}
    interval = wilson_interval(rate * n, n)
    return {
        "decisive_n": n,
        "left_rate": rate,
        "left_low": interval.low,
        "left_high": interval.high,
    }


def _rate(hits: pd.Series[bool]) -> tuple[int, float]:
    return len(hits), float(hits.mean()) if len(hits) else float("nan")


def _peer_agreement(work: pd.DataFrame) -> dict[object, tuple[int, float]]:
    """Per rater: answers that others gave too, and the mean share of those others that agree."""
    unit = work.groupby(["pair", "case", "dimension"])["outcome"]
    others = unit.transform("count") - 1
    same = work.groupby(["pair", "case", "dimension", "outcome"])["rater"].transform("count") - 1
    frame = pd.DataFrame({"rater": work["rater"], "others": others, "same": same})
    frame = frame[frame["others"] > 0]
    share = frame["same"] / frame["others"]
    return {
        rater: (len(group), float(group.mean())) for rater, group in share.groupby(frame["rater"])
    }


def leave_one_rater_out(votes: pd.DataFrame) -> pd.DataFrame:
    """How far each cell's net preference moves when one rater's votes are left out.

    Args:
        votes: Vote table; only judged rows of kind `work` count.

    Returns:
        Columns rater, first, second, dimension, net, net_without, shift; the largest absolute shift
        first. `net_without` is nan when the rater gave all votes of the cell.
    """
    work = votes[(votes["kind"] == "work") & votes["outcome"].notna()]
    cell = ["first", "second", "dimension"]
    whole = work.groupby(cell)["outcome"].agg(["sum", "count"])
    mine = work.groupby([*cell, "rater"])["outcome"].agg(["sum", "count"]).reset_index()
    mine = mine.merge(whole, left_on=cell, right_index=True, suffixes=("", "_all"))
    left = mine["count_all"] - mine["count"]
    mine["net"] = mine["sum_all"] / mine["count_all"]
    mine["net_without"] = ((mine["sum_all"] - mine["sum"]) / left).where(left > 0, np.nan)
    mine["shift"] = mine["net_without"] - mine["net"]
    order = mine["shift"].abs().sort_values(ascending=False, kind="stable").index
    columns = ["rater", *cell, "net", "net_without", "shift"]
    return mine.loc[order, columns].reset_index(drop=True)
