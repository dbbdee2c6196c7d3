"""Open JSON that others wrote: one home for everything that can be wrong with it.

Python's parser raises three kinds of errors (no JSON, a number of thousands of digits, lists nested
too deeply), files raise two more. Knows no fields.
"""

import json
import math
from pathlib import Path
from typing import Any, TypeGuard

from joystreamer.errors import InputError


def parse_json(text: str, where: str, advice: str) -> Any:
    """Parse JSON.

    Args:
        text: What came.
        where: Where it stands, for the sentence.
        advice: What fits.

    Raises:
        InputError: It is no JSON that Python can hold.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{where} is not JSON ({error}); {advice}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{where} is not JSON that can be read (a number too long, or lists nested too deeply); "
            f"{advice}"
        ) from error


def parse_object(text: str, where: str, advice: str = "write a JSON object") -> dict[str, Any]:
    """Parse a JSON object; see `parse_json`.

    Raises:
        InputError: It is another JSON value, or none.
    """
    plain = parse_json(text, where, advice)
    if not isinstance(plain, dict):
        raise InputError(f"{where} holds a {type(plain).__name__}; {advice}")
    return plain


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file.

    Raises:
        InputError: It is missing, no ordinary file (a pipe that nobody writes to would be waited for
            without end), not readable or not UTF-8.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(
                f"'{path}' cannot be read as text (it is no ordinary file); give a UTF-8 file"
            )
        return path.read_text(encoding="utf-8")
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' cannot be read as text ({error}); give a UTF-8 file") from error


def read_object(path: Path, advice: str = "write a JSON object") -> dict[str, Any]:
    """Read a file that holds one JSON object; see `parse_object` and `read_text`."""
    return parse_object(read_text(path), f"'{path}'", advice)


def is_there(path: Path) -> bool:
    """Whether a path names a file; a name that no file can have names none."""
    try:
        return path.is_file()
    except OSError:  # longer than file names may be, a loop of links, no permission
        return False


def is_finite(value: object) -> TypeGuard[int | float]:
    """Whether a JSON value is a number that a float can hold; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False
