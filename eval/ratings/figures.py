"""Good / Same / Bad bars in the paper's form (Fig. 2 and 7).

One panel per competitor, one bar per dimension, with the field's ratio and its interval at its end.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from eval.ratings.rendering import interval, mark, provenance, titles
from eval.store.files import written_atomically
from joystreamer.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from eval.ratings.results import Results

COLOURS: Final = {"good": "#3b6fb6", "same": "#c9ccd1", "bad": "#d1703c"}
"""Blue, grey, orange: apart for every common colour blindness; hatches tell them apart in print."""

_FOOTER_WIDTH: Final = 130  # characters of the small print that fit under the panels

HATCHES: Final = {"good": "", "same": "...", "bad": "//"}


def gsb_figure(results: Results) -> Figure:
    """Draw the board.

    Raises:
        InputError: There are no votes to draw.
    """
    from matplotlib.figure import Figure

    if results.board.empty:
        raise InputError(
            f"campaign {results.campaign.name!r} has no votes to draw; collect votes first"
        )
    pairs = list(dict.fromkeys(zip(results.board["first"], results.board["second"], strict=True)))
    rows = len(results.campaign.dimensions)
    figure = Figure(figsize=(8.0, 0.9 + len(pairs) * (0.55 * rows + 0.7)), layout="constrained")
    axes = figure.subplots(len(pairs), 1, squeeze=False)[:, 0]
    for axis, (first, second) in zip(axes, pairs, strict=True):
        mine = results.board[
            (results.board["first"] == first) & (results.board["second"] == second)
        ]
        _draw_panel(axis, mine, titles(results))
        axis.set_title(f"{first} vs. {second}", loc="left", fontsize=10, parse_math=False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    footer = textwrap.fill(provenance(results), _FOOTER_WIDTH)
    figure.supxlabel(footer, fontsize=6.5, parse_math=False)
    if results.label:
        figure.text(
            0.5, 0.5, results.label, fontsize=34, rotation=20, alpha=0.16, ha="center", va="center"
        )
    return figure


def _draw_panel(axis: Any, board: pd.DataFrame, names: dict[str, str]) -> None:
    places = range(len(board))
    left = [0.0] * len(board)
    words = {"good": "Good (first better)", "same": "Same", "bad": "Bad (second better)"}
    for outcome in ("good", "same", "bad"):
        shares = [100 * n / v for n, v in zip(board[outcome], board["votes"], strict=True)]
        axis.barh(
            places, shares, left=left, height=0.62, color=COLOURS[outcome], hatch=HATCHES[outcome],
            edgecolor="white", linewidth=0.8, label=words[outcome],
        )  # fmt: skip
        for place, share, start, n in zip(places, shares, left, board[outcome], strict=True):
            if share >= 6:
                axis.text(
                    start + share / 2,
                    place,
                    str(n),
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if outcome == "good" else "black",
                )
        left = [start + share for start, share in zip(left, shares, strict=True)]
    for place, values in zip(places, board.to_dict(orient="records"), strict=True):
        row = {str(column): value for column, value in values.items()}
        text = f"{interval(row, 'ratio')} {mark(row)}"
        axis.text(101.5, place, text.strip(), va="center", fontsize=8.5)
    axis.set_yticks(list(places), [names.get(d, d) for d in board["dimension"]], fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, 100)
    axis.set_xlabel("share of votes in % · right: (G+S)/(B+S) with interval", fontsize=8)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def write_gsb_figure(path: Path, results: Results) -> None:
    """Write the figure as PNG, SVG or PDF, by the file's ending.

    Raises:
        InputError: Another ending, or no votes.
    """
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(
            f"{path} ends in {path.suffix!r}; figures are written as .png, .svg or .pdf"
        )
    figure = gsb_figure(results)
    with written_atomically(path) as temporary:
        figure.savefig(temporary, dpi=160, format=path.suffix[1:])
