"""Watches what a reader does to the file system and the network while it reads hostile input.

Python's audit hook sees every open, rename, link, new process and connection that Python code asks
for; a listing of a guard folder before and after sees what native code did. The hook cannot be taken
off again, so it does nothing unless a watch is on.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

SECRET: Final = "the-secret-of-the-guard-folder"
"""What the guard folder's file holds; it must never come out in a sentence."""

_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Event -> positions of the paths that it changes.
_CHANGES: Final = {
    "os.mkdir": (0,), "os.rename": (0, 1), "os.remove": (0,), "os.rmdir": (0,), "os.symlink": (1,),
    "os.link": (1,), "os.truncate": (0,), "os.chmod": (0,), "os.chown": (0,), "shutil.rmtree": (0,),
}  # fmt: skip
_FORBIDDEN: Final = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect",
     "socket.getaddrinfo", "webbrowser.open", "pty.spawn"}
)  # fmt: skip
_LINKER: Final = ("/sbin/ldconfig", ["/sbin/ldconfig", "-p"])
"""Asked by `ctypes.util.find_library` when a dependency looks for a system library; told nothing given."""
_HARMLESS: Final = ("/dev/null", "/proc/self/")


@dataclass(slots=True)
class Sandbox:
    """Folders of one series of trials.

    Attributes:
        root: Holds the three others.
        given: Where input is laid out.
        allowed: Where writing is expected.
        guard: A neighbour that nobody may read or change.
    """

    root: Path
    given: Path = field(init=False)
    allowed: Path = field(init=False)
    guard: Path = field(init=False)

    def __post_init__(self) -> None:
        """Make the folders and the secret."""
        self.given, self.allowed = self.root / "given", self.root / "allowed"
        self.guard = self.root / "guard"
        for folder in (self.given, self.allowed, self.guard):
            folder.mkdir(parents=True, exist_ok=True)
        (self.guard / "secret.txt").write_text(SECRET)
        for name in ("secret.png", "secret.wav", "secret.mp4"):
            (self.guard / name).write_bytes(SECRET.encode())

    def guard_listing(self) -> list[tuple[str, int, int]]:
        """Name, size and time of change of everything beside the given and allowed folders."""
        outside = [self.guard, *self.guard.rglob("*"), self.root]
        return [
            (str(path), path.stat().st_mtime_ns, path.stat().st_size if path.is_file() else 0)
            for path in sorted(outside)
        ]


_watching: list[tuple[Sandbox, list[str], bool]] = []
_installed: list[bool] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    sandbox, breaches, confined = _watching[-1]
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, int) or path is None:
            return
        if isinstance(flags, int) and flags & _WRITES:
            _judge(path, sandbox, breaches, event)
        elif confined and _within(_real(path), sandbox.guard):
            breaches.append(f"read the guard's {Path(_real(path)).name}")
    elif event in _CHANGES:
        for position in _CHANGES[event]:
            _judge(_from_folder(arguments[position], arguments), sandbox, breaches, event)
    elif event in _FORBIDDEN and arguments[:2] != _LINKER:
        breaches.append(f"{event} {arguments[:2]!r}"[:200])


def _from_folder(path: Any, arguments: tuple[Any, ...]) -> Any:
    """A path that is relative to an open folder, which `shutil.rmtree` uses, as a whole one."""
    handle = next((part for part in reversed(arguments) if isinstance(part, int)), -1)
    if handle < 0 or isinstance(path, int) or Path(os.fsdecode(path)).is_absolute():
        return path
    folder = f"/proc/self/fd/{handle}"
    return str(Path(folder).readlink() / os.fsdecode(path)) if os.path.lexists(folder) else path


def _judge(path: Any, sandbox: Sandbox, breaches: list[str], event: str) -> None:
    if isinstance(path, int):
        return
    real = _real(path)
    if (
        real.startswith(_HARMLESS)
        or real.endswith((".pyc", ".nbi", ".nbc"))
        or "__pycache__" in real
        or "/torchinductor_" in real
    ):
        return
    if not _within(real, sandbox.allowed):
        breaches.append(f"{event} on {real[-120:]!r}, outside the workspace")


def _real(path: Any) -> str:
    try:
        return os.path.realpath(os.fsdecode(path))
    except (ValueError, TypeError, OSError):
        return ""  # no such path can exist, so the call that was announced fails


def _within(path: str, folder: Path) -> bool:
    root = os.path.realpath(folder)
    return path == root or path.startswith(root + os.sep)


@contextmanager
def watched(sandbox: Sandbox, *, confined: bool) -> Iterator[list[str]]:
    """Yield a list that receives a sentence for every breach.

    Args:
        sandbox: Where reading and writing is expected.
        confined: Whether reading the guard folder is a breach too.
    """
    if not _installed:
        sys.addaudithook(_hook)
        _installed.append(True)
    before = sandbox.guard_listing()
    breaches: list[str] = []
    _watching.append((sandbox, breaches, confined))
    try:
        yield breaches
    finally:
        _watching.pop()
        if sandbox.guard_listing() != before:
            breaches.append("the guard folder or its surroundings changed")
