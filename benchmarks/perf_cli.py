"""`python -m benchmarks perf`: run the performance benches that are there, one after the other."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import click

from eval.console import FAILED_CASES
from joystreamer.errors import InputError

FOLDER: Final = Path(__file__).resolve().parent / "performance"


def benches() -> tuple[str, ...]:
    """Return the names of the benches: modules of `benchmarks.performance` with a command."""
    return tuple(
        sorted(
            path.stem
            for path in FOLDER.glob("*.py")
            if "click.command" in path.read_text(encoding="utf-8")
        )
    )


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("names", nargs=-1)
def perf(names: tuple[str, ...]) -> None:
    """Measure time and memory; each bench writes a dated report to benchmarks/results.

    Without names all benches run, each in a process of its own. Options of a bench are given to it
    directly: python -m benchmarks.performance.score --help
    """
    known = benches()
    for name in names:
        if name not in known:
            raise InputError(f"no bench is called {name!r}; there are: {', '.join(known)}")
    failed = []
    for name in names or known:
        click.echo(f"{name}:", err=True)
        command = [sys.executable, "-m", f"benchmarks.performance.{name}"]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        click.echo(f"failed: {', '.join(failed)}", err=True)
        raise SystemExit(FAILED_CASES)
