"""Runs one command in a forked process and says how it ended.

The parent has imported everything already, so a process costs a fork and not an interpreter with its
libraries. The parent itself must hold no thread and no open database when it forks.
"""

import contextlib
import os
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from tests.faults.trap import DONE, KILL, NO, PLEASE, YES, Fault, Trap

PATIENCE_S: Final = 300.0
"""After so long a process counts as hanging: a finding of its own."""

DEFECT: Final = 70
"""Exit code of a command that ended by an exception nobody explained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a process ended.

    Attributes:
        code: Exit code; negative for a signal.
        said: Everything it wrote.
        steps: Steps it took, 0 when it was killed.
        struck: Whether the fault was reached.
        modules: What it had to import; imported by the parent, the next process need not.
    """

    code: int
    said: str
    steps: int
    struck: bool
    modules: tuple[str, ...] = ()

    @property
    def killed(self) -> bool:
        """Whether our signal ended it."""
        return self.code == -signal.SIGKILL


class Breaker(Protocol):
    """Somebody outside who breaks a database and mends it."""

    def strike(self) -> bool:
        """Break it; False when it cannot be done at this moment."""

    def mend(self) -> None:
        """Undo what `strike` did."""


class Nothing:
    """Breaks nothing."""

    def strike(self) -> bool:
        """Do nothing."""
        return True

    def mend(self) -> None:
        """Do nothing."""


class HeldLock:
    """Keeps a SQLite database locked from another connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: sqlite3.Connection | None = None

    def strike(self) -> bool:
        """Begin a transaction that writes and does not end."""
        if not self._path.is_file():
            return False
        held = sqlite3.connect(self._path, timeout=0.0, isolation_level=None)
        try:
            held.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            held.close()
            return False
        self._held = held
        return True

    def mend(self) -> None:
        """Let go."""
        if self._held is not None:
            self._held.close()
            self._held = None


def run_apart(
    act: Callable[[], object], folder: Path, fault: Fault | None = None, breaker: Breaker | None = None
) -> Ending:  # fmt: skip
    """Run `act` in a forked process, with or without a fault, until it ends."""
    with _pipes() as pipes:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _child(act, folder, fault, pipes)
        return _Watch(pid, fault, breaker or Nothing(), pipes).until_it_ends()


class _Pipes(NamedTuple):
    """What the two processes say to each other: output, bell and answer, each read and write end."""

    heard: int
    said: int
    rings: int
    ring: int
    answers: int
    answer: int


@contextlib.contextmanager
def _pipes() -> Iterator[_Pipes]:
    pipes = _Pipes(*os.pipe(), *os.pipe(), *os.pipe())
    for end in (pipes.heard, pipes.rings):
        os.set_blocking(end, False)
    try:
        yield pipes
    finally:
        for end in pipes:
            os.close(end)


def _child(act: Callable[[], object], folder: Path, fault: Fault | None, pipes: _Pipes) -> None:
    """Everything the forked process does; it never returns."""
    code = DEFECT
    try:
        os.setpgid(0, 0)
        os.dup2(pipes.said, 1)
        os.dup2(pipes.said, 2)
        trap = Trap(folder, fault, pipes.ring, pipes.answers)
        trap.arm()
        _own.append((trap, pipes))
        _parents.update(sys.modules)
        try:
            act()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        leave(code)


_parents: set[str] = set()
_own: list[tuple[Trap, _Pipes]] = []
"""In a forked process: its trap, and its way to the parent."""


def leave(code: int) -> None:
    """End the forked process at once, from any of its threads."""
    with contextlib.suppress(OSError, ValueError):
        for trap, pipes in _own:
            names = " ".join(sorted(set(sys.modules) - _parents))
            os.write(pipes.ring, f"{trap.steps} {names}".encode()[:60_000])
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


class _Watch:
    """The parent's side: hears what is said, and acts when the trap rings."""

    def __init__(self, pid: int, fault: Fault | None, breaker: Breaker, pipes: _Pipes) -> None:
        self._pid, self._fault, self._breaker, self._pipes = pid, fault, breaker, pipes
        self._said, self._told = b"", b""
        self._struck = False
        self._later: tuple[float, Callable[[], object]] | None = None

    def until_it_ends(self) -> Ending:
        """Wait for the process; a hanging one is killed and counts as a defect."""
        until = time.monotonic() + PATIENCE_S
        while True:
            ended, status = os.waitpid(self._pid, os.WNOHANG)
            self._listen()
            if ended:
                break
            if time.monotonic() > until:
                self._said += b"Traceback: the process hung and was ended\n"
                self._kill()
                os.waitpid(self._pid, 0)
                status = DEFECT << 8
                break
            if self._later is not None and time.monotonic() >= self._later[0]:
                self._later[1]()
                self._later = None
            time.sleep(0.002)
        self._kill()  # what it may have started
        code = os.waitstatus_to_exitcode(status)
        steps, *modules = self._told.decode().split() or [""]
        return Ending(
            code=code, said=self._said.decode(errors="replace"),
            steps=int(steps) if steps.isdigit() else 0,
            struck=self._struck or code == -signal.SIGKILL,
            modules=tuple(modules),
        )  # fmt: skip

    def _listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._pipes.heard, 65_536):
                self._said += piece
        with contextlib.suppress(BlockingIOError):
            self._told += os.read(self._pipes.rings, 65_536)
        while self._told[:1] in (DONE, PLEASE) and self._told:
            please, self._told = self._told[:1] == PLEASE, self._told[1:]
            if please:
                self._act()
            else:
                self._struck = True

    def _act(self) -> None:
        assert self._fault is not None
        now = time.monotonic()
        if self._fault.kind == KILL:
            self._struck = True
            self._later = (now + self._fault.delay_s, self._kill)
            return
        done = self._breaker.strike()
        self._struck = self._struck or done
        os.write(self._pipes.answer, YES if done else NO)
        if done and self._fault.delay_s:
            self._later = (now + self._fault.delay_s, self._breaker.mend)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
