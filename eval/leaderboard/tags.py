"""The same means per kind of case: a system that fails on cartoons hides in an overall mean."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eval.leaderboard.columns import ColumnScores
from eval.leaderboard.labels import TAGS
from eval.leaderboard.prepared import PreparedScores
from eval.leaderboard.records import TagCell
from eval.leaderboard.scores import count_rows, tag_values
from eval.statistics import mean_intervals


def tag_cells(
    scores: PreparedScores,
    chosen: Sequence[ColumnScores],
    systems: Sequence[str],
    tags: Sequence[str] = TAGS,
) -> list[TagCell]:
    """Return a cell per tag value, column and system.

    A tag whose cases all have one value tells nothing beyond the board and is left out.

    Args:
        scores: Those that count.
        chosen: Columns and their rows.
        systems: Order of the rows.
        tags: Which of `TAGS`.
    """
    if not tags:
        return []
    clips = scores.frame().drop_duplicates("clip_id")
    scored = _scored(scores, chosen)
    samples, keys = [], []
    for tag in tags:
        labelled = pd.DataFrame({"clip_id": clips["clip_id"], "label": tag_values(clips, tag)})
        labelled = labelled.explode("label").dropna(subset="label").astype({"label": str})
        values = sorted(labelled["label"].unique())
        if len(values) < 2:
            continue
        owned = count_rows(
            clips[["clip_id", "system"]].merge(labelled, on="clip_id"), "label", "system"
        )
        marked = scored.merge(labelled, on="clip_id")
        counts = count_rows(marked, "label", "column", "system")
        means = _case_samples(marked)
        for key in product(values, (entry.column.name for entry in chosen), systems):
            label, _, system = key
            samples.append(means.get(key, np.empty(0)))
            keys.append((tag, *key, counts.get(key, 0), owned.get((label, system), 0)))
    return [
        TagCell(
            tag=tag,
            value=label,
            system=system,
            column=column,
            mean=float(sample.mean()) if sample.size else None,
            n=sample.size,
            scored=measured,
            clips=clips_owned,
            interval=interval,
        )
        for (tag, label, column, system, measured, clips_owned), sample, interval in zip(
            keys, samples, mean_intervals(samples), strict=True
        )
    ]


def _scored(scores: PreparedScores, chosen: Sequence[ColumnScores]) -> pd.DataFrame:
    """Return the rows that have a value, with the name of their column."""
    fields = ["clip_id", "system", "suite", "case", "value"]
    parts = [
        scores.frame(entry.rows[~np.isnan(scores.value[entry.rows])])[fields].assign(
            column=entry.column.name
        )
        for entry in chosen
    ]
    return pd.concat(parts or [pd.DataFrame(columns=[*fields, "column"])])


def _case_samples(marked: pd.DataFrame) -> dict[tuple[str, str, str], NDArray[np.float64]]:
    """Return the case means by label, column and system, cases in a fixed order."""
    if marked.empty:
        return {}
    means = marked.groupby(["label", "column", "system", "suite", "case"], sort=True)[
        "value"
    ].mean()
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for (label, column, system, *_), value in zip(means.index, means.to_numpy(), strict=True):
        found[label, column, system].append(value)
    return {key: np.array(values, dtype=np.float64) for key, values in found.items()}
