"""The player's modules as one script: for page components, and for reports that are a single file.

The modules use the plainest imports there are (one line, names in braces, a file beside), so that
joining them is leaving those lines out.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).with_name("player")

_IMPORT: Final = re.compile(r'^import \{[^}]+\} from "\./([a-z]+\.js)";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?!default )", re.MULTILINE)


@cache
def player_script(entry: str) -> str:
    """One ES module: a file of the player and all it imports, its default export last.

    Args:
        entry: File name in the player's folder, such as `rate.js`.
    """
    order: list[str] = []
    _collect(entry, order)
    parts = []
    for name in order:
        text = _EXPORT.sub("", _IMPORT.sub("", (FOLDER / name).read_text(encoding="utf-8")))
        parts.append(f"// {name}\n{text}")
    return "\n".join(parts)


@cache
def player_style() -> str:
    """The player's style sheet."""
    return (FOLDER / "style.css").read_text(encoding="utf-8")


def _collect(name: str, order: list[str]) -> None:
    if name in order:
        return
    for needed in _IMPORT.findall((FOLDER / name).read_text(encoding="utf-8")):
        _collect(needed, order)
    order.append(name)
