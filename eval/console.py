"""How commands speak: one line for a mistake, progress with an honest estimate, JSON for scripts."""

import json
import sys
import time
from collections.abc import Callable, Iterator
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

from joystreamer.errors import JoyStreamerError, about_path, printable

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
            _tell(error)
        except (OSError, UnicodeEncodeError) as error:
            sentence = about_path(error)
            if sentence is None:
                raise
            _tell(sentence)
        sys.exit(USER_ERROR)


def _tell(error: JoyStreamerError) -> None:
    for line in str(error).splitlines():
        click.echo(f"error: {printable(line)}", err=True)


def standard_output() -> Console:
    """Return the console for results; as wide as the terminal, 140 columns when piped."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 140)


def print_json(value: Any) -> None:
    """Print data for scripts; bytes of file names that are no text are spelled as JSON spells them."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    click.echo(text.encode("utf-8", "backslashreplace").decode())


REPORT_EVERY_S = 30.0
"""Seconds between two lines of progress where nobody watches a terminal."""


@contextmanager
def clip_progress(doing: str, *, quiet: bool) -> Iterator[Any]:
    """Yield a callable (done, total, now) that shows progress and the time left on standard error.

    A bar in a terminal, a line now and then in a log, nothing when `quiet`.

    Args:
        doing: The verb in front, for example 'scoring'.
        quiet: Show nothing.
    """
    console = Console(stderr=True)
    if quiet:
        yield lambda *_: None
    elif console.is_terminal:
        with _bar(console) as bar:
            task = bar.add_task(doing, total=None, now="")
            yield lambda done, total, now: bar.update(task, completed=done, total=total, now=now)
    else:
        yield _log_lines(doing)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[now]}"),
        console=console,
        transient=True,
    )


def _log_lines(doing: str) -> Callable[[int, int, str], None]:
    started = said = time.monotonic()

    def tell(done: int, total: int, now: str) -> None:
        nonlocal said
        elapsed = time.monotonic() - started
        if done and time.monotonic() - said >= REPORT_EVERY_S:
            said = time.monotonic()
            left = elapsed / done * (total - done)
            click.echo(f"{doing} {done} of {total}, about {left:.0f} s left: {now}", err=True)

    return tell
