"""`python -m dashboard.studio.worker FOLDER`: does one job of the studio, in its turn, and writes how it ended.

Jobs of a workspace run one after the other, since a model fills its device. Loads no network itself:
`joystreamer generate` is a process below this one, in the same group, so that cancelling reaches both.
"""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Final

from dashboard.studio.jobs import find_job
from dashboard.studio.plans import error_line
from eval.checkout import ROOT
from eval.store.files import write_text
from eval.store.leases import this_worker

CANCELLED: Final = 143
"""Exit code of a process that was asked to end."""


def work(folder: Path) -> int:
    """Do one job; return the exit code of the command."""
    job = find_job(folder.parent.parent, folder.name)
    begun = time.time()
    _tell(folder, turn=False)
    with (folder.parent / "turn.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # the system gives it back, however this process ends
        _tell(folder, turn=True)
        command = [
            sys.executable, "-m", "joystreamer.cli", "generate", *job.model.options(),
            "--job", str(folder / "job.json"),
        ]  # fmt: skip
        log = folder / "log.txt"
        start = log.stat().st_size if log.is_file() else 0
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
    said = log.read_bytes()[start:].decode(errors="replace") if log.is_file() else ""
    message = error_line(said.replace(f"{folder}/", "")) if done.returncode else ""
    _end(folder, done.returncode, message, time.time() - begun)
    return done.returncode


def main() -> None:
    """Run from the command line."""
    folder = Path(sys.argv[1]).absolute()

    def leave(_number: int, _frame: FrameType | None) -> None:
        _end(folder, CANCELLED, "cancelled", 0.0)
        raise SystemExit(CANCELLED)

    signal.signal(signal.SIGTERM, leave)
    raise SystemExit(work(folder))


def _tell(folder: Path, *, turn: bool) -> None:
    write_text(folder / "worker.json", json.dumps({"worker": this_worker(), "turn": turn}))


def _end(folder: Path, code: int, message: str, wall_s: float) -> None:
    told = {"code": code, "message": message, "wall_s": round(wall_s, 1)}
    write_text(folder / "end.json", json.dumps(told, ensure_ascii=False))


if __name__ == "__main__":
    main()
