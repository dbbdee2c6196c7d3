"""What scores can be asked for by: the names that each row goes by, told once per different set of names.

Knows systems, suites, metrics and tags; chooses nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

TAGS: Final = ("subject", "mode", "content", "language", "length")
"""What cases are grouped by; `content` may hold several, `length` is made from `duration_s`."""

LABELS: Final = ("systems", "suites", "metrics", *TAGS)
"""Everything that scores can be asked for by."""

LONG_S: Final = 10.0
"""Seconds above which a clip counts as long."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """The names of every row.

    Attributes:
        names: The different sets of names.
        place: By row, which of them.
    """

    names: tuple[frozenset[Any], ...]
    place: NDArray[np.int32] = field(repr=False)

    def with_any(self, wanted: Collection[Any]) -> Mask:
        """Say of every row whether it goes by one of the wanted names."""
        some = frozenset(wanted)
        return np.array([not some.isdisjoint(each) for each in self.names], dtype=bool)[self.place]

    def known(self, rows: Mask | None = None) -> set[Any]:
        """Return all names, or those of some rows."""
        there = self.place if rows is None else self.place[rows]
        return {name for code in np.unique(there).tolist() for name in self.names[code]}


def row_labels(scores: pd.DataFrame, by: str) -> Labels:
    """Return the names of every row.

    Args:
        scores: Tidy table.
        by: One of `LABELS`. A metric goes by `family`, `family.name`, `family/variant` and
            `family.name/variant`; a length is `up to 10 s`, `over 10 s` or `unknown`.
    """
    if by == "metrics":
        names, place = _different(_pairs(scores["metric"], scores["variant"]))
        return _labels([_spellings(*pair) for pair in names], place)
    if by == "content":
        return _labels(*_different(map(tuple, scores["content"])))
    if by == "length":
        seconds = pd.to_numeric(scores["duration_s"], errors="coerce").to_numpy(np.float64)
        place = np.where(np.isnan(seconds), 2, seconds > LONG_S)
        return _labels([(f"up to {LONG_S:g} s",), (f"over {LONG_S:g} s",), ("unknown",)], place)
    column = scores[{"systems": "system", "suites": "suite"}.get(by, by)]
    codes, texts = pd.factorize(column, use_na_sentinel=False)
    return _labels([(text,) for text in texts.tolist()], codes)


def _labels(names: Iterable[Iterable[Any]], place: NDArray[Any]) -> Labels:
    return Labels(names=tuple(map(frozenset, names)), place=place.astype(np.int32))


def _pairs(first: pd.Series[Any], second: pd.Series[Any]) -> Iterable[tuple[str, str]]:
    return zip(first.astype(str).tolist(), second.astype(str).tolist(), strict=True)


def _spellings(metric: str, variant: str) -> tuple[str, ...]:
    family = metric.split(".")[0]
    return metric, family, f"{family}/{variant}", f"{metric}/{variant}"


def _different(rows: Iterable[tuple[Any, ...]]) -> tuple[Sequence[tuple[Any, ...]], NDArray[Any]]:
    """Return the different tuples, and by row which one it is."""
    place: dict[tuple[Any, ...], int] = {}
    codes = [place.setdefault(row, len(place)) for row in rows]
    return list(place), np.array(codes, dtype=np.int32)
