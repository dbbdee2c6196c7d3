"""Arithmetic around ArcFace: face boxes from SCRFD's outputs, and the alignment to its template.

Pure arithmetic on network outputs. Source: deepinsight/insightface, buffalo_l with its defaults.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

DETECTOR_SIZE: Final = 640
STRIDES: Final = (8, 16, 32)
ANCHORS: Final = 2
"""Per cell, at the same place."""

FACE_SCORE: Final = 0.5
NMS_IOU: Final = 0.4
ALIGNED_SIZE: Final = 112

TEMPLATE: Final = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
"""Where eyes, nose tip and mouth corners lie in an aligned face of 112 pixels."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectedFace:
    """A face with five points.

    Attributes:
        box: (4,): left, top, right, bottom in source pixels.
        score: 0 to 1.
        points: (5, 2): the points of `TEMPLATE` in source pixels.
    """

    box: NDArray[np.float64]
    score: float
    points: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Square pixels of the box."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


def decode_faces(outputs: Sequence[Floats], scale: float) -> list[DetectedFace]:
    """Decode SCRFD's nine outputs into faces, surest first, after non-maximum suppression.

    Args:
        outputs: Scores (n, 1) of three strides, then box distances (n, 4), then points (n, 10), the
            last two in cells.
        scale: Detector pixels per source pixel.
    """
    found: list[DetectedFace] = []
    for level, stride in enumerate(STRIDES):
        side = DETECTOR_SIZE // stride
        rows, columns = np.mgrid[:side, :side]
        centres = np.stack([columns.ravel(), rows.ravel()], axis=1) * stride
        centres = np.repeat(centres, ANCHORS, axis=0).astype(np.float64)
        scores = outputs[level].reshape(-1)
        for place in np.flatnonzero(scores >= FACE_SCORE):
            centre = centres[place]
            reach = outputs[level + 3][place].astype(np.float64) * stride
            points = outputs[level + 6][place].astype(np.float64).reshape(5, 2) * stride
            box = np.concatenate([centre - reach[:2], centre + reach[2:]]) / scale
            found.append(
                DetectedFace(box=box, score=float(scores[place]), points=(centre + points) / scale)
            )
    kept: list[DetectedFace] = []
    for face in sorted(found, key=lambda each: -each.score):
        if all(_overlap(face.box, other.box) <= NMS_IOU for other in kept):
            kept.append(face)
    return kept


def align_matrix(points: Floats) -> NDArray[np.float64]:
    """Return the similarity (2, 3) that brings five points nearest to `TEMPLATE` (Umeyama 1991)."""
    source, target = np.asarray(points, np.float64), TEMPLATE
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    spread = source - source_mean
    covariance = (target - target_mean).T @ spread / len(source)
    left, strengths, right = np.linalg.svd(covariance)
    signs = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    rotation = left @ np.diag(signs) @ right
    scale = (strengths @ signs) / (spread**2).sum(axis=1).mean()
    linear = scale * rotation
    return np.column_stack([linear, target_mean - linear @ source_mean])


def _overlap(first: Floats, second: Floats) -> float:
    """Return the intersection over union of two boxes; like the reference, edges count as pixels."""
    wide = max(0.0, min(first[2], second[2]) - max(first[0], second[0]) + 1)
    tall = max(0.0, min(first[3], second[3]) - max(first[1], second[1]) + 1)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (first, second)]
    return float(wide * tall / (sum(areas) - wide * tall))
