"""How numbers, intervals and verdicts are put into words: the same in the terminal, HTML and LaTeX."""

import math
from collections import Counter
from typing import Final

from eval.leaderboard import ACCOUNTS, Board, Cell, Contrast
from eval.leaderboard.columns import Column
from eval.reasons import REASONS
from eval.statistics import MIN_CASES, Interval

ARROWS: Final = {"higher": "↑", "lower": "↓", "neither": "·"}
"""Direction in which a metric improves; a dot for descriptive ones."""

DIRECTIONS: Final = {
    "higher": "higher is better",
    "lower": "lower is better",
    "neither": "descriptive, no better or worse",
}

MARKS: Final = {
    "better": "▲",
    "worse": "▼",
    "differs": "≠",
    "undecided": "≈",
    "too few": "",
    "none": "",
}
"""Signs beside a mean that say how it compares with the baseline; never colour alone."""

VERDICTS: Final = {
    "better": "better",
    "worse": "worse",
    "differs": "differs",
    "undecided": "undecided",
    "too few": "too few",
    "none": "no overlap",
}

LEGEND: Final = (
    "↑ higher is better, ↓ lower is better, · descriptive. [low, high]: 95 % interval over cases. "
    "n: cases with a value; %: share of clips with a value. #1=: rank, = shared with systems that "
    "cannot be told apart. ▲ better, ▼ worse, ≠ different, ≈ undecided against the baseline."
)

NOTHING: Final = "–"

ROUNDING: Final = 1e-12
"""Size below which a number is what rounding left of zero, and prints as one."""


def decimals(value: float) -> int:
    """Return digits after the point that suit a number's size."""
    size = abs(value)
    if size >= 1000 or size == 0:
        return 0
    if size >= 100:
        return 1
    return 2 if size >= 1 else 3


def number(value: float | None, like: float | None = None) -> str:
    """Return a number as printed, with a true minus sign.

    Args:
        value: None prints as a dash.
        like: Number whose digits after the point to use, so that a mean and its interval line up.
    """
    if value is None:
        return NOTHING
    value = 0.0 if abs(value) < ROUNDING else value
    guide = value if like is None else like
    largest = max(abs(value), abs(guide))
    extreme = largest >= 1e6 or 0 < largest < 1e-3
    text = f"{abs(value):{'.2e' if extreme else f'.{decimals(guide)}f'}}"
    return f"−{text}" if value < 0 and float(text) != 0 else text


def signed(value: float | None, like: float | None = None) -> str:
    """Return a difference with its sign."""
    text = number(value, like)
    return f"+{text}" if value is not None and value >= ROUNDING else text


def bounds(interval: Interval, like: float | None = None, *, with_sign: bool = False) -> str:
    """Return `[low, high]`."""
    show = signed if with_sign else number
    return f"[{show(interval.low, like)}, {show(interval.high, like)}]"


def share(part: float) -> str:
    """Return a share in [0, 1] as a percentage that says 100 % and 0 % only when it is so."""
    percent = 100 * part
    if 0 < percent < 1:
        return "<1 %"
    if 99 < percent < 100:
        return ">99 %"
    return f"{percent:.0f} %"


def p_value(p: float | None) -> str:
    """Return a p value in three digits."""
    if p is None:
        return NOTHING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def too_few(n: int) -> str:
    """Return what stands in place of an interval below `MIN_CASES` cases."""
    return f"n={n}: too few"


def rank_text(cell: Cell) -> str:
    """Return `#2`, `#1=` for a shared rank, or nothing where ranks cannot be shown."""
    if cell.rank is None:
        return ""
    return f"#{cell.rank}{'=' if cell.tied else ''}"


def cell_lines(cell: Cell) -> tuple[str, str, str]:
    """Return a cell of the board as three short lines: mean and marks, interval, n and coverage."""
    mark = MARKS[cell.contrast.verdict] if cell.contrast else ""
    first = " ".join(part for part in (number(cell.mean), mark, rank_text(cell)) if part)
    if cell.mean is None:
        second = main_reason(cell)
    elif cell.interval is None:
        second = too_few(cell.n)
    else:
        second = bounds(cell.interval, cell.mean)
    third = share(cell.coverage) if cell.too_few else f"n={cell.n} · {share(cell.coverage)}"
    return first, second, third


def main_reason(cell: Cell) -> str:
    """Return the most frequent reason for missing values, '' where none is missing."""
    if not cell.reasons:
        return ""
    return min(cell.reasons, key=lambda reason: (-cell.reasons[reason], reason))


def paired_list(contrast: Contrast) -> str:
    """Return every case with its difference."""
    largest = max((abs(value) for value in contrast.differences), default=0.0)
    return ", ".join(
        f"{case} {signed(value, largest)}"
        for (_, case), value in zip(contrast.cases, contrast.differences, strict=True)
    )


def column_heading(column: Column) -> tuple[str, str]:
    """Return name with direction, and variant with unit."""
    below = f"{column.variant}, {column.metric.unit}" if column.metric.unit else column.variant
    if column.unverified:
        below += " (unverified)"
    return f"{column.metric.name} {ARROWS[column.metric.better]}", below


def suite_names(board_suites: tuple[str, ...]) -> str:
    """Return the suites in words; a folder without a suite has an empty name."""
    return ", ".join(name or "(no suite)" for name in board_suites) or "(published rows only)"


def board_title(board: Board) -> str:
    """Return one line: what the board is about."""
    facts = board.provenance
    parts = [
        f"suite {suite_names(facts.suites)}",
        plural(len(board.systems), "system"),
        plural(facts.cases, "case"),
        plural(facts.clips, "clip"),
    ]
    if board.baseline:
        parts.append(f"baseline {board.baseline}")
    return " · ".join(parts)


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def explain(reason: str) -> str:
    """Return the sentence behind a reason code."""
    return REASONS.get(reason) or ACCOUNTS.get(reason) or "unknown reason"


def missing_by_reason(board: Board) -> dict[str, Counter[str]]:
    """Return, by reason, how many clips each column lacks, most frequent reason first."""
    found: dict[str, Counter[str]] = {}
    for cell in board.cells:
        for reason, count in cell.reasons.items():
            found.setdefault(reason, Counter())[cell.column] += count
    return dict(sorted(found.items(), key=lambda item: (-item[1].total(), item[0])))


def published_matrix(board: Board) -> tuple[list[str], dict[str, dict[str, str]], list[str]]:
    """Lay published numbers out as systems by metrics.

    Returns:
        Names `family.name/variant` of the columns; text by system and column, with † on numbers that do
        not compare with local ones; and what † and its absence mean.
    """
    columns = list(dict.fromkeys(f"{row.metric}/{row.variant}" for row in board.published))
    rows: dict[str, dict[str, str]] = {}
    for row in board.published:
        text = number(row.value) if row.column else f"{number(row.value)}†"
        rows.setdefault(row.system, {})[f"{row.metric}/{row.variant}"] = text
    notes = [
        f"† not comparable: {why}" for why in dict.fromkeys(r.why for r in board.published if r.why)
    ]
    fits = dict.fromkeys(row.column for row in board.published if row.column)
    notes += [f"comparable with {name} above: same specification and suite" for name in fits]
    return columns, rows, notes


def holm_note(board: Board) -> str:
    """Say over how many tests the p values of the board were adjusted."""
    if not board.comparisons:
        return f"no p: fewer than {MIN_CASES} common cases everywhere"
    return f"p after Holm over {plural(board.comparisons, 'comparison')}"


def finite(value: float | None) -> bool:
    """Return whether there is a number to draw."""
    return value is not None and math.isfinite(value)
