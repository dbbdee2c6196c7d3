"""The three outcomes of a comparison as numbers."""

from typing import Final

GOOD: Final = 1
SAME: Final = 0
BAD: Final = -1
"""A vote for the first system, for neither, for the second."""

OUTCOMES: Final = (GOOD, SAME, BAD)
"""Order of the last axis of every count array: Good, Same, Bad."""
