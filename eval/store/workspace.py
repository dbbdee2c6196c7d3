"""A workspace: one folder with the database, media by content, series and reports.

workspace.toml      identity and database URL (never a password)
joystreamer.db      records, unless a PostgreSQL URL is given
media/              originals by sha256
proxies/ posters/   what a browser plays and shows
series/             per-frame series of scores, by sha256
reports/            tables and pages

Arrays are loaded only for series: a server that opens a workspace to take votes stays small.
"""

import io
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from eval.series import Series
from eval.store.database import Database
from eval.store.files import TEMPORARY_PREFIX, ContentFolder, digest_file, write_text
from eval.store.migrate import upgrade
from eval.text_files import parse_toml
from joystreamer.errors import InputError

MARKER: Final = "workspace.toml"
DATABASE_FILE: Final = "joystreamer.db"
DATABASE_VARIABLE: Final = "JOYSTREAMER_DATABASE"
"""Environment variable with the database URL, for URLs that carry a password."""


class Workspace:
    """An open workspace.

    Attributes:
        root: Its folder.
        database: Its records.
        media: Original files.
        proxies: Clips as browsers play them.
        posters: One picture per clip.
    """

    def __init__(self, root: Path, database_url: str | None = None) -> None:
        """Open a workspace, making it when the folder is new or empty.

        Args:
            root: Folder.
            database_url: URL of the database; None for the one the workspace was made with, the
                environment variable `JOYSTREAMER_DATABASE`, or a SQLite file inside the folder.

        Raises:
            InputError: The folder holds something else, or the database does not open.
        """
        self.root = root.absolute()
        marker = self.root / MARKER
        if self.root.exists() and not self.root.is_dir():
            raise InputError(
                f"{root} is a file; a workspace is a folder: give another path with --workspace"
            )
        if not marker.is_file() and self.root.is_dir() and not _is_begun(self.root):
            raise InputError(
                f"{root} is not empty and not a workspace (no {MARKER}); give a new folder with --workspace"
            )
        settings = _read_marker(marker) if marker.is_file() else {"id": uuid.uuid4().hex}
        url = database_url or os.environ.get(DATABASE_VARIABLE) or settings.get("database")
        self._make_folder()
        self.database = Database(url or f"sqlite:///{self.root / DATABASE_FILE}")
        self.id = str(settings["id"])
        upgrade(self.database)
        if not marker.is_file():
            _write_marker(marker, self.id, self.database if url else None)
        self.media = ContentFolder(self.root / "media")
        self.proxies = ContentFolder(self.root / "proxies")
        self.posters = ContentFolder(self.root / "posters")
        self._series = ContentFolder(self.root / "series")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    @property
    def reports(self) -> Path:
        """Folder for tables and pages."""
        return self.root / "reports"

    def add_series(self, series: Mapping[str, Series]) -> str:
        """Store the series of one score; return their digest, '' when there are none."""
        if not series:
            return ""
        import numpy as np

        buffer = io.BytesIO()
        arrays: dict[str, Any] = {}
        for name, entry in sorted(series.items()):
            arrays[f"{name}|times_s|{entry.unit}"] = entry.times_s.astype(np.float64)
            arrays[f"{name}|values|{entry.unit}"] = entry.values
        np.savez(buffer, **arrays)
        return self._series.add_bytes(buffer.getvalue(), ".npz")

    def read_series(self, digest: str) -> dict[str, Series]:
        """Return the series stored under a digest, empty for ''.

        Raises:
            InputError: They are not in this workspace, or damaged.
        """
        if not digest:
            return {}
        import numpy as np

        path = self._series.path(digest, ".npz")
        if not path.is_file():
            raise InputError(
                f"series {digest[:12]}… are not in {self.root}; score the clip again with --force"
            )
        if digest_file(path) != digest:
            raise InputError(
                f"series {digest[:12]}… in {self.root} are damaged; score the clip again with --force"
            )
        with np.load(path, allow_pickle=False) as stored:
            names = [key.split("|") for key in stored.files if "|values|" in key]
            return {
                name: Series(
                    times_s=stored[f"{name}|times_s|{unit}"],
                    values=stored[f"{name}|values|{unit}"],
                    unit=unit,
                )
                for name, _, unit in names
            }

    def _make_folder(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"the workspace {self.root} cannot be made ({error.strerror}); give a writable folder"
            ) from error


def _is_begun(root: Path) -> bool:
    """Whether a folder holds nothing, or nothing but what making a workspace leaves when it is stopped."""
    return all(path.name.startswith((TEMPORARY_PREFIX, DATABASE_FILE)) for path in root.iterdir())


def _read_marker(marker: Path) -> dict[str, Any]:
    try:
        settings = parse_toml(
            marker.read_text(encoding="utf-8"), str(marker), "restore it or use another workspace"
        )
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{marker} cannot be read ({error}); restore it or use another workspace"
        ) from error
    if not isinstance(settings.get("id"), str):
        raise InputError(
            f"{marker}: field 'id' is missing; restore the file or use another workspace"
        )
    return settings


def _write_marker(marker: Path, identity: str, database: Database | None) -> None:
    lines = [
        "# A JoyStreamer workspace. Made by python -m eval; safe to read, not to edit.",
        f'id = "{identity}"',
    ]
    if database is not None and database.url.password is None:
        lines.append(f'database = "{database.name}"')
    write_text(marker, "\n".join(lines) + "\n")
