"""The table of votes that every statistic reads, derived from ledger entries and nothing else.

The last revision of an assignment counts; undone, skipped and flagged-only assignments leave no rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pandas as pd

from eval.ratings.answers import OUTCOME_OF_NAME, unblind
from eval.ratings.ledger import Entry

VOTE_COLUMNS: Final = (
    "assignment", "revision", "rater", "kind", "repeat_of", "pair", "first", "second", "case",
    "first_side", "dimension", "answer", "outcome", "expected", "flag", "comment", "decision_ms",
    "coverage", "implausible", "origin", "at", "seq",
)  # fmt: skip
"""One row per assignment and dimension. `outcome` is +1, 0, -1 for `first`, nan for can't judge."""

_TEXT: Final = (
    "assignment", "rater", "kind", "repeat_of", "pair", "first", "second", "case", "first_side",
    "dimension", "answer", "flag", "comment", "origin", "at",
)  # fmt: skip


def current_votes(entries: Iterable[Entry]) -> dict[str, tuple[Entry, dict[str, Any]]]:
    """Last standing vote of every assignment, with its entry."""
    standing: dict[str, tuple[Entry, dict[str, Any]]] = {}
    for entry in entries:
        if entry.kind in ("vote", "import"):
            payload = entry.payload()
            standing[payload["assignment"]] = (entry, payload)
        elif entry.kind in ("undo", "skip", "flag"):
            standing.pop(entry.payload()["assignment"], None)
    return standing


def vote_table(entries: Iterable[Entry]) -> pd.DataFrame:
    """The votes that stand, one row per assignment and dimension, in ledger order."""
    standing = sorted(current_votes(entries).values(), key=lambda item: item[0].seq)
    rows = [row for entry, payload in standing for row in vote_rows(entry, payload)]
    table = pd.DataFrame(rows, columns=list(VOTE_COLUMNS))
    for column in ("outcome", "expected", "decision_ms", "coverage"):
        table[column] = table[column].astype("float64")
    for column in _TEXT:
        table[column] = table[column].astype("object")
    return table


def vote_rows(entry: Entry, payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of one vote; answers are unblinded here."""
    expected = payload.get("expected") or {}
    shared = {
        "assignment": payload["assignment"],
        "revision": payload["revision"],
        "rater": payload["rater"],
        "kind": payload["kind"],
        "repeat_of": payload.get("repeat_of") or "",
        "pair": f"{payload['first']}|{payload['second']}",
        "first": payload["first"],
        "second": payload["second"],
        "case": payload["case"],
        "first_side": payload["first_side"],
        "flag": payload.get("flag") or "",
        "comment": payload.get("comment") or "",
        "decision_ms": payload.get("decision_ms"),
        "coverage": payload.get("coverage"),
        "implausible": bool(payload.get("implausible", False)),
        "origin": payload["origin"],
        "at": entry.at,
        "seq": entry.seq,
    }
    return [
        {
            **shared,
            "dimension": dimension,
            "answer": answer,
            "outcome": unblind(answer, payload["first_side"]),
            "expected": OUTCOME_OF_NAME.get(expected.get(dimension, "")),
        }
        for dimension, answer in payload["answers"].items()
    ]
