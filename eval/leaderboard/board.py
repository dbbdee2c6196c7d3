"""From the tidy table of scores to a leaderboard: means, coverage, intervals, ranks, contrasts, tags.

Means are taken within a case first (over its seeds) and then over cases, so a case with many seeds
weighs no more than one with a single seed, and the case is what intervals resample.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eval.leaderboard.case_table import case_table
from eval.leaderboard.columns import (
    Column,
    ColumnScores,
    Descriptions,
    choose_columns,
    list_refusals,
)
from eval.leaderboard.labels import TAGS
from eval.leaderboard.means import CaseMeans, case_means
from eval.leaderboard.prepared import PreparedScores, prepare_scores
from eval.leaderboard.provenance import trace
from eval.leaderboard.records import Board, Cell, Contrast, Published, judge
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
    scores: pd.DataFrame | PreparedScores,
    metrics: Mapping[str, Metric],
    *,
    baseline: str | None = None,
    descriptions: Descriptions | None = None,
    tags: Sequence[str] = TAGS,
) -> Board:
    """Build the leaderboard of all scores in the table.

    Args:
        scores: Tidy table with `SCORE_COLUMNS`, narrowed with `select_scores` as wished, or prepared
            from one, which saves most of the time of every further board.
        metrics: Facts by metric name; their order is the order of the columns.
        baseline: System the others are held against; None takes the first row.
        descriptions: What fingerprints stand for (`Measure.description`), to name differences.
        tags: Tags to break the means down by; none saves half of the time.

    Raises:
        InputError: The table is unfit or empty, or the baseline is not a local system in it.
    """
    table = scores if isinstance(scores, PreparedScores) else prepare_scores(scores)
    known = descriptions or {}
    facts = _system_facts(table)
    systems = order_systems(facts)
    chosen_baseline = _choose_baseline(baseline, systems)
    chosen = choose_columns(table, metrics, known)
    means = [case_means(table, entry.rows, systems) for entry in chosen]
    contrasts = _contrasts(table, chosen, means, chosen_baseline)
    cells = _cells(table, chosen, means, contrasts)
    columns = tuple(entry.column for entry in chosen)
    return Board(
        systems=tuple(systems),
        kinds={name: fact.kind for name, fact in facts.items()},
        columns=columns,
        cells=tuple(cells),
        baseline=chosen_baseline,
        comparisons=sum(1 for contrast in contrasts.values() if contrast.p is not None),
        published=tuple(_published(table, columns)),
        tags=tuple(tag_cells(table, chosen, systems, tags)),
        refused=tuple(list_refusals(table, chosen, known)),
        cases=case_table(table, chosen, means),
        provenance=trace(table),
    )


class _SystemFacts(NamedTuple):
    """What the first score of a system says of it."""

    kind: str
    family: str
    step: float


def order_systems(facts: Mapping[str, _SystemFacts]) -> list[str]:
    """Return systems as shown: checkpoints by family and step, then the others by name."""
    return sorted(
        facts,
        key=lambda name: (
            facts[name].kind != "checkpoint", facts[name].family, facts[name].step, name,
        ),
    )  # fmt: skip


def contrast_columns(
    scores: PreparedScores,
    pairs: Sequence[tuple[CaseMeans, str, str, str]],
    family: int | None = None,
) -> list[Contrast]:
    """Compare pairs of systems on their common cases, adjusting all tests together.

    Args:
        scores: Where the cases are.
        pairs: Case means, first system, second system, direction of the metric.
        family: Tests adjusted together; the number of pairs if not given.
    """
    differences, common = [], []
    for means, first, second, _ in pairs:
        difference = means.of(first) - means.of(second)
        both = ~np.isnan(difference)
        differences.append(difference[both])
        common.append(means.cases[both])
    tests = paired_differences(differences, family=family)
    adjusted = holm([test.p for test in tests])
    return [
        Contrast(
            n=test.n,
            mean=test.mean,
            interval=test.interval,
            p=test.p,
            adjusted_p=p,
            verdict=judge(test.mean, p, better),
            cases=tuple(scores.cases[code] for code in cases.tolist()),
            differences=tuple(column.tolist()),
        )
        for test, p, column, cases, (_, _, _, better) in zip(
            tests, adjusted, differences, common, pairs, strict=True
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


def _system_facts(scores: PreparedScores) -> dict[str, _SystemFacts]:
    """Return what is known of each system by its name."""
    codes, first = np.unique(scores.system[scores.rows], return_index=True)
    rows = scores.frame(scores.rows[first])
    return {
        scores.systems[code]: _SystemFacts(
            str(kind), str(family or ""), float(step) if pd.notna(step) else -1.0
        )
        for code, kind, family, step in zip(
            codes.tolist(), rows["kind"], rows["family"], rows["step"], strict=True
        )
    }


def _contrasts(
    scores: PreparedScores,
    chosen: Sequence[ColumnScores],
    means: Sequence[CaseMeans],
    baseline: str,
) -> dict[tuple[str, str], Contrast]:
    """Return the contrast with the baseline by (system, column)."""
    if not baseline:
        return {}
    keys = [
        (system, entry.column, table)
        for entry, table in zip(chosen, means, strict=True)
        for system in table.systems
        if system != baseline
    ]
    found = contrast_columns(
        scores, [(table, system, baseline, column.metric.better) for system, column, table in keys]
    )
    return {
        (system, column.name): contrast
        for (system, column, _), contrast in zip(keys, found, strict=True)
    }


def _cells(
    scores: PreparedScores,
    chosen: Sequence[ColumnScores],
    means: Sequence[CaseMeans],
    contrasts: Mapping[tuple[str, str], Contrast],
) -> list[Cell]:
    """Return one cell per system and column, columns varying slowest."""
    samples = [table.sample(system) for table in means for system in table.systems]
    intervals = iter(mean_intervals(samples))
    ranks = _ranks(chosen, means)
    clips, unanswered = _clip_counts(scores)
    cells = []
    left = iter(samples)
    for place, (entry, table) in enumerate(zip(chosen, means, strict=True)):
        common = _common_means(table)
        counts = count_reasons(scores, entry)
        for system in table.systems:
            sample = next(left)
            scored, reasons = counts.get(system, (0, {}))
            own = clips[system]
            reasons = reasons | {
                "not_scored": own - scored - sum(reasons.values()),
                "no_clip": unanswered[system],
            }
            rank = ranks[place].get(system)
            cells.append(
                Cell(
                    system=system,
                    column=entry.column.name,
                    mean=float(sample.mean()) if sample.size else None,
                    n=sample.size,
                    scored=scored,
                    clips=own + unanswered[system],
                    interval=next(intervals),
                    common_mean=common[1].get(system),
                    common_n=common[0],
                    reasons={name: count for name, count in sorted(reasons.items()) if count},
                    rank=rank,
                    tied=tuple(
                        other
                        for other in table.systems
                        if rank is not None and other != system and ranks[place].get(other) == rank
                    ),
                    contrast=contrasts.get((system, entry.column.name)),
                )
            )
    return cells


def _clip_counts(scores: PreparedScores) -> tuple[dict[str, int], dict[str, int]]:
    """Return, by system, its clips and the cases that others answered and it did not."""
    system, case = scores.system[scores.rows], scores.case[scores.rows]
    found = []
    for other in (scores.clip[scores.rows], case):
        width = int(other.max(initial=0)) + 1
        distinct = np.unique(system * width + other) // width
        found.append(np.bincount(distinct, minlength=len(scores.systems)).tolist())
    clips, answered = found
    cases = np.unique(case).size
    return (
        dict(zip(scores.systems, clips, strict=True)),
        {name: cases - count for name, count in zip(scores.systems, answered, strict=True)},
    )


def _common_means(means: CaseMeans) -> tuple[int, dict[str, float]]:
    """Return how many cases all systems with a value have in common, and their means on those."""
    held = means.held()
    values = means.values[:, [means.systems.index(name) for name in held]]
    common = values[~np.isnan(values).any(axis=1)] if held else values[:0]
    if not len(common):
        return 0, {}
    return len(common), {
        name: float(np.ascontiguousarray(common[:, place]).mean())
        for place, name in enumerate(held)
    }


def count_reasons(
    scores: PreparedScores, entry: ColumnScores
) -> dict[str, tuple[int, dict[str, int]]]:
    """Return, by system, clips with a value and clips by reason for having none."""
    system, reason = scores.system[entry.rows], scores.reason[entry.rows]
    scored = Counter(system[~np.isnan(scores.value[entry.rows])].tolist())
    why = Counter(zip(system[reason >= 0].tolist(), reason[reason >= 0].tolist(), strict=True))
    nulls: dict[int, dict[str, int]] = defaultdict(dict)
    for (code, text), count in sorted(why.items()):
        nulls[code][scores.reasons[text]] = count
    for code, count in Counter(scores.system[entry.refused].tolist()).items():
        nulls[code]["other_spec"] = count
    return {scores.systems[code]: (scored[code], dict(nulls[code])) for code in {*scored, *nulls}}


def _ranks(chosen: Sequence[ColumnScores], means: Sequence[CaseMeans]) -> list[dict[str, int]]:
    """Rank the systems of each column by paired tests of all pairs, Holm-adjusted within the column.

    Systems that cannot be tested against every other one (too few common cases) have no rank, and a
    metric without a direction has none at all.
    """
    held = [
        () if entry.column.metric.better == "neither" else table.held()
        for entry, table in zip(chosen, means, strict=True)
    ]
    samples: list[Array] = []
    for names, table in zip(held, means, strict=True):
        for first, second in combinations(names, 2):
            difference = table.of(first) - table.of(second)
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


def _published(scores: PreparedScores, columns: Sequence[Column]) -> list[Published]:
    """Set published numbers apart and say why each does not compare, if it does not."""
    by_fingerprint = {(column.fingerprint, column.metric.name): column for column in columns}
    suites = {scores.cases[code][0] for code in np.unique(scores.case[scores.rows]).tolist()}
    found = []
    valued = scores.published[scores.published["value"].notna()]
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
