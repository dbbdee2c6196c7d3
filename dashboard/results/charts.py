"""Charts of results; each has a function beside it that gives the same numbers as a table.

Drawn by Vega-Lite in the browser, whose menu saves them as PNG or SVG.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from dashboard.results.vega_layers import LINE, POINT, Spec, layer, line_at, tips
from eval.leaderboard import Board
from eval.leaderboard.columns import Column
from eval.report.wording import ARROWS, VERDICTS, p_value, share

_ROW: Final = 34
"""Height of a system's row in pixels."""


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


def value_chart(board: Board, column: Column, table: pd.DataFrame) -> Spec:
    """Every case, the mean and its interval, a row per system; `table` from `metric_table`."""
    cases = board.cases[(board.cases["column"] == column.name) & board.cases["value"].notna()]
    unit = f" in {column.metric.unit}" if column.metric.unit else ""
    title = f"{column.metric.name}{unit} {ARROWS[column.metric.better]}"
    points = cases[["system", "case", "value"]]
    fields = ("mean", "low", "high")
    return _forest(points, table, fields, title, list(board.systems), zero=False)


def difference_chart(board: Board, column: Column, table: pd.DataFrame) -> Spec:
    """Every case's difference to the baseline, the mean and its interval, a row per other system."""
    rows = [
        {"system": system, "case": case, "value": value}
        for system in board.systems
        if (contrast := board.cell(system, column.name).contrast) is not None
        for (_, case), value in zip(contrast.cases, contrast.differences, strict=True)
    ]
    points = pd.DataFrame(rows, columns=["system", "case", "value"])
    others = [system for system in board.systems if system != board.baseline]
    fields = ("difference", "diff. low", "diff. high")
    title = f"difference to {board.baseline}"
    return _forest(points, table[table["system"].isin(others)], fields, title, others, zero=True)


def _forest(
    points: pd.DataFrame, table: pd.DataFrame, fields: tuple[str, str, str], title: str,
    order: list[str], *, zero: bool,
) -> Spec:  # fmt: skip
    """Dots for cases, a bar for the interval, a diamond for the mean; a row per system."""
    summary = table[["system", *fields]].set_axis(["system", "mean", "low", "high"], axis=1)
    row = {
        "field": "system", "type": "nominal", "sort": order, "title": None,
        "axis": {"labelLimit": 160, "ticks": False, "domain": False},
    }  # fmt: skip
    across = {"type": "quantitative", "title": title, "scale": {"zero": zero, "nice": True}}
    layers = [
        layer(
            points, {"type": "circle", "size": 26, "opacity": 0.35},
            x={"field": "value", **across}, y=row, tooltip=tips(points, "system", "case", "value"),
        ),
        layer(
            summary.dropna(subset="low"), {"type": "rule", "strokeWidth": 3, "color": LINE},
            x={"field": "low", **across}, x2={"field": "high"}, y=row,
        ),
        layer(
            summary.dropna(subset="mean"),
            {"type": "point", "shape": "diamond", "size": 90, "filled": True, "opacity": 1, "color": POINT},
            x={"field": "mean", **across}, y=row, tooltip=tips(summary, "system", "mean", "low", "high"),
        ),
    ]  # fmt: skip
    if zero:
        layers.append(line_at(0))
    return {"layer": layers, "height": _ROW * len(order) + 60}


def steps_chart(table: pd.DataFrame, column: Column, selected: tuple[str, int], name: str) -> Spec:
    """A metric over training steps: a line and a band per run, a dashed line at the selected step.

    Args:
        table: What `dashboard.results.checkpoints.steps_table` returned.
        column: The metric.
        selected: Family and step of the marked checkpoint.
        name: Its name.
    """
    step = {
        "field": "step", "type": "quantitative", "title": "training step",
        "axis": {"tickCount": 6, "format": ",d"},
    }  # fmt: skip
    up = {
        "type": "quantitative", "title": column.metric.unit or "value",
        "scale": {"zero": False, "nice": True},
    }  # fmt: skip
    # Runs differ in colour and in the shape of their points.
    colour = {"field": "run", "type": "nominal", "legend": {"orient": "top", "title": None}}
    shape = {"field": "run", "type": "nominal", "legend": None}
    told = tips(
        table, "checkpoint", "step", "mean", "low", "high", "n", "coverage", "against selected"
    )
    mean, low, high = {"field": "mean", **up}, {"field": "low", **up}, {"field": "high"}
    known = table.dropna(subset="mean")
    sure = known.dropna(subset="low")
    family, at = selected
    mark = pd.DataFrame({"step": [at], "text": [f"{name} ({family})"]})
    ringed = known[(known["run"] == family) & (known["step"] == at)]
    layers = [
        layer(sure, {"type": "area", "opacity": 0.15}, x=step, y=low, y2=high, color=colour),
        layer(sure, {"type": "rule"}, x=step, y=low, y2=high, color=colour),
        layer(known, {"type": "line"}, x=step, y=mean, color=colour),
        layer(
            known, {"type": "point", "filled": True, "size": 60, "opacity": 1},
            x=step, y=mean, color=colour, shape=shape, tooltip=told,
        ),
        layer(
            mark, {"type": "rule", "strokeDash": [5, 4], "color": LINE}, x=step,
            tooltip={"field": "text", "type": "nominal"},
        ),
        layer(
            ringed, {"type": "point", "size": 240, "strokeWidth": 2, "filled": False},
            x=step, y=mean, tooltip=told,
        ),
    ]  # fmt: skip
    return {"layer": layers, "height": 230}


def stages_chart(table: pd.DataFrame) -> Spec:
    """Where the time of runs went: a bar per stage.

    Args:
        table: What `dashboard.results.progress.stage_times` returned.
    """
    seconds = {
        "field": "seconds", "type": "quantitative", "title": "seconds, all runs below together",
    }  # fmt: skip
    stage = {
        "field": "stage", "type": "nominal", "sort": "-x", "title": None, "axis": {"labelLimit": 200},
    }  # fmt: skip
    told = tips(table, "stage", "seconds", "seconds per clip")
    bars = layer(table, {"type": "bar"}, x=seconds, y=stage, tooltip=told)
    return {**bars, "height": 60 + 26 * len(table)}
