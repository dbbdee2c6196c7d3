"""Hand keypoints by MediaPipe's HandLandmarker, in video mode.

Video mode tracks: every clip gets a landmarker of its own, so that nothing leaks from one clip into
the next. One score per hand (of the handedness classifier), not one per keypoint.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eval.backends.native_logs import native_logs_hidden
from eval.hands import HandSighting
from joystreamer.media import Frame

NUM_POINTS: Final = 21
NUM_HANDS: Final = 2
MINIMUM_DETECTION: Final = 0.5
MINIMUM_PRESENCE: Final = 0.5
MINIMUM_TRACKING: Final = 0.5
"""MediaPipe's own defaults, except for the number of hands (1)."""


class MediapipeHands:
    """One landmarker for one clip.

    Args:
        path: The `.task` bundle.
    """

    def __init__(self, path: Path) -> None:
        from mediapipe.tasks import python as tasks
        from mediapipe.tasks.python import vision

        options = vision.HandLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_buffer=path.read_bytes()),
            running_mode=vision.RunningMode.VIDEO,
            num_hands=NUM_HANDS,
            min_hand_detection_confidence=MINIMUM_DETECTION,
            min_hand_presence_confidence=MINIMUM_PRESENCE,
            min_tracking_confidence=MINIMUM_TRACKING,
        )
        with native_logs_hidden():
            self._landmarker: Any = vision.HandLandmarker.create_from_options(options)
        self._last_ms = -1
        self._fresh = True
        self.all_scores: list[float] = []

    def find(self, frame: Frame) -> list[HandSighting]:
        """Return the hands of the next frame, keypoints in its pixels."""
        import mediapipe

        height, width = frame.rgb.shape[:2]
        image = mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(frame.rgb)
        )
        # Times must grow by whole milliseconds.
        self._last_ms = max(self._last_ms + 1, round(frame.time_s * 1000))
        with native_logs_hidden() if self._fresh else nullcontext():
            result = self._landmarker.detect_for_video(image, self._last_ms)
        self._fresh = False
        size: NDArray[np.float64] = np.array([width, height], dtype=np.float64)
        return [
            HandSighting(
                side=int(side[0].category_name == "Right"),
                score=float(side[0].score),
                points=np.array([(point.x, point.y) for point in marks]) * size,
            )
            for side, marks in zip(result.handedness, result.hand_landmarks, strict=True)
        ]

    def close(self) -> None:
        """Free the landmarker."""
        with native_logs_hidden():
            self._landmarker.close()
