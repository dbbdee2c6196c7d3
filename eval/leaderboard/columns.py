"""Which scores may stand in one column: those measured by the same specification, and no others.

Knows fingerprints and what lies behind them; averages nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from eval.leaderboard.prepared import Numbers, PreparedScores
from eval.measure import Metric

Descriptions = Mapping[str, Mapping[str, Any]]
"""What each fingerprint stands for: `Measure.description` by fingerprint."""

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
    """A column with the rows that belong into it, by their numbers in `PreparedScores.table`.

    Attributes:
        column: The metric and its specification.
        rows: Scores of local systems under the column's fingerprint.
        refused: The newest score of each clip that has this metric only under another fingerprint.
    """

    column: Column
    rows: Numbers = field(repr=False)
    refused: Numbers = field(repr=False)


def choose_columns(
    scores: PreparedScores, metrics: Mapping[str, Metric], descriptions: Descriptions
) -> list[ColumnScores]:
    """Split local scores into columns, each of one fingerprint.

    Where a metric and variant has several fingerprints, the column takes the one under which most
    systems have a value, then most systems have any score, then the newest.

    Args:
        scores: Those that count.
        metrics: Facts by metric name; their order is the order of the columns.
        descriptions: What fingerprints stand for, as far as known.
    """
    order = {name: place for place, name in enumerate(metrics)}
    pair = scores.pair[scores.rows]  # ascending: the table is in this order
    present = sorted(
        np.unique(pair).tolist(),
        key=lambda code: (order.get(scores.pairs[code][0], len(order)), *scores.pairs[code]),
    )
    chosen = []
    for code in present:
        name, variant = scores.pairs[code]
        start, stop = np.searchsorted(pair, [code, code + 1])
        rows = scores.rows[start:stop]
        inside, refused = _shared_fingerprint(scores, rows)
        fingerprint = scores.fingerprints[scores.fingerprint[inside[0]]]
        column = Column(
            metric=metric_facts(name, metrics),
            variant=variant,
            fingerprint=fingerprint,
            unverified=bool(descriptions.get(fingerprint, {}).get("unverified", False)),
        )
        chosen.append(ColumnScores(column=column, rows=inside, refused=refused))
    return chosen


def metric_facts(name: str, metrics: Mapping[str, Metric]) -> Metric:
    """Return what the metric table says of a metric; a retired one is shown without a direction."""
    if name in metrics:
        return metrics[name]
    return Metric(name=name, unit="", better="neither", summary=UNKNOWN_SUMMARY)


def list_refusals(
    scores: PreparedScores, chosen: Sequence[ColumnScores], descriptions: Descriptions
) -> list[Refusal]:
    """Say which scores were left out of their column, and what differs in their specification."""
    found = []
    for entry in chosen:
        codes = zip(
            scores.system[entry.refused].tolist(),
            scores.fingerprint[entry.refused].tolist(),
            strict=True,
        )
        for (system, other), count in sorted(Counter(codes).items()):
            fingerprint = scores.fingerprints[other]
            differs = name_difference(fingerprint, entry.column.fingerprint, descriptions)
            found.append(
                Refusal(
                    system=scores.systems[system],
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


def _shared_fingerprint(scores: PreparedScores, rows: Numbers) -> tuple[Numbers, Numbers]:
    """Return the rows of one metric under the column's fingerprint, and the refused ones.

    The fingerprint is the one shared by most systems, then newest, then by name.
    """
    fingerprint = scores.fingerprint[rows]
    present = np.unique(fingerprint)
    if present.size == 1:
        return rows, rows[:0]
    made_at = scores.table["created_at"]
    ranked = []
    for code in present.tolist():
        part = rows[fingerprint == code]
        valued = part[~np.isnan(scores.value[part])]
        ranked.append(
            (
                np.unique(scores.system[valued]).size,
                np.unique(scores.system[part]).size,
                made_at.iloc[part].max(),
                code,
            )
        )
    fits = fingerprint == max(ranked)[-1]
    inside = rows[fits]
    lost = rows[~fits & ~np.isin(scores.clip[rows], scores.clip[inside])]
    newest = lost[np.argsort(made_at.iloc[lost].to_numpy(), kind="stable")]
    last: dict[int, int] = {}
    for clip, row in zip(scores.clip[newest][::-1].tolist(), newest[::-1].tolist(), strict=True):
        last.setdefault(clip, row)
    return inside, np.array(list(last.values())[::-1], dtype=np.intp)


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
