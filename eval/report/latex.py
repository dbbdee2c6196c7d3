r"""The leaderboard as a LaTeX table for papers: booktabs, best bold, ties underlined, intervals as ±.

The text needs `\usepackage{booktabs}` and, for names beyond Latin letters, XeLaTeX or LuaLaTeX.
"""

from typing import Final

from eval.leaderboard import Board, Cell
from eval.leaderboard.columns import Column
from eval.report.wording import decimals, number, plural, share, suite_names
from eval.statistics import MIN_CASES

_ESCAPES: Final = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "−": r"$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "–": "--",
    "°": r"$^\circ$",
    "µ": r"$\mu$",
    "Δ": r"$\Delta$",
    "²": r"$^2$",
    "\n": " ",
}

_ARROWS: Final = {"higher": r"$\uparrow$", "lower": r"$\downarrow$", "neither": ""}


def to_latex(board: Board, *, caption: str = "", label: str = "tab:leaderboard") -> str:
    r"""Return the board as a `table` environment.

    Bold is the best mean of a metric with a direction; underlined are systems that paired tests cannot
    tell apart from it (their shared first rank). ± is half the width of the 95 % interval. Systems
    with fewer than `MIN_CASES` cases have none and carry their n instead. Published numbers follow below
    a rule, without marks.

    Args:
        board: What `build_board` returned.
        caption: Plain text; empty writes one that says what the signs mean.
        label: For `\ref`; plain ASCII.
    """
    columns = board.measured
    lines = [
        r"\begin{table}[t]",
        r"  \centering",
        rf"  \caption{{{escape_latex(caption) if caption else _caption(board)}}}",
        rf"  \label{{{label}}}",
        rf"  \begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"    \toprule",
        f"    System & {' & '.join(_heading(column) for column in columns)} \\\\",
        f"     & {' & '.join(_subheading(column) for column in columns)} \\\\",
        r"    \midrule",
    ]
    best = {column.name: _best(board, column) for column in columns}
    for system in board.systems:
        shown = [_cell(board.cell(system, column.name), best[column.name]) for column in columns]
        lines.append(f"    {escape_latex(system)} & {' & '.join(shown)} \\\\")
    lines += _published_lines(board)
    lines += [r"    \bottomrule", r"  \end{tabular}", r"\end{table}", ""]
    return "\n".join(lines)


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints as it is."""
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


def _heading(column: Column) -> str:
    """Return a metric's name and direction."""
    return f"{escape_latex(column.metric.name)} {_ARROWS[column.metric.better]}".strip()


def _subheading(column: Column) -> str:
    """Return variant and unit in small print."""
    unit = f", {column.metric.unit}" if column.metric.unit else ""
    note = ", unverified" if column.unverified else ""
    return rf"\scriptsize {escape_latex(column.variant + unit + note)}"


def _best(board: Board, column: Column) -> float | None:
    """Return the best mean of a column; None where there is no direction or nothing to choose."""
    means = [c.mean for c in board.cells if c.column == column.name and c.mean is not None]
    if column.metric.better == "neither" or len(means) < 2:
        return None
    return max(means) if column.metric.better == "higher" else min(means)


def _cell(cell: Cell, best: float | None) -> str:
    """Return a mean with ± and its marks."""
    if cell.mean is None:
        return "--"
    text = escape_latex(number(cell.mean))
    if cell.mean == best:
        text = rf"\textbf{{{text}}}"
    elif cell.rank == 1 and best is not None:
        text = rf"\underline{{{text}}}"
    if cell.interval is None:
        return rf"{text} {{\scriptsize $n={cell.n}$}}"
    half = (cell.interval.high - cell.interval.low) / 2
    note = (
        rf"$\pm$\,{escape_latex(number(half, cell.mean) if decimals(cell.mean) else number(half))}"
    )
    if cell.coverage < 1:
        note += f" ({escape_latex(share(cell.coverage))})"
    return rf"{text} {{\scriptsize {note}}}"


def _published_lines(board: Board) -> list[str]:
    """Return published numbers below a rule, in the column that has the same metric."""
    if not board.published:
        return []
    lines = [r"    \midrule"]
    for system in dict.fromkeys(row.system for row in board.published):
        rows = [row for row in board.published if row.system == system]
        cells = []
        for place, column in enumerate(board.measured):
            name = column.metric.name
            again = any(other.metric.name == name for other in board.measured[:place])
            # A published number stands once: in the column it fits, else in its metric's first one.
            fits = [
                row
                for row in rows
                if row.column == column.name
                or (row.metric == name and not row.column and not again)
            ]
            shown = [
                escape_latex(number(row.value)) + ("" if row.column else r"$^\dagger$")
                for row in fits
            ]
            cells.append(" / ".join(shown) or "--")
        lines.append(rf"    \textit{{{escape_latex(system)}}} (published) & {' & '.join(cells)} \\")
    return lines


def _caption(board: Board) -> str:
    """Return a caption that says what is shown."""
    facts = board.provenance
    few = any(cell.too_few for cell in board.cells)
    parts = [
        f"Suite {escape_latex(suite_names(facts.suites))}, {plural(facts.cases, 'case')}.",
        r"Bold: best mean; underlined: not told apart from it by paired tests;",
        r"$\pm$: half of the 95\,\% interval over cases; in brackets: share of clips measured if not all.",
    ]
    if few:
        parts.append(f"Fewer than {MIN_CASES} cases give $n$ instead of an interval.")
    if any(not row.column for row in board.published):
        parts.append(r"$\dagger$: published, by another specification or on other cases.")
    return " ".join(parts)
