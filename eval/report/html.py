"""The report as one HTML file: opens without a server, loads nothing, runs no script.

Everything from outside (names, prompts, reasons) passes through Jinja's escaping; the only text marked
safe is the SVG that `eval.report.figures` drew, whose texts it escapes itself.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from eval.leaderboard import ACCOUNTS, Board, Cell
from eval.leaderboard.columns import Column
from eval.leaderboard.records import TagCell
from eval.report import wording
from eval.statistics import MIN_CASES
from eval.store.files import write_text

TEMPLATES: Final = Path(__file__).resolve().parent / "templates"

WORST_PER_SYSTEM: Final = 6
"""Cases shown per system among the worst."""

OPEN_CASES: Final = 6
"""Up to this many cases are unfolded from the start."""

Thumbnails = Mapping[tuple[str, str], bytes]
"""JPEG bytes by (system, case)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorstCase:
    """A case on which a system loses most against the baseline.

    Attributes:
        column: Where it loses.
        suite: Name of the suite.
        case: Its id.
        loss: How much, in the metric's unit.
        spread: The same in standard deviations of the column's differences, by which cases are ordered.
    """

    column: Column
    suite: str
    case: str
    loss: float
    spread: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseCard:
    """All values of one case.

    Attributes:
        suite: Name of the suite.
        case: Its id.
        values: Value and reason by (system, column).
    """

    suite: str
    case: str
    values: Mapping[tuple[str, str], tuple[float | None, str]]


def write_report(
    path: Path,
    board: Board,
    *,
    title: str = "JoyStreamer evaluation",
    thumbnails: Thumbnails | None = None,
    date: datetime | None = None,
) -> None:
    """Write the board as a self-contained HTML page.

    Args:
        path: Where to write; its folder is made, the file replaced atomically.
        board: What `build_board` returned.
        title: Heading of the page.
        thumbnails: JPEG bytes by (system, case); clips without one show a blank field.
        date: Printed in the footer; now if not given. The page is the same for the same date.

    Raises:
        InputError: The file cannot be written.
    """
    write_text(path, render_report(board, title=title, thumbnails=thumbnails, date=date))


def render_report(
    board: Board,
    *,
    title: str = "JoyStreamer evaluation",
    thumbnails: Thumbnails | None = None,
    date: datetime | None = None,
) -> str:
    """Return the page of `write_report` as text."""
    # Imported here: printing tables must not wait for matplotlib.
    from eval.report.figures import metric_figure

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("number", "signed", "bounds", "share", "p_value", "too_few", "rank_text", "explain")
    environment.globals.update({name: getattr(wording, name) for name in names})
    environment.globals.update(
        ARROWS=wording.ARROWS,
        DIRECTIONS=wording.DIRECTIONS,
        MARKS=wording.MARKS,
        VERDICTS=wording.VERDICTS,
        MIN_CASES=MIN_CASES,
        zip=zip,
    )
    pictures = {
        key: f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        for key, jpeg in (thumbnails or {}).items()
    }
    figures = {
        column.name: Markup(metric_figure(board, column))
        for column in board.columns
        if any(cell.n for cell in board.cells if cell.column == column.name)
    }
    return environment.get_template("report.html.j2").render(
        title=title,
        board=board,
        summary=wording.board_title(board),
        holm_note=wording.holm_note(board),
        cell={(cell.system, cell.column): cell for cell in board.cells},
        figures=figures,
        leaders=_leaders(board),
        missing=wording.missing_by_reason(board),
        accounts=ACCOUNTS,
        published=wording.published_matrix(board),
        tags=_tag_tables(board),
        worst=_worst_cases(board),
        cards=_case_cards(board),
        unfolded=len(board.cases[["suite", "case"]].drop_duplicates()) <= OPEN_CASES,
        pictures=pictures,
        shown_pictures={case for _, case in pictures},
        date=(date or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M %Z"),
        suites=wording.suite_names(board.provenance.suites),
    )


def _leaders(board: Board) -> list[tuple[Column, list[Cell]]]:
    """Return, per metric with ranks, the systems that nobody is shown to beat."""
    found = []
    for column in board.columns:
        first = [cell for cell in board.cells if cell.column == column.name and cell.rank == 1]
        if first:
            sign = -1 if column.metric.better == "higher" else 1
            found.append((column, sorted(first, key=lambda cell: sign * (cell.mean or 0.0))))
    return found


def _tag_tables(board: Board) -> dict[str, dict[str, dict[tuple[str, str], TagCell]]]:
    """Return cells by tag, value and (system, column)."""
    found: dict[str, dict[str, dict[tuple[str, str], TagCell]]] = {}
    for cell in board.tags:
        values = found.setdefault(cell.tag, {})
        values.setdefault(cell.value, {})[cell.system, cell.column] = cell
    return found


def _worst_cases(board: Board) -> dict[str, list[WorstCase]]:
    """Return, by system, the cases it loses most on against the baseline, over all metrics.

    Metrics have units that do not compare, so losses are ordered by the spread of their own column's
    differences; a column with fewer than two differences, or without spread, is ordered last.
    """
    found: dict[str, list[WorstCase]] = {}
    columns = {column.name: column for column in board.columns}
    for cell in board.cells:
        column = columns[cell.column]
        if cell.contrast is None or column.metric.better == "neither":
            continue
        sign = -1.0 if column.metric.better == "higher" else 1.0
        losses = [sign * value for value in cell.contrast.differences]
        scale = max((abs(loss) for loss in losses), default=0.0)
        # Scaled before squaring: values may be as large as a float can hold.
        mean_square = sum((loss / scale) ** 2 for loss in losses) / len(losses) if scale else 0.0
        spread = scale * mean_square**0.5
        for (suite, case), loss in zip(cell.contrast.cases, losses, strict=True):
            if loss > 0:
                found.setdefault(cell.system, []).append(
                    WorstCase(
                        column=column, suite=suite, case=case, loss=loss, spread=loss / spread
                    )
                )
    return {
        system: sorted(cases, key=lambda item: (-item.spread, item.column.name, item.case))[
            :WORST_PER_SYSTEM
        ]
        for system, cases in found.items()
    }


def _case_cards(board: Board) -> list[CaseCard]:
    """Return every case with its values and reasons."""
    cards: dict[tuple[str, str], dict[tuple[str, str], tuple[float | None, str]]] = {}
    rows: Any = board.cases[["suite", "case", "system", "column", "value", "reason"]]
    for suite, case, system, column, value, reason in rows.itertuples(index=False, name=None):
        measured = value == value  # NaN differs from itself
        shown = (float(value), "") if measured else (None, str(reason))
        cards.setdefault((str(suite), str(case)), {})[str(system), str(column)] = shown
    return [CaseCard(suite=suite, case=case, values=v) for (suite, case), v in cards.items()]
