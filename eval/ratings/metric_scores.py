"""The workspace's scores in the form that correlation with people's votes needs.

Knows the metric table for directions; reads no store.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from eval.catalog import MEASURES
from joystreamer.errors import InputError

_SIGN: Final = {"higher": 1, "lower": -1}


def comparable_scores(table: pd.DataFrame, suite: str) -> pd.DataFrame:
    """Scores of a suite, one row per system, case and metric; seeds of a case are averaged.

    Args:
        table: From `eval.store.scores.score_table`.
        suite: Name of the suite that a campaign shows.

    Returns:
        Columns system, case, metric (`family.name/variant`), direction (+1 when higher is better, -1
        when lower is, 0 for neither) and value.

    Raises:
        InputError: The suite has no scores.
    """
    table = table[table["suite"] == suite]
    if table.empty:
        raise InputError(f"suite {suite!r} has no scores here; run python -m eval score first")
    facts = (metric for measure in MEASURES for metric in measure.metrics)
    direction = {metric.name: _SIGN.get(metric.better, 0) for metric in facts}
    table = table.assign(
        direction=[direction.get(metric, 0) for metric in table["metric"]],
        metric=[
            f"{m}/{v}" if v else m for m, v in zip(table["metric"], table["variant"], strict=True)
        ],
    )
    keys = ["system", "case", "metric", "direction"]
    return table.groupby(keys)[["value"]].mean().reset_index()
