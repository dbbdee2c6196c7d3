"""Every case behind a board as one tidy table: what charts draw and what reports list."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from eval.leaderboard.columns import ColumnScores
from eval.leaderboard.means import CaseMeans
from eval.leaderboard.prepared import PreparedScores


def case_table(
    scores: PreparedScores, chosen: Sequence[ColumnScores], means: Sequence[CaseMeans]
) -> pd.DataFrame:
    """Return the mean of every case by column and system, its clips, and a reason if any is null.

    Args:
        scores: Where the rows are.
        chosen: Columns.
        means: Their case means, of all systems.

    Returns:
        Columns suite, case, column, system, value, clips, reason, in this order of rows.
    """
    names = [entry.column.name for entry in chosen]
    order = {name: place for place, name in enumerate(sorted(names))}
    parts = []
    for entry, table in zip(chosen, means, strict=True):
        code, clips, reason = _groups(scores, entry)
        case, system = np.divmod(code, len(scores.systems))
        column = np.full(code.size, order[entry.column.name])
        parts.append((case, column, system, _values(scores, table, case, system), clips, reason))
    if not parts:
        return pd.DataFrame(
            columns=["suite", "case", "column", "system", "value", "clips", "reason"]
        )
    case, column, system, value, clips, reason = (
        np.concatenate(each) for each in zip(*parts, strict=True)
    )
    ordered = np.lexsort((system, column, case))
    case, reason = case[ordered], reason[ordered]
    texts = np.array([*scores.reasons, None], dtype=object)
    return pd.DataFrame(
        {
            "suite": _texts([suite for suite, _ in scores.cases], case),
            "case": _texts([name for _, name in scores.cases], case),
            "column": _texts(sorted(names), column[ordered]),
            "system": _texts(scores.systems, system[ordered]),
            "value": value[ordered],
            "clips": clips[ordered],
            "reason": pd.Series(texts[reason], dtype=object),
        }
    )


def _groups(
    scores: PreparedScores, entry: ColumnScores
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, by case and system in one code, the clips and the first reason, -1 for none."""
    rows = entry.rows
    code = scores.case[rows] * len(scores.systems) + scores.system[rows]
    present = np.unique(code)
    width = int(scores.clip[rows].max(initial=0)) + 1
    with_clip = np.unique(code * width + scores.clip[rows]) // width
    clips = np.bincount(np.searchsorted(present, with_clip), minlength=present.size)
    reason = np.full(present.size, -1)
    null = scores.reason[rows] >= 0
    lost, first = np.unique(code[null], return_index=True)
    reason[np.searchsorted(present, lost)] = scores.reason[rows][null][first]
    return present, clips, reason


def _values(
    scores: PreparedScores, means: CaseMeans, case: np.ndarray, system: np.ndarray
) -> np.ndarray:
    """Return the mean of each case and system, NaN for none."""
    column = np.array(
        [means.systems.index(name) if name in means.systems else 0 for name in scores.systems]
    )
    row = np.full(len(scores.cases), -1)
    row[means.cases] = np.arange(means.cases.size)
    found = np.full(case.size, np.nan)
    held = row[case] >= 0
    found[held] = means.values[row[case[held]], column[system[held]]]
    return found


def _texts(texts: Sequence[str], codes: np.ndarray) -> "pd.Series[str]":
    return pd.Series(pd.array(list(texts), dtype="str").take(codes))
