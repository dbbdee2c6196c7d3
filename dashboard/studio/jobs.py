"""Jobs of the studio: a folder each, a process each, and everything about them read from their files.

studio/<job>/   request.json image.* speech.*   what was asked
                job.json                        the same for `joystreamer generate`
                worker.json log.txt             who works on it, and what was said
                clip.segments/                  finished parts; a stopped job goes on from them
                clip.mp4 clip.json              the clip and its report
                end.json                        how it ended
A job outlives the server that started it. Knows no widget.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from dashboard.studio.models import Model
from dashboard.studio.plans import write_prompt
from eval.checkout import ROOT
from eval.store.files import write_bytes, write_text
from eval.store.leases import is_dead
from joystreamer.errors import InputError

FOLDER: Final = "studio"
CLIP: Final = "clip.mp4"

IMAGES: Final = ("png", "jpg", "jpeg", "webp")
SOUNDS: Final = ("wav", "mp3", "flac", "m4a", "ogg")
"""Endings of files that can be uploaded."""

State = Literal["waiting", "running", "done", "failed", "cancelled", "stopped"]
ACTIVE: Final = ("waiting", "running")

_NAME: Final = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")
_START_S: Final = 60.0  # after so long without a word a process has not started
_GRACE_S: Final = 5.0  # between asking a process to end and ending it


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for.

    Attributes:
        model: The model's name, path and options.
        prompt: Words for the whole clip, as they were written.
        parts: The plan, in order of time.
        segments: Passes of the network that it takes.
        seconds: Length of the clip.
        seed: Same seed, same clip.
        image: File name in the job's folder.
        speech: Likewise.
        inputs: Digest of picture, speech and prompt; jobs that share it answer the same question.
        by: Who asked.
        at: When, ISO 8601 in UTC.
    """

    model: Mapping[str, Any]
    prompt: str
    parts: tuple[str, ...]
    segments: int
    seconds: float
    seed: int
    image: str
    speech: str
    inputs: str
    by: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job.

    Attributes:
        folder: Where all of it lies.
        request: What was asked for.
    """

    folder: Path
    request: Request

    @property
    def name(self) -> str:
        """Unique in the workspace."""
        return self.folder.name

    @property
    def model(self) -> Model:
        """Who makes it."""
        return Model(**self.request.model)

    @property
    def clip(self) -> Path:
        """The clip, whether or not it is there."""
        return self.folder / CLIP


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How a job stands.

    Attributes:
        state: In one word.
        share: Finished share in [0, 1].
        words: What it does now, or why it ended.
    """

    state: State
    share: float
    words: str


def make_job(
    root: Path, model: Model, *, prompt: str, parts: Sequence[str], segments: int, seconds: float,
    seed: int, image: tuple[str, bytes], speech: tuple[str, bytes], by: str,
) -> Job:  # fmt: skip
    """Write down a job; nothing is started.

    Args:
        root: Folder of the workspace.
        model: Who makes the clip.
        prompt: Words for the whole clip.
        parts: The plan.
        segments: Passes of the network.
        seconds: Length of the clip.
        seed: Of the noise.
        image: Ending and content of the picture.
        speech: Ending and content of the sound.
        by: Who asks.

    Raises:
        InputError: An ending or a part does not fit, or nothing can be written.
    """
    told = write_prompt(parts)
    for (ending, _), known in ((image, IMAGES), (speech, SOUNDS)):
        if ending not in known:
            raise InputError(f"files ending in {ending!r} do not fit; give {', '.join(known)}")
    now = datetime.now(tz=UTC)
    folder = root / FOLDER / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
    digest = hashlib.sha256()
    for content in (image[1], speech[1], prompt.strip().encode()):
        digest.update(hashlib.sha256(content).digest())
    request = Request(
        model=asdict(model), prompt=prompt.strip(), parts=tuple(parts), segments=segments,
        seconds=seconds, seed=seed, image=f"image.{image[0]}", speech=f"speech.{speech[0]}",
        inputs=digest.hexdigest(), by=by, at=now.isoformat(timespec="seconds"),
    )  # fmt: skip
    write_bytes(folder / request.image, image[1])
    write_bytes(folder / request.speech, speech[1])
    job = {
        "image": request.image, "audio": request.speech, "prompt": told, "out": CLIP,
        "options": {"seed": seed},
    }  # fmt: skip
    write_text(folder / "job.json", json.dumps(job, ensure_ascii=False))
    # Last, since a folder with it is a job.
    write_text(folder / "request.json", json.dumps(asdict(request), ensure_ascii=False))
    return Job(folder=folder, request=request)


