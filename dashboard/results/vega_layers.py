"""Parts of charts in Vega-Lite's own JSON: rows with a mark, and what a pointer is told.

Building charts through a library that checks every part costs more than all statistics of a board, and
25 MB. Knows neither boards nor votes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd

Spec = dict[str, Any]
"""A chart or a part of one in Vega-Lite's JSON."""

LINE: Final = "#8a8f98"
POINT: Final = "#e4572e"
"""Seen on light and on dark paper; the marks differ in shape as well."""


def layer(
    rows: pd.DataFrame, mark: Mapping[str, Any], *, tested: Sequence[str] = (), **encoding: Any
) -> Spec:
    """One mark for every row.

    Args:
        rows: What is drawn; numbers that are not finite are drawn nowhere.
        mark: Its form.
        tested: Columns that only a condition of the encoding reads.
        **encoding: Channels in Vega-Lite's JSON; columns that they do not name are left out.
    """
    fields = {part["field"] for each in encoding.values() for part in _parts(each) if "field" in part}  # fmt: skip
    kept = [name for name in rows.columns if name in fields | set(tested)]
    columns = ([_drawn(value) for value in rows[name].tolist()] for name in kept)
    values = [dict(zip(kept, row, strict=True)) for row in zip(*columns, strict=True)]
    return {"data": {"values": values}, "mark": dict(mark), "encoding": encoding}


def line_at(value: float) -> Spec:
    """A dashed line from top to bottom."""
    mark = {"type": "rule", "strokeDash": [4, 3], "color": LINE}
    return layer(pd.DataFrame({"x": [value]}), mark, x={"field": "x", "type": "quantitative"})


def tips(rows: pd.DataFrame, *names: str) -> list[dict[str, str]]:
    """What a pointer that rests on a mark is told.

    Args:
        rows: Tell numbers from texts.
        *names: Columns, in this order.
    """
    return [
        {
            "field": name,
            "type": "quantitative" if pd.api.types.is_numeric_dtype(rows[name]) else "nominal",
        }
        for name in names
    ]


def _drawn(value: Any) -> Any:
    if value is None or value is pd.NA:
        return None
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parts(encoding: Any) -> list[Mapping[str, Any]]:
    return encoding if isinstance(encoding, list) else [encoding]
