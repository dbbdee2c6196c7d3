"""What puppets and rooms look like: colours. Some are the same everywhere, so that oracles can find parts."""

from dataclasses import dataclass
from typing import Final

import numpy as np

Colour = tuple[int, int, int]

MOUTH: Final[Colour] = (235, 0, 170)
GLOVE: Final[Colour] = (255, 130, 0)
BALL: Final[Colour] = (255, 230, 0)
RED_FACE: Final[Colour] = (225, 60, 45)
NIGHT: Final[Colour] = (38, 40, 92)
FLOOR: Final[Colour] = (150, 132, 112)
TROUSERS: Final[Colour] = (48, 52, 62)
SHOES: Final[Colour] = (20, 20, 24)
EYES: Final[Colour] = (255, 255, 255)
PUPILS: Final[Colour] = (15, 15, 20)
WINDOW: Final[Colour] = (252, 252, 240)

SKINS: Final[tuple[Colour, ...]] = (
    (244, 202, 164),
    (150, 98, 66),
    (150, 205, 140),
    (190, 170, 225),
)
SHIRTS: Final[tuple[Colour, ...]] = (
    (52, 92, 215),
    (40, 150, 75),
    (120, 60, 190),
    (25, 165, 170),
    (235, 235, 240),
)
HAIRS: Final[tuple[Colour, ...]] = ((38, 28, 30), (104, 62, 34), (150, 150, 158))
WALLS: Final[tuple[Colour, ...]] = (
    (188, 204, 222),
    (230, 220, 196),
    (224, 198, 206),
    (198, 224, 204),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """One puppet's own colours.

    Attributes:
        skin: Of head and hands' wrists.
        shirt: Of torso and arms.
        hair: Of the cap of hair.
    """

    skin: Colour = SKINS[0]
    shirt: Colour = SHIRTS[0]
    hair: Colour = HAIRS[0]


def draw_identity(draw: np.random.Generator) -> Identity:
    """Draw a puppet."""
    return Identity(skin=pick(SKINS, draw), shirt=pick(SHIRTS, draw), hair=pick(HAIRS, draw))


def pick(colours: tuple[Colour, ...], draw: np.random.Generator) -> Colour:
    """Draw one of several colours."""
    return colours[int(draw.integers(len(colours)))]
