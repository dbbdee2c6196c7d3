"""Two systems side by side: paired differences, worst losses, and what broke or was fixed."""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
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
from eval.leaderboard.means import CaseMeans, case_means
from eval.leaderboard.prepared import PreparedScores, prepare_scores
from eval.leaderboard.provenance import trace
from eval.leaderboard.records import Contrast, Provenance, column_json, contrast_row
from eval.leaderboard.scores import known_names
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
    scores: pd.DataFrame | PreparedScores,
    first: str,
    second: str,
    metrics: Mapping[str, Metric],
    *,
    descriptions: Descriptions | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> Comparison:
    """Compare two systems on the cases both answered.

    Args:
        scores: Tidy table with `SCORE_COLUMNS`, or prepared from one.
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
    table = _of_two(scores, first, second)
    known = descriptions or {}
    chosen = choose_columns(table, metrics, known)
    both, skipped = _columns_of_both(table, chosen, first, second, known)
    if not both:
        raise InputError(
            f"{first!r} and {second!r} have no metric in common that compares: "
            + "; ".join(f"{name}: {why}" for name, why in skipped.items())
        )
    means = [case_means(table, entry.rows, (first, second)) for entry in both]
    contrasts = contrast_columns(
        table,
        [
            (case_table, first, second, entry.column.metric.better)
            for entry, case_table in zip(both, means, strict=True)
        ],
    )
    rows, losses, broken, fixed = [], [], [], []
    for entry, case_table, contrast in zip(both, means, contrasts, strict=True):
        ours, theirs = case_table.of(first), case_table.of(second)
        common = ~np.isnan(ours) & ~np.isnan(theirs)
        rows.append(
            ComparisonRow(
                column=entry.column.name,
                first_mean=float(ours[common].mean()) if common.any() else None,
                second_mean=float(theirs[common].mean()) if common.any() else None,
                first_only=int((~np.isnan(ours) & np.isnan(theirs)).sum()),
                second_only=int((~np.isnan(theirs) & np.isnan(ours)).sum()),
                contrast=contrast,
            )
        )
        changes = _case_changes(table, entry, case_table)
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
        refused=tuple(list_refusals(table, both, known)),
        provenance=trace(table),
    )


def _of_two(scores: pd.DataFrame | PreparedScores, first: str, second: str) -> PreparedScores:
    """Return the scores of two systems.

    Raises:
        InputError: The table is unfit, or one of them is unknown or published.
    """
    table = scores if isinstance(scores, PreparedScores) else prepare_scores(scores)
    local = {table.systems[code] for code in np.unique(table.system[table.rows]).tolist()}
    outside = set(table.published["system"])
    known_names("system", (first, second), local | outside)
    for name in (first, second):
        if name not in local:
            raise InputError(
                f"{name!r} is a published row without cases and cannot be paired; "
                "compare two systems whose clips were scored here"
            )
    wanted = np.isin(np.array(table.systems, dtype=object), [first, second])
    published = table.published[table.published["system"].isin([first, second])]
    return replace(table.narrow(wanted[table.system]), published=published)


def _columns_of_both(
    scores: PreparedScores,
    chosen: Sequence[ColumnScores],
    first: str,
    second: str,
    known: Descriptions,
) -> tuple[list[ColumnScores], dict[str, str]]:
    """Return the columns in which both have scores, and why the others are left out."""
    both, skipped = [], {}
    for entry in chosen:
        codes = np.unique(scores.system[entry.rows]).tolist()
        absent = {first, second} - {scores.systems[code] for code in codes}
        if not absent:
            both.append(entry)
            continue
        name = sorted(absent)[0]
        other = entry.refused[scores.system[entry.refused] == scores.systems.index(name)]
        if other.size:
            fingerprint = scores.fingerprints[scores.fingerprint[other[-1]]]
            differs = name_difference(fingerprint, entry.column.fingerprint, known)
            skipped[entry.column.name] = f"{name!r} does not compare, {differs}; score it again"
        else:
            skipped[entry.column.name] = f"{name!r} has no scores of it; run `python -m eval score`"
    return both, skipped


def _case_changes(
    scores: PreparedScores, entry: ColumnScores, means: CaseMeans
) -> list[CaseChange]:
    """Return the means of both systems on every case that both have a clip for."""
    asked: dict[int, set[int]] = defaultdict(set)
    reasons: dict[tuple[int, str], str] = {}
    for case, system, reason in zip(
        scores.case[entry.rows].tolist(), scores.system[entry.rows].tolist(),
        scores.reason[entry.rows].tolist(), strict=True,
    ):  # fmt: skip
        asked[case].add(system)
        if reason >= 0:
            reasons.setdefault((case, scores.systems[system]), scores.reasons[reason])
    pairs = dict(zip(means.cases.tolist(), means.values.tolist(), strict=True))
    sign = -1.0 if entry.column.metric.better == "lower" else 1.0
    directed = entry.column.metric.better != "neither"
    changes = []
    # A case that only one system was asked is no loss of the other.
    for case in sorted(case for case, systems in asked.items() if len(systems) == 2):
        pair = pairs.get(case, (math.nan, math.nan))
        first, second = (None if math.isnan(value) else value for value in pair)
        missing = [
            reasons.get((case, name), "")
            for name, value in zip(means.systems, (first, second), strict=True)
            if value is None
        ]
        loss = None
        if directed and first is not None and second is not None:
            loss = sign * (second - first)
        suite, name = scores.cases[case]
        changes.append(
            CaseChange(
                suite=suite, case=name, column=entry.column.name, first=first, second=second,
                loss=loss, why=", ".join(missing),
            )
        )  # fmt: skip
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
