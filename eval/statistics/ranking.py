"""Ranks that admit ignorance: systems that cannot be told apart share one."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

SIGNIFICANCE: Final = 0.05
"""Level at which an adjusted p tells two systems apart."""


def tie_ranks(beaten: NDArray[np.bool_]) -> list[int]:
    """Return shared ranks from a table of who demonstrably beats whom.

    A system's rank is one more than the number of systems shown to be better than it, so everybody
    whom nobody beats is first. Being told apart is not transitive (A may beat C while B ties with
    both), which is why ranks count winners instead of cutting a list into groups.

    Args:
        beaten: (k, k); entry [i, j] says that i is demonstrably better than j.

    Returns:
        k ranks from 1.

    Raises:
        ValueError: The table is not square, or two systems beat each other.
    """
    if beaten.ndim != 2 or beaten.shape[0] != beaten.shape[1]:
        raise ValueError(f"a table of wins is square, got shape {beaten.shape}")
    if (beaten & beaten.T).any():
        raise ValueError("two systems cannot each be better than the other")
    return [1 + int(wins) for wins in beaten.sum(axis=0)]
