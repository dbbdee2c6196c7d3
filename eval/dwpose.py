"""Arithmetic around the two networks of DWPose: person boxes from YOLOX, keypoints from SimCC.

Pure arithmetic on network outputs. Source: IDEA-Research/DWPose, `onnxdet.py` and `onnxpose.py`, whose
constants and quirks are kept: published HKC and HKV were made with them.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

DETECTOR_SIZE: Final = 640
"""Pixels per side of the square that the detector sees."""

STRIDES: Final = (8, 16, 32)
NMS_IOU: Final = 0.45
PERSON_SCORE: Final = 0.3
BOX_PADDING: Final = 1.25
SPLIT: Final = 2.0
"""SimCC bins per pixel."""

LEFT_HAND: Final = slice(91, 112)
RIGHT_HAND: Final = slice(112, 133)
"""COCO-WholeBody keypoints 91-111 and 112-132 of 133, before DWPose inserts a neck."""

HAND_SCORE: Final = 0.3
"""Mean keypoint score from which a hand counts as there."""

Floats = NDArray[np.floating[Any]]


def person_boxes(output: Floats, scale: float) -> NDArray[np.float64]:
    """Decode YOLOX's output into boxes of people.

    Args:
        output: (8400, 85): offset x, y, log size w, h in cells, objectness, 80 class scores (COCO).
        scale: Detector pixels per source pixel.

    Returns:
        (n, 5): left, top, right, bottom in source pixels and score, after non-maximum suppression,
        best first.
    """
    grids, cells = [], []
    for stride in STRIDES:
        side = DETECTOR_SIZE // stride
        rows, columns = np.mgrid[:side, :side]
        grids.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        cells.append(np.full((side * side, 1), stride))
    grid, cell = np.concatenate(grids), np.concatenate(cells)
    centre = (output[:, :2] + grid) * cell
    half = np.exp(output[:, 2:4]) * cell / 2
    score = output[:, 4] * output[:, 5]
    boxes = np.concatenate([centre - half, centre + half], axis=1) / scale
    found = np.concatenate([boxes, score[:, None]], axis=1)[score > PERSON_SCORE]
    kept: list[NDArray[np.float64]] = []
    for box in found[np.argsort(-found[:, 4], kind="stable")]:
        if all(_overlap(box, other) <= NMS_IOU for other in kept):
            kept.append(box)
    return np.asarray(kept).reshape(-1, 5)


def main_person(boxes: Floats, width: int, height: int) -> NDArray[np.float64]:
    """Return the box of the person who fills most of the picture; the whole picture without any.

    Args:
        boxes: (n, 5) from `person_boxes`.
        width: Of the source frame.
        height: Of the source frame.

    Returns:
        (4,): left, top, right, bottom.
    """
    if len(boxes) == 0:
        return np.array([0.0, 0.0, width, height])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return np.asarray(boxes[int(np.argmax(areas)), :4], dtype=np.float64)


def crop_frame(box: Floats, width: int, height: int) -> tuple[Floats, Floats]:
    """Return centre and size of what the pose network sees around a box.

    Args:
        box: left, top, right, bottom.
        width: Of the network's input.
        height: Of the network's input.

    Returns:
        Centre (x, y) and size (w, h) in source pixels, padded and widened to the input's aspect ratio.
    """
    centre = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    wide, tall = (box[2] - box[0]) * BOX_PADDING, (box[3] - box[1]) * BOX_PADDING
    aspect = width / height
    size = np.array([wide, wide / aspect] if wide > tall * aspect else [tall * aspect, tall])
    return centre, size


def decode_simcc(
    along_x: Floats, along_y: Floats, centre: Floats, size: Floats
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Decode SimCC responses into keypoints.

    Args:
        along_x: (K, width * SPLIT).
        along_y: (K, height * SPLIT).
        centre: From `crop_frame`.
        size: From `crop_frame`.

    Returns:
        Keypoints (K, 2) in source pixels, and scores (K,): the smaller of the two maxima (DWPose and
        mmpose; rtmlib takes their mean and gets another HKC). Where the score is not positive, the
        reference puts the bin at -1.
    """
    scores = np.minimum(along_x.max(axis=1), along_y.max(axis=1)).astype(np.float64)
    bins = np.stack([along_x.argmax(axis=1), along_y.argmax(axis=1)], axis=1).astype(np.float64)
    bins[scores <= 0] = -1
    extent = np.array([along_x.shape[1], along_y.shape[1]]) / SPLIT
    return bins / SPLIT / extent * size + centre - size / 2, scores


def _overlap(first: Floats, second: Floats) -> float:
    """Return the intersection over union of two boxes; like the reference, edges count as pixels."""
    wide = max(0.0, min(first[2], second[2]) - max(first[0], second[0]) + 1)
    tall = max(0.0, min(first[3], second[3]) - max(first[1], second[1]) + 1)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (first, second)]
    return float(wide * tall / (sum(areas) - wide * tall))
