"""Two systems side by side: paired differences, worst losses, and what broke or was fixed."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from eval.leaderboard.board import contrast_columns
from eval.leaderboard.columns import (
    Column,
    ColumnScores,
    Descriptions,
    Refusal,
    choose_columns,
    list_refusals,
    name_difference,
)
from eval.leaderboard.provenance import trace
from eval.leaderboard.records import Contrast, Provenance, column_json, contrast_row
from eval.leaderboard.scores import case_means, check_scores, select_scores
from eval.measure import Metric
from joystreamer.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseChange:
    """A case on which one system lost something that the other has.

    Attributes:
        suite: Name of the suite.
        case: Its id.
        column: Name of the column.
        first: The first system's mean on the case; None without a value.
        second: The second system's.
        loss: How much worse the first system is, in the metric's unit, positive; None when a value is
            missing.
        why: The reason for the missing value, or the threshold that was crossed; '' otherwise.
    """

    suite: str
    case: str
    column: str
    first: float | None
    second: float | None
    loss: float | None
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparisonRow:
    """Two systems in one column.

    Attributes:
        column: Name of the column.
        first_mean: First system's mean on the common cases; None without any.
        second_mean: Second system's mean on the same cases.
        first_only: Cases only the first system has a value for.
        second_only: Cases only the second has.
        contrast: First against second.
    """

    column: str
    first_mean: float | None
    second_mean: float | None
    first_only: int
    second_only: int
    contrast: Contrast


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The first system against the second, metric by metric and case by case.

    Attributes:
        first: Usually the candidate.
        second: Usually the baseline.
        columns: Columns both have scores in.
        rows: One per column.
        losses: Cases on which the first system is worse, largest first within each column.
        broken: Cases the first system no longer passes and the second does.
        fixed: Cases the first system passes and the second does not.
        skipped: Columns left out because only one system has scores there, with a sentence.
        refused: Scores left out because they do not compare.
        provenance: Where the numbers come from.
    """

    first: str
    second: str
    columns: tuple[Column, ...]
    rows: tuple[ComparisonRow, ...]
    losses: tuple[CaseChange, ...]
    broken: tuple[CaseChange, ...]
    fixed: tuple[CaseChange, ...]
    skipped: Mapping[str, str]
    refused: tuple[Refusal, ...]
    provenance: Provenance

    def table(self) -> pd.DataFrame:
        """Return one row per column, ready for CSV or Parquet."""
        facts = {column.name: column for column in self.columns}
        return pd.DataFrame(
            [
                {
                    "metric": facts[row.column].metric.name,
                    "variant": facts[row.column].variant,
                    "better": facts[row.column].metric.better,
                    "unit": facts[row.column].metric.unit,
                    "first": self.first,
                    "second": self.second,
                    "first_mean": row.first_mean,
                    "second_mean": row.second_mean,
                    **contrast_row(row.contrast),
                    "first_only": row.first_only,
                    "second_only": row.second_only,
                }
                for row in self.rows
            ]
        )

    def cases(self) -> pd.DataFrame:
        """Return one row per column and common case: the paired differences themselves."""
        rows = [
            (row.column, suite, case, difference)
            for row in self.rows
            for (suite, case), difference in zip(
                row.contrast.cases, row.contrast.differences, strict=True
            )
        ]
        return pd.DataFrame(rows, columns=["column", "suite", "case", "difference"])

    def to_json(self) -> dict[str, Any]:
        """Return everything, JSON-able, without NaN."""
        found = {
            name: dataclasses.asdict(getattr(self, name))
            if name == "provenance"
            else getattr(self, name)
            for name in ("first", "second", "skipped", "provenance")
        }
        found["columns"] = [column_json(column) for column in self.columns]
        for name in ("rows", "losses", "broken", "fixed", "refused"):
            found[name] = [dataclasses.asdict(item) for item in getattr(self, name)]
        return found


