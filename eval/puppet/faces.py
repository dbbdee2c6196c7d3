"""Where puppets' faces are, as the sync measure wants them: boxes, without any network.

Who is there is known from the case; where, is read off every picture by the colours of face, hair and
shirt, so that puppets that walk, jump or come closer are followed.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from eval.face_tracks import Boxes
from eval.puppet.bodies import HEAD, Body, find_people
from eval.puppet.case import PuppetCase
from eval.puppet.colours import colour_shares
from eval.puppet.proportions import FACE, HAIR
from eval.puppet.readings import SIDE, reduced

CROP_PX: Final = 40
"""Side of the crops that the puppets' sync network sees; a head alone in a picture of 64 pixels is cut
out at 33."""
LEAST: Final = 0.35
"""Share of a head's area that must be seen, else nobody is there."""
TOP: Final = HAIR[0] + HAIR[2]
"""Height of the crown, for scale 1."""
CHIN: Final = FACE[0] - FACE[2]


def head_boxes(x: ArrayLike, y: ArrayLike, size: ArrayLike) -> NDArray[np.float64]:
    """Return the boxes around hair and face.

    Args:
        x: Middle of the head as seen, share of the width, (T,).
        y: The same, share of the height.
        size: Scale of the person times magnification.

    Returns:
        (T, 4), left, top, right, bottom as shares of the picture; may reach beyond it.
    """
    x, y, size = (np.asarray(value, np.float64) for value in (x, y, size))
    edges = [
        x - size * HAIR[1],
        y - size * (TOP - HEAD.height),
        x + size * HAIR[1],
        y + size * (HEAD.height - CHIN),
    ]
    return np.stack(np.broadcast_arrays(*edges), axis=-1)


class PuppetFaceFinder:
    """Finds the faces of a case's people; see `eval.sync.networks.FaceFinder`.

    Args:
        case: Who is there.
    """

    def __init__(self, case: PuppetCase) -> None:
        self._case = case

    def find(self, images: Sequence[NDArray[np.uint8]]) -> list[Boxes]:
        """Return the faces of every picture, the order of people kept; score: share of the head seen."""
        if not images:
            return []
        height, width = images[0].shape[:2]
        shares = colour_shares(reduced(np.stack([_small(image) for image in images])), self._case)
        bodies, zoom = find_people(shares, self._case)
        pixels = np.array([width, height, width, height], np.float64)
        people = [
            _faces(body, person.scale, zoom, pixels)
            for body, person in zip(bodies, self._case.people, strict=True)
        ]
        found = np.stack(people, axis=1)  # (T, people, 5)
        return [boxes[boxes[:, 4] >= LEAST] for boxes in found]


def _faces(
    body: Body, scale: float, zoom: NDArray[np.float32], pixels: NDArray[np.float64]
) -> NDArray[np.float64]:
    size = scale * zoom.astype(np.float64)
    seen = np.minimum(body.area / (HEAD.area * size**2), 1.0)
    return np.column_stack([head_boxes(body.x, body.y, size) * pixels, seen])


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale a picture of any shape to one in which colours can be measured."""
    height, width = image.shape[:2]
    if height == width and height % SIDE == 0:
        return image
    small = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(small)
