"""`python -m eval weights list | fetch | verify`: the weights table for people."""

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from eval.weights import WeightFolder
from joystreamer.errors import InputError


@click.group("weights")
def weights() -> None:
    """Network weights: what is needed, what is here, and whether it is the right file."""


@weights.command("list")
def list_weights() -> None:
    """Print every file of weights, who needs it, and whether it is on this machine."""
    folder = WeightFolder()
    digests = folder.digests(folder.table)
    table = Table("name", "here", "MB", "needed by", "licence", "file")
    for row in folder.table.values():
        here = "no"
        if digests[row.name] != "missing":
            here = "yes" if row.sha256 in (None, digests[row.name]) else f"stand-in {row.stand_in}"
        size = "?" if row.size is None else f"{row.size / 1e6:.1f}"
        families = ", ".join(dict.fromkeys(user.partition("/")[0] for user in row.needed_by))
        table.add_row(row.name, here, size, families, row.licence, row.file)
    console = Console()
    console.print(table)
    console.print(f"Searched: {', '.join(str(path) for path in folder.folders)}", soft_wrap=True)


@weights.command("fetch")
@click.argument("names", nargs=-1, required=True)
def fetch_weights(names: tuple[str, ...]) -> None:
    """Download the named weights (or 'all' that have a URL) and check their sha256."""
    folder = WeightFolder()
    wanted = (
        [row.name for row in folder.table.values() if row.url] if names == ("all",) else list(names)
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        for name in wanted:
            task = bars.add_task(name, total=None)

            def show(done: int, total: int | None, task: object = task) -> None:
                bars.update(task, completed=done, total=total)  # type: ignore[arg-type]

            try:
                path = folder.fetch(name, show)
            except InputError as error:
                raise click.UsageError(str(error)) from error
            click.echo(f"{name}: {path}")


@weights.command("verify")
@click.pass_context
def verify_weights(context: click.Context) -> None:
    """Read every file of weights again and say whether it is what it should be."""
    states = WeightFolder().verify()
    for state in states:
        click.echo(f"{state.state:9} {state.message}")
    if any(state.state == "changed" for state in states):
        context.exit(1)