def compare(
    scores: pd.DataFrame,
    first: str,
    second: str,
    metrics: Mapping[str, Metric],
    *,
    descriptions: Descriptions | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> Comparison:
    """Compare two systems on the cases both answered.

    Args:
        scores: Tidy table with `SCORE_COLUMNS`.
        first: Usually the candidate; differences are first minus second.
        second: Usually the baseline.
        metrics: Facts by metric name.
        descriptions: What fingerprints stand for, to name differences.
        thresholds: Lowest (or, where lower is better, highest) value by metric name that still passes.
            A case breaks when the first system fails what the second passes; a missing value fails.

    Raises:
        InputError: A system is unknown or published, both are the same, or no column compares; then the
            sentence names what differs.
    """
    if first == second:
        raise InputError(f"{first!r} cannot be compared with itself; name two systems")
    table = select_scores(check_scores(scores), systems=[first, second])
    for name in (first, second):
        if (table.loc[table["system"] == name, "kind"] == "published").all():
            raise InputError(
                f"{name!r} is a published row without cases and cannot be paired; "
                "compare two systems whose clips were scored here"
            )
    known = descriptions or {}
    local = table[table["kind"] != "published"]
    chosen = choose_columns(local, metrics, known)
    both, skipped = _columns_of_both(chosen, first, second, known)
    if not both:
        raise InputError(
            f"{first!r} and {second!r} have no metric in common that compares: "
            + "; ".join(f"{name}: {why}" for name, why in skipped.items())
        )
    means = [case_means(entry.rows).reindex(columns=[first, second]) for entry in both]
    contrasts = contrast_columns(
        [
            (table_, first, second, entry.column.metric.better)
            for entry, table_ in zip(both, means, strict=True)
        ]
    )
    rows, losses, broken, fixed = [], [], [], []
    for entry, case_table, contrast in zip(both, means, contrasts, strict=True):
        common = case_table.dropna()
        rows.append(
            ComparisonRow(
                column=entry.column.name,
                first_mean=float(common[first].mean()) if len(common) else None,
                second_mean=float(common[second].mean()) if len(common) else None,
                first_only=int((case_table[first].notna() & case_table[second].isna()).sum()),
                second_only=int((case_table[second].notna() & case_table[first].isna()).sum()),
                contrast=contrast,
            )
        )
        changes = _case_changes(entry, first, second)
        losses += sorted(
            (change for change in changes if change.loss is not None and change.loss > 0),
            key=lambda change: (-(change.loss or 0), change.suite, change.case),
        )
        bound = (thresholds or {}).get(entry.column.metric.name)
        broken += _broken(changes, entry, bound, reverse=False)
        fixed += _broken(changes, entry, bound, reverse=True)
    return Comparison(
        first=first,
        second=second,
        columns=tuple(entry.column for entry in both),
        rows=tuple(rows),
        losses=tuple(losses),
        broken=tuple(broken),
        fixed=tuple(fixed),
        skipped=skipped,
        refused=tuple(list_refusals(both, known)),
        provenance=trace(table),
    )


def _columns_of_both(
    chosen: Sequence[ColumnScores], first: str, second: str, known: Descriptions
) -> tuple[list[ColumnScores], dict[str, str]]:
    """Return the columns in which both have scores, and why the others are left out."""
    both, skipped = [], {}
    for entry in chosen:
        absent = {first, second} - set(entry.rows["system"])
        if not absent:
            both.append(entry)
            continue
        name = sorted(absent)[0]
        other = entry.refused.loc[entry.refused["system"] == name, "fingerprint"]
        if len(other):
            differs = name_difference(str(other.iloc[-1]), entry.column.fingerprint, known)
            skipped[entry.column.name] = f"{name!r} does not compare, {differs}; score it again"
        else:
            skipped[entry.column.name] = f"{name!r} has no scores of it; run `python -m eval score`"
    return both, skipped


def _case_changes(entry: ColumnScores, first: str, second: str) -> list[CaseChange]:
    """Return both systems' means on every case that either has a clip for."""
    rows = entry.rows
    means = case_means(rows).reindex(columns=[first, second])
    nulls = rows.dropna(subset="reason").drop_duplicates(["suite", "case", "system"])
    reasons = {
        (suite, case, system): str(reason)
        for suite, case, system, reason in nulls[["suite", "case", "system", "reason"]].itertuples(
            index=False, name=None
        )
    }
    asked = rows.groupby(["suite", "case"])["system"].nunique()
    both = asked[asked == 2]
    sign = -1.0 if entry.column.metric.better == "lower" else 1.0
    directed = entry.column.metric.better != "neither"
    changes = []
    # A case that only one system was asked is no loss of the other.
    for suite, case, *pair in (
        means.reindex(both.index).reset_index().itertuples(index=False, name=None)
    ):
        values = [None if pd.isna(value) else float(value) for value in pair]
        missing = [
            reasons.get((suite, case, name), "")
            for name, value in zip((first, second), values, strict=True)
            if value is None
        ]
        loss = None
        if directed and values[0] is not None and values[1] is not None:
            loss = sign * (values[1] - values[0])
        changes.append(
            CaseChange(
                suite=str(suite),
                case=str(case),
                column=entry.column.name,
                first=values[0],
                second=values[1],
                loss=loss,
                why=", ".join(missing),
            )
        )
    return changes


def _broken(
    changes: Sequence[CaseChange], entry: ColumnScores, bound: float | None, *, reverse: bool
) -> list[CaseChange]:
    """Return cases that one system passes and the other fails.

    Args:
        changes: Every case both were asked.
        entry: The column.
        bound: Threshold of the metric, if any; without one every value passes.
        reverse: Look for cases that the second fails and the first passes.
    """
    better = entry.column.metric.better

    def passes(value: float | None) -> bool:
        if value is None:
            return False
        if bound is None or better == "neither":
            return True
        return value >= bound if better == "higher" else value <= bound

    found = []
    for change in changes:
        failing, passing = change.first, change.second
        if reverse:
            failing, passing = passing, failing
        if passes(passing) and not passes(failing):
            why = change.why or f"crosses the threshold {bound:g}"
            found.append(
                CaseChange(
                    suite=change.suite,
                    case=change.case,
                    column=change.column,
                    first=change.first,
                    second=change.second,
                    loss=change.loss,
                    why=why,
                )
            )
    return found
