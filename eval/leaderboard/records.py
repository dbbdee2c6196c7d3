"""What a leaderboard consists of: small frozen records, and their tables.

Built by `eval.leaderboard.board`, drawn by `eval.report`; nothing here computes a statistic.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pandas as pd

from eval.leaderboard.columns import Column, Refusal
from eval.statistics import MIN_CASES, SIGNIFICANCE, Interval

Verdict = Literal["better", "worse", "differs", "undecided", "too few", "none"]

ACCOUNTS: Final[dict[str, str]] = {
    "no_clip": "the system has no clip for a case that others answered",
    "not_scored": "the clip was not scored with this metric yet",
    "other_spec": "the clip was scored with another specification, which does not compare",
}
"""Why a clip is missing from a mean, besides the reasons of `eval.reasons`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """One system against another on the cases both have, in one column.

    Attributes:
        n: Cases with a value of both.
        mean: Mean of first minus second; None when n is 0.
        interval: Of that mean; None below `MIN_CASES` cases.
        p: Sign-flip test; None below `MIN_CASES` cases.
        adjusted_p: Holm's over every comparison of the same table.
        verdict: What that says of the first system, in the metric's own direction.
        cases: (suite, case) of each difference.
        differences: First minus second, case by case.
    """

    n: int
    mean: float | None
    interval: Interval | None
    p: float | None
    adjusted_p: float | None
    verdict: Verdict
    cases: tuple[tuple[str, str], ...] = field(repr=False)
    differences: tuple[float, ...] = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One system in one column.

    Attributes:
        system: Name.
        column: Name of the column.
        mean: Mean over cases of the means over a case's clips; None without any value.
        n: Cases with a value.
        scored: Clips with a value.
        clips: Clips that should have one: the system's own, and one per case it has not answered.
        interval: Of the mean; None below `MIN_CASES` cases.
        common_mean: Mean over the cases that every system with a value in this column has.
        common_n: Number of those cases.
        reasons: Why the other clips have no value; `scored` and these counts add up to `clips`.
        rank: One more than the number of systems shown to be better; None where nothing can be shown.
        tied: Systems with the same rank.
        contrast: Against the board's baseline; None for the baseline itself.
    """

    system: str
    column: str
    mean: float | None
    n: int
    scored: int
    clips: int
    interval: Interval | None
    common_mean: float | None
    common_n: int
    reasons: Mapping[str, int]
    rank: int | None = None
    tied: tuple[str, ...] = ()
    contrast: Contrast | None = None

    @property
    def coverage(self) -> float:
        """Share of clips with a value, in [0, 1]."""
        return self.scored / self.clips if self.clips else 0.0

    @property
    def too_few(self) -> bool:
        """Whether there is a mean but too few cases for an interval."""
        return 0 < self.n < MIN_CASES


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A number from a paper, set apart from local ones.

    Attributes:
        system: Name.
        metric: `family.name`.
        variant: Specification as far as the paper states it.
        value: As printed.
        column: Name of the column it may be held against; '' when specifications do not match.
        why: Why it does not compare; '' when it does.
    """

    system: str
    metric: str
    variant: str
    value: float
    column: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TagCell:
    """One system in one column on the cases of one tag.

    Attributes:
        tag: `subject`, `mode`, `content`, `language` or `length`.
        value: For example `cartoon`.
        system: Name.
        column: Name of the column.
        mean: None without any value.
        n: Cases with a value.
        scored: Clips with a value.
        clips: The system's clips with this tag.
        interval: None below `MIN_CASES` cases.
    """

    tag: str
    value: str
    system: str
    column: str
    mean: float | None
    n: int
    scored: int
    clips: int
    interval: Interval | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Where the numbers come from, so that a table can be made again.

    Attributes:
        scores_digest: sha256 of the scores that went in, independent of their order.
        clips_digest: sha256 of the list of clips.
        scores: Scores with a value or a reason.
        nulls: Scores without a value.
        clips: Clips.
        cases: Cases.
        suites: Names of suites; '' is a folder without one.
        oldest: When the first score was made, ISO 8601.
        newest: When the last one was.
        versions: Libraries that computed the statistics.
        settings: Confidence, resamples, seed and thresholds.
    """

    scores_digest: str
    clips_digest: str
    scores: int
    nulls: int
    clips: int
    cases: int
    suites: tuple[str, ...]
    oldest: str
    newest: str
    versions: Mapping[str, str]
    settings: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """Who leads, by how much and how surely.

    Attributes:
        systems: Local systems in the order of the rows.
        kinds: Kind by system.
        columns: In the order of the metric table.
        cells: One per system and column.
        baseline: System that the others are held against; '' with a single system.
        comparisons: Tests that Holm's adjustment of the contrasts counted.
        published: Numbers from papers.
        tags: Cells per tag.
        refused: Scores left out because they do not compare.
        cases: Mean per case: columns suite, case, column, system, value, clips, reason.
        provenance: Where the numbers come from.
    """

    systems: tuple[str, ...]
    kinds: Mapping[str, str]
    columns: tuple[Column, ...]
    cells: tuple[Cell, ...]
    baseline: str
    comparisons: int
    published: tuple[Published, ...]
    tags: tuple[TagCell, ...]
    refused: tuple[Refusal, ...]
    cases: pd.DataFrame = field(repr=False)
    provenance: Provenance

    @property
    def measured(self) -> tuple[Column, ...]:
        """Columns in which some system has a value; all of them when none has."""
        names = {cell.column for cell in self.cells if cell.n}
        return tuple(column for column in self.columns if column.name in names) or self.columns

    def cell(self, system: str, column: str) -> Cell:
        """Return the cell of a system in a column.

        Raises:
            KeyError: There is none.
        """
        for cell in self.cells:
            if cell.system == system and cell.column == column:
                return cell
        raise KeyError((system, column))

    def table(self) -> pd.DataFrame:
        """Return one row per cell, published numbers last, ready for CSV or Parquet."""
        facts = {column.name: column for column in self.columns}
        rows = [_cell_row(cell, facts[cell.column], self) for cell in self.cells]
        rows += [_published_row(row) for row in self.published]
        table = pd.DataFrame(rows, columns=list(TABLE_COLUMNS))
        return table.astype(dict.fromkeys(COUNT_COLUMNS, "Int64"))

    def to_json(self) -> dict[str, Any]:
        """Return everything but the per-case table, JSON-able, without NaN."""
        return {
            "baseline": self.baseline,
            "comparisons": self.comparisons,
            "systems": [{"name": name, "kind": self.kinds[name]} for name in self.systems],
            "columns": [column_json(column) for column in self.columns],
            "cells": [_cell_json(cell) for cell in self.cells],
            "published": [dataclasses.asdict(row) for row in self.published],
            "tags": [dataclasses.asdict(cell) for cell in self.tags],
            "refused": [dataclasses.asdict(refusal) for refusal in self.refused],
            "provenance": dataclasses.asdict(self.provenance),
        }


TABLE_COLUMNS: Final = (
    "system", "kind", "metric", "variant", "unit", "better", "fingerprint", "mean", "low", "high", "n",
    "scored", "clips", "coverage", "common_mean", "common_n", "rank", "tied", "baseline", "difference",
    "difference_low", "difference_high", "difference_n", "p", "adjusted_p", "verdict", "reasons", "note",
)  # fmt: skip
"""Columns of `Board.table`."""

COUNT_COLUMNS: Final = ("n", "scored", "clips", "common_n", "rank", "difference_n")
"""Those that hold whole numbers or nothing."""


def column_json(column: Column) -> dict[str, Any]:
    """Return a column with its name, JSON-able."""
    return {"name": column.name, **dataclasses.asdict(column)}


def judge(mean: float | None, adjusted_p: float | None, better: str) -> Verdict:
    """Say what a difference means for the first system, given the metric's direction."""
    if mean is None:
        return "none"
    if adjusted_p is None:
        return "too few"
    if adjusted_p >= SIGNIFICANCE or mean == 0:
        return "undecided"
    if better == "neither":
        return "differs"
    return "better" if (mean > 0) == (better == "higher") else "worse"


