"""What got worse: cases ordered by how much they lost, over metrics whose units do not compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.leaderboard import Comparison
from eval.leaderboard.comparison import CaseChange
from eval.records import System


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """A case on which the candidate lost.

    Attributes:
        suite: Name of the suite.
        case: Its id.
        losses: The metrics it lost in, with the loss in standard deviations of the metric's paired
            differences, largest first.
    """

    suite: str
    case: str
    losses: tuple[tuple[CaseChange, float], ...]


def worst_losses(found: Comparison, column: str | None = None) -> list[Regression]:
    """Return the cases with losses, worst first.

    Args:
        found: Candidate against reference.
        column: Only this metric; None for all.
    """
    spreads = {row.column: root_mean_square(row.contrast.differences) for row in found.rows}
    cases: dict[tuple[str, str], list[tuple[CaseChange, float]]] = {}
    for change in found.losses:
        spread = spreads[change.column]
        if change.loss is not None and spread > 0 and column in (None, change.column):
            entry = (change, change.loss / spread)
            cases.setdefault((change.suite, change.case), []).append(entry)
    worst = [
        Regression(
            suite=suite, case=case,
            losses=tuple(sorted(losses, key=lambda entry: (-entry[1], entry[0].column))),
        )
        for (suite, case), losses in cases.items()
    ]  # fmt: skip
    return sorted(worst, key=lambda item: (-item.losses[0][1], item.suite, item.case))


def root_mean_square(values: Sequence[float]) -> float:
    """Return the spread of differences around zero; scaled first, since values may be huge."""
    largest = max((abs(value) for value in values), default=0.0)
    if largest == 0:
        return 0.0
    return float(largest * (sum((value / largest) ** 2 for value in values) / len(values)) ** 0.5)


def default_pair(names: Sequence[str], systems: Mapping[str, System]) -> tuple[str, str]:
    """Return the newest checkpoint and the one before it; else the first two names.

    Args:
        names: Systems with scores, at least two.
        systems: What is known of them.
    """
    families: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        system = systems.get(name)
        if system is not None and system.kind == "checkpoint" and system.step is not None:
            families.setdefault(system.family, []).append((system.step, name))
    runs = [sorted(steps) for steps in families.values() if len(steps) > 1]
    if not runs:
        return names[0], names[1]
    longest = max(runs, key=lambda steps: (len(steps), steps[-1][0]))
    return longest[-1][1], longest[-2][1]
