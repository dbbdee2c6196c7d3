"""A campaign's results as terminal tables, CSV and LaTeX.

Says on every rendering how many votes, cases and raters there are, who was left out, which ledger the
numbers come from, and whether votes are simulated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.ratings.results import Results, plain_rows
from eval.ratings.statistics.board import Ranking
from eval.report.latex import escape_latex
from eval.store.files import write_text
from eval.text_files import safe_cell

SIGNIFICANT: Final = 0.05
"""Level at which a corrected p-value is marked."""

SCOPE_WORDS: Final = {
    "cases_like_these": "intervals: new cases and new raters",
    "these_cases": "intervals: these cases, new raters",
}


def titles(results: Results) -> dict[str, str]:
    """Title of every dimension by id."""
    return {dimension.id: dimension.title for dimension in results.campaign.dimensions}


def provenance(results: Results) -> str:
    """One line that says where the numbers come from."""
    votes = results.votes.drop_duplicates("assignment")
    work = votes[votes["kind"] == "work"]
    parts = [
        f"{len(work)} answered pairs by {work['rater'].nunique()} raters on {work['case'].nunique()} cases",
        f"{len(results.excluded)} raters left out by the declared rule",
        SCOPE_WORDS[results.settings.scope],
        f"{len(results.campaign.systems)} systems compared",
        f"{results.state}",
        f"ledger {results.head_seq}:{results.head_digest[:16]}",
    ]
    if results.label:
        parts.insert(0, results.label.upper())
    return ", ".join(parts)


def mark(row: Mapping[str, Any]) -> str:
    """▲ or ▼ where a corrected test tells the systems apart, = where it does not, '' untested."""
    p = row.get("p_holm")
    if p is None or pd.isna(p):
        return ""
    if p >= SIGNIFICANT:
        return "="
    return "▲" if row["net"] > 0 else "▼"


def number(value: Any, form: str = ".2f") -> str:
    """A number, or a dash where there is none."""
    return (
        "–"
        if value is None or (isinstance(value, float) and math.isnan(value))
        else format(value, form)
    )


def interval(row: Mapping[str, Any], name: str, form: str = ".2f") -> str:
    """A number with its interval, or with nothing where it has none."""
    centre = number(row[name], form)
    if pd.isna(row[f"{name}_low"]) or pd.isna(row[f"{name}_high"]):
        return centre
    return f"{centre} [{row[f'{name}_low']:{form}}, {row[f'{name}_high']:{form}}]"


def board_table(results: Results, *, everybody: bool = False) -> Table:
    """The board as a terminal table; `everybody` shows it before exclusion."""
    board = results.board_all if everybody else results.board
    title = f"{results.campaign.name}: Good / Same / Bad"
    if results.label:
        title += f" ({results.label})"
    table = Table(title=Text(title), caption=Text(provenance(results)), caption_justify="left")
    for heading in ("first", "second", "dimension"):
        table.add_column(heading, no_wrap=heading == "dimension")
    for heading in ("G/S/B", "(G+S)/(B+S)", "by majority", "net", "", "p (Holm)", "alpha", "note"):
        table.add_column(heading, justify="left" if heading in ("", "note") else "right")
    names = titles(results)
    before: tuple[str, str] | None = None
    for row in plain_rows(board):
        pair = (row["first"], row["second"])
        if before is not None and pair != before:
            table.add_section()
        before = pair
        clean = {key: float("nan") if value is None else value for key, value in row.items()}
        cells = (
            row["first"], row["second"], names.get(row["dimension"], row["dimension"]),
            f"{row['good']}/{row['same']}/{row['bad']}", interval(clean, "ratio"),
            number(clean["majority_ratio"]), interval(clean, "net", "+.2f"), mark(clean),
            number(clean["p_holm"], ".3f"), number(clean["alpha"]), row["note"] or "",
        )  # fmt: skip
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table


def quality_table(results: Results) -> Table:
    """What the checks say about each rater."""
    table = Table(
        title=Text("raters"),
        caption=Text("pay and use are separate: this table decides neither pay nor blame"),
    )
    for heading in (
        "rater",
        "pairs",
        "gold",
        "null Same",
        "repeats",
        "left",
        "one-sided",
        "seconds",
        "watched",
        "peers",
        "left out because",
    ):
        table.add_column(heading)
    for row in plain_rows(results.quality):
        clean = {key: float("nan") if value is None else value for key, value in row.items()}
        reasons = "; ".join(results.excluded.get(row["rater"], ()))
        cells = (
            row["rater"], row["assignments"], _rate(clean, "gold_accuracy", "gold_n"),
            _rate(clean, "null_tie_rate", "null_n"), _rate(clean, "repeat_consistency", "repeat_n"),
            _rate(clean, "left_rate", "decisive_n"), _rate(clean, "straight_lining", "straight_n"),
            number(clean["decision_s"], ".0f"), number(clean["coverage"]), number(clean["peer_agreement"]), reasons,
        )  # fmt: skip
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table


def _rate(row: Mapping[str, Any], name: str, count: str) -> str:
    return f"{number(row[name])} ({row[count]})" if row[count] else "–"


def ranking_table(results: Results, ranking: Ranking) -> Table:
    """Standings of all systems on one dimension."""
    title = f"{titles(results)[ranking.dimension]}: Davidson ranking"
    bias = f"left side {ranking.position:+.2f} [{ranking.position_low:+.2f}, {ranking.position_high:+.2f}]"
    caption = f"{bias}, tie weight {ranking.tie_weight:.2f}"
    if ranking.note:
        caption += f"; {ranking.note}: do not read the intervals"
    table = Table(title=Text(title), caption=Text(caption))
    for heading in ("rank", "rank interval", "system", "strength", "Elo", "group"):
        table.add_column(heading, justify="left" if heading == "system" else "right")
    for s in ranking.standings:
        bounds = f"{s.strength:+.2f} [{s.low:+.2f}, {s.high:+.2f}]"
        cells = (s.rank, f"{s.rank_low}-{s.rank_high}", s.system, bounds, f"{s.elo:+.0f}", s.group)
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table


def print_results(results: Results, console: Console) -> None:
    """Board, exclusions and raters on a terminal."""
    console.print(board_table(results))
    if results.excluded:
        console.print(board_table(results, everybody=True), Text("above: with everybody's votes"))
    console.print(quality_table(results))


def write_board_csv(path: Path, results: Results) -> None:
    """Write the board with every column, one origin column, and the ledger it follows from."""
    board = results.board.copy()
    board.insert(0, "campaign", results.campaign.name)
    board["origins"] = "+".join(sorted(results.origins))
    board["ledger"] = f"{results.head_seq}:{results.head_digest}"
    write_text(path, board.map(safe_cell).to_csv(index=False, lineterminator="\n"))


def board_latex(results: Results, *, label: str = "tab:gsb") -> str:
    """The board as a booktabs table: dimensions down, one block per competitor.

    Needs the package booktabs. Bold: the corrected test favours the first system; underlined: the
    second.
    """
    names = titles(results)
    lines = [
        r"\begin{table}[t]", r"\centering", r"\small", r"\begin{tabular}{llrrr}", r"\toprule",
        r"Comparison & Dimension & G/S/B & $(G{+}S)/(B{+}S)$ & Net preference \\",
    ]  # fmt: skip
    before: tuple[str, str] | None = None
    for row in plain_rows(results.board):
        clean = {key: float("nan") if value is None else value for key, value in row.items()}
        pair = (str(row["first"]), str(row["second"]))
        shown = f"{escape_latex(pair[0])} vs.\\ {escape_latex(pair[1])}" if pair != before else ""
        if pair != before:
            lines.append(r"\midrule")
        before = pair
        ratio = _latex_number(interval(clean, "ratio"))
        style = {"▲": r"\textbf", "▼": r"\underline"}.get(mark(clean))
        ratio = f"{style}{{{ratio}}}" if style else ratio
        net = _latex_number(interval(clean, "net", "+.2f"))
        title = escape_latex(names.get(row["dimension"], str(row["dimension"])))
        counts = f"{row['good']}/{row['same']}/{row['bad']}"
        lines.append(f"{shown} & {title} & {counts} & {ratio} & {net} \\\\")
    caption = (
        "Human preference (Good/Same/Bad for the first system). Brackets: 95\\,\\% intervals over cases and "
        "raters. Bold, underlined: the first, the second system is preferred (Holm-corrected). "
        f"{escape_latex(provenance(results))}."
    )
    lines += [
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{{caption}}}",
        rf"\label{{{label}}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_number(text: str) -> str:
    return "--" if text == "–" else "$" + text.replace("[", r"\,[") + "$"