def contrast_row(contrast: Contrast | None) -> dict[str, Any]:
    """Return a contrast as flat table columns."""
    if contrast is None:
        return {}
    return {
        "difference": contrast.mean,
        "difference_low": contrast.interval.low if contrast.interval else None,
        "difference_high": contrast.interval.high if contrast.interval else None,
        "difference_n": contrast.n,
        "p": contrast.p,
        "adjusted_p": contrast.adjusted_p,
        "verdict": contrast.verdict,
    }


def _cell_row(cell: Cell, column: Column, board: Board) -> dict[str, Any]:
    """Return a cell as a row of `TABLE_COLUMNS`."""
    return {
        "system": cell.system,
        "kind": board.kinds[cell.system],
        "metric": column.metric.name,
        "variant": column.variant,
        "unit": column.metric.unit,
        "better": column.metric.better,
        "fingerprint": column.fingerprint,
        "mean": cell.mean,
        "low": cell.interval.low if cell.interval else None,
        "high": cell.interval.high if cell.interval else None,
        "n": cell.n,
        "scored": cell.scored,
        "clips": cell.clips,
        "coverage": cell.coverage,
        "common_mean": cell.common_mean,
        "common_n": cell.common_n,
        "rank": cell.rank,
        "tied": "; ".join(cell.tied),
        "baseline": board.baseline,
        **contrast_row(cell.contrast),
        "reasons": "; ".join(f"{reason}: {count}" for reason, count in cell.reasons.items()),
        "note": "too few" if cell.too_few else "",
    }


def _published_row(row: Published) -> dict[str, Any]:
    """Return a published number as a row of `TABLE_COLUMNS`."""
    return {
        "system": row.system,
        "kind": "published",
        "metric": row.metric,
        "variant": row.variant,
        "mean": row.value,
        "note": f"published; {row.why}" if row.why else "published",
    }


def _cell_json(cell: Cell) -> dict[str, Any]:
    """Return a cell, JSON-able, with its coverage."""
    found = dataclasses.asdict(cell)
    found["reasons"] = dict(cell.reasons)
    return {**found, "coverage": cell.coverage, "too_few": cell.too_few}
