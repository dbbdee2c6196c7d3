"""`python -m eval ratings results | correlate | export | import | audit`: what a campaign says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eval.console import FAILED_CASES, print_json, standard_output
from eval.ratings.cli_options import A_FILE, name_argument, on_workspace, open_workspace
from eval.workspace_options import json_option

if TYPE_CHECKING:
    import pandas as pd


@click.command()
@name_argument
@click.option(
    "--scope",
    type=click.Choice(["cases-like-these", "these-cases"]),
    default=None,
    help="What intervals speak about.",
)
@click.option(
    "--ranking/--no-ranking", default=True, help="Davidson ranking of three or more systems."
)
@click.option("--baseline", default=None, help="System at 0; default: the first competitor.")
@click.option("--csv", "csv_path", type=A_FILE, default=None, help="Also write the board as CSV.")
@click.option(
    "--latex", "latex_path", type=A_FILE, default=None, help="Also write it as a booktabs table."
)
@click.option(
    "--figure", "figure_path", type=A_FILE, default=None, help="Also draw it (.png, .svg, .pdf)."
)
@json_option
@on_workspace
def results(
    name: str, scope: str | None, ranking: bool, baseline: str | None, csv_path: Path | None, latex_path: Path | None,
    figure_path: Path | None, as_json: bool, root: Path, database: str | None,
) -> None:  # fmt: skip
    """What campaign NAME says: Good / Same / Bad, ratio, net preference, intervals, raters."""
    from eval.ratings.figures import write_gsb_figure
    from eval.ratings.rendering import board_latex, print_results, ranking_table, write_board_csv
    from eval.ratings.results import campaign_results, publication
    from eval.ratings.statistics.board import BoardSettings
    from eval.ratings.store import get_campaign
    from eval.store.files import write_text

    workspace = open_workspace(root, database)
    settings = None
    if scope is not None:
        seed = get_campaign(workspace.database, name).campaign.seed
        settings = BoardSettings(
            scope="these_cases" if scope == "these-cases" else "cases_like_these", seed=seed
        )
    found = campaign_results(workspace.database, name, settings=settings)
    if csv_path is not None:
        write_board_csv(csv_path, found)
    if latex_path is not None:
        write_text(latex_path, board_latex(found))
    if figure_path is not None:
        write_gsb_figure(figure_path, found)
    if as_json:
        print_json(publication(found))
        return
    console = standard_output()
    print_results(found, console)
    if ranking and len(found.campaign.systems) > 2 and not found.board.empty:
        for dimension in found.campaign.dimension_ids:
            if (found.board["dimension"] == dimension).any():
                console.print(ranking_table(found, found.ranking(dimension, baseline=baseline)))


@click.command()
@name_argument
@click.option(
    "--scores",
    "scores_path",
    type=A_FILE,
    default=None,
    help="CSV with system, case, metric, value, direction instead of the workspace's scores.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Worst disagreements to show.",
)
@json_option
@on_workspace
def correlate(
    name: str, scores_path: Path | None, limit: int, as_json: bool, root: Path, database: str | None
) -> None:
    """Automatic metrics against the people of campaign NAME; worst disagreements first."""
    from rich.table import Table
    from rich.text import Text

    from eval.ratings.metric_scores import comparable_scores
    from eval.ratings.results import campaign_results, plain_rows
    from eval.ratings.statistics.correlation import (
        metric_correlation,
        paired_preferences,
        worst_disagreements,
    )
    from eval.store.scores import score_table

    workspace = open_workspace(root, database)
    found = campaign_results(workspace.database, name)
    scores = (
        _read_scores(scores_path)
        if scores_path
        else comparable_scores(score_table(workspace), found.campaign.suite)
    )
    preferences = paired_preferences(found.kept(), scores)
    correlation = metric_correlation(preferences, seed=found.settings.seed)
    worst = worst_disagreements(preferences, limit=limit)
    if as_json:
        print_json({"correlation": plain_rows(correlation), "worst": plain_rows(worst)})
        return
    console = standard_output()
    titles = (
        (correlation, "metrics against people" + (f" ({found.label})" if found.label else "")),
        (worst, "where metric and people disagree most"),
    )
    for frame, title in titles:
        table = Table(*frame.columns, title=Text(title))
        for row in plain_rows(frame):
            table.add_row(
                *(
                    Text(f"{v:.2f}" if isinstance(v, float) else "" if v is None else str(v))
                    for v in row.values()
                )
            )
        console.print(table)


def _read_scores(path: Path) -> pd.DataFrame:
    import pandas as pd

    from joystreamer.errors import InputError

    try:
        return pd.read_csv(path, dtype={"system": str, "case": str, "metric": str})
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is no CSV table of scores ({error}); check the path and its columns"
        ) from error


@click.command("export")
@name_argument
@click.argument("path", type=A_FILE)
@click.option(
    "--ledger", "whole_ledger", is_flag=True, help="Write the ledger (JSONL) instead of the votes."
)
@on_workspace
def export_command(
    name: str, path: Path, whole_ledger: bool, root: Path, database: str | None
) -> None:
    """Write the votes of campaign NAME to PATH (.csv or .jsonl)."""
    from eval.ratings.exchange import export_rows, write_ledger, write_votes
    from eval.ratings.results import campaign_results
    from eval.ratings.store import campaign_entries

    workspace = open_workspace(root, database)
    found = campaign_results(workspace.database, name)  # refuses a blind board
    if whole_ledger:
        _, entries = campaign_entries(workspace.database, name)
        write_ledger(path, entries)
        click.echo(f"{len(entries)} ledger entries written to {path}")
        return
    rows = export_rows(name, found.votes)
    write_votes(path, rows)
    click.echo(
        f"{len(rows)} answers written to {path}" + (f" ({found.label})" if found.label else "")
    )


@click.command("import")
@name_argument
@click.argument("path", type=A_FILE)
@click.option("--simulated", is_flag=True, help="These votes are scripted, not given by people.")
@on_workspace
def import_command(
    name: str, path: Path, simulated: bool, root: Path, database: str | None
) -> None:
    """Take votes that were collected elsewhere from PATH (.csv or .jsonl) into campaign NAME."""
    from eval.ratings.exchange import import_votes
    from eval.ratings.store import get_campaign

    workspace = open_workspace(root, database)
    stored = get_campaign(workspace.database, name)
    origin = "simulated" if simulated or stored.campaign.simulated else "imported"
    done = import_votes(workspace.database, stored, path, origin=origin, now=time.time())
    click.echo(f"{done.added} answered pairs added as {origin}, {done.known} were there already")


@click.command()
@name_argument
@click.option("--head", default=None, help="Ledger digest printed beside a published board.")
@json_option
@on_workspace
@click.pass_context
def audit(
    context: click.Context,
    name: str,
    head: str | None,
    as_json: bool,
    root: Path,
    database: str | None,
) -> None:
    """Check the ledger of campaign NAME and derive every published cell again; exit code 1 on findings."""
    from dataclasses import asdict

    from eval.ratings.audit import audit_campaign

    report = audit_campaign(
        open_workspace(root, database).database, name, head=head and head.rpartition(":")[2]
    )
    if as_json:
        print_json(asdict(report))
    else:
        for problem in report.problems:
            click.echo(f"finding: {problem}")
        verdict = f"{len(report.problems)} findings" if report.problems else "nothing was changed"
        click.echo(
            f"{report.entries} entries, {report.votes} answers, {report.cells} published cells derived again: {verdict}"
        )
        click.echo(f"ledger {report.entries}:{report.head}")
    if report.problems:
        context.exit(FAILED_CASES)
