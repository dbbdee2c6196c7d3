"""Several processes and sudden ends: torchrun with two CPU processes, kill -9, resume."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from joystreamer.errors import InputError
from joystreamer.training.checkpoint import checkpoints
from tests.joystreamer.training.tiny_runs import main as train_here
from tests.joystreamer.training.tiny_runs import make_loop, make_task, trained_values

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = Path(__file__).with_name("tiny_runs.py")
pytestmark = pytest.mark.multiprocess


def command(processes, kind, folder, sharded="whole", checkpoint_every=100, updates=4):
    script = [str(SCRIPT), kind, str(folder), sharded, str(checkpoint_every), str(updates)]
    if processes == 1:
        return [sys.executable, *script]
    parallel = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return [sys.executable, *parallel, *script]


def environment():
    return {
        **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true",
    }  # fmt: skip


def launch(*arguments, **options):
    done = subprocess.run(
        command(*arguments, **options), env=environment(), capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-3000:]


def compare_with_one_process(tmp_path, kind, sharded):
    launch(2, kind, tmp_path / "two", sharded=sharded)
    two = load_file(tmp_path / "two" / "end.safetensors")
    assert two.pop("processes").item() == 2
    loop = make_loop(make_task(kind), tmp_path / "one", updates=4, ema_decay=0.9)
    loop.run()
    one = trained_values(loop)
    assert set(one) == set(two)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=2e-5)
    (stored,) = checkpoints(tmp_path / "two")
    assert {path.name for path in stored.glob("random-*.json")} == {
        "random-00000.json", "random-00001.json",
    }  # fmt: skip


def test_two_processes_with_adapters_on_one_base_equal_one_process(tmp_path):
    compare_with_one_process(tmp_path, "shared", "whole")


def test_two_processes_that_shard_every_parameter_equal_one_process(tmp_path):
    compare_with_one_process(tmp_path, "full", "sharded")


def test_sharding_adapters_on_one_base_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(InputError, match="FSDP2 with adapters on one shared base came"):
        train_here("shared", tmp_path, "sharded", "1", "1")


def test_a_run_killed_without_warning_goes_on_as_if_nothing_had_happened(tmp_path):
    cut = tmp_path / "cut"
    running = subprocess.Popen(
        command(1, "shared", cut, checkpoint_every=1, updates=7),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    deadline = time.monotonic() + 200
    while len(checkpoints(cut)) < 2 and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    stored = checkpoints(cut)
    assert stored
    assert int(stored[-1].name.removeprefix("step-")) < 7
    # Updates 4 and 7 are the student's: the rest crosses at least one of them.
    launch(1, "shared", cut, checkpoint_every=1, updates=7)
    loop = make_loop(make_task("shared"), tmp_path / "whole", updates=7, ema_decay=0.9)
    loop.run()
    resumed = load_file(cut / "end.safetensors")
    for name, value in trained_values(loop).items():
        assert torch.equal(resumed[name], value), name
