"""Faces by MediaPipe's BlazeFace: boxes in pixels.

Finds people looking roughly at the camera within about two metres; drawn faces often, animals seldom.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eval.backends.native_logs import native_logs_hidden

MINIMUM_CONFIDENCE: Final = 0.5
"""MediaPipe's own default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Face:
    """A detected face.

    Attributes:
        left: Left edge in pixels, inside the image.
        top: Top edge.
        right: Right edge, exclusive.
        bottom: Bottom edge, exclusive.
        score: 0 to 1.
        points: (6, 2) pixels: the person's right eye, left eye, nose tip, mouth, right ear, left ear.
    """

    left: int
    top: int
    right: int
    bottom: int
    score: float
    points: NDArray[np.float64]

    @property
    def area(self) -> int:
        """Pixels inside the box."""
        return max(0, self.right - self.left) * max(0, self.bottom - self.top)


def open_detector(path: Path) -> Any:
    """Return MediaPipe's face detector for single images; close it after the clip.

    It opens in milliseconds, and one kept to the interpreter's end fails in its destructor.
    """
    from mediapipe.tasks import python as tasks
    from mediapipe.tasks.python import vision

    options = vision.FaceDetectorOptions(
        base_options=tasks.BaseOptions(model_asset_buffer=path.read_bytes()),
        min_detection_confidence=MINIMUM_CONFIDENCE,
    )
    with native_logs_hidden():
        return vision.FaceDetector.create_from_options(options)


def close_detector(detector: Any) -> None:
    """Free a detector from `open_detector`."""
    with native_logs_hidden():
        detector.close()


def find_faces(detector: Any, rgb: NDArray[np.uint8]) -> list[Face]:
    """Return the faces in an image, largest first.

    Args:
        detector: From `open_detector`.
        rgb: uint8, (height, width, 3).
    """
    import mediapipe

    height, width = rgb.shape[:2]
    image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb))
    faces = []
    with native_logs_hidden():
        result = detector.detect(image)
    for found in result.detections:
        box = found.bounding_box
        faces.append(
            Face(
                left=max(0, box.origin_x),
                top=max(0, box.origin_y),
                right=min(width, box.origin_x + box.width),
                bottom=min(height, box.origin_y + box.height),
                score=float(found.categories[0].score),
                points=np.array([(point.x * width, point.y * height) for point in found.keypoints]),
            )
        )
    return sorted((face for face in faces if face.area), key=lambda face: -face.area)
