"""Two processes over a puppet suite, killed at work, end as one run that was left alone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from benchmarks.adapters import SYSTEMS
from benchmarks.check import suite_folder
from benchmarks.checkpoints import bundled_checkpoints
from benchmarks.cli import main
from eval.checkout import ROOT
from eval.reader import read_suite
from eval.store.scores import score_table
from eval.store.workspace import Workspace
from joystreamer.presets import build_tiny_pipeline

SUITE = "puppet-talk-90"
PATIENCE_S = 1200


def kill_after(clips: int, space: Path, arguments: list[str]) -> None:
    """Start a run over two processes; kill both of them once so many clips are there."""
    process = start(space, arguments)
    until = time.monotonic() + PATIENCE_S
    while len(list(space.glob("runs/*/*/[!.]*.mp4"))) < clips:
        assert time.monotonic() < until, "no clips were made"
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def start(space: Path, arguments: list[str]) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks", "run", SUITE, *arguments]
    return subprocess.Popen(
        [*command, "--processes", "2", "--no-score", "-w", str(space)],
        cwd=ROOT,
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def table_of(space: Path, arguments: list[str], measure: str) -> pd.DataFrame:
    ran = CliRunner().invoke(
        main, ["run", SUITE, *arguments, "-m", measure, "--device", "cpu", "-w", str(space)]
    )
    assert ran.exit_code == 0, ran.output
    with Workspace(space) as workspace:
        table = score_table(workspace)[["system", "case", "metric", "value"]]
    return table.sort_values(["system", "case", "metric"]).reset_index(drop=True)


def compare(tmp_path: Path, arguments: list[str], stops: tuple[int, ...], clips: int) -> None:
    suite_folder(SUITE)  # written once, before processes ask for it
    killed, alone = tmp_path / "killed", tmp_path / "alone"
    for stop in stops:
        kill_after(stop, killed, arguments)
    for space in (killed, alone):
        last = start(space, arguments)
        said = last.communicate(timeout=PATIENCE_S)[0].decode()
        assert last.returncode == 0, said
        assert f"{clips} clips of 2 systems, 0 failed" in said
    left_alone, was_killed = (table_of(space, arguments, "puppet") for space in (alone, killed))
    assert left_alone.value.notna().any()
    pd.testing.assert_frame_equal(left_alone, was_killed)
    names = {path.relative_to(alone) for path in alone.glob("runs/*/*/*.mp4")}
    assert len(names) == clips
    assert names == {path.relative_to(killed) for path in killed.glob("runs/*/*/*.mp4")}


def first_cases(count: int) -> list[str]:
    cases = read_suite(suite_folder(SUITE)).cases[:count]
    return [part for case in cases for part in ("--case", case.id)]


@pytest.mark.multiprocess
def test_a_killed_puppet_run_ends_as_one_that_was_left_alone(tmp_path: Path) -> None:
    slow = tmp_path / "slow.toml"  # in step with the clock, so that it can be killed at work
    text = (SYSTEMS / "baseline.still.toml").read_text()
    slow.write_text(text.replace('"-loop", "1",', '"-re", "-loop", "1",'))
    compare(tmp_path, ["--model", "truth", "--adapter", str(slow), *first_cases(2)], (2,), 4)


@pytest.mark.slow
@pytest.mark.multiprocess
def test_two_checkpoints_killed_twice_end_as_one_that_was_left_alone(tmp_path: Path) -> None:
    options = {"area": 64 * 64, "negative_prompt": "", "distilled_timesteps": [1000, 500]}
    arguments = first_cases(4)
    for seed, name in enumerate(("one", "two")):
        folder = tmp_path / "checkpoints" / name
        build_tiny_pipeline(seed, experts=1).save_pretrained(folder)
        (folder / "benchmark.json").write_text(
            json.dumps({"preset": "distilled", "options": options})
        )
        arguments += ["--model", str(folder)]
    compare(tmp_path, arguments, (2, 5), 8)


@pytest.mark.slow
@pytest.mark.multiprocess
@pytest.mark.timeout(3000)
def test_bundled_checkpoints_over_the_whole_suite_killed_twice(tmp_path: Path) -> None:
    names = ("vanilla", "twin")
    missing = sorted(set(names) - set(bundled_checkpoints()))
    if missing:
        pytest.skip(f"the bundled checkpoints {', '.join(missing)} are not in this checkout")
    arguments = [part for name in names for part in ("--model", name)]
    compare(tmp_path, arguments, (20, 100), 180)
