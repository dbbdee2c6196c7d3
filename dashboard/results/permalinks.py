"""Addresses that bring back the same numbers: filters, baseline, snapshot, and a digest to prove it.

A snapshot is the number of the newest score that counts. Scores are only ever added, so the same number
gives the same scores, unless clips were replaced or a suite was changed since; then the digest of the
scores differs and the page says so instead of showing other numbers under the old address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from dashboard.results.data import View
from dashboard.results.filters import FIELDS, OPTIONS, Filters
from eval.leaderboard import Board
from joystreamer.errors import InputError

SNAPSHOT: Final = "snapshot"
DIGEST: Final = "digest"
BASELINE: Final = "baseline"

_DIGITS: Final = 16
"""Digits of the digest that an address carries."""


def permalink(view: View, board: Board, snapshot: int) -> str:
    """The query part of an address that shows this board again, beginning with a question mark.

    Args:
        view: What the board shows.
        board: The board.
        snapshot: Number of the newest score in it.
    """
    parts: list[tuple[str, str]] = []
    for name in FIELDS:
        values = getattr(view.filters, name)
        if values != getattr(Filters(), name):
            parts += [(OPTIONS[name], value) for value in values] or [(OPTIONS[name], "")]
    if board.baseline:
        parts.append((BASELINE, board.baseline))
    parts += [(SNAPSHOT, str(snapshot)), (DIGEST, short_digest(board))]
    return f"?{urlencode(parts)}"


def short_digest(board: Board) -> str:
    """The digits of the scores' digest that an address carries."""
    return board.provenance.scores_digest[:_DIGITS]


def pinned_snapshot(given: Mapping[str, str]) -> int | None:
    """The snapshot that an address asks for; None when it follows the store.

    Raises:
        InputError: It is no number.
    """
    text = given.get(SNAPSHOT, "")
    if not text:
        return None
    if not text.isdecimal():
        raise InputError(
            f"the address pins snapshot {text!r}, which is no number; copy the link again, or leave it out"
        )
    return int(text)


def why_changed(given: Mapping[str, str], board: Board) -> str:
    """A sentence when the address promises other scores than the board holds, else ''."""
    promised = given.get(DIGEST, "")
    if not promised or promised == short_digest(board):
        return ""
    return (
        "This address was made for other scores: since then clips were replaced, a suite or its tags were "
        "changed, or the filters were. The numbers below are not those of the link."
    )
