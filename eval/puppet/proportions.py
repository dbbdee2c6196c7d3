"""How a puppet is built: lengths as shares of the picture's side, for a puppet of scale 1.

Heights are above the ground. The renderer draws by its own copy of these numbers; a test holds the two
together, so that an oracle never looks in a place where nothing is drawn.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

GROUND: Final = 0.93
FLOOR: Final = 0.88
"""Row at which the floor begins, from the top."""
HAIR: Final = (0.60, 0.165, 0.175)
"""Height of the middle, half width, half height."""
FACE: Final = (0.555, 0.15, 0.145)
EYES: Final = (0.605, 0.06, 0.036)
"""Height of the middle, distance to either side, radius."""
MOUTH: Final = (0.50, 0.095, 0.07)
"""Of a mouth that is fully open."""
MOUTH_CLOSED: Final = 0.006
"""Half the height of a closed mouth."""
TORSO: Final = (0.285, 0.125, 0.145)
HANGING: Final = (0.155, 0.20)
"""Where a hanging hand is: distance to the side, height."""
RAISED: Final = (0.276, 0.47)
"""Where a raised hand is: distance to the side, height."""
SLEEVE: Final = ((0.16, 0.402), RAISED)
"""Ends of what of a raised arm is seen beside the body."""
ARM: Final = 0.042
"""Half the width of an arm."""
WINDOW: Final = (0.70, 0.10, 0.92, 0.34)
"""Left, top, right and bottom of the window in the room; a raised hand may come before it."""
HAND: Final = 0.075
BALL: Final = (0.16, 0.17, 0.12)
"""x, y and radius; does not belong to a person."""

_GRID: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """Facts about a head's visible parts, for scale 1.

    Attributes:
        height: Of the middle of hair, face and mouth together.
        area: Of hair, face and mouth together, share of the picture.
        hair: Visible area of the hair.
        face: Visible area of the face, mouth closed.
    """

    height: float
    area: float
    hair: float
    face: float


def measure_head() -> Head:
    """Measure the head on a fine grid: its outlines overlap, so its areas have no short formula."""
    across = (np.arange(_GRID) + 0.5) / _GRID * 0.4 - 0.2
    height = (np.arange(_GRID) + 0.5) / _GRID * 0.4 + 0.4
    x, h = np.meshgrid(across, height)
    hair, face = _inside(x, h, HAIR), _inside(x, h, FACE)
    eye = np.hypot(np.abs(x) - EYES[1], h - EYES[0]) < EYES[2]
    parts = (hair | face) & ~eye
    cell = (0.4 / _GRID) ** 2
    return Head(
        height=float(h[parts].mean()),
        area=float(parts.sum() * cell),
        hair=float((hair & ~face & ~eye).sum() * cell),
        face=float((face & ~eye).sum() * cell),
    )


def torso_area() -> float:
    """Return the area of a torso without arms, share of the picture."""
    return float(np.pi * TORSO[1] * TORSO[2])


def _inside(
    x: NDArray[np.float64], h: NDArray[np.float64], part: tuple[float, float, float]
) -> NDArray[np.bool_]:
    return (x / part[1]) ** 2 + ((h - part[0]) / part[2]) ** 2 < 1
