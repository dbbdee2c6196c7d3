"""Arithmetic of visual quality: Q-Align's level scores, and classical technical measures.

The technical measures (sharpness, blocks, noise) need no network. They see blur, compression and
grain; they know nothing of anatomy, artefacts of generation, or beauty, and stand in for no opinion
score.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve, uniform_filter1d

LEVELS: Final = ("excellent", "good", "fair", "poor", "bad")
"""The words whose next-token logits Q-Align compares, best first."""

LEVEL_VALUES: Final = (1.0, 0.75, 0.5, 0.25, 0.0)
"""Q-Align's own weights; the 1-5 form of Hugging Face and pyiqa weights the same logits 5 to 1."""

GROUP: Final = 64
"""Inputs of a linear layer that share a scale when OneAlign's weights are held in 4 bits."""

BLUR_WIDTH: Final = 9
"""Pixels of the averaging filter that the blur metric compares with (Crete et al. 2007)."""

BLOCK: Final = 8
"""Pixels per side of a transform block of JPEG, MPEG-4 and, mostly, H.264."""

Floats = NDArray[np.floating[Any]]


def level_score(logits: Floats) -> NDArray[np.float64]:
    """Return Q-Align's score of the five levels' logits.

    Args:
        logits: (..., 5) in the order of `LEVELS`.

    Returns:
        float64, (...), 0 to 1, higher is better: softmax in double precision, weighted. The
        reference multiplies halves, which rounds to steps of about 5e-4.
    """
    shifted = np.asarray(logits, np.float64)
    weights = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    score: NDArray[np.float64] = (weights @ np.asarray(LEVEL_VALUES)) / weights.sum(axis=-1)
    return score


def five_point(score: float) -> float:
    """Return a 0-1 score on the 1-5 scale of opinion scores."""
    return 1.0 + 4.0 * score


def sharpness(grey: Floats) -> float:
    """Return 1 minus the blur effect of Crete et al. 2007 (no-reference).

    Blurring a sharp picture again removes much of its neighbour differences, blurring a blurred one
    little.

    Args:
        grey: (height, width), any scale.

    Returns:
        0 (blurred) to 1 (sharp), the worse of both directions; 0 for a uniform picture.
    """
    image = np.asarray(grey, np.float64)
    blurs = []
    for axis in (0, 1):
        again = uniform_filter1d(image, BLUR_WIDTH, axis=axis, mode="nearest")
        steps = np.abs(np.diff(image, axis=axis))
        lost = np.maximum(0.0, steps - np.abs(np.diff(again, axis=axis)))
        total = steps.sum()
        blurs.append(1.0 if total == 0 else float((total - lost.sum()) / total))
    return 1.0 - max(blurs)


def blockiness(grey: Floats) -> float:
    """Return how much stronger steps across 8-pixel block borders are than elsewhere.

    Args:
        grey: (height, width) at the coded size: scaling moves the borders.

    Returns:
        Mean ratio over both directions minus 1: 0 without blocks, may be slightly negative.
    """
    image = np.asarray(grey, np.float64)
    ratios = []
    for axis in (0, 1):
        steps = np.abs(np.diff(image, axis=axis)).mean(axis=1 - axis)
        at_border = np.arange(len(steps)) % BLOCK == BLOCK - 1
        if not at_border.any() or at_border.all():
            continue
        inside = steps[~at_border].mean()
        ratios.append(1.0 if inside == 0 else float(steps[at_border].mean() / inside))
    return float(np.mean(ratios)) - 1.0 if ratios else 0.0


def noise(grey: Floats) -> float:
    """Return the standard deviation of grain (Immerkaer 1996), in the unit of `grey`.

    Fine texture counts as grain.
    """
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float64)
    response = convolve(np.asarray(grey, np.float64), kernel, mode="nearest")[1:-1, 1:-1]
    if response.size == 0:
        return 0.0
    return float(np.sqrt(np.pi / 2) * np.abs(response).mean() / 6)
