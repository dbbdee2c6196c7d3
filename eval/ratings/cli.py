"""`python -m eval ratings`: human comparison from declaration to published board.

Each command is a thin skin over a function of this package; heavy imports happen when it runs.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from eval.console import FriendlyGroup, print_json, standard_output
from eval.ratings.cli_options import A_FILE, name_argument, on_workspace, open_workspace
from eval.ratings.results_cli import audit, correlate, export_command, import_command, results
from eval.workspace_options import json_option


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
@name_argument
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
    "--case", "cases", multiple=True, help="Only this case; repeatable. Default: all of the suite."
)
@click.option(
    "--file",
    "path",
    type=A_FILE,
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
@on_workspace
def create(
    name: str, suite: str | None, pairs: tuple[tuple[str, str], ...], cases: tuple[str, ...],
    path: Path | None, raters: int | None, per_case: int | None, seed: int | None, blind: bool,
    simulated: bool, root: Path, database: str | None,
) -> None:  # fmt: skip
    """Declare campaign NAME: protocol, exclusion rule and plan are sealed before the first vote."""
    from eval.ratings.campaign_reader import parse_campaign, read_campaign
    from eval.ratings.design import plan_design, summarize_design
    from eval.ratings.store import create_campaign, stored_clips
    from eval.store.registry import all_cases

    given = {
        "name": name, "suite": suite, "pairs": [list(pair) for pair in pairs] or None,
        "cases": list(cases) or None, "raters": raters, "per_case": per_case, "seed": seed,
        "blind_until_frozen": blind or None, "simulated": simulated or None,
    }  # fmt: skip
    given = {key: value for key, value in given.items() if value is not None}
    workspace = open_workspace(root, database)
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
@name_argument
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
@on_workspace
def invite(
    name: str, count: int, labels: tuple[str, ...], days: float, url: str, revoke: int | None, as_json: bool,
    root: Path, database: str | None,
) -> None:  # fmt: skip
    """Make one-time links for annotators of campaign NAME; each is shown once, here."""
    from eval.ratings.joining import create_invites, revoke_invite
    from eval.ratings.store import get_campaign

    workspace = open_workspace(root, database)
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
@on_workspace
def status(name: str | None, as_json: bool, root: Path, database: str | None) -> None:
    """How far everybody is and what was flagged; all campaigns without NAME. Never says who wins."""
    from rich.table import Table
    from rich.text import Text

    from eval.ratings.results import plain_rows
    from eval.ratings.store import get_campaign, list_campaigns
    from eval.ratings.top_up import campaign_status

    workspace = open_workspace(root, database)
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
@name_argument
@click.option(
    "--half-width",
    type=float,
    required=True,
    help="Target half width of the net preference, such as 0.1.",
)
@on_workspace
def top_up_command(name: str, half_width: float, root: Path, database: str | None) -> None:
    """Plan more votes in campaign NAME until every interval is narrow enough."""
    from eval.ratings.store import get_campaign
    from eval.ratings.top_up import top_up

    workspace = open_workspace(root, database)
    stored = get_campaign(workspace.database, name)
    done = top_up(workspace.database, stored, half_width=half_width, now=time.time())
    click.echo(f"{done.added} of {done.wanted} wanted votes are planned")
    for note in done.notes:
        click.echo(f"note: {note}")


@ratings.command()
@name_argument
@click.confirmation_option(prompt="A frozen campaign takes no more votes. Freeze it?")
@on_workspace
def freeze(name: str, root: Path, database: str | None) -> None:
    """Close campaign NAME and publish its board in its own ledger."""
    from eval.ratings.rendering import print_results
    from eval.ratings.results import freeze_campaign

    results = freeze_campaign(open_workspace(root, database).database, name, now=time.time())
    print_results(results, standard_output())
    click.echo(f"print this beside the board: ledger {results.head_seq}:{results.head_digest}")


for command in (results, correlate, export_command, import_command, audit):
    ratings.add_command(command)
