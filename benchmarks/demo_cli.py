"""`python -m benchmarks demo`."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from eval.console import FAILED_CASES, FriendlyGroup


@click.command()
@click.option("--workspace", "-w", "root", type=click.Path(path_type=Path),
              default=Path("workspaces") / "demo", show_default=True,
              help="Folder with records and media; made when it is new.")  # fmt: skip
@click.option("--serve/--no-serve", default=False, help="Then serve the dashboard.")
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True,
              help="Processes for rendering and scoring.")  # fmt: skip
@click.option("--model", "models", multiple=True, metavar="[NAME=]FOLDER",
              help="Checkpoint in place of the bundled ones. Repeatable.")  # fmt: skip
@click.option("--case", "cases", multiple=True, help="Only this case. Repeatable.")
@click.option("--measure", "-m", "measures", multiple=True,
              help="Measure to score with; repeatable. Default: all default ones and sync/puppet.")  # fmt: skip
@click.option("--strip", type=click.Path(path_type=Path), default=None,
              help="Also write the strip of frames here.")  # fmt: skip
@click.option("--port", type=click.IntRange(1, 65_535), default=8501, show_default=True,
              help="Port of the dashboard.")  # fmt: skip
def demo(
    root: Path, serve: bool, processes: int, models: tuple[str, ...], cases: tuple[str, ...],
    measures: tuple[str, ...], strip: Path | None, port: int,
) -> None:  # fmt: skip
    """Render, score and compare the bundled tiny checkpoints: leaderboard, page, strip of frames.

    Needs no GPU, no network and no weights. Run it again after a stop and it goes on.
    """
    from benchmarks.puppet.demo import (
        REPORT_FILE,
        STRIP_FILE,
        DemoPlan,
        board_arguments,
        demo_models,
        run_arguments,
        write_demo_strip,
    )

    plan = DemoPlan(
        workspace=root, models=models or demo_models(), cases=cases, processes=processes,
        measures=measures,
    )  # fmt: skip
    failed = _benchmarks(run_arguments(plan))
    _eval(["leaderboard", *board_arguments(plan)])
    _eval(["report", *board_arguments(plan), "--title", "Puppet demo"])
    shown = [write_demo_strip(plan, target) for target in (root / STRIP_FILE, strip) if target]
    click.echo(f"page: {root / REPORT_FILE}")
    for path in shown:
        click.echo(f"frames: {path}")
    if serve:
        _serve(root, port)
    if failed:
        raise SystemExit(FAILED_CASES)


def _benchmarks(arguments: Sequence[str]) -> bool:
    from benchmarks.cli import main

    return _call(main, arguments)


def _eval(arguments: Sequence[str]) -> bool:
    from eval.cli import main

    return _call(main, arguments)


def _call(main: Any, arguments: Sequence[str]) -> bool:
    """Run a command of this checkout; return whether some cases failed.

    A mistake of the user ends the demo as it would end the command.
    """
    assert isinstance(main, FriendlyGroup)
    try:
        main.main(list(arguments), standalone_mode=False)
    except SystemExit as ended:
        if ended.code not in (0, None, FAILED_CASES):
            raise
        return ended.code == FAILED_CASES
    return False


def _serve(root: Path, port: int) -> None:
    """Serve the dashboard until it is stopped; it prints its address itself."""
    command = [sys.executable, "-m", "dashboard", "serve", "--workspace", str(root)]
    running = subprocess.Popen([*command, "--port", str(port)])
    try:
        running.wait()
    except KeyboardInterrupt:
        running.wait()
    finally:
        running.terminate()
