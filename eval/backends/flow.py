"""Dense optical flow and area resizing by OpenCV.

The only file that uses OpenCV for motion. Flow: DIS (Kroeger et al. 2016), preset 'fast'.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def shrink(rgb: NDArray[np.uint8], short_side: int) -> NDArray[np.uint8]:
    """Scale an image so that its short side is `short_side`, by area averaging; never enlarges.

    Args:
        rgb: uint8, (height, width, 3).
        short_side: Pixels.

    Returns:
        uint8, (height, width, 3).
    """
    import cv2

    height, width = rgb.shape[:2]
    scale = short_side / min(height, width)
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: NDArray[np.uint8] = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return small


class Flow:
    """Optical flow between grey images of one size; keep one per clip."""

    def __init__(self) -> None:
        import cv2

        library: Any = cv2  # its stubs lack the optional modules
        self._dis = library.DISOpticalFlow_create(library.DISOPTICAL_FLOW_PRESET_FAST)

    def between(self, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the displacement of every pixel.

        Args:
            before: uint8, (height, width).
            after: Same shape.

        Returns:
            float32, (height, width, 2): x and y in pixels.
        """
        flow: NDArray[np.float32] = self._dis.calc(before, after, None)
        return flow
