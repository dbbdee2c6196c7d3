"""From the tidy table of scores to a leaderboard: means, coverage, intervals, ranks, contrasts, tags.

Means are taken within a case first (over its seeds) and then over cases, so a case with many seeds
weighs no more than one with a single seed, and the case is what intervals resample.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eval.leaderboard.columns import (
    Column,
    ColumnScores,
    Descriptions,
    choose_columns,
    list_refusals,
)
from eval.leaderboard.provenance import trace
from eval.leaderboard.records import Board, Cell, Contrast, Published, judge
from eval.leaderboard.scores import TAGS, case_means, check_scores, count_rows
from eval.leaderboard.tags import tag_cells
from eval.measure import Metric
from eval.statistics import (
    SIGNIFICANCE,
    flips_for,
    holm,
    mean_intervals,
    paired_differences,
    sign_flip_p_values,
    tie_ranks,
)
from joystreamer.errors import InputError

Array = NDArray[np.float64]


def build_board(
    scores: pd.DataFrame,
    metrics: Mapping[str, Metric],
    *,
    baseline: str | None = None,
    descriptions: Descriptions | None = None,
    tags: Sequence[str] = TAGS,
) -> Board:
    """Build the leaderboard of all scores in the table.

    Args:
        scores: Tidy table with `SCORE_COLUMNS`, narrowed with `select_scores` as wished.
        metrics: Facts by metric name; their order is the order of the columns.
        baseline: System the others are held against; None takes the first row.
        descriptions: What fingerprints stand for (`Measure.description`), to name differences.
        tags: Tags to break the means down by; none saves half of the time.

    Raises:
        InputError: The table is unfit or empty, or the baseline is not a local system in it.
    """
    table = check_scores(scores)
    known = descriptions or {}
    local = table[table["kind"] != "published"]
    systems = order_systems(local)
    chosen_baseline = _choose_baseline(baseline, systems)
    chosen = choose_columns(local, metrics, known)
    means = [case_means(entry.rows).reindex(columns=systems) for entry in chosen]
    contrasts = _contrasts(chosen, means, systems, chosen_baseline)
    cells = _cells(local, chosen, means, systems, contrasts)
    columns = tuple(entry.column for entry in chosen)
    return Board(
        systems=tuple(systems),
        kinds={name: str(kind) for name, kind in _first_of(local, "kind").items()},
        columns=columns,
        cells=tuple(cells),
        baseline=chosen_baseline,
        comparisons=sum(1 for contrast in contrasts.values() if contrast.p is not None),
        published=tuple(_published(table[table["kind"] == "published"], columns, local)),
        tags=tuple(tag_cells(local, chosen, systems, tags)),
        refused=tuple(list_refusals(chosen, known)),
        cases=_case_table(chosen),
        provenance=trace(table),
    )


def order_systems(local: pd.DataFrame) -> list[str]:
    """Return systems as shown: checkpoints by family and step, then the others by name."""
    facts = local.drop_duplicates("system")
    rows = [
        (
            kind != "checkpoint",
            str(family or ""),
            float(step) if pd.notna(step) else -1.0,
            str(system),
        )
        for system, kind, family, step in zip(
            facts["system"], facts["kind"], facts["family"], facts["step"], strict=True
        )
    ]
    return [row[-1] for row in sorted(rows)]


def contrast_columns(
    pairs: Sequence[tuple[pd.DataFrame, str, str, str]], family: int | None = None
) -> list[Contrast]:
    """Compare pairs of systems on their common cases, adjusting all tests together.

    Args:
        pairs: Table of case means, first system, second system, direction of the metric.
        family: Tests adjusted together; the number of pairs if not given.
    """
    differences = []
    for means, first, second, _ in pairs:
        difference = (means[first] - means[second]).dropna()
        differences.append(difference)
    tests = paired_differences(
        [column.to_numpy(dtype=np.float64) for column in differences], family=family
    )
    adjusted = holm([test.p for test in tests])
    return [
        Contrast(
            n=test.n,
            mean=test.mean,
            interval=test.interval,
            p=test.p,
            adjusted_p=p,
            verdict=judge(test.mean, p, better),
            cases=tuple((str(suite), str(case)) for suite, case in column.index),
            differences=tuple(float(value) for value in column),
        )
        for test, p, column, (_, _, _, better) in zip(
            tests, adjusted, differences, pairs, strict=True
        )
    ]


def _choose_baseline(baseline: str | None, systems: Sequence[str]) -> str:
    """Return the baseline's name, '' where there is nothing to compare.

    Raises:
        InputError: The system asked for has no scores here.
    """
    if baseline is not None and baseline not in systems:
        raise InputError(
            f"the baseline {baseline!r} has no local scores here; choose one of {', '.join(systems)}"
        )
    if len(systems) < 2:
        return ""
    return baseline if baseline is not None else systems[0]


def _contrasts(
    chosen: Sequence[ColumnScores],
    means: Sequence[pd.DataFrame],
    systems: Sequence[str],
    baseline: str,
) -> dict[tuple[str, str], Contrast]:
    """Return the contrast with the baseline by (system, column)."""
    if not baseline:
        return {}
    keys = [
        (system, entry.column, table)
        for entry, table in zip(chosen, means, strict=True)
        for system in systems
        if system != baseline
    ]
    found = contrast_columns(
        [(table, system, baseline, column.metric.better) for system, column, table in keys]
    )
    return {
        (system, column.name): contrast
        for (system, column, _), contrast in zip(keys, found, strict=True)
    }


def _cells(
    local: pd.DataFrame,
    chosen: Sequence[ColumnScores],
    means: Sequence[pd.DataFrame],
    systems: Sequence[str],
    contrasts: Mapping[tuple[str, str], Contrast],
) -> list[Cell]:
    """Return one cell per system and column, columns varying slowest."""
    samples = [
        table[system].dropna().to_numpy(dtype=np.float64) for table in means for system in systems
    ]
    intervals = mean_intervals(samples)
    ranks = _ranks(chosen, means)
    clips = local.groupby("system")["clip_id"].nunique()
    answered = local[["system", "suite", "case"]].drop_duplicates().groupby("system").size()
    all_cases = len(local[["suite", "case"]].drop_duplicates())
    cells = []
    for place, (entry, table) in enumerate(zip(chosen, means, strict=True)):
        held = [system for system in systems if table[system].notna().any()]
        common = table[held].dropna() if held else table.iloc[:0]
        counts = _reason_counts(entry)
        for offset, system in enumerate(systems):
            sample = samples[place * len(systems) + offset]
            scored, reasons = counts.get(system, (0, {}))
            own = int(clips[system])
            reasons = reasons | {
                "not_scored": own - scored - sum(reasons.values()),
                "no_clip": all_cases - int(answered[system]),
            }
            rank = ranks[place].get(system)
            cells.append(
                Cell(
                    system=system,
                    column=entry.column.name,
                    mean=float(sample.mean()) if sample.size else None,
                    n=sample.size,
                    scored=scored,
                    clips=own + reasons["no_clip"],
                    interval=intervals[place * len(systems) + offset],
                    common_mean=float(common[system].mean())
                    if len(common) and system in held
                    else None,
                    common_n=len(common),
                    reasons={name: count for name, count in sorted(reasons.items()) if count},
                    rank=rank,
                    tied=tuple(
                        other
                        for other in systems
                        if rank is not None and other != system and ranks[place].get(other) == rank
                    ),
                    contrast=contrasts.get((system, entry.column.name)),
                )
            )
    return cells


def _reason_counts(entry: ColumnScores) -> dict[str, tuple[int, dict[str, int]]]:
    """Return, by system, clips with a value and clips by reason for having none."""
    found: dict[str, tuple[int, dict[str, int]]] = {}
    scored = count_rows(entry.rows[entry.rows["value"].notna()], "system")
    nulls: dict[str, dict[str, int]] = defaultdict(dict)
    for (system, reason), count in count_rows(entry.rows, "system", "reason").items():
        nulls[system][reason] = count
    for (system,), count in count_rows(entry.refused, "system").items():
        nulls[system]["other_spec"] = count
    for system in {*(key[0] for key in scored), *nulls}:
        found[system] = (scored.get((system,), 0), nulls[system])
    return found


def _ranks(chosen: Sequence[ColumnScores], means: Sequence[pd.DataFrame]) -> list[dict[str, int]]:
    """Rank the systems of each column by paired tests of all pairs, Holm-adjusted within the column.

    Systems that cannot be tested against every other one (too few common cases) have no rank, and a
    metric without a direction has none at all.
    """
    held = [
        []
        if entry.column.metric.better == "neither"
        else [str(name) for name in table.columns if table[name].notna().any()]
        for entry, table in zip(chosen, means, strict=True)
    ]
    samples: list[Array] = []
    for names, table in zip(held, means, strict=True):
        values = table[names].to_numpy(dtype=np.float64)
        for first, second in combinations(range(len(names)), 2):
            difference = values[:, first] - values[:, second]
            samples.append(difference[~np.isnan(difference)])
    most = max((len(names) * (len(names) - 1) // 2 for names in held), default=0)
    p_values = sign_flip_p_values(samples, flips=flips_for(most))
    ranks, start = [], 0
    for entry, names in zip(chosen, held, strict=True):
        stop = start + len(names) * (len(names) - 1) // 2
        higher = entry.column.metric.better == "higher"
        ranks.append(_column_ranks(names, samples[start:stop], p_values[start:stop], higher=higher))
        start = stop
    return ranks


def _column_ranks(
    names: Sequence[str],
    differences: Sequence[Array],
    p_values: Sequence[float | None],
    *,
    higher: bool,
) -> dict[str, int]:
    """Return the shared ranks of one column from the tests of all pairs of its systems."""
    beaten = np.zeros((len(names), len(names)), dtype=bool)
    untested = set(range(len(names))) if len(names) < 2 else set()
    pairs = combinations(range(len(names)), 2)
    for (first, second), column, p in zip(pairs, differences, holm(p_values), strict=True):
        if p is None:
            untested |= {first, second}
        elif p < SIGNIFICANCE and (mean := column.mean()) != 0:
            winner, loser = (first, second) if (mean > 0) == higher else (second, first)
            beaten[winner, loser] = True
    return {
        name: rank
        for index, (name, rank) in enumerate(zip(names, tie_ranks(beaten), strict=True))
        if index not in untested
    }


def _published(
    rows: pd.DataFrame, columns: Sequence[Column], local: pd.DataFrame
) -> list[Published]:
    """Set published numbers apart and say why each does not compare, if it does not."""
    by_fingerprint = {(column.fingerprint, column.metric.name): column for column in columns}
    suites = {str(name) for name in local["suite"].unique()}
    found = []
    valued = rows[rows["value"].notna()]
    fields = ["system", "metric", "variant", "fingerprint", "suite", "value"]
    for system, name, variant, fingerprint, suite, value in valued[fields].itertuples(
        index=False, name=None
    ):
        column = by_fingerprint.get((fingerprint, name))
        if column is None:
            why = "its specification is not the one measured here"
        elif suites != {suite}:
            why = "it was measured on other cases"
        else:
            why = ""
        found.append(
            Published(
                system=system,
                metric=name,
                variant=variant,
                value=float(value),
                column=column.name if column is not None and not why else "",
                why=why,
            )
        )
    return found


def _case_table(chosen: Sequence[ColumnScores]) -> pd.DataFrame:
    """Return the mean of every case by column and system, its clips, and a reason if any is null."""
    keys = ["suite", "case", "column", "system"]
    parts = [entry.rows.assign(column=entry.column.name) for entry in chosen]
    if not parts:
        return pd.DataFrame(columns=[*keys, "value", "clips", "reason"])
    grouped = pd.concat(parts, ignore_index=True).groupby(keys, sort=True)
    return grouped.agg(
        value=("value", "mean"), clips=("clip_id", "nunique"), reason=("reason", "first")
    ).reset_index()


def _first_of(local: pd.DataFrame, name: str) -> dict[str, object]:
    """Return a fact of each system by its name."""
    facts = local.drop_duplicates("system")
    return dict(zip(facts["system"].astype(str), facts[name], strict=True))
