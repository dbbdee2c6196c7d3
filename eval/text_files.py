"""Open the two kinds of text tables that people write by hand, TOML and CSV, and refuse what is neither.

One home for what their parsers raise, so that no reader forgets one: numbers of thousands of digits,
tables nested too deeply, cells without an end. Knows no fields; `eval.fields` checks those.
"""

import csv
import io
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from eval.fields import ProblemsFound, read_lines
from joystreamer.errors import InputError

Row = tuple[int, dict[Any, Any]]
"""Line of the file on which a row ends, and its cells by column; cells beyond the columns under None."""


def parse_toml(
    text: str, place: str, advice: str = "see any shipped file for the form"
) -> dict[str, Any]:
    """Parse TOML.

    Args:
        text: The whole file.
        place: Its name for the sentence.
        advice: What to do about a mistake.

    Raises:
        ProblemsFound: It is no TOML, holds a number that is too long, or is nested too deeply.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ProblemsFound([f"{place}: not TOML (nested too deeply); {advice}"]) from error
    except ValueError as error:
        raise ProblemsFound([f"{place}: not TOML ({_brief(error)}); {advice}"]) from error


def read_toml(path: Path, advice: str = "see any shipped file for the form") -> dict[str, Any]:
    """Read a TOML file; see `parse_toml`.

    Raises:
        InputError: The file is missing, too large, not UTF-8 or no TOML.
    """
    return parse_toml("\n".join(read_lines(path)), str(path), advice)


def read_csv(path: Path, *, tabs: bool = False) -> tuple[list[str], list[Row]]:
    """Read a CSV table whose first line names the columns.

    Args:
        path: The file.
        tabs: Whether a first line with tabs and without commas means columns parted by tabs.

    Returns:
        Columns in their order, and the rows; cells that a row lacks are None.

    Raises:
        InputError: The file is missing, too large, not UTF-8, or a cell has no end.
    """
    lines = read_lines(path)
    first = lines[0] if lines else ""
    parted = "\t" if tabs and "\t" in first and "," not in first else ","
    # A quoted cell may hold line breaks, so the text is given to the reader as a whole.
    reader = csv.DictReader(io.StringIO("\n".join(lines), newline=""), delimiter=parted)
    try:
        columns = list(reader.fieldnames or ())
        return columns, [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InputError(
            f"{path}:{reader.line_num}: not a CSV table ({error}); close the quotes of every cell"
        ) from error


def read_plain_csv(path: Path) -> list[list[str]]:
    """Read the rows of a CSV file without a line of columns; see `read_csv`."""
    reader = csv.reader(io.StringIO("\n".join(read_lines(path)), newline=""))
    try:
        return list(reader)
    except csv.Error as error:
        raise InputError(
            f"{path}:{reader.line_num}: not a CSV table ({error}); close the quotes of every cell"
        ) from error


def safe_cell(value: Any) -> Any:
    """Keep a spreadsheet from running a text as a formula: an apostrophe goes before it."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return value if _NUMBER.fullmatch(value) else "'" + value
    return value


_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?")
"""A signed number is no formula."""


def _brief(error: ValueError) -> str:
    text = str(error)
    return text if len(text) <= 200 else text[:199] + "…"
