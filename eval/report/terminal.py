"""Tables for the terminal: the leaderboard and a comparison, readable from 100 columns on.

Nothing is said by colour alone, and wide boards are cut into several tables instead of squeezed.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.leaderboard import Board, Cell, Comparison
from eval.leaderboard.columns import Column, Refusal
from eval.leaderboard.comparison import CaseChange
from eval.leaderboard.records import TagCell
from eval.report.wording import (
    ARROWS,
    LEGEND,
    MARKS,
    VERDICTS,
    board_title,
    bounds,
    cell_lines,
    column_heading,
    explain,
    holm_note,
    missing_by_reason,
    number,
    p_value,
    paired_list,
    plural,
    published_matrix,
    share,
    signed,
    suite_names,
    too_few,
)

STYLES: Final = {"better": "green", "worse": "red", "differs": "yellow"}
"""Colours that repeat what a mark already says."""

WORST: Final = 10
"""Cases listed per list of a comparison."""

_NAME_WIDTH: Final = 28
_PADDING: Final = 3


def render_leaderboard(
    board: Board, console: Console, *, contrasts: bool = True, tags: Sequence[str] = ()
) -> None:
    """Print a board: means with intervals and coverage, paired differences, what is missing and why.

    Args:
        board: What `build_board` returned.
        console: Where to print; its width decides how many metrics share a table.
        contrasts: Also print the paired differences against the baseline.
        tags: Tags to break means down by; each must have been given to `build_board`.
    """
    console.print(Text("Leaderboard", style="bold").append(f"  {board_title(board)}", style=""))
    if board.systems:
        for columns in _fitting(board, board.measured, console.width):
            console.print(_board_table(board, columns))
        console.print(Text(LEGEND, style="dim"))
    else:
        console.print("No system was scored here; only published numbers follow.")
    if contrasts and board.baseline:
        console.print()
        console.print(_contrast_table(board))
    for tag in tags:
        _render_tag(board, tag, console)
    _render_missing(board, console)
    _render_refused(board.refused, console)
    if board.published:
        console.print()
        console.print("Published numbers, without intervals")
        console.print(_published_table(board))
        for note in published_matrix(board)[2]:
            console.print(Text(note, style="dim"))


def render_comparison(comparison: Comparison, console: Console) -> None:
    """Print two systems side by side: paired differences, worst losses, broken and fixed cases.

    Args:
        comparison: What `compare` returned.
        console: Where to print.
    """
    facts = comparison.provenance
    head = f"  {comparison.first} minus {comparison.second} · suite {suite_names(facts.suites)}"
    console.print(Text("Comparison", style="bold").append(head, style=""))
    console.print(_comparison_table(comparison))
    for row in comparison.rows:
        if row.contrast.verdict == "too few":
            line = f"{row.column}, {too_few(row.contrast.n)}: {paired_list(row.contrast)}"
            console.print(Text(line))
    _render_changes(f"Worst losses of {comparison.first}", comparison.losses, comparison, console)
    _render_changes("Newly broken", comparison.broken, comparison, console)
    _render_changes("Newly fixed", comparison.fixed, comparison, console)
    for name, why in comparison.skipped.items():
        console.print(Text(f"Left out {name}: {why}", style="yellow"))
    _render_refused(comparison.refused, console)


def _fitting(board: Board, columns: Sequence[Column], width: int) -> Iterator[list[Column]]:
    """Yield runs of columns that fit side by side into so many characters."""
    names = max([len(name) for name in board.systems] + [len("System")])
    left = min(names, _NAME_WIDTH) + _PADDING + 1
    run: list[Column] = []
    used = left
    for column in columns:
        needed = _column_width(board, column) + _PADDING
        if run and used + needed > width:
            yield run
            run, used = [], left
        run.append(column)
        used += needed
    if run:
        yield run


def _column_width(board: Board, column: Column) -> int:
    """Return characters that the widest line of a column takes."""
    lines = list(column_heading(column))
    for system in board.systems:
        lines += cell_lines(board.cell(system, column.name))
    return max(len(line) for line in lines)


def _board_table(board: Board, columns: Sequence[Column]) -> Table:
    """Return systems by metrics."""
    table = Table(box=box.ROUNDED, show_lines=True, pad_edge=True)
    table.add_column("System", max_width=_NAME_WIDTH, overflow="fold")
    for column in columns:
        table.add_column(Text("\n".join(column_heading(column))), justify="right", no_wrap=True)
    for system in board.systems:
        kind = board.kinds[system] + (", baseline" if system == board.baseline else "")
        cells = [_cell_text(board.cell(system, column.name)) for column in columns]
        table.add_row(Text(system, style="bold").append(f"\n{kind}", style="dim"), *cells)
    return table


def _cell_text(cell: Cell) -> Text:
    """Return a cell, its first line bold where nobody is shown to be better."""
    first, second, third = cell_lines(cell)
    text = Text(first, style="bold" if cell.rank == 1 else "")
    if cell.contrast and (mark := MARKS[cell.contrast.verdict]):
        text.highlight_words([mark], STYLES.get(cell.contrast.verdict, "dim"))
    return text.append(f"\n{second}", style="not bold").append(f"\n{third}", style="dim not bold")


def _contrast_table(board: Board) -> Table:
    """Return the paired differences of every system against the baseline."""
    title = f"Paired differences against {board.baseline}, {holm_note(board)}"
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Metric", overflow="fold")
    table.add_column("System", overflow="fold", max_width=_NAME_WIDTH)
    table.add_column("n", justify="right")
    table.add_column("Difference", overflow="fold")
    table.add_column("p", justify="right")
    table.add_column("Verdict", no_wrap=True)
    for column in board.columns:
        label = f"{column.name} {ARROWS[column.metric.better]}"
        cells = [board.cell(system, column.name) for system in board.systems]
        measured = any(cell.n for cell in cells)
        for cell in cells:
            contrast = cell.contrast
            if contrast is None or not measured:
                continue
            if contrast.interval is not None:
                like = contrast.mean
                shown = f"{signed(like)} {bounds(contrast.interval, like, with_sign=True)}"
            else:
                shown = "\n".join(
                    part for part in (signed(contrast.mean), paired_list(contrast)) if part
                )
            mark = MARKS[contrast.verdict]
            verdict = Text(
                f"{mark} {VERDICTS[contrast.verdict]}".strip(), STYLES.get(contrast.verdict, "")
            )
            table.add_row(
                Text(label),
                Text(cell.system),
                str(contrast.n),
                Text(shown),
                p_value(contrast.adjusted_p),
                verdict,
            )
            label = ""
    return table


def _render_tag(board: Board, tag: str, console: Console) -> None:
    """Print the means per value of one tag."""
    cells = {(c.value, c.system, c.column): c for c in board.tags if c.tag == tag}
    console.print()
    if not cells:
        console.print(Text(f"By {tag}: all cases are of one kind.", style="dim"))
        return
    values = sorted({value for value, _, _ in cells})
    label_width = max(len(value) for value in (*values, tag)) + _PADDING
    for columns in _fitting(board, board.measured, console.width - label_width):
        table = Table(
            title=Text(f"By {tag}"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
        )
        table.add_column(tag.capitalize())
        table.add_column("System", overflow="fold", max_width=_NAME_WIDTH)
        for column in columns:
            table.add_column(Text("\n".join(column_heading(column))), justify="right", no_wrap=True)
        for value in values:
            label = value
            for system in board.systems:
                shown = [_tag_text(cells[value, system, column.name]) for column in columns]
                table.add_row(Text(label), Text(system), *shown)
                label = ""
            table.add_section()
        console.print(table)


def _tag_text(cell: TagCell) -> Text:
    """Return a tag's mean, interval where there is one, n and coverage."""
    text = Text(number(cell.mean))
    few = cell.n > 0 and cell.interval is None
    if cell.interval is not None:
        text.append(f"\n{bounds(cell.interval, cell.mean)}")
    elif few:
        text.append(f"\n{too_few(cell.n)}")
    covered = share(cell.scored / cell.clips) if cell.clips else "no clip"
    return text.append(f"\n{covered if few else f'n={cell.n} · {covered}'}", style="dim")


