"""Numbers from papers, shown beside local scores and never mixed with them.

`rows.csv` holds the numbers, `sources.toml` where they come from and what is known of how they were
made. This file knows no score of ours.
"""

import csv
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from eval.checkout import ROOT
from eval.leaderboard.scores import SCORE_COLUMNS
from joystreamer.errors import InputError

FOLDER: Final = ROOT / "benchmarks" / "published"
"""Where the numbers lie; data of the benchmarks, read here so that every leaderboard can show them."""

TABLE_1: Final = "joystreamer"
"""The source whose rows are the paper's Table 1."""

UNSTATED: Final = "unstated"
"""Variant of a number whose specification its paper does not give."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where numbers come from.

    Attributes:
        id: Short name used in `rows.csv`.
        title: Of the paper.
        place: Table or section.
        year: Of publication.
        cases: What they were measured on.
        spec: How they were measured, as far as it is known.
        comparability: What stands in the way of comparing them with local scores.
        count: Number of cases, None when not stated.
    """

    id: str
    title: str
    place: str
    year: int
    cases: str
    spec: str
    comparability: str
    count: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedNumber:
    """One cell of a published table.

    Attributes:
        source: Where it comes from.
        system: As the paper calls it.
        metric: Our name of the metric it comes nearest to.
        variant: Specification it was made with, or 'unstated'.
        value: As printed.
        note: Anything that the source does not say of all its rows.
    """

    source: Source
    system: str
    metric: str
    variant: str
    value: float
    note: str = ""


def read_sources(path: Path = FOLDER / "sources.toml") -> dict[str, Source]:
    """Return the sources by id.

    Raises:
        InputError: A source lacks a field or has an unknown one.
    """
    sources = {}
    for name, fields in tomllib.loads(path.read_text(encoding="utf-8")).items():
        try:
            sources[name] = Source(id=name, **fields)
        except TypeError as error:
            raise InputError(f"{path}: source {name!r} does not fit: {error}") from error
    return sources


def read_published(folder: Path = FOLDER) -> list[PublishedNumber]:
    """Return every published number in the order of the file.

    Raises:
        InputError: A row names an unknown source or its value is no number; the message has the
            line.
    """
    sources = read_sources(folder / "sources.toml")
    path = folder / "rows.csv"
    numbers = []
    with path.open(encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            if row["source"] not in sources:
                raise InputError(
                    f"{path}, line {line}: no source is called {row['source']!r}; "
                    f"sources.toml has {', '.join(sources)}"
                )
            try:
                value = float(row["value"])
            except ValueError as error:
                raise InputError(
                    f"{path}, line {line}: value must be a number as printed, got {row['value']!r}"
                ) from error
            numbers.append(
                PublishedNumber(
                    source=sources[row["source"]],
                    system=row["system"],
                    metric=row["metric"],
                    variant=row["variant"],
                    value=value,
                    note=row["note"],
                )
            )
    return numbers


def published_scores(sources: Sequence[str] = (TABLE_1,)) -> pd.DataFrame:
    """Return published numbers as rows of the tidy score table.

    Their kind is 'published', their suite names the paper's cases, and they have no fingerprint, so
    that a leaderboard sets them apart and says why they do not compare.

    Args:
        sources: Ids from `sources.toml`; empty means all.

    Raises:
        InputError: A source is unknown.
    """
    known = read_sources()
    for name in sources:
        if name not in known:
            raise InputError(
                f"no published source is called {name!r}; there are {', '.join(known)}"
            )
    rows = [
        _score_row(number)
        for number in read_published()
        if not sources or number.source.id in sources
    ]
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS))


def _score_row(number: PublishedNumber) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(SCORE_COLUMNS)
    return empty | {
        "system": number.system,
        "kind": "published",
        "family": "",
        "suite": f"{number.source.id}: {number.source.cases}",
        "case": "",
        "seed": 0,
        "clip_id": -1,
        "clip_name": "",
        "metric": number.metric,
        "variant": number.variant,
        "fingerprint": "",
        "value": number.value,
        "message": "; ".join(each for each in (number.note, number.source.comparability) if each),
        "subject": "",
        "mode": "",
        "content": (),
        "language": "",
        "duration_s": np.nan,
    }
