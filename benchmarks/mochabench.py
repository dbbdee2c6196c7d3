"""MoChaBench beside our own numbers: its people against its model judge, and its SyncNet per clip.

The human answers are majority votes on an ordinal scale of 1 to 4, one per clip and aspect: they are
compared as what they are, never turned into pairwise votes. Rows of one item share prompt and speech, so
items, not rows, are resampled.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from benchmarks.importers.imported import identifier_of
from benchmarks.importers.tables import mocha_id
from eval.fields import shown
from eval.ratings.statistics.correlation import spearman
from eval.ratings.statistics.resampling import DRAWS, percentile_interval
from eval.text_files import read_csv, read_plain_csv
from joystreamer.errors import InputError

Floats = NDArray[np.float64]

SCALE: Final = (1, 2, 3, 4)
"""1 unnatural or no alignment, 4 like real video or aligned; the benchmark's rubrics."""

HUMAN: Final = "Human Major Vote"
POOLED: Final = "all aspects"


def human_judge_table(path: Path) -> pd.DataFrame:
    """Read the benchmark's table of human majority votes and model-judge scores.

    Its three header rows name model, aspect and source of every column; each further row is an item.

    Returns:
        Columns item, system, aspect, human, judge; scores in `SCALE`.

    Raises:
        InputError: The headers are others, or a cell is no score.
    """
    rows = read_plain_csv(path)
    if len(rows) < 4 or [row[:1] for row in rows[:3]] != [["Model"], ["Aspect"], ["Example idx"]]:
        raise InputError(
            f"{path}: expected three header rows Model, Aspect, Example idx and a row per item"
        )
    models, aspects, sources = rows[:3]
    if not len(models) == len(aspects) == len(sources):
        raise InputError(
            f"{path}: the three header rows have {len(models)}, {len(aspects)} and {len(sources)} cells; "
            "each needs one cell per column"
        )
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for number, row in enumerate(rows[3:], start=4):
        if not row or not re.fullmatch(r"\d{1,9}", row[0]):
            raise InputError(
                f"{path}:{number}: got {shown(row[:1])}, expected the number of an item first"
            )
        for column in range(1, len(models)):
            cell = row[column] if column < len(row) else ""
            if cell not in map(str, SCALE):
                raise InputError(
                    f"{path}:{number}: column {column + 1}: got {shown(cell)}, expected 1, 2, 3 or 4"
                )
            aspect = re.sub(r"^\d+\.\s*", "", aspects[column])
            who = "human" if sources[column] == HUMAN else "judge"
            found.setdefault((row[0], models[column], aspect), {})[who] = float(cell)
    return pd.DataFrame(
        [
            {"item": int(item), "system": system, "aspect": aspect, **scores}
            for (item, system, aspect), scores in found.items()
        ]
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A statistic with its interval.

    Attributes:
        value: The estimate.
        low: Lower end of the 95 % interval, nan when there is none.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return value and interval in words."""
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def quadratic_kappa(one: Floats, other: Floats) -> float:
    """Return Cohen's kappa with quadratic weights; 1 is agreement, 0 what chance gives.

    By its closed form for fixed scores: one minus the mean squared difference over what independent
    draws from both margins would give. Nan when neither side ever varies and both agree.
    """
    expected = one.var() + other.var() + (one.mean() - other.mean()) ** 2
    if expected == 0:
        return float("nan")
    return float(1 - np.mean((one - other) ** 2) / expected)


STATISTICS: Final[dict[str, Callable[[Floats, Floats], float]]] = {
    "spearman": spearman,
    "kappa": quadratic_kappa,
    "exact": lambda human, judge: float(np.mean(human == judge)),
    "judge_minus_human": lambda human, judge: float(np.mean(judge - human)),
}
"""Spearman's rho, quadratic kappa, share of equal scores, mean difference in points."""


def human_against_judge(table: pd.DataFrame, *, draws: int = DRAWS, seed: int = 0) -> pd.DataFrame:
    """Compare people with the model judge, per aspect and over all.

    Args:
        table: From `human_judge_table`.
        draws: Resamples of items.
        seed: Of the resampling.

    Returns:
        Columns aspect, rows, items and one `Figure` per statistic of `STATISTICS`. Intervals redraw
        whole items and are widened for their number (Student's t, as in `eval.ratings`).
    """
    groups = [*table.groupby("aspect", sort=True), (POOLED, table)]
    result = []
    for aspect, rows in groups:
        human = rows["human"].to_numpy(np.float64)
        judge = rows["judge"].to_numpy(np.float64)
        clusters = [np.asarray(found) for found in rows.groupby("item").indices.values()]
        figures = _figures(human, judge, clusters, draws, seed)
        result.append({"aspect": aspect, "rows": len(rows), "items": len(clusters), **figures})
    return pd.DataFrame(result)


def _figures(
    human: Floats, judge: Floats, clusters: list[NDArray[np.int64]], draws: int, seed: int
) -> dict[str, Figure]:
    rng = np.random.default_rng(seed)
    count = len(clusters)
    drawn = {name: np.empty(draws) for name in STATISTICS}
    for draw in range(draws):
        picked = np.concatenate([clusters[at] for at in rng.integers(0, count, count)])
        for name, statistic in STATISTICS.items():
            drawn[name][draw] = statistic(human[picked], judge[picked])
    widen = float("nan")
    if count > 1:
        tail = float(student.ppf(0.975, count - 1)) / float(norm.ppf(0.975))
        widen = tail * float(np.sqrt(count / (count - 1)))
    figures = {}
    for name, statistic in STATISTICS.items():
        interval = percentile_interval(drawn[name], widen=widen)
        low, high = (interval.low, interval.high) if interval else (float("nan"), float("nan"))
        figures[name] = Figure(value=statistic(human, judge), low=low, high=high)
    return figures


def system_means(table: pd.DataFrame) -> pd.DataFrame:
    """Return mean scores by system and aspect: human, judge, clips."""
    means = table.groupby(["system", "aspect"]).agg(
        human=("human", "mean"), judge=("judge", "mean"), clips=("item", "count")
    )
    return means.reset_index()


def published_sync(path: Path) -> pd.DataFrame:
    """Read the benchmark's SyncNet numbers per clip.

    Returns:
        Columns case (as `import mochabench` names it), sync.confidence, sync.distance; nan where it
        found no face. The file writes 0 there, which is no distance.

    Raises:
        InputError: A column is missing, or a cell holds no number.
    """
    columns, rows = read_csv(path)
    missing = [
        name for name in ("video", "has_face", "best_conf", "min_dist") if name not in columns
    ]
    if missing:
        raise InputError(
            f"{path}:1: no column is called {missing[0]!r}; give the benchmark's own file"
        )
    table = []
    for line, row in rows:
        if None in row.values() or None in row:
            raise InputError(
                f"{path}:{line}: the row has more or fewer cells than columns; mend it"
            )
        category, _, name = row["video"].replace("\\", "/").rpartition("/")
        face = row["has_face"] == "True"
        table.append(
            {
                "case": identifier_of(mocha_id(category, name.removesuffix(".mp4"))),
                "sync.confidence": _cell_number(row["best_conf"], f"{path}:{line}")
                if face
                else float("nan"),
                "sync.distance": _cell_number(row["min_dist"], f"{path}:{line}")
                if face
                else float("nan"),
            }
        )
    return pd.DataFrame(table)


def _cell_number(cell: str, place: str) -> float:
    try:
        return float(cell)
    except ValueError as error:
        raise InputError(f"{place}: got {shown(cell)}, expected a number; mend the cell") from error


def beside_published(scores: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Lay our scores beside the published ones, clip by clip.

    Args:
        scores: A score table with the columns case, metric, variant, value, reason.
        published: From `published_sync`.

    Returns:
        Columns case, metric, variant, ours, reason, published; ours is nan where it could not be
        measured, and reason says why.
    """
    long = published.melt(id_vars="case", var_name="metric", value_name="published")
    ours = scores.loc[
        scores["metric"].isin(long["metric"].unique()),
        ["case", "metric", "variant", "value", "reason"],
    ]
    return ours.merge(long, on=["case", "metric"]).rename(columns={"value": "ours"})


def agreement(pairs: pd.DataFrame) -> pd.DataFrame:
    """Summarise `beside_published` per metric and variant: clips both measured, and how far apart.

    Returns:
        Columns metric, variant, clips, both, spearman, largest (greatest absolute difference), mean
        (mean absolute difference); no claim is made from few clips, so n is part of every row.
    """
    result = []
    for (metric, variant), rows in pairs.groupby(["metric", "variant"], sort=True):
        both = rows.dropna(subset=["ours", "published"])
        gap = (both["ours"] - both["published"]).abs()
        rho = spearman(both["ours"].to_numpy(np.float64), both["published"].to_numpy(np.float64))
        result.append(
            {
                "metric": metric, "variant": variant, "clips": len(rows), "both": len(both),
                "spearman": rho, "mean": gap.mean(), "largest": gap.max(),
            }
        )  # fmt: skip
    columns = ["metric", "variant", "clips", "both", "spearman", "mean", "largest"]
    return pd.DataFrame(result, columns=columns)


def human_beside_metrics(table: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of our metrics with people on the clips at hand, n with every row.

    Args:
        table: From `human_judge_table`; items 1, 2, ... are the cases 01, 02, ...
        scores: A score table of the suite of the compared clips.

    Returns:
        Columns metric, variant, aspect, clips, items, spearman. Few clips of few items: a look, no
        evidence; hence no interval and no claim.
    """
    human = table.assign(case=table["item"].map("{:02d}".format))
    human["system"] = human["system"].map(system_key)
    ours = scores.assign(system=scores["system"].map(system_key)).dropna(subset=["value"])
    merged = ours.merge(human[["case", "system", "aspect", "human"]], on=["case", "system"])
    result = []
    for (metric, variant, aspect), rows in merged.groupby(["metric", "variant", "aspect"]):
        rho = spearman(rows["value"].to_numpy(np.float64), rows["human"].to_numpy(np.float64))
        result.append(
            {
                "metric": metric, "variant": variant, "aspect": aspect, "clips": len(rows),
                "items": rows["case"].nunique(), "spearman": rho,
            }
        )  # fmt: skip
    columns = ["metric", "variant", "aspect", "clips", "items", "spearman"]
    return pd.DataFrame(result, columns=columns)


def system_key(name: str) -> str:
    """Return a system's name as both the votes and the files spell it: 'aniportrait-square' too."""
    return name.lower().partition("-")[0]
