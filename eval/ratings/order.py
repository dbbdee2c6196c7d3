"""The order in which one rater sees their pairs.

The same case never comes back within a window, a repeat keeps its distance from its original, and
checks are spread over the whole session instead of standing at its start. Everything else is drawn by
lot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np


class Orderable(Protocol):
    """What ordering needs to know of a showing."""

    @property
    def key(self) -> str:
        """Unique name."""

    @property
    def kind(self) -> str:
        """work, repeat, gold or null."""

    @property
    def case(self) -> str:
        """Case id."""

    @property
    def repeat_of(self) -> str:
        """Key of the original, or ''."""


S = TypeVar("S", bound=Orderable)


def order_showings(
    showings: Sequence[S],
    *,
    before: Sequence[str],
    window: int,
    repeat_gap: int,
    rng: np.random.Generator,
) -> list[S]:
    """Order showings.

    Where the wished distances cannot be kept (fewer cases than the window, a short session), the
    showing that comes closest to keeping them is taken; `eval.ratings.design.summarize_design` reports
    the distance reached.

    Args:
        showings: What is to be shown.
        before: Cases shown just before, oldest first.
        window: Showings between two of the same case.
        repeat_gap: Showings between a pair and its repeat.
        rng: Source of the lots.
    """
    due = _due_times(showings, rng)
    lot = {showings[index].key: place for place, index in enumerate(rng.permutation(len(showings)))}
    remaining = Counter(showing.case for showing in showings)
    shown_at = {case: index - len(before) for index, case in enumerate(before)}
    placed: dict[str, int] = {}
    waiting = list(showings)
    result: list[S] = []

    def lateness(showing: S, position: int) -> tuple[int, bool, int, float]:
        """Smaller is better: rule broken by how much, not due yet, crowded case first, lot."""
        missing = max(0, window - (position - shown_at.get(showing.case, -(10**9)) - 1))
        if showing.repeat_of:
            original = placed.get(showing.repeat_of)
            wait = 10**6 if original is None else repeat_gap - (position - original - 1)
            missing = max(missing, wait)
        early = showing.kind != "work" and position < due[showing.key]
        urgent = showing.kind != "work" and not early
        # A case with many showings left must be used often, or its last ones crowd together.
        return (missing, early, -(10**6) if urgent else -remaining[showing.case], lot[showing.key])

    for position in range(len(showings)):
        best = min(waiting, key=lambda showing: lateness(showing, position))
        waiting.remove(best)
        result.append(best)
        remaining[best.case] -= 1
        shown_at[best.case] = position
        placed[best.key] = position
    return result


def _due_times(showings: Sequence[S], rng: np.random.Generator) -> dict[str, float]:
    """When each check is due: one per equal stretch of the session; repeats in its second half."""
    total = len(showings)
    repeats = [showing.key for showing in showings if showing.kind == "repeat"]
    others = [showing.key for showing in showings if showing.kind in ("gold", "null")]
    due: dict[str, float] = {}
    for keys, start in ((others, 0.0), (repeats, total / 2)):
        stretch = (total - start) / max(1, len(keys))
        for slot, index in enumerate(rng.permutation(len(keys))):
            due[keys[index]] = start + stretch * (slot + float(rng.random()))
    return due
