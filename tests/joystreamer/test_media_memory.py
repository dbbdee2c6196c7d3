import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.joystreamer.media_samples import encode, tone

ROOT = Path(__file__).resolve().parents[2]

# Peak memory in MiB after the first hundred frames and after the last, in a process of its own.
MEASURE = """
import resource, sys
from joystreamer.media import ExactRate, iter_audio, iter_frames
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
grid, count, early = ExactRate(25), 0, 0.0
for _ in iter_audio(sys.argv[1], chunk_s=1.0):
    early = early or peak()
sound = peak() - early
for frame in iter_frames(sys.argv[1], threads=2):
    grid.push(frame)
    count += 1
    early = peak() if count == 100 else early
print(count, sound, peak() - early)
"""


@pytest.mark.parametrize(
    "frames",
    [pytest.param(750, id="30 s"), pytest.param(15000, id="10 min", marks=pytest.mark.slow)],
)
def test_a_long_clip_streams_at_flat_memory(tmp_path, frames):
    pictures = [np.full((240, 320, 3), value, np.uint8) for value in range(0, 250, 10)]
    path = encode(
        tmp_path / "long.mp4",
        [pictures[k % 25] for k in range(frames)],
        codec="mpeg4",
        sounds=[tone(frames / 25, 44100)],
    )
    out = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": ""},
    ).stdout.split()
    assert int(out[0]) == frames
    # All frames together would take 165 MiB (30 s) or 3.3 GiB (ten).
    assert float(out[1]) < 20
    assert float(out[2]) < 20


def test_reading_media_does_not_load_the_networks():
    code = "import sys, joystreamer.media; print(sorted({'torch', 'scipy', 'pandas'} & set(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    ).stdout
    assert out.strip() == "[]"
