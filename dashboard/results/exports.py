"""A board as files to take away: the same functions as the command line, with bytes as their result."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dashboard.results.data import StoreState, View, board_of, posters_at
from eval.leaderboard import TAGS, Board, Comparison
from eval.report import render_report, to_latex, write_csv, write_parquet
from eval.store.workspace import Workspace

Writer = Callable[[Path, Any], None]


def csv_bytes(item: Board | Comparison) -> bytes:
    """The table as CSV, byte for byte what `--csv` writes."""
    return _written(write_csv, item)


def parquet_bytes(item: Board | Comparison) -> bytes:
    """The table as Parquet with its provenance, as `--parquet` writes it."""
    return _written(write_parquet, item)


def latex_bytes(board: Board) -> bytes:
    """The table for a paper, as `--latex` writes it."""
    return to_latex(board).encode()


def report_bytes(workspace: Workspace, state: StoreState, view: View, title: str) -> bytes:
    """One HTML page that opens without a server, as `python -m eval report` writes it.

    Raises:
        InputError: Nothing fits the view.
    """
    board = board_of(workspace, state, view, TAGS)
    pictures: dict[tuple[str, str], bytes] = {}
    for (system, _, case), path in posters_at(workspace, state).items():
        if system in board.systems:
            pictures.setdefault((system, case), path.read_bytes())
    return render_report(board, title=title, thumbnails=pictures).encode()


def _written(write: Writer, item: Board | Comparison) -> bytes:
    with tempfile.TemporaryDirectory(prefix="joystreamer-") as folder:
        path = Path(folder) / "table"
        write(path, item)
        return path.read_bytes()
