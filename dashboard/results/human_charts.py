"""Charts of people's votes; each has a function beside it that gives the same numbers as a table.

Good, Same and Bad differ in colour, in their place from left to right and in the letter beside the count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from dashboard.results.vega_layers import LINE, POINT, Spec, layer, line_at, tips
from eval.ratings.figures import COLOURS
from eval.ratings.rendering import interval, mark, titles
from eval.ratings.results import Results
from eval.ratings.statistics.board import Ranking

_ROW: Final = 36
"""Height of a dimension's row in pixels."""

_AROUND: Final = 110
"""Pixels for title and axis around the rows."""

OUTCOMES: Final = ("Good", "Same", "Bad")


def pairs_of(board: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs of systems in the order of the board."""
    if board.empty:
        return []
    return list(dict.fromkeys(zip(board["first"], board["second"], strict=True)))


def rows_of(board: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """The board's rows of one pair."""
    return board[(board["first"] == first) & (board["second"] == second)]


def board_numbers(results: Results, first: str, second: str) -> pd.DataFrame:
    """One pair's numbers, unrounded and in the board's own names, with a title and a mark in front."""
    rows = rows_of(results.board, first, second)
    names = titles(results)
    told = rows.drop(columns=["first", "second"]).reset_index(drop=True)
    told.insert(1, "mark", [mark(_row(row)) for _, row in rows.iterrows()])
    told.insert(0, "title", [names.get(name, name) for name in rows["dimension"]])
    return told


def gsb_chart(results: Results, first: str, second: str) -> Spec:
    """Good / Same / Bad of one pair, a bar per dimension (the paper's figure)."""
    rows = rows_of(results.board, first, second)
    names = titles(results)
    pieces = []
    for _, row in rows.iterrows():
        start = 0.0
        for place, outcome in enumerate(OUTCOMES):
            count = int(row[outcome.lower()])
            share = 100 * count / int(row["votes"])
            pieces.append(
                {
                    "dimension": names.get(row["dimension"], row["dimension"]), "outcome": outcome,
                    "votes": count, "from": start, "to": start + share, "middle": start + share / 2,
                    "share": share, "place": place,
                    "text": f"{outcome[0]} {count}" if share >= 9 else str(count) if share >= 4 else "",
                }
            )  # fmt: skip
            start += share
    data = pd.DataFrame(pieces)
    axis = _dimension_axis(results, rows)
    title, whole = "share of votes, %", {"domain": [0, 100]}
    colours = {"domain": list(OUTCOMES), "range": [COLOURS[name.lower()] for name in OUTCOMES]}
    share_tip = {"field": "share", "type": "quantitative", "format": ".1f"}
    bars = layer(
        data, {"type": "bar", "height": 22, "stroke": "white", "strokeWidth": 1}, y=axis,
        x={"field": "from", "type": "quantitative", "title": title, "scale": whole}, x2={"field": "to"},
        color={"field": "outcome", "type": "nominal", "scale": colours, "legend": None, "sort": list(OUTCOMES)},
        order={"field": "place", "type": "quantitative"},
        tooltip=[*tips(data, "dimension", "outcome", "votes"), share_tip],
    )  # fmt: skip
    words = layer(
        data, {"type": "text", "fontSize": 11}, y=axis, tested=["outcome"],
        x={"field": "middle", "type": "quantitative", "title": title, "scale": whole},
        text=_text("text"), color=_ink("datum.outcome === 'Good'"),
    )  # fmt: skip
    below = "G Good: the first is better · S Same · B Bad: the second is better"
    return _titled([bars, words], results, f"{first} vs. {second}", len(rows), below)


def ratio_chart(results: Results, first: str, second: str) -> Spec:
    """(G+S)/(B+S) with its interval, a row per dimension, on a logarithmic axis."""
    rows = rows_of(results.board, first, second)
    names = titles(results)
    data = pd.DataFrame(
        {
            "dimension": [names.get(name, name) for name in rows["dimension"]],
            "ratio": rows["ratio"].to_numpy(), "low": rows["ratio_low"].to_numpy(),
            "high": rows["ratio_high"].to_numpy(),
            "text": [
                f"{interval(_row(row), 'ratio')} {mark(_row(row))}".strip() for _, row in rows.iterrows()
            ],
        }
    )  # fmt: skip
    known = data[np.isfinite(data["ratio"]) & (data["ratio"] > 0)]
    known = known.assign(right=known["high"].where(np.isfinite(known["high"]), known["ratio"]))
    ends = [1.0, *known["ratio"], *known["low"].dropna(), *known["right"]]
    # Room at the right for the words.
    domain = [min(ends) / 1.1, max(ends) * (max(ends) / min(ends)) ** 0.65 * 1.3]
    across: Spec = {
        "type": "quantitative", "title": "(G+S)/(B+S)",
        "scale": {"type": "log", "domain": domain, "nice": False},
        "axis": {"tickCount": 5, "format": "~g", "grid": False},
    }  # fmt: skip
    layers = _forest(known, across, _dimension_axis(results, rows, labels=False), at=1.0, mean="ratio",
                     told=("dimension", "ratio", "low", "high"))  # fmt: skip
    return _titled(
        layers, results, "(G+S)/(B+S)", len(rows), "above 1 favours the first; with its interval"
    )


def _forest(
    data: pd.DataFrame, across: Spec, down: Spec, *, at: float, mean: str, told: Sequence[str]
) -> list[Spec]:
    """A dashed line, and per row a bar from `low` to `high`, a diamond, and `text` right of `right`."""
    one = line_at(at)
    one["encoding"]["x"] |= across
    return [
        one,
        layer(
            data.dropna(subset="low"), {"type": "rule", "strokeWidth": 3, "color": LINE},
            x={"field": "low", **across}, x2={"field": "high"}, y=down,
        ),
        layer(
            data, {"type": "point", "shape": "diamond", "size": 90, "filled": True, "opacity": 1, "color": POINT},
            x={"field": mean, **across}, y=down, tooltip=tips(data, *told),
        ),
        layer(
            data, {"type": "text", "align": "left", "dx": 8, "fontSize": 11, "color": LINE},
            x={"field": "right", **across}, y=down, text=_text("text"),
        ),
    ]  # fmt: skip


def matrix_table(ranking: Ranking) -> pd.DataFrame:
    """Everybody against everybody as numbers: a row per ordered pair that met."""
    matrix = ranking.matrix
    rows = [
        {
            "system": row, "against": column, "net preference": float(matrix.net[i, j]),
            "wins + ties/2": float(matrix.score[i, j]), "votes": int(matrix.votes[i, j]),
        }
        for i, row in enumerate(matrix.systems)
        for j, column in enumerate(matrix.systems)
        if i != j and matrix.votes[i, j] > 0
    ]  # fmt: skip
    return pd.DataFrame(rows)


def matrix_chart(results: Results, ranking: Ranking) -> Spec:
    """Net preference for the row's system against the column's; blank where they never met."""
    order = [standing.system for standing in ranking.standings]
    data = matrix_table(ranking)
    data["text"] = [f"{net:+.2f}" for net in data["net preference"]]
    data["below"] = [f"{votes} votes" for votes in data["votes"]]
    plain: Spec = {"labelLimit": 150, "ticks": False, "domain": False}
    place: Spec = {"type": "nominal", "sort": order, "scale": {"domain": order, "padding": 0}}
    cell: Spec = {
        "x": {
            "field": "against", **place, "title": "against",
            "axis": {**plain, "labelAngle": -25, "labelOverlap": False},
        },
        "y": {"field": "system", **place, "title": None, "axis": plain},
    }  # fmt: skip
    scale = {
        "domain": [-1, 0, 1], "range": [COLOURS["bad"], "#eceef1", COLOURS["good"]], "interpolate": "rgb",
    }  # fmt: skip
    cells = layer(
        data, {"type": "rect", "stroke": "white", "strokeWidth": 2}, **cell,
        color={
            "field": "net preference", "type": "quantitative", "scale": scale,
            "legend": {"title": "net", "orient": "right"},
        },
        tooltip=tips(data, "system", "against", "net preference", "wins + ties/2", "votes"),
    )  # fmt: skip
    ink = _ink("abs(datum['net preference']) > 0.6")
    words = layer(
        data, {"type": "text", "dy": -6, "fontSize": 13, "fontWeight": "bold"}, **cell,
        text=_text("text"), color=ink, tested=["net preference"],
    )  # fmt: skip
    below = layer(
        data, {"type": "text", "dy": 9, "fontSize": 10}, **cell,
        text=_text("below"), color=ink, tested=["net preference"],
    )  # fmt: skip
    return _titled(
        [cells, words, below], results, "Net preference", 1.6 * len(order),
        "of the row's system over the column's",
    )  # fmt: skip


def standing_table(ranking: Ranking) -> pd.DataFrame:
    """Places on one dimension as numbers."""
    return pd.DataFrame(
        [
            {
                "rank": each.rank, "rank interval": f"{each.rank_low}–{each.rank_high}", "system": each.system,
                "strength": each.strength, "low": each.low, "high": each.high, "Elo": each.elo,
                "group": each.group,
            }
            for each in ranking.standings
        ]
    )  # fmt: skip


def standing_chart(results: Results, ranking: Ranking) -> Spec:
    """Strength over the baseline with its simultaneous interval, and the ranks that the votes allow."""
    data = standing_table(ranking)
    data["text"] = [f"rank {row}" for row in data["rank interval"]]
    data["right"] = data["high"].where(np.isfinite(data["high"]), data["strength"])
    order = list(data["system"])
    left = min(0.0, float(data["low"][np.isfinite(data["low"])].min()))
    right = float(data["right"].max())
    spread = right - left or 1.0
    across: Spec = {
        "type": "quantitative", "title": "log strength over the baseline",
        "scale": {"domain": [left - 0.05 * spread, right + 0.3 * spread], "nice": False},
    }  # fmt: skip
    down: Spec = {
        "field": "system", "type": "nominal", "sort": order, "title": None,
        "axis": {"labelLimit": 150, "ticks": False, "domain": False},
    }  # fmt: skip
    layers = _forest(data, across, down, at=0.0, mean="strength",
                     told=("system", "rank", "rank interval", "strength", "low", "high"))  # fmt: skip
    return _titled(
        layers,
        results,
        "Strength and ranks",
        len(order),
        "with intervals that hold for all at once",
    )


def alpha_table(results: Results) -> pd.DataFrame:
    """Agreement beyond chance, a row per pair and dimension."""
    names = titles(results)
    board = results.board
    return pd.DataFrame(
        {
            "pair": [f"{a} vs. {b}" for a, b in zip(board["first"], board["second"], strict=True)],
            "dimension": [names.get(name, name) for name in board["dimension"]],
            "alpha": board["alpha"], "low": board["alpha_low"], "high": board["alpha_high"],
            "alpha (ordinal)": board["alpha_ordinal"], "votes": board["votes"],
            "cases": board["cases"], "raters": board["raters"],
        }
    ).reset_index(drop=True)  # fmt: skip


def alpha_chart(results: Results) -> Spec:
    """Krippendorff's alpha with its interval; 0 is chance, 1 is perfect."""
    data = alpha_table(results)
    rows = list(dict.fromkeys(data["dimension"]))
    pairs = list(dict.fromkeys(data["pair"]))
    ends = [0.0, *data["low"].dropna(), *data["alpha"].dropna()]
    across: Spec = {
        "type": "quantitative", "title": "Krippendorff's alpha (nominal)",
        "scale": {"domain": [min(ends) - 0.05, 1.0], "nice": False},
    }  # fmt: skip
    legend = (
        {"orient": "top", "title": None, "columns": 2, "labelLimit": 320}
        if len(pairs) > 1
        else None
    )
    pair: Spec = {"field": "pair", "type": "nominal", "sort": pairs}
    place: Spec = {
        "y": {
            "field": "dimension", "type": "nominal", "sort": rows, "title": None,
            "axis": {"labelLimit": 180, "ticks": False, "domain": False},
        },
        "yOffset": pair, "color": {**pair, "legend": legend},
    }  # fmt: skip
    zero = line_at(0.0)
    zero["encoding"]["x"] |= across
    layers = [
        zero,
        layer(
            data.dropna(subset="low"), {"type": "rule", "strokeWidth": 2}, **place,
            x={"field": "low", **across}, x2={"field": "high"},
        ),
        layer(
            data, {"type": "point", "size": 70, "filled": True, "opacity": 1}, **place,
            x={"field": "alpha", **across}, shape={**pair, "legend": legend},
            tooltip=tips(data, "pair", "dimension", "alpha", "low", "high"),
        ),
    ]  # fmt: skip
    return _titled(
        layers, results, "Agreement beyond chance", len(rows) * max(1.0, 0.7 * len(pairs)) + 1
    )


def _row(row: pd.Series[Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


def _text(field: str) -> Spec:
    return {"field": field, "type": "nominal"}


def _ink(dark: str) -> Spec:
    """White words where the ground is dark, black ones elsewhere."""
    return {"condition": {"test": dark, "value": "white"}, "value": "#15171a"}


def _dimension_axis(results: Results, rows: pd.DataFrame, *, labels: bool = True) -> Spec:
    names = titles(results)
    order = [names.get(name, name) for name in rows["dimension"]]
    axis = {"labels": labels, "labelLimit": 170, "ticks": False, "domain": False}
    return {"field": "dimension", "type": "nominal", "sort": order, "title": None, "axis": axis}


def _titled(
    layers: Sequence[Spec], results: Results, title: str, rows: float, below: str = ""
) -> Spec:
    """A chart of some rows' height that says 'simulated votes' where they are, also when saved."""
    words = " · ".join(part for part in (title, results.label) if part)
    heading = {
        "text": words, "subtitle": below, "anchor": "start", "fontSize": 13,
        "subtitleColor": LINE, "subtitlePadding": 3,
    }  # fmt: skip
    return {"layer": list(layers), "height": round(_ROW * rows) + _AROUND, "title": heading}
