"""Face embeddings by InsightFace's buffalo_l through onnxruntime: SCRFD finds, ArcFace embeds."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eval.arcface import ALIGNED_SIZE, DETECTOR_SIZE, DetectedFace, align_matrix, decode_faces
from eval.backends.onnx_sessions import load_session


class ArcFaceEmbedder:
    """Embeds the largest face of a picture.

    Args:
        detector: File of `det_10g.onnx`.
        network: File of `w600k_r50.onnx`.
    """

    def __init__(self, detector: Path, network: Path) -> None:
        self._detector = load_session(detector)
        self._network = load_session(network)

    def faces(self, rgb: NDArray[np.uint8]) -> list[DetectedFace]:
        """Return the faces of a picture, surest first."""
        import cv2

        height, width = rgb.shape[:2]
        scale = DETECTOR_SIZE / max(height, width)
        size = (int(width * scale), int(height * scale))
        square = np.zeros((DETECTOR_SIZE, DETECTOR_SIZE, 3), dtype=np.uint8)
        square[: size[1], : size[0]] = cv2.resize(rgb, size)
        batch = ((square.astype(np.float32) - 127.5) / 128.0).transpose(2, 0, 1)[None]
        outputs = self._detector.run(None, {self._detector.get_inputs()[0].name: batch})
        return decode_faces(outputs, size[1] / height)

    def embed(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Return the embedding (channels,) of the largest face, None without one."""
        import cv2

        faces = self.faces(rgb)
        if not faces:
            return None
        points = max(faces, key=lambda face: face.area).points
        size = (ALIGNED_SIZE, ALIGNED_SIZE)
        aligned = cv2.warpAffine(rgb, align_matrix(points), size, borderValue=0)
        batch = ((aligned.astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None]
        (vectors,) = self._network.run(None, {self._network.get_inputs()[0].name: batch})
        return np.asarray(vectors[0], dtype=np.float32)
