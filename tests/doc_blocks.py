"""Fenced blocks of the documents, and the commands in them.

A fence's first word is its language. A block of commands (`sh`) carries one mark that says how far it is
tried; CONTRIBUTING.md lists the marks. This file knows neither what commands do nor what they need.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = tuple(sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]))
COMMANDS = "sh"
MARKS = ("run", "dry-run", "check", "make", "serve")
LANGUAGES = (COMMANDS, "python", "toml", "json", "csv", "diff", "text", "markdown")


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        path: The document.
        line: Number of the opening fence, from 1.
        language: First word of the info string; '' when there is none.
        marks: Further words without `=`.
        settings: Further words with `=`: `needs`, `file`, `exit`.
        text: What stands between the fences.
    """

    path: Path
    line: int
    language: str
    marks: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    text: str

    @property
    def place(self) -> str:
        """Document and line, for messages."""
        return f"{name_of(self.path)}:{self.line}"


def name_of(path: Path) -> str:
    """Return a document's path below the checkout."""
    return (path.relative_to(ROOT) if path.is_relative_to(ROOT) else Path(path.name)).as_posix()


def read_blocks(path: Path) -> tuple[Block, ...]:
    """Return the fenced blocks of a document in order.

    Raises:
        ValueError: A fence is not closed.
    """
    found = []
    lines = iter(enumerate(path.read_text(encoding="utf-8").splitlines(), start=1))
    for number, line in lines:
        opened = re.fullmatch(r"(\s*)(`{3,})(.*)", line)
        if not opened:
            continue
        indent, fence, info = opened.groups()
        body = []
        for _, inner in lines:
            if inner.strip() == fence:
                break
            body.append(inner.removeprefix(indent))
        else:
            raise ValueError(f"{name_of(path)}:{number}: the fence is not closed")
        words = shlex.split(info)
        found.append(
            Block(
                path=path,
                line=number,
                language=words[0] if words else "",
                marks=tuple(word for word in words[1:] if "=" not in word),
                settings=dict(word.split("=", 1) for word in words[1:] if "=" in word),
                text="\n".join(body) + "\n",
            )
        )
    return tuple(found)


def without_fences(text: str) -> str:
    """Return a document without its fenced blocks."""
    return re.sub(r"^\s*(`{3,}).*?^\s*\1$", "", text, flags=re.M | re.S)


def commands_of(block: Block, variables: dict[str, str] | None = None) -> Iterator[list[str]]:
    """Yield the words of every command: lines joined, comments dropped, `NAME=value` lines put in.

    Variables are kept in `variables`, for the blocks that follow on the page.
    """
    variables = {} if variables is None else variables
    for line in block.text.replace("\\\n", " ").splitlines():
        assigned = re.fullmatch(r"([A-Z_]+)=(\"[^\"]*\"|\S+)", line.strip())
        if assigned:
            variables[assigned[1]] = assigned[2].strip('"')
            continue
        for name, value in variables.items():
            line = line.replace(f"${name}", value)
        words = shlex.split(line, comments=True)
        if words:
            yield words
