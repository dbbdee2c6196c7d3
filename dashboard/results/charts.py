"""Charts of results; each has a function beside it that gives the same numbers as a table.

Drawn by Vega-Lite in the browser, whose menu saves them as PNG or SVG.
"""

from __future__ import annotations

from typing import Any, Final

import altair as alt
import pandas as pd

from eval.leaderboard import Board
from eval.leaderboard.columns import Column
from eval.report.wording import ARROWS, VERDICTS, p_value, share

_ROW: Final = 34
"""Height of a system's row in pixels."""

_LINE: Final = "#8a8f98"
_MEAN: Final = "#e4572e"
"""Seen on light and on dark paper; the marks differ in shape as well."""


def metric_table(board: Board, column: Column) -> pd.DataFrame:
    """One metric as numbers: a row per system."""
    rows = []
    for system in board.systems:
        cell = board.cell(system, column.name)
        contrast = cell.contrast
        rows.append(
            {
                "system": system, "mean": cell.mean,
                "low": cell.interval.low if cell.interval else None,
                "high": cell.interval.high if cell.interval else None,
                "n": cell.n, "coverage": share(cell.coverage),
                "rank": cell.rank, "tied with": ", ".join(cell.tied),
                "difference": contrast.mean if contrast else None,
                "diff. low": contrast.interval.low if contrast and contrast.interval else None,
                "diff. high": contrast.interval.high if contrast and contrast.interval else None,
                "common cases": contrast.n if contrast else None,
                "p (Holm)": p_value(contrast.adjusted_p) if contrast else "",
                "verdict": VERDICTS[contrast.verdict] if contrast else "baseline",
            }
        )  # fmt: skip
    table = pd.DataFrame(rows)
    return table.astype({"rank": "Int64", "common cases": "Int64"})


def value_chart(board: Board, column: Column) -> Any:
    """Every case, the mean and its interval, a row per system."""
    cases = board.cases[(board.cases["column"] == column.name) & board.cases["value"].notna()]
    unit = f" in {column.metric.unit}" if column.metric.unit else ""
    title = f"{column.metric.name}{unit} {ARROWS[column.metric.better]}"
    points = cases[["system", "case", "value"]]
    fields = ("mean", "low", "high")
    return _forest(
        points, metric_table(board, column), fields, title, list(board.systems), zero=False
    )


def difference_chart(board: Board, column: Column) -> Any:
    """Every case's difference to the baseline, the mean and its interval, a row per other system."""
    rows = [
        {"system": system, "case": case, "value": value}
        for system in board.systems
        if (contrast := board.cell(system, column.name).contrast) is not None
        for (_, case), value in zip(contrast.cases, contrast.differences, strict=True)
    ]
    points = pd.DataFrame(rows, columns=["system", "case", "value"])
    table = metric_table(board, column)
    others = [system for system in board.systems if system != board.baseline]
    fields = ("difference", "diff. low", "diff. high")
    title = f"difference to {board.baseline}"
    return _forest(points, table[table["system"].isin(others)], fields, title, others, zero=True)


def _forest(
    points: pd.DataFrame, table: pd.DataFrame, fields: tuple[str, str, str], title: str,
    order: list[str], *, zero: bool,
) -> Any:  # fmt: skip
    """Dots for cases, a bar for the interval, a diamond for the mean; a row per system."""
    mean, low, high = fields
    summary = table[["system", mean, low, high]].rename(
        columns={mean: "mean", low: "low", high: "high"}
    )
    axis = alt.Axis(labelLimit=160, ticks=False, domain=False)
    row = alt.Y("system:N", sort=order, title=None, axis=axis)
    scale = alt.Scale(zero=zero, nice=True)
    dots = (
        alt.Chart(points)
        .mark_circle(size=26, opacity=0.35)
        .encode(
            x=alt.X("value:Q", title=title, scale=scale), y=row, tooltip=["system", "case", "value"]
        )
    )
    bars = (
        alt.Chart(summary)
        .mark_rule(strokeWidth=3, color=_LINE)
        .encode(x="low:Q", x2="high:Q", y=row)
    )
    diamonds = (
        alt.Chart(summary)
        .mark_point(shape="diamond", size=90, filled=True, opacity=1, color=_MEAN)
        .encode(x="mean:Q", y=row, tooltip=["system", "mean", "low", "high"])
    )
    layers = [dots, bars, diamonds]
    if zero:
        layers.append(
            alt.Chart(pd.DataFrame({"x": [0]}))
            .mark_rule(strokeDash=[4, 3], color=_LINE)
            .encode(x="x:Q")
        )
    return alt.layer(*layers).properties(height=_ROW * len(order) + 60)


def steps_chart(table: pd.DataFrame, column: Column, selected: tuple[str, int], name: str) -> Any:
    """A metric over training steps: a line and a band per run, a dashed line at the selected step.

    Args:
        table: What `dashboard.results.checkpoints.steps_table` returned.
        column: The metric.
        selected: Family and step of the marked checkpoint.
        name: Its name.
    """
    unit = column.metric.unit or "value"
    step = alt.X("step:Q", title="training step", axis=alt.Axis(tickCount=6, format=",d"))
    # Runs differ in colour and in the shape of their points.
    colour = alt.Color("run:N", legend=alt.Legend(orient="top", title=None))
    scale = alt.Scale(zero=False, nice=True)
    tips = ["checkpoint", "step", "mean", "low", "high", "n", "coverage", "against selected"]
    known = table.dropna(subset="mean")
    band = alt.Chart(known.dropna(subset="low")).mark_area(opacity=0.15).encode(
        x=step, y=alt.Y("low:Q", title=unit, scale=scale), y2="high:Q", color=colour
    )  # fmt: skip
    bars = alt.Chart(known.dropna(subset="low")).mark_rule().encode(
        x=step, y="low:Q", y2="high:Q", color=colour
    )  # fmt: skip
    line = alt.Chart(known).mark_line().encode(x=step, y=alt.Y("mean:Q", scale=scale), color=colour)
    points = alt.Chart(known).mark_point(filled=True, size=60, opacity=1).encode(
        x=step, y="mean:Q", color=colour, shape=alt.Shape("run:N", legend=None), tooltip=tips
    )  # fmt: skip
    family, at = selected
    mark = pd.DataFrame({"step": [at], "text": [f"{name} ({family})"]})
    rule = (
        alt.Chart(mark)
        .mark_rule(strokeDash=[5, 4], color=_LINE)
        .encode(x="step:Q", tooltip="text:N")
    )
    ring = alt.Chart(known[(known["run"] == family) & (known["step"] == at)]).mark_point(
        size=240, strokeWidth=2, filled=False
    ).encode(x=step, y="mean:Q", tooltip=tips)  # fmt: skip
    return alt.layer(band, bars, line, points, rule, ring).properties(height=230)
