"""Which scores may stand in one column: those measured by the same specification, and no others.

Knows fingerprints and what lies behind them; averages nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from eval.leaderboard.scores import count_rows
from eval.measure import Metric

Descriptions = Mapping[str, Mapping[str, Any]]
"""What each fingerprint stands for: `Measure.description` by fingerprint."""

_KEPT: Final = (
    "system", "suite", "case", "clip_id", "fingerprint", "value", "reason", "created_at",
)  # fmt: skip
"""What a column needs of its rows: copying the rest for every filter is most of a board's time."""

UNKNOWN_SUMMARY: Final = "not in the metric table of this version"


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One metric under one specification: what may be averaged and compared.

    Attributes:
        metric: Name, unit and direction.
        variant: Named specification of the measure.
        fingerprint: Digest of everything that decides the answer.
        unverified: A compatibility mode not yet run against its reference.
    """

    metric: Metric
    variant: str
    fingerprint: str
    unverified: bool = False

    @property
    def name(self) -> str:
        """`family.name/variant`, unique on a board."""
        return f"{self.metric.name}/{self.variant}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Scores left out of a column because another specification made them.

    Attributes:
        system: Whose scores.
        column: Name of the column they would have stood in.
        scores: How many clips have only such scores.
        fingerprint: The specification they were measured with.
        why: One sentence that names what differs and what to do.
    """

    system: str
    column: str
    scores: int
    fingerprint: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnScores:
    """A column with the rows that belong into it.

    Attributes:
        column: The metric and its specification.
        rows: Tidy rows of local systems under the column's fingerprint.
        refused: Rows of clips that have a score of this metric only under another fingerprint.
    """

    column: Column
    rows: pd.DataFrame
    refused: pd.DataFrame = field(repr=False)


def choose_columns(
    local: pd.DataFrame, metrics: Mapping[str, Metric], descriptions: Descriptions
) -> list[ColumnScores]:
    """Split local scores into columns, each of one fingerprint.

    Where a metric and variant has several fingerprints, the column takes the one under which most
    systems have a value, then most systems have any score, then the newest.

    Args:
        local: Checked tidy rows without published ones.
        metrics: Facts by metric name; their order is the order of the columns.
        descriptions: What fingerprints stand for, as far as known.
    """
    order = {name: place for place, name in enumerate(metrics)}
    names = sorted(
        {
            (str(name), str(variant))
            for name, variant in zip(local["metric"], local["variant"], strict=True)
        },
        key=lambda pair: (order.get(pair[0], len(order)), *pair),
    )
    chosen = []
    for name, variant in names:
        fits_name = (local["metric"] == name) & (local["variant"] == variant)
        rows = local.loc[fits_name, list(_KEPT)]
        fingerprint = _shared_fingerprint(rows)
        fits = rows["fingerprint"] == fingerprint
        inside = rows[fits]
        lost = rows[~fits & ~rows["clip_id"].isin(inside["clip_id"])]
        column = Column(
            metric=metric_facts(name, metrics),
            variant=variant,
            fingerprint=fingerprint,
            unverified=bool(descriptions.get(fingerprint, {}).get("unverified", False)),
        )
        newest = lost.sort_values("created_at").drop_duplicates("clip_id", keep="last")
        chosen.append(ColumnScores(column=column, rows=inside, refused=newest))
    return chosen


def metric_facts(name: str, metrics: Mapping[str, Metric]) -> Metric:
    """Return what the metric table says of a metric; a retired one is shown without a direction."""
    if name in metrics:
        return metrics[name]
    return Metric(name=name, unit="", better="neither", summary=UNKNOWN_SUMMARY)


def list_refusals(chosen: Sequence[ColumnScores], descriptions: Descriptions) -> list[Refusal]:
    """Say which scores were left out of their column, and what differs in their specification."""
    found = []
    for entry in chosen:
        for (system, fingerprint), count in count_rows(
            entry.refused, "system", "fingerprint"
        ).items():
            differs = name_difference(fingerprint, entry.column.fingerprint, descriptions)
            found.append(
                Refusal(
                    system=system,
                    column=entry.column.name,
                    scores=count,
                    fingerprint=fingerprint,
                    why=f"{differs}; score these clips again to compare them",
                )
            )
    return found


def name_difference(first: str, second: str, descriptions: Descriptions) -> str:
    """Say in words what differs between two specifications.

    Args:
        first: Fingerprint of the scores in question.
        second: Fingerprint they are held against.
        descriptions: What fingerprints stand for, as far as known.

    Returns:
        For example `specification 3f… differs from 9a…: weights.hand is missing, not 77ab…`.
    """
    head = f"specification {first or '(none)'} differs from {second or '(none)'}"
    if first not in descriptions or second not in descriptions:
        return f"{head} (what they stand for is not stored)"
    ours, theirs = _flatten(descriptions[first]), _flatten(descriptions[second])
    parts = [
        f"{key} is {_short(ours.get(key))}, not {_short(theirs.get(key))}"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    ]
    return f"{head}: {'; '.join(parts)}" if parts else head


def _shared_fingerprint(rows: pd.DataFrame) -> str:
    """Return the fingerprint of a column: shared by most systems, then newest, then by name."""
    ranked = [
        (
            part.loc[part["value"].notna(), "system"].nunique(),
            part["system"].nunique(),
            part["created_at"].max(),
            str(fingerprint),
        )
        for fingerprint, part in rows.groupby("fingerprint", sort=True)
    ]
    return max(ranked)[-1]


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as dotted keys."""
    if not isinstance(value, Mapping):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat.update(_flatten(inner, f"{prefix}.{key}" if prefix else str(key)))
    return flat


def _short(value: Any) -> str:
    """Return a value short enough for a sentence."""
    text = "absent" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:23]}…"
