"""Read one record field by field and say everything that is wrong with it.

Every sentence names the place (file and line), the field, what came, what fits and what to do. A
reader never stops at the first mistake: problems are collected, so that one look mends a whole file.
Nothing here knows which fields a suite or a manifest has.
"""

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from joystreamer.errors import InputError
from joystreamer.json_files import is_finite

T = TypeVar("T")

MAX_TEXT: Final = 20_000
"""Characters; a longer text is a mistake, not a prompt."""

_ID = re.compile(r"[\w][\w .+@=-]*")


class ProblemsFound(InputError):
    """A file holds one or more mistakes.

    Attributes:
        problems: One sentence each, in file order.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def shown(value: object, limit: int = 60) -> str:
    """Return a value as it may stand in a sentence: quoted, on one line, printable, not too long."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):  # nested too deeply, or a number of thousands of digits
        text = f"a {type(value).__name__}"
    text = "".join(
        character if character.isprintable() else _escaped(character)
        for character in text[: 4 * limit]
    )
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _named(name: str, limit: int = 60) -> str:
    """Return the name of a field as it may stand in a sentence."""
    text = ascii(name) if not name.isprintable() else repr(name)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def is_encodable(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON can spell half of a surrogate pair, files cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def nearest(name: str, known: Sequence[str]) -> str:
    """Return ' (did you mean …?)' when a known name is near, else ''."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" (did you mean {_named(near[0])}?)" if near else ""


class Fields:
    """Reads the fields of one record, collecting problems.

    Attributes:
        place: Where the record stands, for example `suites/short/cases.jsonl:17`.
        problems: Sentences about what was wrong so far.
    """

    def __init__(self, place: str, record: Mapping[str, Any], problems: list[str]) -> None:
        self.place = place
        self.problems = problems
        self._record = record
        self._asked: set[str] = set()

    def problem(self, field: str, got: object, fits: str, todo: str = "") -> None:
        """Note a mistake in one sentence."""
        end = f"; {todo}" if todo else ""
        self.problems.append(
            f"{self.place}: field {_named(field)}: got {shown(got)}, expected {fits}{end}"
        )

    def has(self, name: str) -> bool:
        """Whether a field is given and not null."""
        return self._record.get(name) is not None

    def raw(self, name: str) -> Any:
        """Return a field as it came, None when absent."""
        self._asked.add(name)
        return self._record.get(name)

    def text(self, name: str, *, default: str | None = None) -> str:
        """Return a text; required without a default."""
        value = self._get(name, default)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.problem(name, value, "a text", "put it in quotes")
            return default or ""
        if len(value) > MAX_TEXT:
            self.problem(name, f"{len(value)} characters", f"at most {MAX_TEXT}", "shorten it")
            return default or ""
        if any(ord(character) < 32 and character not in "\t\n\r" for character in value):
            self.problem(name, value, "a text without control characters", "remove them")
            return default or ""
        if not is_encodable(value):
            self.problem(name, value, "whole characters, no half of a surrogate pair", "remove it")
            return default or ""
        return value

    def identifier(self, name: str, *, default: str | None = None) -> str:
        """Return a name that is safe in tables and paths."""
        value = self.text(name, default=default)
        if value and (not _ID.fullmatch(value) or len(value) > 200 or ".." in value):
            self.problem(
                name,
                value,
                "letters, digits, space and . _ + @ = - (at most 200, no '..')",
                "rename it",
            )
            return default or ""
        if value == "" and self._record.get(name) == "":
            self.problem(name, value, "a name that is not empty")
        return value

    def choice(self, name: str, options: Sequence[str], *, default: str | None = None) -> str:
        """Return one of several words."""
        value = self._get(name, default)
        if value is None:
            return options[0]
        if value not in options:
            hint = nearest(value, options) if isinstance(value, str) else ""
            self.problem(name, value, "one of " + ", ".join(options) + hint)
            return default or options[0]
        return str(value)

    def number(
        self,
        name: str,
        *,
        default: float | None = None,
        low: float = -math.inf,
        high: float = math.inf,
    ) -> float | None:
        """Return a finite number within [low, high], None when absent without a default."""
        value = self.raw(name)
        if value is None:
            return default
        fits = "a finite number" + (f" of at least {low:g}" if low > -math.inf else "")
        fits += f" and at most {high:g}" if high < math.inf else ""
        if not is_finite(value) or not low <= value <= high:
            self.problem(name, value, fits)
            return default
        return float(value)

    def integer(self, name: str, *, default: int | None = None, low: int = 0) -> int | None:
        """Return a whole number of at least `low`, None when absent without a default."""
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value < low or value >= 2**31:
            self.problem(name, value, f"a whole number of at least {low}")
            return default
        return value

    def items(self, name: str, read: Callable[[Any], T | None], fits: str) -> tuple[T, ...]:
        """Return a list, each item read by a function that answers None for a misfit."""
        value = self.raw(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            self.problem(name, value, f"a list of {fits}")
            return ()
        found = []
        for index, item in enumerate(value):
            read_item = read(item)
            if read_item is None:
                self.problem(f"{name}[{index}]", item, fits)
            else:
                found.append(read_item)
        return tuple(found)

    def path(self, name: str, root: Path, *, must_exist: bool = True) -> Path | None:
        """Return a file inside a folder, None when absent.

        The path must be relative, must not leave the folder (also not through a link) and must exist.
        """
        value = self.raw(name)
        if value is None:
            return None
        return self.confined(name, value, root, must_exist=must_exist)

    def confined(
        self, name: str, value: object, root: Path, *, must_exist: bool = True
    ) -> Path | None:
        """Check that a value is a path inside a folder; note a problem otherwise."""
        if not isinstance(value, str) or not value or "\0" in value:
            self.problem(name, value, "a path relative to " + str(root))
            return None
        path = root / value
        try:
            inside = path.resolve().is_relative_to(root.resolve())
            there = inside and path.is_file()
        except (OSError, RuntimeError, ValueError):  # a loop of links, or no name a file can have
            inside = there = False
        if Path(value).is_absolute() or not inside:
            self.problem(name, value, f"a path inside {root}", "copy the file there")
            return None
        if must_exist and not there:
            self.problem(name, value, "an existing file", f"put it at {path}")
            return None
        return path

    def finish(self) -> None:
        """Note every field that nobody asked for."""
        for name in self._record:
            if name not in self._asked:
                known = sorted(self._asked)
                self.problems.append(
                    f"{self.place}: field {_named(name)} is unknown{nearest(name, known)}; "
                    f"known fields: {', '.join(known)}"
                )

    def _get(self, name: str, default: object) -> Any:
        value = self.raw(name)
        if value is None:
            if default is None:
                self.problems.append(f"{self.place}: field {name!r} is missing; add it")
            return default
        return value


def read_json_line(place: str, line: str, problems: list[str]) -> dict[str, Any] | None:
    """Parse one line that should hold a JSON object; note a problem and return None otherwise."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in pairs:
            if key in seen:
                problems.append(f"{place}: field {_named(key)} is given twice; keep one")
            seen[key] = value
        return seen

    try:
        record = json.loads(line, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        problems.append(
            f"{place}: not JSON ({str(error)[:200]}); expected one JSON object per line"
        )
        return None
    if not isinstance(record, dict):
        problems.append(f"{place}: got {shown(record)}, expected one JSON object per line")
        return None
    return record


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 text file, parted at line feeds and carriage returns alone.

    Characters that only a typesetter takes for the end of a line (U+2028, U+0085) stay inside: JSON
    allows them in texts.

    Raises:
        InputError: The file is missing, not text, or too large.
    """
    if not path.is_file():
        raise InputError(f"{path} is not a file; check the path")
    if path.stat().st_size > 64 << 20:
        raise InputError(
            f"{path} is {path.stat().st_size >> 20} MB; a list of cases has at most 64 MB"
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not UTF-8 text ({error}); save it as UTF-8") from error
    return lines[:-1] if lines[-1] == "" else lines