def list_jobs(root: Path) -> list[Job]:
    """All jobs, the newest first; folders that hold none are left out."""
    found = []
    for folder in sorted((root / FOLDER).glob("*-*"), reverse=True):
        try:
            found.append(find_job(root, folder.name))
        except InputError:
            continue
    return found


def find_job(root: Path, name: str) -> Job:
    """A job by its name.

    Raises:
        InputError: There is none.
    """
    folder = root / FOLDER / name
    content = _read(folder / "request.json") if _NAME.fullmatch(name) else None
    if content is None:
        raise InputError(f"there is no job {name!r}; it may have been deleted")
    try:
        request = Request(**{**content, "parts": tuple(content["parts"])})
    except (TypeError, KeyError) as error:
        raise InputError(f"the request of job {name!r} cannot be read; delete the job") from error
    return Job(folder=folder, request=request)


def start_job(job: Job) -> None:
    """Start a job, or go on with one that stopped, in a process of its own."""
    for name in ("end.json", "worker.json", "cancelled"):
        (job.folder / name).unlink(missing_ok=True)
    write_text(job.folder / "started", f"{time.time()}")
    with (job.folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dashboard.studio.worker", str(job.folder)],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    # Somebody must wait for a child, else it stays in the table of processes and looks alive.
    threading.Thread(target=process.wait, daemon=True).start()


def cancel_job(job: Job) -> None:
    """Ask a job's processes to end, and end them when they do not; finished segments stay."""
    write_text(job.folder / "cancelled", "")
    worker = str((_read(job.folder / "worker.json") or {}).get("worker", ""))
    if not worker or is_dead(worker):
        return
    group = int(worker.split(":")[1])  # a worker leads a group of its own
    _signal(group, signal.SIGTERM)

    def insist() -> None:
        for _ in range(int(_GRACE_S / 0.1)):
            if is_dead(worker):
                return
            time.sleep(0.1)
        _signal(group, signal.SIGKILL)

    threading.Thread(target=insist, daemon=True).start()


def delete_job(job: Job) -> None:
    """Remove a job that does not run, and its clip; what was sent to compare stays.

    Raises:
        InputError: It runs.
    """
    if progress_of(job).state in ACTIVE:
        raise InputError("this job is at work; cancel it first")
    shutil.rmtree(job.folder, ignore_errors=True)


def progress_of(job: Job) -> Progress:
    """How a job stands, from its files alone."""
    end = _read(job.folder / "end.json")
    total = max(1, job.request.segments)
    share = _segments(job) / total
    if end is not None and end.get("code") == 0 and job.clip.is_file():
        return Progress(state="done", share=1.0, words=f"made in {_duration(end.get('wall_s', 0))}")
    if (job.folder / "cancelled").exists() and (end is not None or _is_gone(job)):
        return Progress(state="cancelled", share=share, words="cancelled; it can go on from here")
    if end is not None:
        return Progress(state="failed", share=share, words=str(end.get("message", "no reason")))
    if _is_gone(job):
        words = "its process is gone; go on, and it continues where it stopped"
        return Progress(state="stopped", share=share, words=words)
    worker = _read(job.folder / "worker.json")
    if worker is None or not worker.get("turn"):
        words = "waits for another job" if worker else "starts"
        return Progress(state="waiting", share=share, words=words)
    if job.clip.is_file():
        return Progress(state="running", share=1.0, words="finishes")
    finished = _segments(job)
    if not (job.folder / "clip.segments" / "plan.json").is_file():
        return Progress(state="running", share=share, words="opens the model")
    words = "writes the clip" if finished >= total else f"segment {finished + 1} of {total}"
    return Progress(state="running", share=share, words=words)


def log_of(job: Job, lines: int = 30) -> str:
    """The end of what its processes said."""
    path = job.folder / "log.txt"
    if not path.is_file():
        return ""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _segments(job: Job) -> int:
    return len(list((job.folder / "clip.segments").glob("segment_*.zip")))


def _is_gone(job: Job) -> bool:
    """Whether nobody works on a job that has not ended."""
    worker = _read(job.folder / "worker.json")
    if worker is not None:
        return is_dead(str(worker.get("worker", "")))
    try:
        started = float((job.folder / "started").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return True
    return time.time() - started > _START_S


def _signal(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return  # it ended by itself


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
