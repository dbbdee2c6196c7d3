"""A short, seeded run of the fault harness; the long one is `python tests/faults --faults 200`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eval.checkout import ROOT

HARNESS = Path(__file__).parent


@pytest.mark.multiprocess
@pytest.mark.timeout(1200)  # some seconds of work; a busy machine takes its time
@pytest.mark.parametrize(
    ("stages", "faults"), [(("ingest", "score", "rate"), 16), (("generate", "train"), 4)]
)
def test_no_fault_leaves_damage(stages: tuple[str, ...], faults: int) -> None:
    chosen = [part for name in stages for part in ("--stage", name)]
    # Processes are forked, which is sound only where nothing else runs threads: not in pytest itself.
    done = subprocess.run(
        [sys.executable, str(HARNESS), "--faults", str(faults), "--seed", "7", *chosen],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{faults} faults in" in done.stdout
    assert "0 left damage" in done.stdout
