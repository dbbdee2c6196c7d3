"""Scores made ready for many boards: checked and put in order once, their texts as numbers.

A page asks for another board at every click. Checking, ordering and grouping texts takes longer than all
statistics, so it is done once per table; a filter then only chooses row numbers. Knows no statistics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eval.leaderboard.labels import LABELS, Labels, row_labels
from eval.leaderboard.scores import check_scores, rows_asked_for

Array = NDArray[np.float64]
Numbers = NDArray[np.intp]

SCORE_KEYS: Final = (
    "system", "suite", "case", "seed", "metric", "variant", "fingerprint", "value", "reason",
)  # fmt: skip
"""What makes a score the one it is, see `eval.leaderboard.provenance`."""

CLIP_KEYS: Final = ("system", "suite", "case", "seed", "clip_name")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lines:
    """Rows as text, in the order of the texts, so that those of some rows need no sorting.

    Attributes:
        texts: One per row, sorted.
        rows: Number of the row that each text stands for.
    """

    texts: tuple[str, ...]
    rows: Numbers

    def of(self, chosen: NDArray[np.bool_]) -> list[str]:
        """Return the sorted texts of the rows that are chosen by number."""
        return list(compress(self.texts, chosen[self.rows].tolist()))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedScores:
    """Checked scores of local systems, some of whose rows count; the arrays are shared, never changed.

    Attributes:
        table: Checked tidy rows of local systems in a fixed order.
        rows: Numbers of the rows that count, ascending.
        published: Checked rows of published systems, set apart.
        systems: Names, sorted.
        cases: (suite, case), sorted.
        pairs: (metric, variant), sorted; equal ones lie next to each other in `table`.
        fingerprints: Specifications, sorted.
        reasons: Codes of reasons for missing values, sorted.
        system: Place in `systems` by row.
        case: Place in `cases` by row.
        pair: Place in `pairs` by row.
        fingerprint: Place in `fingerprints` by row.
        reason: Place in `reasons` by row, -1 for none.
        clip: Number of the clip by row.
        value: By row; NaN for none.
        score_lines: Every row as text.
        clip_lines: Every clip as text; its row is the first one of the clip.
        same_clip: The first row of the same clip, by row.
        labels: What rows can be asked for by.
    """

    table: pd.DataFrame
    rows: Numbers
    published: pd.DataFrame
    systems: tuple[str, ...]
    cases: tuple[tuple[str, str], ...]
    pairs: tuple[tuple[str, str], ...]
    fingerprints: tuple[str, ...]
    reasons: tuple[str, ...]
    system: Numbers = field(repr=False)
    case: Numbers = field(repr=False)
    pair: Numbers = field(repr=False)
    fingerprint: Numbers = field(repr=False)
    reason: Numbers = field(repr=False)
    clip: Numbers = field(repr=False)
    value: Array = field(repr=False)
    score_lines: Lines = field(repr=False)
    clip_lines: Lines = field(repr=False)
    same_clip: Numbers = field(repr=False)
    labels: Mapping[str, Labels] = field(repr=False)

    def asked_for(self, **filters: Sequence[str]) -> NDArray[np.bool_]:
        """Say of every row of `table` whether `select_scores` would return it.

        Raises:
            InputError: A name is unknown, or nothing is left.
        """
        return rows_asked_for(self.table, labels=self.labels.__getitem__, **filters)

    def narrow(self, keep: NDArray[np.bool_]) -> PreparedScores:
        """Return the same scores with fewer rows that count.

        Args:
            keep: One entry per row of `table`.
        """
        return replace(self, rows=self.rows[keep[self.rows]])

    def beside(self, published: pd.DataFrame) -> PreparedScores:
        """Return the same scores with other published rows set apart.

        Args:
            published: Rows that `check_scores` returned.
        """
        return replace(self, published=published)

    def frame(self, rows: Numbers | None = None) -> pd.DataFrame:
        """Return rows of the table, those that count if not given."""
        return self.table.iloc[self.rows if rows is None else rows]

    def sorted_scores(self) -> list[str]:
        """Return the texts of all scores that count and of published rows, sorted."""
        chosen = np.zeros(len(self.table), dtype=bool)
        chosen[self.rows] = True
        local = self.score_lines.of(chosen)
        return sorted(local + row_texts(self.published, SCORE_KEYS))

    def sorted_clips(self) -> list[str]:
        """Return the texts of all clips of which some score counts, sorted."""
        chosen = np.zeros(len(self.table), dtype=bool)
        chosen[self.same_clip[self.rows]] = True
        return self.clip_lines.of(chosen)


def prepare_scores(scores: pd.DataFrame) -> PreparedScores:
    """Check a tidy table and make it ready for boards.

    Args:
        scores: Tidy table with `SCORE_COLUMNS`.

    Raises:
        InputError: The table is unfit, see `check_scores`.
    """
    checked = check_scores(scores)
    is_local = (checked["kind"] != "published").to_numpy(dtype=bool)
    table = checked[is_local].reset_index(drop=True)
    systems, system = _coded(table["system"])
    cases, case = _coded_pairs(table["suite"], table["case"])
    pairs, pair = _coded_pairs(table["metric"], table["variant"])
    fingerprints, fingerprint = _coded(table["fingerprint"])
    reasons, reason = _coded(table["reason"])
    clip, _ = pd.factorize(table["clip_id"])
    same, first = _lines_of_clips(table)
    return PreparedScores(
        table=table, rows=np.arange(len(table)), published=checked[~is_local].reset_index(drop=True),
        systems=systems, cases=cases, pairs=pairs, fingerprints=fingerprints, reasons=reasons,
        system=system, case=case, pair=pair, fingerprint=fingerprint, reason=reason,
        clip=clip.astype(np.intp), value=table["value"].to_numpy(dtype=np.float64),
        score_lines=_in_order(row_texts(table, SCORE_KEYS), np.arange(len(table))),
        clip_lines=first, same_clip=same, labels={by: row_labels(table, by) for by in LABELS},
    )  # fmt: skip


def row_texts(rows: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return every row as one text, floats with all their digits."""
    columns = [map(repr, rows[name].tolist()) for name in names]
    return list(map("\x1f".join, zip(*columns, strict=True)))


