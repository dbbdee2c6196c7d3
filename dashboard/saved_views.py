"""Saved views: names for a page's address with all its filters, kept in the workspace for all staff.

One small JSON file per view, written atomically, so that people who save at the same time cannot lose
each other's. Knows neither pages nor widgets: an address is a page and a query.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlencode

from eval.store.files import write_text
from joystreamer.errors import InputError

FOLDER: Final = "views"
"""Folder of a workspace that holds them."""

LONGEST_NAME: Final = 80
"""Letters of a name; longer ones do not fit beside the pages."""

_FIELDS: Final = ("name", "page", "query", "by", "at")


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """One saved view.

    Attributes:
        name: As its maker called it; unique on its page.
        page: Address of the page, without slashes.
        query: Query part of the address, without the question mark.
        by: Who saved it.
        at: When, ISO 8601 in UTC.
    """

    name: str
    page: str
    query: str
    by: str
    at: str

    @property
    def key(self) -> str:
        """Name of its file."""
        return hashlib.sha256(f"{self.page}\0{self.name}".encode()).hexdigest()[:20]

    def parameters(self) -> dict[str, list[str]]:
        """The query by name."""
        return parse_qs(self.query, keep_blank_values=True)


def write_query(parameters: Mapping[str, Iterable[str]]) -> str:
    """The query part of an address from its parameters."""
    return urlencode([(name, value) for name, values in parameters.items() for value in values])


def save_view(root: Path, *, name: str, page: str, query: str, by: str) -> SavedView:
    """Keep a view.

    Args:
        root: Folder of the workspace.
        name: What to call it.
        page: Address of the page, without slashes.
        query: Query part of the address.
        by: Who saves it.

    Raises:
        InputError: The name is empty, too long or taken on this page, or nothing can be written.
    """
    name = " ".join(name.split())
    if not name:
        raise InputError("a view needs a name; write what it shows")
    if len(name) > LONGEST_NAME:
        raise InputError(f"the name has {len(name)} letters; at most {LONGEST_NAME} fit")
    at = datetime.now(tz=UTC).isoformat(timespec="seconds")
    view = SavedView(name=name, page=page, query=query, by=by, at=at)
    target = root / FOLDER / f"{view.key}.json"
    if target.exists():
        raise InputError(
            f"a view of this page is called {name!r} already; delete it, or choose another name"
        )
    write_text(target, json.dumps(asdict(view), ensure_ascii=False, indent=1) + "\n")
    return view


def list_views(root: Path) -> tuple[list[SavedView], list[str]]:
    """All views by page and name, and a sentence for every file that holds none."""
    found, problems = [], []
    for path in sorted((root / FOLDER).glob("*.json")):
        try:
            found.append(_read(path))
        except InputError as error:
            problems.append(str(error))
    return sorted(found, key=lambda view: (view.page, view.name.casefold())), problems


def delete_view(root: Path, key: str) -> None:
    """Forget a view; one that is gone already stays so.

    Raises:
        InputError: The key is none.
    """
    if not re.fullmatch(r"[0-9a-f]{20}", key):
        raise InputError(f"{key!r} names no view; expected 20 hex digits")
    (root / FOLDER / f"{key}.json").unlink(missing_ok=True)


def _read(path: Path) -> SavedView:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"the saved view {path.name} cannot be read; delete the file") from error
    if not isinstance(content, dict) or set(content) != set(_FIELDS):
        raise InputError(
            f"the saved view {path.name} lacks one of {', '.join(_FIELDS)}; delete the file"
        )
    if not all(isinstance(content[name], str) for name in _FIELDS):
        raise InputError(
            f"the saved view {path.name} holds something else than texts; delete the file"
        )
    return SavedView(**content)
