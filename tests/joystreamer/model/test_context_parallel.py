import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What two real processes over gloo found, each comparing itself with the group."""
    target = tmp_path_factory.mktemp("context_parallel") / "report.json"
    worker = HERE / "context_parallel_worker.py"
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, str(worker), str(target)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(target.read_text())


@pytest.mark.multiprocess
@pytest.mark.parametrize(
    ("case", "tokens"),
    [
        # 3 noisy latents, 1 reference, 1 + 1/4 of motion; 16 (or 4) tokens per latent
        ("even, one voice", 84 / 2),
        ("even, two speakers and silence", 84 / 2),
        ("padded, two speakers and silence", (21 + 1) / 2),
        ("uneven, two speakers and silence", 11),
        ("one process without noisy tokens", (16 + 16 + 20) / 2),
        ("noisy latents alone", 48 / 2),
    ],
)
def test_two_processes_equal_one(report, case, tokens):
    assert report["world size"] == 2
    found = report[case]
    assert found["tokens here"] == tokens  # blocks never see the whole sequence
    assert found["output"] < 1e-5
    assert found.get("gradient", 0.0) < 1e-5
