"""Hand keypoints by DWPose through onnxruntime: YOLOX-L finds people, dw-ll_ucoco_384 their keypoints.

Both networks are fed blue-green-red, as the reference does, although the pose network's mean and
deviation are those of red-green-blue. One person per frame: the largest.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eval.backends.onnx_sessions import load_session
from eval.dwpose import (
    DETECTOR_SIZE,
    HAND_SCORE,
    LEFT_HAND,
    RIGHT_HAND,
    crop_frame,
    decode_simcc,
    main_person,
    person_boxes,
)
from eval.hands import HandSighting
from joystreamer.media import Frame

_MEAN = np.array([123.675, 116.28, 103.53])
_STD = np.array([58.395, 57.12, 57.375])
_PAD = 114


class DWPoseHands:
    """Both hands of the main person, frame by frame; keeps no state between frames.

    Args:
        detector: File of `yolox_l.onnx`.
        pose: File of `dw-ll_ucoco_384.onnx`.
    """

    def __init__(self, detector: Path, pose: Path) -> None:
        self._detector = load_session(detector)
        self._pose = load_session(pose)
        self.all_scores: list[float] = []

    def find(self, frame: Frame) -> list[HandSighting]:
        """Return the hands whose mean keypoint score reaches `HAND_SCORE`."""
        points, scores = self.keypoints(frame.rgb)
        hands = []
        for side, part in enumerate((LEFT_HAND, RIGHT_HAND)):
            score = float(scores[part].mean())
            self.all_scores.append(score)
            if score >= HAND_SCORE:
                hands.append(HandSighting(side=side, score=score, points=points[part]))
        return hands

    def keypoints(self, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return 133 keypoints (133, 2) in pixels and their scores (133,)."""
        import cv2

        height, width = rgb.shape[:2]
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        box = main_person(self._people(bgr), width, height)
        rows, columns = self._pose.get_inputs()[0].shape[2:]
        centre, size = crop_frame(box, columns, rows)
        scale = columns / size[0]
        # Centre to centre, one scale for both axes: the sizes have the input's aspect ratio.
        matrix = np.array(
            [[scale, 0, columns / 2 - scale * centre[0]], [0, scale, rows / 2 - scale * centre[1]]]
        )
        crop = cv2.warpAffine(bgr, matrix, (columns, rows), flags=cv2.INTER_LINEAR)
        batch = ((crop - _MEAN) / _STD).transpose(2, 0, 1)[None].astype(np.float32)
        along_x, along_y = self._pose.run(None, {self._pose.get_inputs()[0].name: batch})
        return decode_simcc(along_x[0], along_y[0], centre, size)

    def close(self) -> None:
        """Nothing is held: the sessions are shared."""

    def _people(self, bgr: NDArray[np.uint8]) -> NDArray[np.float64]:
        import cv2

        scale = min(DETECTOR_SIZE / bgr.shape[0], DETECTOR_SIZE / bgr.shape[1])
        size = (int(bgr.shape[1] * scale), int(bgr.shape[0] * scale))
        square = np.full((DETECTOR_SIZE, DETECTOR_SIZE, 3), _PAD, dtype=np.uint8)
        square[: size[1], : size[0]] = cv2.resize(bgr, size, interpolation=cv2.INTER_LINEAR)
        batch = square.transpose(2, 0, 1)[None].astype(np.float32)
        (output,) = self._detector.run(None, {self._detector.get_inputs()[0].name: batch})
        return person_boxes(output[0], scale)
