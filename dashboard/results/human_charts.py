"""Charts of people's votes; each has a function beside it that gives the same numbers as a table.

Good, Same and Bad differ in colour, in their place from left to right and in the letter beside the count.
"""

from __future__ import annotations

from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd

from eval.ratings.figures import COLOURS
from eval.ratings.rendering import interval, mark, number, titles
from eval.ratings.results import Results
from eval.ratings.statistics.board import Ranking

_ROW: Final = 36
"""Height of a dimension's row in pixels."""

_AROUND: Final = 110
"""Pixels for title and axis around the rows."""

_LINE: Final = "#8a8f98"
_POINT: Final = "#e4572e"

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


def gsb_chart(results: Results, first: str, second: str) -> Any:
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
    scale = alt.Scale(domain=list(OUTCOMES), range=[COLOURS[name.lower()] for name in OUTCOMES])
    row = _dimension_axis(results, rows)
    base = alt.Chart(data).encode(y=row)
    bars = base.mark_bar(height=22, stroke="white", strokeWidth=1).encode(
        x=alt.X("from:Q", title="share of votes, %", scale=alt.Scale(domain=[0, 100])), x2="to:Q",
        color=alt.Color("outcome:N", scale=scale, legend=None, sort=list(OUTCOMES)),
        order=alt.Order("place:Q"), tooltip=["dimension", "outcome", "votes", alt.Tooltip("share:Q", format=".1f")],
    )  # fmt: skip
    ink = alt.condition(alt.datum.outcome == "Good", alt.value("white"), alt.value("#15171a"))
    words = base.mark_text(fontSize=11).encode(x="middle:Q", text="text:N", color=ink)
    below = "G Good: the first is better · S Same · B Bad: the second is better"
    return _titled(alt.layer(bars, words), results, f"{first} vs. {second}", len(rows), below)


def ratio_chart(results: Results, first: str, second: str) -> Any:
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
    ends = [1.0, *known["ratio"], *known["low"].dropna(), *known["high"].dropna()]
    # Room at the right for the words.
    domain = [min(ends) / 1.1, max(ends) * (max(ends) / min(ends)) ** 0.65 * 1.3]
    row = _dimension_axis(results, rows, labels=False)
    x = alt.X(
        "ratio:Q", title="(G+S)/(B+S)",
        scale=alt.Scale(type="log", domain=domain, nice=False), axis=alt.Axis(tickCount=5, format="~g", grid=False),
    )  # fmt: skip
    one = alt.Chart(pd.DataFrame({"ratio": [1.0]})).mark_rule(strokeDash=[4, 3], color=_LINE)
    bars = alt.Chart(known.dropna(subset="low")).mark_rule(strokeWidth=3, color=_LINE)
    points = alt.Chart(known).mark_point(
        shape="diamond", size=90, filled=True, opacity=1, color=_POINT
    )
    words = alt.Chart(known).transform_calculate(
        right="isValid(datum.high) ? datum.high : datum.ratio"
    ).mark_text(align="left", dx=8, fontSize=11, color=_LINE)  # fmt: skip
    layers = alt.layer(
        one.encode(x=x),
        bars.encode(x=alt.X("low:Q"), x2="high:Q", y=row),
        points.encode(x=x, y=row, tooltip=["dimension", "ratio", "low", "high"]),
        words.encode(x=alt.X("right:Q"), y=row, text="text:N"),
    )
    return _titled(
        layers, results, "(G+S)/(B+S)", len(rows), "above 1 favours the first; with its interval"
    )


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


