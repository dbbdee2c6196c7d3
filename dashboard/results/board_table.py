"""The leaderboard as a table in the browser: which words stand in which cell, and the component that draws it.

The words are those of the terminal and of the HTML report (`eval.report.wording`); signs and words carry
every meaning that colour has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import streamlit as st

from eval.leaderboard import Board, Cell, Contrast
from eval.leaderboard.columns import Column
from eval.report.wording import (
    DIRECTIONS,
    MARKS,
    NOTHING,
    VERDICTS,
    bounds,
    column_heading,
    explain,
    number,
    p_value,
    rank_text,
    share,
    signed,
    too_few,
)

Shown = Literal["means", "differences"]

_FOLDER: Final = Path(__file__).parent


def draw_board(
    board: Board, columns: Sequence[Column], shown: Shown, notes: Mapping[str, str], key: str
) -> str:
    """Draw the table; return the column that was clicked last, '' before the first click."""
    table = st.components.v2.component(
        "joystreamer_board",
        html='<div class="board"></div>',
        css=(_FOLDER / "board_table.css").read_text(encoding="utf-8"),
        js=(_FOLDER / "board_table.js").read_text(encoding="utf-8"),
    )
    result = table(
        key=key, data=table_data(board, columns, shown, notes), on_picked_change=lambda: None
    )
    return str(result.get("picked") or "")


def table_data(
    board: Board, columns: Sequence[Column], shown: Shown, notes: Mapping[str, str]
) -> dict[str, Any]:
    """Everything the table shows, as text and plain numbers.

    Args:
        board: The leaderboard.
        columns: Which of its columns.
        shown: Means with intervals, or paired differences to the baseline.
        notes: A line below a system's name.
    """
    scales = {column.name: _scale(board, column.name, shown) for column in columns}
    write = _mean_cell if shown == "means" else _difference_cell
    return {
        "caption": f"{'Means' if shown == 'means' else f'Differences to {board.baseline}'}, by system and metric",
        "columns": [_heading(column) for column in columns],
        "rows": [
            {
                "system": system,
                "kind": board.kinds[system],
                "note": notes.get(system, ""),
                "baseline": system == board.baseline,
                "cells": [
                    write(board.cell(system, column.name), scales[column.name])
                    for column in columns
                ],
            }
            for system in board.systems
        ],
    }


def cell_words(cell: Cell) -> str:
    """Everything a cell says, in words: for pointers that rest on it and for screen readers."""
    parts = [f"{cell.system}, {cell.column}: {number(cell.mean)}"]
    if cell.interval is not None:
        parts.append(f"95 % interval {bounds(cell.interval, cell.mean)}")
    elif cell.n:
        parts.append(too_few(cell.n))
    parts.append(f"{cell.n} cases, coverage {share(cell.coverage)}")
    if cell.rank is not None:
        tied = f", not told apart from {', '.join(cell.tied)}" if cell.tied else ""
        parts.append(f"rank {cell.rank}{tied}")
    if cell.contrast is not None:
        parts.append(contrast_words(cell.contrast))
    parts += [f"{count} missing: {explain(reason)}" for reason, count in cell.reasons.items()]
    return "\n".join(parts)


def contrast_words(contrast: Contrast) -> str:
    """What a difference to the baseline says, in words."""
    if contrast.mean is None:
        return "no case in common with the baseline"
    interval = (
        bounds(contrast.interval, contrast.mean, with_sign=True)
        if contrast.interval
        else too_few(contrast.n)
    )
    return (
        f"against the baseline {signed(contrast.mean)} {interval} on {contrast.n} common cases, "
        f"p {p_value(contrast.adjusted_p)} after Holm: {VERDICTS[contrast.verdict]}"
    )


def _heading(column: Column) -> dict[str, str]:
    name, below = column_heading(column)
    facts = f"{column.metric.summary}; {DIRECTIONS[column.metric.better]}"
    return {
        "id": column.name, "name": name, "below": below, "better": column.metric.better,
        "words": f"{facts}. Specification {column.fingerprint}",
    }  # fmt: skip


def _mean_cell(cell: Cell, scale: tuple[float, float] | None) -> dict[str, Any]:
    """A cell with its mean."""
    verdict = cell.contrast.verdict if cell.contrast else "none"
    below = bounds(cell.interval, cell.mean) if cell.interval else ""
    if not below:
        below = (
            too_few(cell.n)
            if cell.n
            else max(cell.reasons, key=lambda r: (cell.reasons[r], r), default="")
        )
    return {
        "value": cell.mean, "text": number(cell.mean), "mark": MARKS[verdict], "verdict": verdict,
        "rank": rank_text(cell), "leads": cell.rank == 1, "below": below.replace("_", " "),
        "count": f"n={cell.n} · {share(cell.coverage)}", "short": cell.coverage < 1,
        "bar": _bar(cell.mean, cell.interval, scale), "words": cell_words(cell),
    }  # fmt: skip


def _difference_cell(cell: Cell, scale: tuple[float, float] | None) -> dict[str, Any]:
    """A cell with its paired difference to the baseline."""
    contrast = cell.contrast
    if contrast is None:
        return {
            "value": None, "text": "baseline", "mark": "", "verdict": "none", "rank": "", "leads": False,
            "below": "", "count": "", "short": False, "bar": None, "words": cell_words(cell),
        }  # fmt: skip
    below = NOTHING if contrast.mean is None else too_few(contrast.n)
    if contrast.interval is not None:
        below = bounds(contrast.interval, contrast.mean, with_sign=True)
    return {
        "value": contrast.mean, "text": signed(contrast.mean), "mark": MARKS[contrast.verdict],
        "verdict": contrast.verdict, "rank": "", "leads": False, "below": below,
        "count": f"n={contrast.n} · p {p_value(contrast.adjusted_p)}", "short": False,
        "bar": _bar(contrast.mean, contrast.interval, scale), "words": contrast_words(contrast),
    }  # fmt: skip


def _scale(board: Board, column: str, shown: Shown) -> tuple[float, float] | None:
    """The range that the small bars of a column share; with zero inside it for differences."""
    found = [0.0] if shown == "differences" else []
    for cell in board.cells:
        if cell.column != column:
            continue
        item = cell if shown == "means" else cell.contrast
        if item is None or item.mean is None:
            continue
        found += [item.mean] if item.interval is None else [item.interval.low, item.interval.high]
    if not found or max(found) <= min(found):
        return None
    return min(found), max(found)


def _bar(
    mean: float | None, interval: Any, scale: tuple[float, float] | None
) -> list[float] | None:
    """Low end, mean, high end and zero (or -1) as fractions of the column's range."""
    if mean is None or scale is None:
        return None
    low, high = scale
    ends = (interval.low, mean, interval.high) if interval is not None else (mean, mean, mean)
    zero = -low / (high - low) if low <= 0 <= high else -1.0
    return [*((end - low) / (high - low) for end in ends), zero]
