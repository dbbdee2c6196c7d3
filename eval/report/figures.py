"""Plots for the HTML report: one small SVG per metric, the same bytes for the same numbers.

Colours are names of CSS variables (light and dark come from the page) and text stays text, so it can
be searched, read aloud and drawn by the reader's own fonts.
"""

import html
import re
import warnings
from collections.abc import Sequence
from io import StringIO
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from eval.leaderboard import Board, Cell
from eval.leaderboard.columns import Column
from eval.report.wording import ARROWS, DIRECTIONS, VERDICTS, number

_INK, _QUIET, _POINT, _GOOD, _BAD = "#010101", "#020202", "#030303", "#040404", "#050505"

_VARIABLES: Final = {
    _INK: "var(--ink)",
    _QUIET: "var(--quiet)",
    _POINT: "var(--point)",
    _GOOD: "var(--good)",
    _BAD: "var(--bad)",
}
"""Stand-ins that no palette uses, replaced by the page's own colours after drawing."""

_SETTINGS: Final[dict[str, Any]] = {
    "svg.hashsalt": "joystreamer",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": _QUIET,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _QUIET,
    "xtick.labelcolor": _INK,
    "ytick.color": _QUIET,
    "ytick.labelcolor": _INK,
    "axes.unicode_minus": True,
}

_WIDTH_IN: Final = 9.0
_ROW_IN: Final = 0.34
_NAME_LENGTH: Final = 26


def metric_figure(board: Board, column: Column) -> str:
    """Draw one metric: every case with mean and interval, and the differences to the baseline.

    Left, a dot per case, a diamond for the mean, a bar for the interval. Right, the paired difference to
    the baseline in the same manner; below the least number of cases only the cases' own differences.

    Args:
        board: The leaderboard.
        column: One of its columns.

    Returns:
        An `<svg>` element without scripts, identifiers of groups, or dates.
    """
    cells = [board.cell(system, column.name) for system in board.systems]
    values = {
        system: group["value"].dropna().tolist()
        for system, group in board.cases[board.cases["column"] == column.name].groupby("system")
    }
    with mpl.rc_context(_SETTINGS):
        height = 0.6 + _ROW_IN * len(cells)
        figure = Figure(figsize=(_WIDTH_IN, height))
        top, bottom = 1 - 0.05 / height, 0.5 / height
        left = figure.add_axes((0.20, bottom, 0.37, top - bottom))
        _draw_values(left, cells, values)
        left.set_xlabel(_axis_label(column), parse_math=False)
        if board.baseline:
            right = figure.add_axes((0.61, bottom, 0.37, top - bottom))
            _draw_differences(right, cells)
            right.set_xlabel(f"difference to {_short(board.baseline)}", parse_math=False)
        drawing = _svg(figure)
    return _for_page(drawing, _description(column, cells))


def _draw_values(axes: Any, cells: Sequence[Cell], values: dict[Any, list[float]]) -> None:
    """Draw the cases, mean and interval of each system on a row."""
    for place, cell in enumerate(cells):
        points = values.get(cell.system, [])
        axes.plot(
            points, [place] * len(points), "o", color=_POINT, markersize=3.6, alpha=0.6, mew=0
        )
        _draw_summary(axes, cell.mean, cell.interval, place, _INK)
    axes.set_yticks(range(len(cells)), [_short(cell.system) for cell in cells], parse_math=False)
    _tidy(axes, len(cells))


def _draw_differences(axes: Any, cells: Sequence[Cell]) -> None:
    """Draw the paired differences of each system on a row, and the line of no difference."""
    axes.axvline(0, color=_QUIET, linewidth=1, linestyle=(0, (4, 3)))
    for place, cell in enumerate(cells):
        if cell.contrast is None:
            axes.text(0, place, "  baseline", va="center", color=_QUIET, fontsize=8)
            continue
        points = cell.contrast.differences
        axes.plot(
            points, [place] * len(points), "o", color=_POINT, markersize=3.6, alpha=0.6, mew=0
        )
        colour = {"better": _GOOD, "worse": _BAD}.get(cell.contrast.verdict, _INK)
        _draw_summary(axes, cell.contrast.mean, cell.contrast.interval, place, colour)
    axes.set_yticks(range(len(cells)), [""] * len(cells))
    _tidy(axes, len(cells))


def _draw_summary(axes: Any, mean: float | None, interval: Any, place: int, colour: str) -> None:
    """Draw a diamond at the mean and a bar over the interval, where there are any."""
    if mean is None:
        return
    if interval is not None:
        axes.plot([interval.low, interval.high], [place, place], "-", color=colour, linewidth=2.2)
    axes.plot([mean], [place], "D", color=colour, markersize=6, mew=0)


def _tidy(axes: Any, rows: int) -> None:
    """Put the first system on top and leave only the lower axis."""
    axes.set_ylim(rows - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=6)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    for row in range(rows):
        axes.axhline(row, color=_QUIET, linewidth=0.3, alpha=0.5, zorder=0)
    axes.margins(x=0.06)


def _svg(figure: Figure) -> str:
    """Return the figure as SVG text."""
    stream = StringIO()
    with warnings.catch_warnings():
        # The browser draws the text; a sign that matplotlib's own font lacks does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(
            stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    return stream.getvalue()


def _for_page(drawing: str, description: str) -> str:
    """Make a stand-alone SVG fit to stand inside a page."""
    body = drawing[drawing.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    size = re.search(r'viewBox="([^"]*)"', body)
    viewbox = size.group(1) if size else "0 0 648 200"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{viewbox}" role="img" aria-label="{html.escape(description, quote=True)}">'
    )
    body = head + body[body.index(">") + 1 :]
    for stand_in, variable in _VARIABLES.items():
        body = body.replace(stand_in, variable)
    return body.strip()


def _description(column: Column, cells: Sequence[Cell]) -> str:
    """Say in words what the figure shows, for readers who do not see it."""
    parts = []
    for cell in cells:
        verdict = f", {VERDICTS[cell.contrast.verdict]}" if cell.contrast else ""
        parts.append(f"{cell.system} {number(cell.mean)} (n={cell.n}{verdict})")
    return f"{column.name}, {DIRECTIONS[column.metric.better]}: {'; '.join(parts)}"


def _axis_label(column: Column) -> str:
    """Return the metric's name with unit and direction."""
    unit = f" in {column.metric.unit}" if column.metric.unit else ""
    return f"{column.metric.name}{unit} {ARROWS[column.metric.better]}"


def _short(name: str) -> str:
    """Return a name that fits beside its row."""
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"
