"""How long a whole set takes to score and how much memory, by stage, in one and in two processes.

    python -m benchmarks.performance.score [--clips FOLDER] [--long-minutes 10]

Without a folder it makes its own clips. The scoring itself runs as `python -m eval score`, each time
on a fresh workspace, so that start-up is part of the figure as it is for users.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from sqlalchemy import select

from benchmarks.performance.dated_report import table, write_report
from eval.console import FriendlyGroup
from eval.ingest import match_source, store_matches
from eval.store.schema import runs
from eval.store.workspace import Workspace
from joystreamer.media import ClipWriter

PACKAGES = ("av", "mediapipe", "numpy", "opencv-contrib-python", "torch")


def make_long_clip(path: Path, minutes: float, size: tuple[int, int] = (854, 480)) -> None:
    """Write a long clip of drifting noise and tone, frame by frame."""
    rng = np.random.default_rng(0)
    width, height = size
    tile = rng.integers(0, 255, (height, width * 2, 3), dtype=np.uint8)
    count = round(minutes * 60 * 25)
    clock = np.arange(round(minutes * 60 * 16_000)) / 16_000
    sound = (0.2 * np.sin(2 * np.pi * 220 * clock)).astype(np.float32)
    with ClipWriter(path, 25, audio=sound, sample_rate=16_000) as writer:
        for number in range(count):
            left = number * 2 % width
            writer.write(np.ascontiguousarray(tile[:, left : left + width] // 4 + 96))


def run_once(clips: Path, processes: int, measures: tuple[str, ...]) -> dict[str, Any]:
    """Score a folder on a fresh workspace; return wall seconds, stages and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "workspace"
        with Workspace(root) as workspace:
            list(store_matches(workspace, match_source(clips)))
            command = [
                sys.executable,
                "-m",
                "eval",
                "score",
                "-w",
                str(root),
                "--processes",
                str(processes),
            ]
            command += [part for name in measures for part in ("--measure", name)]
            walls = []
            for _ in range(2):  # the second run is answered from the cache
                started = time.perf_counter()
                subprocess.run(
                    command,
                    check=False,
                    capture_output=True,
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                )
                walls.append(time.perf_counter() - started)
            with workspace.database.read() as connection:
                reports = [
                    row.report for row in connection.execute(select(runs).order_by(runs.c.id))
                ][:processes]
    stages: dict[str, float] = {}
    for report in reports:
        for stage, seconds in report["stage_s"].items():
            stages[stage] = stages.get(stage, 0.0) + seconds
    return {
        "wall_s": walls[0],
        "cached_s": walls[1],
        "stages": stages,
        "peak_mb": [report["peak_mb"] for report in reports],
        "clips": sum(report["clips"] for report in reports),
        "scores": sum(report["scores"] for report in reports),
    }


@click.group(cls=FriendlyGroup, invoke_without_command=True)
@click.option(
    "--clips",
    type=click.Path(path_type=Path, exists=True),
    default=None,
    help="Folder of clips; default: clips made here.",
)
@click.option(
    "--measure", "measures", multiple=True, help="As in 'python -m eval score'; repeatable."
)
@click.option(
    "--long-minutes",
    type=float,
    default=10.0,
    show_default=True,
    help="Length of the long clip; 0 leaves it out.",
)
def main(clips: Path | None, measures: tuple[str, ...], long_minutes: float) -> None:  # fmt: skip
    """Measure scoring time and memory; write a dated report."""
    with tempfile.TemporaryDirectory() as folder:
        if clips is None:
            clips = Path(folder) / "clips"
            for number in range(4):
                make_long_clip(clips / "made" / f"case{number}.mp4", 5 / 60)
        results = {processes: run_once(clips, processes, measures) for processes in (1, 2)}
        sections = [
            ("Whole set", _whole_set(clips, results)),
            ("Seconds by stage, summed over processes", _stages(results)),
        ]
        if long_minutes:
            long_folder = Path(folder) / "long"
            rows = []
            for minutes in (long_minutes / 10, long_minutes):
                target = long_folder / f"{minutes:g}" / "S" / "long.mp4"
                target.parent.mkdir(parents=True)
                make_long_clip(target, minutes)
                result = run_once(target.parent.parent, 1, measures)
                rows.append(
                    (f"{minutes:g} min", f"{result['wall_s']:.0f}", f"{result['peak_mb'][0]:.0f}")
                )
            sections.append(
                (
                    "Memory does not grow with length",
                    table(("clip, 854x480", "wall s", "peak MB"), rows),
                )
            )
    click.echo(f"wrote {write_report('score', 'Scoring: time and memory', sections, PACKAGES)}")


def _whole_set(clips: Path, results: dict[int, dict[str, Any]]) -> str:
    one = results[1]["wall_s"]
    rows = [
        (
            processes, result["clips"], result["scores"], f"{result['wall_s']:.1f}", f"{one / result['wall_s']:.2f}",
            f"{result['cached_s']:.1f}", " and ".join(f"{peak:.0f}" for peak in result["peak_mb"]),
        )
        for processes, result in results.items()
    ]  # fmt: skip
    headings = (
        "processes",
        "clips",
        "scores",
        "wall s",
        "speed-up",
        "second run, cached, s",
        "peak MB per process",
    )
    return f"Clips: {clips.name}.\n\n" + table(headings, rows)


def _stages(results: dict[int, dict[str, Any]]) -> str:
    names = sorted(results[1]["stages"], key=lambda name: -results[1]["stages"][name])
    return table(
        (
            "stage",
            *(f"{processes} process{'es' if processes > 1 else ''}" for processes in results),
        ),
        [
            (name, *(f"{result['stages'].get(name, 0.0):.2f}" for result in results.values()))
            for name in names
        ],
    )


if __name__ == "__main__":
    main()
