"""`python -m dashboard`: serve the pages over a workspace."""

from __future__ import annotations

from pathlib import Path

import click

from eval.console import FriendlyGroup, clip_progress
from eval.workspace_options import database_option, workspace_option


@click.group(cls=FriendlyGroup)
def main() -> None:
    """Pages over a workspace: blinded rating, campaigns, leaderboards."""


@main.command()
@workspace_option
@database_option
@click.option(
    "--address",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 for all.",
)
@click.option("--port", type=click.IntRange(1, 65_535), default=8501, show_default=True)
@click.option(
    "--origin", "origins", multiple=True,
    help="Address that browsers use when a proxy stands in front, such as https://rate.example.org; repeatable.",
)  # fmt: skip
def serve(
    root: Path, database: str | None, address: str, port: int, origins: tuple[str, ...]
) -> None:
    """Serve the pages. The first start makes the operator secret and prints it once."""
    from dashboard.memory import spare_memory

    spare_memory()
    from dashboard.site import OPERATOR_SECRET, open_site

    secure = bool(origins) and all(origin.startswith("https://") for origin in origins)
    site = open_site(root, database, origins=tuple(o.rstrip("/") for o in origins), secure=secure)
    if site.operator_is_new:
        click.echo(
            f"operator secret (shown once, kept in {site.workspace.root / OPERATOR_SECRET}):"
        )
        click.echo(site.operator_secret)
    click.echo(f"pages at {origins[0] if origins else f'http://{address}:{port}'}")
    from dashboard.server import serve as serve_pages

    serve_pages(address, port)


@main.command()
@click.argument("name")
@workspace_option
@database_option
def prepare(name: str, root: Path, database: str | None) -> None:
    """Make all blind clips of campaign NAME now, so that nobody waits for an encoder."""
    from dashboard.preparing import prepare_campaign
    from dashboard.site import open_site

    prepared = 0
    with clip_progress("preparing", quiet=False) as tell:
        for prepared, total in prepare_campaign(open_site(root, database), name):
            tell(prepared, total, "")
    click.echo(f"{prepared} clips of {name} are ready")
