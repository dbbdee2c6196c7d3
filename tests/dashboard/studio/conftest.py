"""A picture, a second of speech, and one clip that was really made from them."""

import fcntl
import io
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dashboard.studio.jobs import (
    FOLDER,
    Job,
    Progress,
    cancel_job,
    make_job,
    progress_of,
    start_job,
)
from dashboard.studio.models import TINY
from eval.store.workspace import Workspace

PROMPT = "A man talks. Then he waves."


def picture() -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (64, 80), (180, 120, 90)).save(sink, "PNG")
    return sink.getvalue()


def speech(seconds: float = 1.0) -> bytes:
    clock = np.arange(round(16_000 * seconds)) / 16_000
    sink = io.BytesIO()
    with wave.open(sink, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes((8000 * np.sin(2 * np.pi * 220 * clock)).astype("<i2").tobytes())
    return sink.getvalue()


def ordered(root: Path, **changes: Any) -> Job:
    """A job that is written down and not started."""
    given: dict[str, Any] = {
        "prompt": PROMPT, "parts": (PROMPT,), "segments": 1, "seconds": 1.0, "seed": 3,
        "image": ("png", picture()), "speech": ("wav", speech()), "by": "ada", **changes,
    }  # fmt: skip
    return make_job(root, given.pop("model", TINY), **given)


def wait_for(job: Job, fits: Callable[[Progress], bool], *, seconds: float = 500.0) -> Progress:
    """Look at a job until it stands as wished."""
    until = time.monotonic() + seconds
    while not fits(found := progress_of(job)):
        assert time.monotonic() < until, found
        time.sleep(0.05)
    return found


@pytest.fixture(name="ordered", scope="session")
def _ordered() -> Callable[..., Job]:
    return ordered


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Job, list[Progress]]:
    """Workspace, job and everything it was seen to do: it waited, was cancelled, went on, and ended."""
    root = tmp_path_factory.mktemp("studio") / "ws"
    Workspace(root).database.close()
    job = ordered(root)
    seen = []
    with (root / FOLDER / "turn.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # as another job would
        start_job(job)
        seen.append(wait_for(job, lambda stands: "another" in stands.words))
        cancel_job(job)
        seen.append(wait_for(job, lambda stands: stands.state == "cancelled"))
    start_job(job)
    seen.append(wait_for(job, lambda stands: stands.state == "running"))
    seen.append(wait_for(job, lambda stands: stands.state not in ("waiting", "running")))
    return root, job, seen
