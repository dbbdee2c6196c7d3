"""Body keypoints by MediaPipe's PoseLandmarker: shoulders, and a box around the person.

Video mode, one landmarker per clip, one person. Made for photographed adults.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eval.backends.native_logs import native_logs_hidden
from joystreamer.media import Frame

LEFT_SHOULDER: Final = 11
RIGHT_SHOULDER: Final = 12
MINIMUM_VISIBILITY: Final = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """One person in one frame.

    Attributes:
        points: (33, 2), x and y in pixels of the frame; may lie outside it.
        visibility: (33,), 0 to 1.
    """

    points: NDArray[np.float64]
    visibility: NDArray[np.float64]

    @property
    def shoulders(self) -> NDArray[np.float64]:
        """Both shoulders, (2, 2); NaN when one is not visible."""
        ends = [LEFT_SHOULDER, RIGHT_SHOULDER]
        if self.visibility[ends].min() < MINIMUM_VISIBILITY:
            return np.full((2, 2), np.nan)
        return self.points[ends]


class MediapipePose:
    """One landmarker for one clip.

    Args:
        path: The `.task` bundle.
    """

    def __init__(self, path: Path) -> None:
        from mediapipe.tasks import python as tasks
        from mediapipe.tasks.python import vision

        options = vision.PoseLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_buffer=path.read_bytes()),
            running_mode=vision.RunningMode.VIDEO,
        )
        with native_logs_hidden():
            self._landmarker: Any = vision.PoseLandmarker.create_from_options(options)
        self._last_ms = -1

    def find(self, frame: Frame) -> Body | None:
        """Return the person in the next frame, or None."""
        import mediapipe

        height, width = frame.rgb.shape[:2]
        image = mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(frame.rgb)
        )
        self._last_ms = max(self._last_ms + 1, round(frame.time_s * 1000))
        found = self._landmarker.detect_for_video(image, self._last_ms).pose_landmarks
        if not found:
            return None
        marks = found[0]
        return Body(
            points=np.array([(point.x * width, point.y * height) for point in marks]),
            visibility=np.array([point.visibility for point in marks], dtype=np.float64),
        )

    def close(self) -> None:
        """Free the landmarker."""
        with native_logs_hidden():
            self._landmarker.close()
