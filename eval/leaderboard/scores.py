"""The tidy table of scores: one row per clip and metric, checked before anything is averaged.

Knows the columns and their meaning, no statistics and no database.
"""

import difflib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eval.leaderboard.labels import LONG_S, TAGS, Labels, row_labels
from joystreamer.errors import InputError

SCORE_COLUMNS: Final = (
    "system",
    "kind",
    "family",
    "step",
    "suite",
    "case",
    "seed",
    "clip_id",
    "clip_name",
    "metric",
    "variant",
    "fingerprint",
    "value",
    "reason",
    "message",
    "subject",
    "mode",
    "content",
    "language",
    "duration_s",
    "created_at",
)
"""Columns of the tidy table; `value` is NaN where `reason` says why it could not be measured."""

_ORDER: Final = ("metric", "variant", "system", "suite", "case", "seed", "clip_name", "fingerprint")

LARGEST: Final = 1e300
"""Largest magnitude of a score: sums and differences of such numbers still fit into a float."""


def check_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores with plain types, refusing a table that would give a wrong mean.

    Args:
        scores: Tidy table with `SCORE_COLUMNS`; further columns are kept.

    Returns:
        A copy with `value` as float64, `created_at` as UTC times, in a fixed order.

    Raises:
        InputError: The table is empty, lacks columns, holds an infinite or absurd value, a null without
            a reason, a value with a reason, or the same score twice.
    """
    missing = [name for name in SCORE_COLUMNS if name not in scores.columns]
    if missing:
        raise InputError(
            f"the table of scores lacks the columns {', '.join(missing)}; "
            f"it needs {', '.join(SCORE_COLUMNS)}"
        )
    if scores.empty:
        raise InputError(
            "there are no scores to show; ingest clips and run `python -m eval score` first"
        )
    # Sums depend on order in their last digit: two processes must print the same table.
    table = scores.sort_values(list(_ORDER), ignore_index=True)
    table["value"] = pd.to_numeric(table["value"], errors="raise").astype(np.float64)
    moments = pd.to_datetime(table["created_at"], utc=True, format="ISO8601")
    table["created_at"] = moments.fillna(pd.Timestamp(0, tz="UTC"))
    null = table["value"].isna()
    absurd = ~null & ~(table["value"].abs() <= LARGEST)
    _refuse(table, absurd, f"is not a number within ±{LARGEST:g}")
    explained = table["reason"].notna()
    _refuse(table, null & ~explained, "is null without a reason")
    _refuse(table, ~null & explained, "has both a value and a reason")
    local = table["kind"] != "published"
    twice = local & table.duplicated(["clip_id", "metric", "variant", "fingerprint"])
    _refuse(table, twice, "is there twice with the same fingerprint")
    return table


def select_scores(
    scores: pd.DataFrame,
    *,
    systems: Sequence[str] = (),
    suites: Sequence[str] = (),
    metrics: Sequence[str] = (),
    subject: Sequence[str] = (),
    mode: Sequence[str] = (),
    content: Sequence[str] = (),
    language: Sequence[str] = (),
    length: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the rows that were asked for; an empty sequence asks for all.

    Published rows have no cases: tags and suites leave them in, because a published number about other
    cases is set apart anyway.

    Args:
        scores: Tidy table.
        systems: Names of systems.
        suites: Names of suites.
        metrics: `family`, `family.name`, `family/variant` or `family.name/variant`.
        subject: Subject types.
        mode: Kinds of voice.
        content: Content tags; a case with any of them is kept.
        language: Language codes.
        length: `up to 10 s`, `over 10 s` or `unknown`.

    Raises:
        InputError: A name is unknown, or nothing is left.
    """
    keep = rows_asked_for(
        scores, systems=systems, suites=suites, metrics=metrics, subject=subject, mode=mode,
        content=content, language=language, length=length,
    )  # fmt: skip
    return scores[keep].reset_index(drop=True)


def rows_asked_for(
    scores: pd.DataFrame,
    *,
    labels: Callable[[str], Labels] | None = None,
    systems: Sequence[str] = (),
    suites: Sequence[str] = (),
    metrics: Sequence[str] = (),
    **tags: Sequence[str],
) -> NDArray[np.bool_]:
    """Say of every row whether `select_scores` would return it.

    Args:
        scores: Tidy table.
        labels: The names of its rows where they are known already, see `row_labels`.
        systems: Names of systems.
        suites: Names of suites.
        metrics: As `select_scores` takes them.
        **tags: Values by tag of `TAGS`.

    Raises:
        InputError: A name is unknown, or nothing is left.
    """
    find = labels or partial(row_labels, scores)
    published = (scores["kind"] == "published").to_numpy(dtype=bool)
    keep = np.ones(len(scores), dtype=bool)
    for what, by, wanted in (("system", "systems", systems), ("metric", "metrics", metrics)):
        if wanted:
            found = find(by)
            known_names(what, wanted, found.known())
            keep &= found.with_any(wanted)
    for what, by, wanted in (("suite", "suites", suites), *((t, t, tags.get(t, ())) for t in TAGS)):
        if wanted:
            found = find(by)
            known_names(what, wanted, found.known(~published))
            keep &= published | found.with_any(wanted)
    if not keep.any() or ((~published).any() and not (keep & ~published).any()):
        raise InputError("no score fits all the filters together; leave one of them out")
    return keep


def tag_values(scores: pd.DataFrame, tag: str) -> "pd.Series[Any]":
    """Return, for every row, the tuple of values it has for a tag of `TAGS`."""
    if tag == "content":
        return scores["content"].map(tuple)
    if tag == "length":
        seconds = pd.to_numeric(scores["duration_s"], errors="coerce")
        words = np.where(seconds > LONG_S, f"over {LONG_S:g} s", f"up to {LONG_S:g} s")
        return pd.Series(np.where(seconds.isna(), "unknown", words), index=scores.index).map(
            lambda word: (word,)
        )
    return scores[tag].map(lambda value: (value,))


def count_rows(rows: pd.DataFrame, *keys: str) -> dict[tuple[str, ...], int]:
    """Count rows by the text of some columns, leaving out rows where one of them is None."""
    counts = rows.groupby(list(keys), sort=True).size().reset_index(name="rows")
    return {
        tuple(str(part) for part in row[:-1]): int(row[-1])
        for row in counts.itertuples(index=False, name=None)
    }


def known_names(what: str, asked: Sequence[str], known: Any) -> None:
    """Refuse a name that no score has, naming the nearest one.

    Raises:
        InputError: One of `asked` is not in `known`.
    """
    names = sorted(str(name) for name in known)
    for name in asked:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
            raise InputError(f"no score has the {what} {name!r}; {hint}")


def _refuse(table: pd.DataFrame, bad: "pd.Series[bool]", what: str) -> None:
    """Refuse the table if any row is bad, naming the first.

    Raises:
        InputError: A row is bad.
    """
    if bad.any():
        row = table[bad].iloc[0]
        raise InputError(
            f"{int(bad.sum())} score(s) cannot be used: {row['metric']}/{row['variant']} of "
            f"{row['clip_name'] or row['case']!r} by {row['system']!r} {what} "
            f"(value {float(row['value'])!r}, reason {row['reason']!r}); score these clips again"
        )
