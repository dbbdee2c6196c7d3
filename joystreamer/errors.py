"""The errors a user can act on: what came in, what fits, what to do.

Command lines print them as one line without a traceback and exit with code 2. Everything else that
is raised is a defect of ours and keeps its traceback.
"""


class JoyStreamerError(Exception):
    """Base of every error that a user can act on."""


class InputError(JoyStreamerError, ValueError):
    """Something the user gave does not fit."""


class MissingExtra(JoyStreamerError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class MissingWeights(JoyStreamerError, FileNotFoundError):
    """Network weights are not on this machine; the message says where they are looked for."""
