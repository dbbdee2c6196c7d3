"""The errors a user can act on: what came in, what fits, what to do.

Command lines print them as one line without a traceback and exit with code 2. Everything else that
is raised is a defect of ours and keeps its traceback.
"""

import errno


class JoyStreamerError(Exception):
    """Base of every error that a user can act on."""


class InputError(JoyStreamerError, ValueError):
    """Something the user gave does not fit."""


class MissingExtra(JoyStreamerError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class MissingWeights(JoyStreamerError, FileNotFoundError):
    """Network weights are not on this machine; the message says where they are looked for."""


def printable(text: str) -> str:
    """Return a text as a terminal may show it: what is not printed is spelled out.

    Names of files may hold anything, also sequences that move a terminal's cursor.
    """
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


BRIEF = 60
"""Characters of something given that a message repeats."""


def brief(value: object) -> str:
    """Return something given as a message repeats it: on one line, and no longer than can be read."""
    text = repr(value)
    return text if len(text) <= BRIEF else f"{text[: BRIEF - 1]}…"


def about_path(error: OSError | UnicodeEncodeError) -> InputError | None:
    """The sentence for a path that no file can have, None for every other failure of the system."""
    if isinstance(error, UnicodeEncodeError):
        half_a_pair = "\ud800" <= error.object[error.start] <= "\udfff"
        return (
            InputError(f"{brief(error.object)} is no text that a file's name can be; check it")
            if half_a_pair
            else None
        )
    if error.errno == errno.ENAMETOOLONG:
        name = str(error.filename)
        return InputError(
            f"the path '{name[:BRIEF]}…' is longer than a file's name may be; check it"
        )
    if error.errno == errno.ELOOP:
        return InputError(f"the path '{error.filename}' is a loop of links; check it")
    return None