def _render_missing(board: Board, console: Console) -> None:
    """Print why clips are missing from means."""
    missing = missing_by_reason(board)
    if not missing:
        return
    table = Table(title="Not measured", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Reason", no_wrap=True)
    table.add_column("Scores", justify="right")
    table.add_column("Meaning and metrics", overflow="fold")
    for reason, columns in missing.items():
        where = ", ".join(f"{name} {count}" for name, count in columns.most_common())
        table.add_row(reason, str(columns.total()), Text(f"{explain(reason)}\n{where}"))
    console.print()
    console.print(table)


def _render_refused(refused: Sequence[Refusal], console: Console) -> None:
    """Print which scores were kept out because they do not compare."""
    for refusal in refused:
        line = (
            f"Refused {plural(refusal.scores, 'score')} of {refusal.system} in {refusal.column}: "
        )
        console.print(Text(f"{line}{refusal.why}", style="yellow"))


def _published_table(board: Board) -> Table:
    """Return numbers from papers, set apart: systems by metrics."""
    columns, rows, _ = published_matrix(board)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("System", overflow="fold", max_width=_NAME_WIDTH)
    for name in columns:
        heading = name.replace(".", "\n", 1).replace("/", "\n", 1)
        table.add_column(Text(heading), justify="right", overflow="fold")
    for system, cells in rows.items():
        table.add_row(Text(system), *[cells.get(name, "") for name in columns])
    return table


def _comparison_table(comparison: Comparison) -> Table:
    """Return one row per metric."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("Metric", overflow="fold")
    table.add_column(Text(comparison.first), justify="right", overflow="fold", max_width=14)
    table.add_column(Text(comparison.second), justify="right", overflow="fold", max_width=14)
    table.add_column("Difference", justify="right")
    table.add_column("n", justify="right")
    table.add_column("p", justify="right", no_wrap=True)
    table.add_column("p (Holm)", justify="right", no_wrap=True)
    table.add_column("Verdict", no_wrap=True)
    for column, row in zip(comparison.columns, comparison.rows, strict=True):
        contrast = row.contrast
        name, below = column_heading(column)
        shown = signed(contrast.mean)
        if contrast.interval is not None:
            shown += f" {bounds(contrast.interval, contrast.mean, with_sign=True)}"
        mark = MARKS[contrast.verdict]
        verdict = f"{mark} {VERDICTS[contrast.verdict]}".strip()
        table.add_row(
            Text(name).append(f"\n{below}", style="dim"),
            number(row.first_mean),
            number(row.second_mean, row.first_mean),
            shown,
            str(contrast.n),
            p_value(contrast.p),
            p_value(contrast.adjusted_p),
            Text(verdict, STYLES.get(contrast.verdict, "")),
        )
    return table


def _render_changes(
    title: str, changes: Sequence[CaseChange], comparison: Comparison, console: Console
) -> None:
    """Print the first cases of a list, and how many more there are."""
    console.print()
    if not changes:
        console.print(Text(f"{title}: none."))
        return
    shown = _worst(changes)
    rest = f", {len(shown)} of {len(changes)}" if len(shown) < len(changes) else ""
    table = Table(
        title=Text(title + rest), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("Case", overflow="fold")
    table.add_column("Metric", overflow="fold")
    table.add_column(Text(comparison.first), justify="right", overflow="fold", max_width=16)
    table.add_column(Text(comparison.second), justify="right", overflow="fold", max_width=16)
    table.add_column("Worse by", justify="right")
    table.add_column("Why", overflow="fold")
    for change in shown:
        table.add_row(
            Text(f"{change.suite}/{change.case}" if change.suite else change.case),
            Text(change.column),
            number(change.first),
            number(change.second, change.first),
            number(change.loss),
            Text(change.why),
        )
    console.print(table)


def _worst(changes: Sequence[CaseChange]) -> list[CaseChange]:
    """Return up to `WORST` changes, taking turns over the metrics: units do not compare."""
    by_column: dict[str, list[CaseChange]] = {}
    for change in changes:
        by_column.setdefault(change.column, []).append(change)
    turns = [
        (place, order, change)
        for order, group in enumerate(by_column.values())
        for place, change in enumerate(group)
    ]
    chosen = sorted(turns, key=lambda turn: turn[:2])[:WORST]
    return [change for _, _, change in sorted(chosen, key=lambda turn: (turn[1], turn[0]))]
