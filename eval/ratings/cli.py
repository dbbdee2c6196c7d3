"""`python -m eval ratings`: human comparison from declaration to published board.

Each command is a thin skin over a function of this package; heavy imports happen when it runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eval.console import FAILED_CASES, FriendlyGroup, print_json, standard_output
from eval.workspace_options import database_option, json_option, workspace_option

if TYPE_CHECKING:
    import pandas as pd

    from eval.store.workspace import Workspace

_FILE = click.Path(path_type=Path, dir_okay=False)
_name = click.argument("name")


def _on_workspace(command: Callable[..., Any]) -> Callable[..., Any]:
    return workspace_option(database_option(command))


def _open(root: Path, database: str | None) -> Workspace:
    from eval.store.workspace import Workspace

    return Workspace(root, database)


@click.group(cls=FriendlyGroup)
def ratings() -> None:
    """Blinded human comparison (Good / Same / Bad) of systems, pair by pair.

    \b
    From clips to a published board:
        create   declare what is compared, by how many people, with which checks
        invite   one-time links for annotators; the pages are served by python -m dashboard
        status   how far everybody is, and what was flagged; never who wins
        top-up   plan more votes until intervals are narrow enough
        freeze   close the campaign and publish its board in its ledger
        results  terminal, CSV, LaTeX and figures
        correlate, export, import, audit
    """  # noqa: D301  # \b keeps click from rewrapping the list


@ratings.command()
@_name
@click.option("--suite", default=None, help="Suite whose cases are shown.")
@click.option(
    "--pair",
    "pairs",
    nargs=2,
    multiple=True,
    metavar="FIRST SECOND",
    help="Two systems to compare; repeatable.",
)
@click.option(
    "--file",
    "path",
    type=_FILE,
    default=None,
    help="TOML with the whole protocol; options fill what it leaves out.",
)
@click.option(
    "--raters", type=click.IntRange(min=1), default=None, help="Seats; at least 5 for intervals."
)
@click.option(
    "--per-case",
    type=click.IntRange(min=1),
    default=None,
    help="Distinct raters on each pair and case.",
)
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Of design and resampling.")
@click.option("--blind", is_flag=True, help="Hide results until the campaign is frozen.")
@click.option(
    "--simulated", is_flag=True, help="Votes will be scripted; every result and export says so."
)
@_on_workspace
def create(
    name: str, suite: str | None, pairs: tuple[tuple[str, str], ...], path: Path | None, raters: int | None,
    per_case: int | None, seed: int | None, blind: bool, simulated: bool, root: Path, database: str | None,
) -> None:  # fmt: skip
    """Declare campaign NAME: protocol, exclusion rule and plan are sealed before the first vote."""
    from eval.ratings.campaign_reader import parse_campaign, read_campaign
    from eval.ratings.design import plan_design, summarize_design
    from eval.ratings.store import create_campaign, stored_clips
    from eval.store.registry import all_cases

    given = {
        "name": name, "suite": suite, "pairs": [list(pair) for pair in pairs] or None, "raters": raters,
        "per_case": per_case, "seed": seed, "blind_until_frozen": blind or None, "simulated": simulated or None,
    }  # fmt: skip
    given = {key: value for key, value in given.items() if value is not None}
    workspace = _open(root, database)
    suite_cases: dict[str, list[str]] = {}
    for suite_name, case in all_cases(workspace):
        suite_cases.setdefault(suite_name, []).append(case)
    if path is not None:
        campaign = read_campaign(path, suite_cases=suite_cases, defaults=given)
    else:
        campaign = parse_campaign(given, "command line", suite_cases=suite_cases)
    with workspace.database.read() as connection:
        clip_table = stored_clips(connection, campaign.suite)
    stored = create_campaign(workspace.database, campaign, clip_table=clip_table, now=time.time())
    summary = summarize_design(plan_design(campaign))
    click.echo(
        f"declared {name}: {len(campaign.pairs)} pairs, {len(campaign.cases)} cases, "
        f"{summary.work} comparisons and {summary.showings - summary.work} checks for {campaign.raters} raters "
        f"({summary.per_seat[0]}-{summary.per_seat[1]} each)"
    )
    click.echo(f"protocol {stored.digest[:16]}, ledger {stored.head_seq}:{stored.head_digest[:16]}")
    click.echo(f"next: python -m eval ratings invite {name} --count {campaign.raters}")


@ratings.command()
@_name
@click.option(
    "--count",
    type=click.IntRange(min=1, max=500),
    default=1,
    show_default=True,
    help="How many links.",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    help="Note on whom a link is for (never shown to annotators); repeatable.",
)
@click.option(
    "--days",
    type=click.FloatRange(min=0.01, max=365),
    default=14.0,
    show_default=True,
    help="Until a link expires.",
)
@click.option(
    "--url", default="http://localhost:8501", show_default=True, help="Address of the dashboard."
)
@click.option(
    "--revoke",
    type=int,
    default=None,
    help="Withdraw this invitation instead, and send its guest away.",
)
@json_option
@_on_workspace
def invite(
    name: str, count: int, labels: tuple[str, ...], days: float, url: str, revoke: int | None, as_json: bool,
    root: Path, database: str | None,
) -> None:  # fmt: skip
    """Make one-time links for annotators of campaign NAME; each is shown once, here."""
    from eval.ratings.joining import create_invites, revoke_invite
    from eval.ratings.store import get_campaign

    workspace = _open(root, database)
    stored = get_campaign(workspace.database, name)
    if revoke is not None:
        revoke_invite(workspace.database, stored, revoke, now=time.time())
        click.echo(f"invitation {revoke} is withdrawn")
        return
    wanted = list(labels) or [f"{name} {number}" for number in range(1, count + 1)]
    made = create_invites(
        workspace.database, stored, wanted, now=time.time(), lifetime_s=days * 86_400
    )
    links = [f"{url.rstrip('/')}/join/{each.token}" for each in made]
    if as_json:
        print_json(
            [
                {"number": i.number, "label": i.label, "link": link}
                for i, link in zip(made, links, strict=True)
            ]
        )
        return
    for each, link in zip(made, links, strict=True):
        click.echo(f"{each.number:4d}  {each.label}  {link}")


@ratings.command()
@click.argument("name", required=False)
@json_option
@_on_workspace
def status(name: str | None, as_json: bool, root: Path, database: str | None) -> None:
    """How far everybody is and what was flagged; all campaigns without NAME. Never says who wins."""
    from rich.table import Table
    from rich.text import Text

    from eval.ratings.results import plain_rows
    from eval.ratings.store import get_campaign, list_campaigns
    from eval.ratings.top_up import campaign_status

    workspace = _open(root, database)
    found = [get_campaign(workspace.database, name)] if name else list_campaigns(workspace.database)
    told = [(stored, campaign_status(workspace.database, stored)) for stored in found]
    if as_json:
        print_json([
            {"campaign": s.campaign.name, "state": s.state, "done": t.done, "total": t.total,
             "seats": plain_rows(t.seats), "flags": plain_rows(t.flags)}
            for s, t in told
        ])  # fmt: skip
        return
    console = standard_output()
    if not told:
        click.echo(
            "no campaigns yet; python -m eval ratings create NAME --suite S --pair OURS OTHER"
        )
    for stored, state in told:
        head = (
            f"{stored.campaign.name} ({stored.state}): {state.done} of {state.total} pairs answered"
        )
        for frame, title in ((state.seats, head), (state.flags, "flagged pairs")):
            if frame.empty and frame is state.flags:
                continue
            table = Table(*frame.columns, title=Text(title))
            for row in plain_rows(frame):
                table.add_row(
                    *(
                        Text("" if value is None else _shown(column, value))
                        for column, value in row.items()
                    )
                )
            console.print(table)


def _shown(column: str, value: Any) -> str:
    from eval.ratings.chain import iso

    return iso(value)[:16].replace("T", " ") if column == "last_seen" else str(value)


@ratings.command("top-up")
@_name
@click.option(
    "--half-width",
    type=float,
    required=True,
    help="Target half width of the net preference, such as 0.1.",
)
@_on_workspace
def top_up_command(name: str, half_width: float, root: Path, database: str | None) -> None:
    """Plan more votes in campaign NAME until every interval is narrow enough."""
    from eval.ratings.store import get_campaign
    from eval.ratings.top_up import top_up

    workspace = _open(root, database)
    stored = get_campaign(workspace.database, name)
    done = top_up(workspace.database, stored, half_width=half_width, now=time.time())
    click.echo(f"{done.added} of {done.wanted} wanted votes are planned")
    for note in done.notes:
        click.echo(f"note: {note}")


@ratings.command()
@_name
@click.confirmation_option(prompt="A frozen campaign takes no more votes. Freeze it?")
@_on_workspace
def freeze(name: str, root: Path, database: str | None) -> None:
    """Close campaign NAME and publish its board in its own ledger."""
    from eval.ratings.rendering import print_results
    from eval.ratings.results import freeze_campaign

    results = freeze_campaign(_open(root, database).database, name, now=time.time())
    print_results(results, standard_output())
    click.echo(f"print this beside the board: ledger {results.head_seq}:{results.head_digest}")


@ratings.command()
@_name
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
@click.option("--csv", "csv_path", type=_FILE, default=None, help="Also write the board as CSV.")
@click.option(
    "--latex", "latex_path", type=_FILE, default=None, help="Also write it as a booktabs table."
)
@click.option(
    "--figure", "figure_path", type=_FILE, default=None, help="Also draw it (.png, .svg, .pdf)."
)
@json_option
@_on_workspace
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

    workspace = _open(root, database)
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


@ratings.command()
@_name
@click.option(
    "--scores",
    "scores_path",
    type=_FILE,
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
@_on_workspace
def correlate(
    name: str, scores_path: Path | None, limit: int, as_json: bool, root: Path, database: str | None
) -> None:
    """Automatic metrics against the people of campaign NAME; worst disagreements first."""
    from rich.table import Table
    from rich.text import Text

    from eval.ratings.results import campaign_results, plain_rows
    from eval.ratings.statistics.correlation import (
        metric_correlation,
        paired_preferences,
        worst_disagreements,
    )

    workspace = _open(root, database)
    found = campaign_results(workspace.database, name)
    scores = (
        _read_scores(scores_path)
        if scores_path
        else _workspace_scores(workspace, found.campaign.suite)
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


def _workspace_scores(workspace: Workspace, suite: str) -> pd.DataFrame:
    """Scores of a suite as correlation needs them; seeds of a case are averaged."""
    from eval.results_cli import metric_facts
    from eval.store.scores import score_table
    from joystreamer.errors import InputError

    table = score_table(workspace)
    table = table[table["suite"] == suite]
    if table.empty:
        raise InputError(f"suite {suite!r} has no scores here; run python -m eval score first")
    facts = metric_facts()
    sign = {"higher": 1, "lower": -1}
    direction = {name: sign.get(metric.better, 0) for name, metric in facts.items()}
    table = table.assign(
        direction=[direction.get(metric, 0) for metric in table["metric"]],
        metric=[
            f"{m}/{v}" if v else m for m, v in zip(table["metric"], table["variant"], strict=True)
        ],
    )
    keys = ["system", "case", "metric", "direction"]
    return table.groupby(keys)[["value"]].mean().reset_index()


@ratings.command("export")
@_name
@click.argument("path", type=_FILE)
@click.option(
    "--ledger", "whole_ledger", is_flag=True, help="Write the ledger (JSONL) instead of the votes."
)
@_on_workspace
def export_command(
    name: str, path: Path, whole_ledger: bool, root: Path, database: str | None
) -> None:
    """Write the votes of campaign NAME to PATH (.csv or .jsonl)."""
    from eval.ratings.exchange import export_rows, write_ledger, write_votes
    from eval.ratings.results import campaign_results
    from eval.ratings.store import campaign_entries

    workspace = _open(root, database)
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


@ratings.command("import")
@_name
@click.argument("path", type=_FILE)
@click.option("--simulated", is_flag=True, help="These votes are scripted, not given by people.")
@_on_workspace
def import_command(
    name: str, path: Path, simulated: bool, root: Path, database: str | None
) -> None:
    """Take votes that were collected elsewhere from PATH (.csv or .jsonl) into campaign NAME."""
    from eval.ratings.exchange import import_votes
    from eval.ratings.store import get_campaign

    workspace = _open(root, database)
    stored = get_campaign(workspace.database, name)
    origin = "simulated" if simulated or stored.campaign.simulated else "imported"
    done = import_votes(workspace.database, stored, path, origin=origin, now=time.time())
    click.echo(f"{done.added} answered pairs added as {origin}, {done.known} were there already")


@ratings.command()
@_name
@click.option("--head", default=None, help="Ledger digest printed beside a published board.")
@json_option
@_on_workspace
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
        _open(root, database).database, name, head=head and head.rpartition(":")[2]
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