def matrix_chart(results: Results, ranking: Ranking) -> Any:
    """Net preference for the row's system against the column's; blank where they never met."""
    order = [standing.system for standing in ranking.standings]
    data = matrix_table(ranking)
    data["text"] = [f"{net:+.2f}" for net in data["net preference"]]
    data["below"] = [f"{votes} votes" for votes in data["votes"]]
    plain: dict[str, Any] = {"labelLimit": 150, "ticks": False, "domain": False}
    axis = alt.Axis(**plain)
    slanted = alt.Axis(**plain, labelAngle=-25, labelOverlap=False)
    base = alt.Chart(data).encode(
        x=alt.X(
            "against:N",
            sort=order,
            title="against",
            axis=slanted,
            scale=alt.Scale(domain=order, padding=0),
        ),
        y=alt.Y(
            "system:N", sort=order, title=None, axis=axis, scale=alt.Scale(domain=order, padding=0)
        ),
    )
    scale = alt.Scale(
        domain=[-1, 0, 1], range=[COLOURS["bad"], "#eceef1", COLOURS["good"]], interpolate="rgb"
    )
    cells = base.mark_rect(stroke="white", strokeWidth=2).encode(
        color=alt.Color("net preference:Q", scale=scale, legend=alt.Legend(title="net", orient="right")),
        tooltip=["system", "against", "net preference", "wins + ties/2", "votes"],
    )  # fmt: skip
    ink = alt.condition("abs(datum['net preference']) > 0.6", alt.value("white"), alt.value("#15171a"))  # fmt: skip
    words = base.mark_text(dy=-6, fontSize=13, fontWeight="bold").encode(text="text:N", color=ink)
    below = base.mark_text(dy=9, fontSize=10).encode(text="below:N", color=ink)
    return _titled(
        alt.layer(cells, words, below), results, "Net preference", 1.6 * len(order),
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


def standing_chart(results: Results, ranking: Ranking) -> Any:
    """Strength over the baseline with its simultaneous interval, and the ranks that the votes allow."""
    data = standing_table(ranking)
    data["text"] = [f"rank {row}" for row in data["rank interval"]]
    data["right"] = data["high"].where(np.isfinite(data["high"]), data["strength"])
    order = list(data["system"])
    axis = alt.Axis(labelLimit=150, ticks=False, domain=False)
    row = alt.Y("system:N", sort=order, title=None, axis=axis)
    spread = float(data["right"].max() - min(0.0, data["low"].min())) or 1.0
    low, high = min(0.0, float(data["low"].min())), float(data["right"].max()) + 0.3 * spread
    x = alt.X(
        "strength:Q", title="log strength over the baseline",
        scale=alt.Scale(domain=[low - 0.05 * spread, high], nice=False),
    )  # fmt: skip
    base = alt.Chart(data)
    zero = alt.Chart(pd.DataFrame({"strength": [0.0]})).mark_rule(strokeDash=[4, 3], color=_LINE)
    layers = alt.layer(
        zero.encode(x=x),
        base.mark_rule(strokeWidth=3, color=_LINE).encode(x=alt.X("low:Q"), x2="high:Q", y=row),
        base.mark_point(shape="diamond", size=90, filled=True, opacity=1, color=_POINT).encode(
            x=x, y=row, tooltip=["system", "rank", "rank interval", "strength", "low", "high"]
        ),
        base.mark_text(align="left", dx=8, fontSize=11, color=_LINE).encode(
            x=alt.X("right:Q"), y=row, text="text:N"
        ),
    )
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


def alpha_chart(results: Results) -> Any:
    """Krippendorff's alpha with its interval; 0 is chance, 1 is perfect."""
    data = alpha_table(results)
    data["text"] = [number(value) for value in data["alpha"]]
    rows = list(dict.fromkeys(data["dimension"]))
    pairs = list(dict.fromkeys(data["pair"]))
    ends = [0.0, *data["low"].dropna(), *data["alpha"].dropna()]
    x = alt.X(
        "alpha:Q", title="Krippendorff's alpha (nominal)",
        scale=alt.Scale(domain=[min(ends) - 0.05, 1.0], nice=False),
    )  # fmt: skip
    axis = alt.Axis(labelLimit=180, ticks=False, domain=False)
    row = alt.Y("dimension:N", sort=rows, title=None, axis=axis)
    shift = alt.YOffset("pair:N", sort=pairs)
    legend = (
        alt.Legend(orient="top", title=None, columns=2, labelLimit=320) if len(pairs) > 1 else None
    )
    colour = alt.Color("pair:N", sort=pairs, legend=legend)
    shape = alt.Shape("pair:N", sort=pairs, legend=legend)
    zero = alt.Chart(pd.DataFrame({"alpha": [0.0]})).mark_rule(strokeDash=[4, 3], color=_LINE)
    base = alt.Chart(data).encode(y=row, yOffset=shift, color=colour)
    layers = alt.layer(
        zero.encode(x=x),
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q"),
        base.mark_point(size=70, filled=True, opacity=1).encode(
            x=x, shape=shape, tooltip=["pair", "dimension", "alpha", "low", "high"]
        ),
    )
    return _titled(
        layers, results, "Agreement beyond chance", len(rows) * max(1.0, 0.7 * len(pairs)) + 1
    )


def _row(row: pd.Series[Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


def _dimension_axis(results: Results, rows: pd.DataFrame, *, labels: bool = True) -> Any:
    names = titles(results)
    order = [names.get(name, name) for name in rows["dimension"]]
    axis = alt.Axis(labels=labels, labelLimit=170, ticks=False, domain=False)
    return alt.Y("dimension:N", sort=order, title=None, axis=axis)


def _titled(chart: Any, results: Results, title: str, rows: float, below: str = "") -> Any:
    """A chart of some rows' height that says 'simulated votes' where they are, also when saved."""
    words = " · ".join(part for part in (title, results.label) if part)
    heading = alt.Title(
        words, subtitle=below, anchor="start", fontSize=13, subtitleColor=_LINE, subtitlePadding=3
    )
    return chart.properties(height=round(_ROW * rows) + _AROUND, title=heading)
