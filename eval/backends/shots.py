"""Finds cuts by the change of hue, saturation and brightness, as PySceneDetect does."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

CUT_THRESHOLD: Final = 27.0
"""Mean change over the three channels (0 to 255) at which a shot ends; PySceneDetect's default."""
WIDTH_PX: Final = 256
"""Pictures are shrunk to this larger side first."""


class CutFinder:
    """Watches frames for cuts.

    Equal to PySceneDetect's content score, but without its filter, which merges cuts that lie within
    15 frames: a wrongly split track only costs a few frames, a merged one mixes two people.
    """

    def __init__(self, threshold: float = CUT_THRESHOLD) -> None:
        self._threshold = threshold
        self._last: NDArray[np.uint8] | None = None

    def is_cut(self, image: NDArray[np.uint8]) -> bool:
        """Say whether another shot begins with this frame.

        Args:
            image: uint8, (height, width, 3), RGB.
        """
        height, width = image.shape[:2]
        factor = min(1.0, WIDTH_PX / max(height, width))
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        colours: NDArray[np.uint8] = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
        last, self._last = self._last, colours
        if last is None:
            return False
        return float(cv2.absdiff(colours, last).mean()) >= self._threshold


def list_shots(path: Path, *, threshold: float = CUT_THRESHOLD) -> list[tuple[int, int]]:
    """Return the shots of a file by PySceneDetect itself, for the compatibility modes.

    Args:
        path: A clip that OpenCV can read.
        threshold: Content threshold.

    Returns:
        First frame and frame after the last, per shot; one shot when there is no cut.
    """
    from scenedetect import ContentDetector, SceneManager, open_video

    video = open_video(str(path))
    manager = SceneManager()
    manager.add_detector(ContentDetector(threshold=threshold))
    frames = int(manager.detect_scenes(video))
    shots = [(start.frame_num, end.frame_num) for start, end in manager.get_scene_list()]
    return shots or [(0, frames)]
