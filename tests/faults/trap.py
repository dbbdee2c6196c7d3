"""Sets off one fault at one step of a command, from inside the process that runs it.

A step is a file opened, renamed or removed below the trial's folder, or a statement or commit on its
database: the moments at which what is on the disk changes. Steps are counted, so a seed names a
point exactly. Knows processes, files and limits, no command of ours.
"""

import os
import resource
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import Engine

FILE_STEPS: Final = frozenset(
    {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree"}
)
_BLOCK: Final = 4096
BALLAST: Final = ".ballast"
"""File that fills a disk."""

KILL: Final = "kill -9"
DISK: Final = "full disk"
QUOTA: Final = "file size limit"
LOCK: Final = "database locked"
CUT: Final = "connections cut"
RESTART: Final = "database stopped"
CORRUPT: Final = "file corrupted"
"""The kinds of faults."""

DONE, PLEASE, YES, NO = b".", b"!", b"+", b"-"
"""What trap and parent say: it has happened; please act; done; not possible now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What happens, and when.

    Attributes:
        kind: One of the kinds above.
        step: The step before which it happens, from 1.
        room: Bytes that stay free on the disk, or that a file may hold.
        delay_s: Seconds that the process goes on before it is killed from outside; after so many
            seconds a broken database is mended, 0 for after the end.
    """

    kind: str
    step: int
    room: int = 0
    delay_s: float = 0.0


class Trap:
    """Counts steps and sets off its fault; lives in the process under test.

    Args:
        folder: Files below it count.
        fault: None only counts.
        ring: Written to when the one outside has to act.
        answer: Read until the one outside has acted.
    """

    def __init__(self, folder: Path, fault: Fault | None, ring: int, answer: int) -> None:
        self.steps = 0
        self._folder, self._fault = f"{folder}{os.sep}", fault
        self._ring, self._answer = ring, answer
        self._armed = fault is not None
        self._inside = False

    def arm(self) -> None:
        """Begin to count; a process does it once, because such hooks cannot be taken away."""
        sys.addaudithook(self._audit)
        event.listen(Engine, "before_cursor_execute", self._statement)
        event.listen(Engine, "commit", self._statement)

    def _audit(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name in FILE_STEPS and arguments and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.fsdecode(arguments[0])
            if path.startswith(self._folder):
                self._step()

    def _statement(self, *_: Any) -> None:
        self._step()

    def _step(self) -> None:
        if self._inside:
            return
        self.steps += 1
        if self._armed and self._fault is not None and self.steps >= self._fault.step:
            self._inside = True
            try:
                self._armed = not self._happen(self._fault)
            finally:
                self._inside = False

    def _happen(self, fault: Fault) -> bool:
        """Let it happen; False when it has to be tried again at the next step."""
        if fault.kind == KILL:
            if fault.delay_s == 0.0:
                os.kill(os.getpid(), signal.SIGKILL)
            os.write(self._ring, PLEASE)
            return True
        if fault.kind == DISK:
            fill(Path(self._folder), fault.room)
        elif fault.kind == QUOTA:
            resource.setrlimit(resource.RLIMIT_FSIZE, (fault.room, resource.RLIM_INFINITY))
        else:  # the database is somebody else's to break
            os.write(self._ring, PLEASE)
            return os.read(self._answer, 1) == YES
        os.write(self._ring, DONE)
        return True


def fill(folder: Path, room: int) -> None:
    """Fill the file system that holds a folder up to `room` bytes."""
    facts = os.statvfs(folder)
    wanted = max(0, facts.f_bavail * facts.f_frsize - room) // _BLOCK * _BLOCK
    with (folder / BALLAST).open("wb") as file:
        if wanted:
            os.posix_fallocate(file.fileno(), 0, wanted)
