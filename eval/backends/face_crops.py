"""Cuts squares out of pictures with OpenCV, as SyncNet's crops were made."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from eval.face_tracks import GREY, Square

CROP_PX: Final = 224
"""Side of the picture SyncNet sees."""


def cut_out(image: NDArray[np.uint8], square: Square, side: int = CROP_PX) -> NDArray[np.uint8]:
    """Cut a square and scale it bilinearly; beyond the picture it is grey.

    Equal to padding the whole picture first, as the reference does, without its cost.

    Args:
        image: uint8, (height, width, 3), any channel order.
        square: What to cut.
        side: Height and width of the result.

    Returns:
        uint8, (side, side, 3).
    """
    rows, columns = square.bottom - square.top, square.right - square.left
    if rows <= 0 or columns <= 0:
        raise ValueError(f"an empty square cannot be cut out: {square}")
    height, width = image.shape[:2]
    top, bottom = max(square.top, 0), min(square.bottom, height)
    left, right = max(square.left, 0), min(square.right, width)
    if (top, bottom, left, right) == (square.top, square.bottom, square.left, square.right):
        part = image[top:bottom, left:right]
    else:
        part = np.full((rows, columns, 3), GREY, np.uint8)
        if top < bottom and left < right:
            part[
                top - square.top : bottom - square.top, left - square.left : right - square.left
            ] = image[top:bottom, left:right]
    scaled: NDArray[np.uint8] = cv2.resize(part, (side, side), interpolation=cv2.INTER_LINEAR)
    return scaled
