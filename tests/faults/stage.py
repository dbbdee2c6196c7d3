"""What the harness has to know of a stage of the work: how to run it, and what it has finished."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol


class Item(NamedTuple):
    """One finished thing, as a reader sees it.

    Attributes:
        value: What it holds; equal in every run that ends well.
        identity: Which making of it this is: a row number, a file's inode; '' where making it again
            is no loss.
    """

    value: str
    identity: str = ""


State = dict[str, Item]
"""Finished things by name."""

DAMAGED = "damaged"
"""Beginning of the value of a thing that readers must not take for whole."""


class Place(NamedTuple):
    """Where a trial works.

    Attributes:
        folder: What the stage writes, and may lose; faults happen here.
        notes: What the one who asks remembers, such as acknowledgements; no fault reaches it.
        database: URL, or None for the SQLite file in the workspace.
    """

    folder: Path
    notes: Path
    database: str | None


class Stage(Protocol):
    """One command, on tiny inputs."""

    name: str
    databases: bool
    """Whether it works on a database, which may be PostgreSQL."""

    def prepare(self, place: Place) -> None:
        """Make its inputs, once."""

    def run(self, place: Place) -> None:
        """Run the command as a user would; ends by SystemExit with its code."""

    def state(self, place: Place) -> State:
        """What is finished and readable now."""

    def complaints(self, before: State, after: State, place: Place) -> list[str]:
        """What is wrong beyond lost, changed and doubled things."""

    def victims(self, place: Place) -> Sequence[Path]:
        """Finished files that may be corrupted."""

    def mend(self, place: Place, victim: Path) -> None:
        """Do what the sentence about a corrupted file says."""


def hashed(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def inode(path: Path) -> str:
    """Which file this is: another one of the same name has another."""
    facts = path.stat()
    return f"{facts.st_ino}/{facts.st_mtime_ns}"


def whole_files(folder: Path) -> list[Path]:
    """Files below a folder that carry a name of their own, not a temporary one, in order."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]
