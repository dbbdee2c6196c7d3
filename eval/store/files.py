"""Files of a workspace: written whole or not at all, named by their content.

Every write goes to a temporary name in the same folder, is flushed to the disk and renamed, so that
a killed process leaves either the old file or the new one. Leftover temporary files are recognised by
their name and never read.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from joystreamer.errors import InputError

TEMPORARY_PREFIX: Final = ".partial-"
_CHUNK: Final = 1 << 20


def digest_file(path: Path) -> str:
    """Return the sha256 of a file as 64 hex digits.

    Raises:
        InputError: The file cannot be read.
    """
    total = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                total.update(chunk)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); check the path and its permissions"
        ) from error
    return total.hexdigest()


class StoreUnwritable(InputError):
    """A file of the workspace cannot be written: no room, no permission. It says nothing of clips."""

    def __init__(self, target: Path, cause: OSError) -> None:
        super().__init__(
            f"{target} cannot be written ({cause.strerror or cause}); check free space and permissions"
        )


@contextmanager
def written_atomically(target: Path) -> Iterator[Path]:
    """Yield a temporary path that becomes `target` when the block ends well, and vanishes otherwise.

    Raises:
        StoreUnwritable: The folder cannot be written, or its disk is full.
    """
    temporary = target.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{target.suffix}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        if isinstance(error, InputError):
            raise
        raise StoreUnwritable(target, error) from error
    finally:
        with suppress(NotADirectoryError):  # the folder itself could not be made
            temporary.unlink(missing_ok=True)


def write_bytes(target: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    with written_atomically(target) as temporary:
        temporary.write_bytes(content)


def write_text(target: Path, content: str) -> None:
    """Write a whole text file atomically, as UTF-8 with line feeds."""
    write_bytes(target, content.encode())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class ContentFolder:
    """Files named by the sha256 of what they hold, in 256 subfolders.

    Attributes:
        root: Folder that holds them; made on first use.
    """

    root: Path

    def path(self, digest: str, suffix: str = "") -> Path:
        """Return where content of this digest lies, whether or not it is there.

        Raises:
            InputError: The digest is not 64 hex digits (so no path can leave the folder).
        """
        if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise InputError(f"{digest!r} is not a digest; expected 64 hex digits")
        return self.root / digest[:2] / f"{digest}{suffix}"

    def find(self, digest: str) -> Path | None:
        """Return the stored file of this digest, with whatever suffix it has, or None."""
        folder = self.path(digest).parent
        return next((path for path in sorted(folder.glob(f"{digest}*")) if path.is_file()), None)

    def add_file(self, source: Path) -> str:
        """Copy a file in, unless its content is there already and whole; return its digest.

        The copy shares disk blocks with the source where the file system can (reflink).
        """
        digest = digest_file(source)
        target = self.path(digest, source.suffix.lower())
        if not self._holds(target, digest):
            with written_atomically(target) as temporary:
                shutil.copyfile(source, temporary)
                if digest_file(temporary) != digest:
                    raise InputError(
                        f"{source} changed while it was read; try again when it is complete"
                    )
        return digest

    def add_bytes(self, content: bytes, suffix: str) -> str:
        """Store bytes, unless they are there already; return their digest."""
        digest = hashlib.sha256(content).hexdigest()
        target = self.path(digest, suffix)
        if not self._holds(target, digest):
            write_bytes(target, content)
        return digest

    @staticmethod
    def _holds(path: Path, digest: str) -> bool:
        """Whether a file is there and is what its name says; a damaged one is written again."""
        return path.is_file() and digest_file(path) == digest
