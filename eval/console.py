"""How commands speak: one line for a mistake, progress with an honest estimate, JSON for scripts."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from joystreamer.errors import JoyStreamerError

USER_ERROR = 2
"""Exit code when what the user gave does not fit."""

FAILED_CASES = 1
"""Exit code when the command did its work and some clips or rows failed."""


class FriendlyGroup(click.Group):
    """A group of commands whose user errors are one line each, without a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; exit with code 2 on an error that the user can act on."""
        try:
            return super().main(*args, **kwargs)
        except JoyStreamerError as error:
            for line in str(error).splitlines():
                click.echo(f"error: {line}", err=True)
            sys.exit(USER_ERROR)


def standard_output() -> Console:
    """Return the console for results; as wide as the terminal, 140 columns when piped."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 140)


def print_json(value: Any) -> None:
    """Print data for scripts."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


@contextmanager
def clip_progress(*, quiet: bool) -> Iterator[Any]:
    """Yield a callable (done, total, now) that draws a bar with the time left on standard error."""
    if quiet:
        yield lambda *_: None
        return
    columns = (
        TextColumn("scoring"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[now]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("scoring", total=None, now="")

        def tell(done: int, total: int, now: str) -> None:
            bar.update(task, completed=done, total=total, now=now)

        yield tell
