"""Which known colour every pixel shows, softly: the first step of finding a puppet.

A pixel belongs to several colours in shares that add up to one, so that blurred edges split evenly and
sums over regions hardly notice blur. Knows the colours of a case, not where anything is.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eval.puppet.case import Colour, PuppetCase

Floats = NDArray[np.float32]

SPREAD: Final = 22.0
"""Grey levels (standard deviation of RGB distance) within which a pixel is taken for a colour."""
STRANGE: Final = 75.0
"""Distance in grey levels beyond which a pixel is rather taken for none of the known colours."""
ALIKE: Final = 30.0
"""Grey levels below which a shirt cannot be told from another known colour."""
BLUSHES: Final = (0.0, 0.33, 0.67, 1.0)
"""Shares of the way from skin to red at which a blushing face is recognised."""
WALL_ROWS: Final = 0.8
"""Share of the height in which more than half of the pixels show the wall."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """Shares of colours in every pixel of some frames.

    Attributes:
        pixels: (T, 3, N, N), 0..255.
        wall: Measured colour of the wall per frame, (T, 3).
        of: Share by name, (T, N, N) each. Names: wall, floor, window, mouth, glove, ball, and for
            the person at place i 'face i', 'shirt i', 'hair i'.
    """

    pixels: Floats
    wall: Floats
    of: Mapping[str, Floats]


def wall_colour(pixels: Floats) -> Floats:
    """Return the wall's colour in every frame, (T, 3): the median above the floor."""
    rows = int(pixels.shape[2] * WALL_ROWS)
    sample = pixels[:, :, 1:rows:2, ::2].reshape(len(pixels), 3, -1)
    return np.median(sample, axis=2).astype(np.float32)


def colour_shares(pixels: Floats, case: PuppetCase) -> Shares:
    """Divide every pixel among the colours of a case.

    Args:
        pixels: (T, 3, N, N), 0..255.
        case: Which colours there are.
    """
    count, side = len(pixels), pixels.shape[2]
    wall = wall_colour(pixels)
    fixed, groups = _known_colours(case)
    known = np.broadcast_to(np.asarray(fixed, np.float32), (count, len(fixed), 3))
    known = np.concatenate([wall[:, None], known], axis=1)  # (T, K, 3)
    flat = pixels.reshape(count, 3, -1)
    # Squared distance without the pixel's own square, which is common to all colours of a pixel.
    scores = np.matmul(known * 2, flat)
    scores -= np.square(known).sum(axis=2)[..., None]
    own = np.square(flat).sum(axis=1)
    scores = np.concatenate([scores, (own - np.float32(STRANGE**2))[:, None]], axis=1)
    scores /= np.float32(2 * SPREAD**2)
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    maps = scores.reshape(count, -1, side, side)
    shares = {"wall": maps[:, 0]}
    for name, members in groups.items():
        shares[name] = maps[:, [index + 1 for index in members]].sum(axis=1)
    return Shares(pixels=pixels, wall=wall, of=shares)


def _known_colours(case: PuppetCase) -> tuple[list[Colour], dict[str, list[int]]]:
    """Return all colours but the wall's, each once, and which of them a part may show.

    A face that may blush has several colours; people may share colours; a white shirt looks like a
    window.
    """
    named = [(name, case.palette[name]) for name in ("floor", "window", "mouth", "glove", "ball")]
    for place, person in enumerate(case.people):
        red = case.palette["red face"] if place == 0 else person.skin
        named += [(f"face {place}", _between(person.skin, red, blush)) for blush in BLUSHES]
        named += [(f"shirt {place}", person.shirt), (f"hair {place}", person.hair)]
    colours = list(dict.fromkeys(colour for _, colour in named))
    groups: dict[str, list[int]] = {}
    for name, wanted in named:
        near = ALIKE if name.startswith("shirt") else 0.0
        members = groups.setdefault(name, [])
        members += [
            index
            for index, colour in enumerate(colours)
            if math.dist(colour, wanted) <= near and index not in members
        ]
    return colours, groups


def _between(first: Colour, last: Colour, share: float) -> Colour:
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(first, last, strict=True))
    return red, green, blue
