"""From face boxes per frame to face tracks and the squares that are cut out around them.

Boxes are left, top, right, bottom in pixels. Pure numpy: knows no detector, no image and no network.
`FaceTracker` is ours and works online; `joonson_tracks` and `mocha_tracks` reproduce the reference
trackers with their defects, for the compatibility modes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

MIN_OVERLAP: Final = 0.5
"""Intersection over union above which a face continues a track."""
MAX_GAP: Final = 25
"""Frames a face may stay unseen before its track ends."""
SMOOTHING: Final = 13
"""Frames of the median filter over centre and size."""
CROP_SCALE: Final = 0.40
"""Share of the face's size that is added around it (twice that below)."""
GREY: Final = 110
"""Value beyond the borders of the picture."""

Boxes = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """One face through consecutive frames.

    Attributes:
        frames: int64, (n,), consecutive frame numbers.
        boxes: float64, (n, 4); frames without a detection are interpolated.
        detections: How many of the frames held a detection.
    """

    frames: NDArray[np.int64]
    boxes: Boxes
    detections: int

    @property
    def size_px(self) -> float:
        """Mean width or mean height, whichever is larger."""
        return float(max((self.boxes[:, 2:] - self.boxes[:, :2]).mean(axis=0)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Square:
    """Rows and columns cut out around a face; may reach beyond the picture.

    Attributes:
        top: First row.
        bottom: Row after the last.
        left: First column.
        right: Column after the last.
    """

    top: int
    bottom: int
    left: int
    right: int


def overlap(one: Sequence[float] | Boxes, other: Sequence[float] | Boxes) -> float:
    """Return the intersection over union of two boxes."""
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    shared = width * height
    areas = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return float(shared / (areas - shared + 1e-8))


class OpenTrack:
    """A track that may still grow."""

    def __init__(self, number: int, frame: int, box: Boxes) -> None:
        self.number = number
        self.last_frame = frame
        self.last_box = box

    def follow(self, frame: int, box: Boxes) -> None:
        """Take the next detection."""
        self.last_frame, self.last_box = frame, box


class FaceTracker:
    """Follows faces frame by frame: what one frame decides, later frames never undo.

    The rule is the reference's as it was meant: a face continues the oldest open track that it
    overlaps enough and that no better overlapping face of the frame takes, else it opens one; a
    track ends when its face stays unseen for more than `max_gap` frames. (The reference removes
    faces from a list while walking through it, which skips every face after a removed one.)
    """

    def __init__(self, *, min_overlap: float = MIN_OVERLAP, max_gap: int = MAX_GAP) -> None:
        self._min_overlap = min_overlap
        self._max_gap = max_gap
        self._count = 0
        self.open: list[OpenTrack] = []

    def step(self, frame: int, boxes: Boxes) -> list[tuple[OpenTrack, Boxes]]:
        """Take the faces of the next frame.

        Args:
            frame: Frame number, larger than the last one.
            boxes: (k, 4).

        Returns:
            Every face of the frame with the track it continues or opens.
        """
        self.open = [track for track in self.open if frame - track.last_frame <= self._max_gap]
        left = list(range(len(boxes)))
        found = []
        for track in self.open:
            scores = [overlap(boxes[index], track.last_box) for index in left]
            if scores and max(scores) > self._min_overlap:
                index = left.pop(int(np.argmax(scores)))
                track.follow(frame, boxes[index])
                found.append((track, boxes[index]))
        for index in left:
            track = OpenTrack(self._count, frame, boxes[index])
            self._count += 1
            self.open.append(track)
            found.append((track, boxes[index]))
        return found

    def cut(self) -> None:
        """End all tracks: the next frame belongs to another shot."""
        self.open = []


def follow_faces(
    detections: Sequence[Boxes], *, start: int = 0, max_gap: int = MAX_GAP
) -> list[Track]:
    """Return all tracks of one shot by `FaceTracker`, in order of their first frame.

    Args:
        detections: Per frame, (k, 4).
        start: Number of the first frame.
        max_gap: Frames a face may stay unseen.
    """
    tracker = FaceTracker(max_gap=max_gap)
    seen: dict[int, tuple[list[int], list[Boxes]]] = {}
    for frame, boxes in enumerate(detections, start):
        for track, box in tracker.step(frame, boxes):
            frames, kept = seen.setdefault(track.number, ([], []))
            frames.append(frame)
            kept.append(box)
    return [complete(frames, boxes) for frames, boxes in seen.values()]


def joonson_tracks(detections: Sequence[Boxes], *, start: int = 0) -> list[Track]:
    """Return the tracks of one shot as joonson/syncnet_python finds them.

    Its defect: after a face is taken, the next one of the same frame is never looked at.
    """
    return _mutating_tracks(detections, start, leave_frame_on_mismatch=False)


def mocha_tracks(detections: Sequence[Boxes], *, start: int = 0) -> list[Track]:
    """Return the tracks of one shot as MoChaBench and syncnet-python 0.2.3 find them.

    Besides joonson's defect, the first face of a frame that does not continue the track ends the
    search in that frame, so that two people whose order changes give ghosts.
    """
    return _mutating_tracks(detections, start, leave_frame_on_mismatch=True)


def _mutating_tracks(
    detections: Sequence[Boxes], start: int, *, leave_frame_on_mismatch: bool
) -> list[Track]:
    remaining = [list(boxes) for boxes in detections]
    tracks: list[Track] = []
    while True:
        frames: list[int] = []
        kept: list[Boxes] = []
        for frame, faces in enumerate(remaining, start):
            index = 0
            while index < len(faces):
                face = faces[index]
                near = bool(kept) and frame - frames[-1] <= MAX_GAP
                if not kept or (near and overlap(face, kept[-1]) > MIN_OVERLAP):
                    frames.append(frame)
                    kept.append(face)
                    del faces[index]  # the next face moves here and is then skipped
                elif leave_frame_on_mismatch or not near:
                    break
                index += 1
        if not kept:
            return tracks
        tracks.append(complete(frames, kept))


def complete(frames: Sequence[int], boxes: Sequence[Boxes]) -> Track:
    """Fill the frames between detections by linear interpolation of the four sides."""
    known = np.asarray(frames, dtype=np.int64)
    given = np.stack([np.asarray(box, dtype=np.float64) for box in boxes])
    every = np.arange(known[0], known[-1] + 1)
    sides = [np.interp(every, known, given[:, side]) for side in range(4)]
    return Track(frames=every, boxes=np.stack(sides, axis=1), detections=len(known))


def centre_and_half(boxes: Boxes) -> NDArray[np.float64]:
    """Return half the larger side and the centre of boxes: float64, (n, 3) as half, x, y."""
    sides = boxes[:, 2:] - boxes[:, :2]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.column_stack([sides.max(axis=1) / 2, middle])


def smooth(
    values: NDArray[Any], *, window: int = SMOOTHING, ends: Literal["repeat", "zeros"] = "repeat"
) -> NDArray[np.float64]:
    """Median-filter every column over time.

    Args:
        values: (n, columns).
        window: Odd number of frames.
        ends: What lies beyond the ends: the end values (ours), or zeros (the reference, whose first
            and last six values are therefore too small).

    Returns:
        float64, (n, columns).
    """
    reach = window // 2
    mode: Any = "edge" if ends == "repeat" else "constant"
    padded = np.pad(values.astype(np.float64), ((reach, reach), (0, 0)), mode=mode)
    windows = np.lib.stride_tricks.sliding_window_view(padded, window, axis=0)
    medians: NDArray[np.float64] = np.median(windows, axis=-1)
    return medians


def square_around(
    half: float, x: float, y: float, height: int, width: int, *, scale: float = CROP_SCALE
) -> Square:
    """Return what is cut out around a face: chin included, forehead tight.

    Args:
        half: Half the face's larger side in pixels.
        x: Centre column.
        y: Centre row.
        height: Height of the picture.
        width: Width of the picture.
        scale: Share added around the face.
    """
    pad = int(half * (1 + 2 * scale))

    def place(value: float, end: int) -> int:
        return min(max(int(value + pad), 0), end + 2 * pad) - pad

    return Square(
        top=place(y - half, height),
        bottom=place(y + half * (1 + 2 * scale), height),
        left=place(x - half * (1 + scale), width),
        right=place(x + half * (1 + scale), width),
    )