def _in_order(texts: Sequence[str], rows: Numbers) -> Lines:
    order = sorted(range(len(texts)), key=texts.__getitem__)
    return Lines(texts=tuple(texts[place] for place in order), rows=rows[order])


def _lines_of_clips(table: pd.DataFrame) -> tuple[Numbers, Lines]:
    """Return, by row, the first row that tells the same clip, and the texts of those first rows."""
    place: dict[str, int] = {}
    texts = row_texts(table, CLIP_KEYS)
    same = np.array([place.setdefault(text, row) for row, text in enumerate(texts)], dtype=np.intp)
    firsts = np.array(list(place.values()), dtype=np.intp)
    return same, _in_order(list(place), firsts)


def _coded(column: pd.Series[Any]) -> tuple[tuple[str, ...], Numbers]:
    """Return sorted texts, and by row the place among them; -1 for None."""
    codes, found = pd.factorize(column, sort=True)
    return tuple(str(text) for text in found), codes.astype(np.intp)


def _coded_pairs(
    first: pd.Series[Any], second: pd.Series[Any]
) -> tuple[tuple[tuple[str, str], ...], Numbers]:
    """Return sorted pairs of texts, and by row the place among them."""
    firsts, first_code = _coded(first.astype(str))
    seconds, second_code = _coded(second.astype(str))
    joined, codes = np.unique(first_code * max(1, len(seconds)) + second_code, return_inverse=True)
    pairs = tuple(
        (firsts[code // len(seconds)], seconds[code % len(seconds)]) for code in joined.tolist()
    )
    return pairs, codes.reshape(-1).astype(np.intp)
