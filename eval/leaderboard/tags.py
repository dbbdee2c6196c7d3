"""The same means per kind of case: a system that fails on cartoons hides in an overall mean."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from eval.leaderboard.columns import ColumnScores
from eval.leaderboard.records import TagCell
from eval.leaderboard.scores import TAGS, case_means, tag_values
from eval.statistics import mean_intervals


def tag_cells(
    local: pd.DataFrame,
    chosen: Sequence[ColumnScores],
    systems: Sequence[str],
    tags: Sequence[str] = TAGS,
) -> list[TagCell]:
    """Return a cell per tag value, column and system.

    A tag whose cases all have one value tells nothing beyond the board and is left out.

    Args:
        local: Checked tidy rows without published ones.
        chosen: Columns and their rows.
        systems: Order of the rows.
        tags: Which of `TAGS`.
    """
    samples, keys = [], []
    clips = local.drop_duplicates("clip_id")
    for tag in tags:
        labels = tag_values(clips, tag)
        spread = pd.DataFrame(
            {"clip_id": clips["clip_id"], "system": clips["system"], "label": labels}
        )
        spread = spread.explode("label").dropna(subset="label")
        spread["label"] = spread["label"].astype(str)
        values = sorted(spread["label"].unique())
        if len(values) < 2:
            continue
        for label in values:
            marked = spread[spread["label"] == label]
            counts = marked.groupby("system")["clip_id"].nunique()
            for entry in chosen:
                rows = entry.rows[entry.rows["clip_id"].isin(marked["clip_id"])]
                means = case_means(rows).reindex(columns=list(systems))
                scored = rows[rows["value"].notna()].groupby("system").size()
                for system in systems:
                    samples.append(means[system].dropna().to_numpy(dtype=np.float64))
                    owned = int(counts.get(system, 0))
                    keys.append(
                        (tag, label, system, entry.column.name, int(scored.get(system, 0)), owned)
                    )
    return [
        TagCell(
            tag=tag,
            value=label,
            system=system,
            column=column,
            mean=float(sample.mean()) if sample.size else None,
            n=sample.size,
            scored=scored,
            clips=owned,
            interval=interval,
        )
        for (tag, label, system, column, scored, owned), sample, interval in zip(
            keys, samples, mean_intervals(samples), strict=True
        )
    ]
