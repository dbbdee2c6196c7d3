"""The square of one face over time, settled as soon as the smoothing allows. Knows no pictures."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from eval.face_tracks import SMOOTHING, Boxes, centre_and_half


class FaceStream:
    """One open track: detections in, smoothed geometry out, six frames later.

    Args:
        frame: Frame number of the first detection.
        box: (4,) its box.
    """

    def __init__(self, frame: int, box: Boxes) -> None:
        self.first = frame
        self.last = frame
        self.detections = 1
        self._box = box
        self._values: list[NDArray[np.float64]] = [centre_and_half(box[None])[0]]
        self._given = 0
        self._sides = box[2:] - box[:2]
        self._corners = box.copy()

    @property
    def next_frame(self) -> int:
        """The earliest frame whose geometry has not been given yet."""
        return self.first + self._given

    @property
    def length(self) -> int:
        """Frames from the first to the last detection."""
        return self.last - self.first + 1

    @property
    def size_px(self) -> float:
        """Mean width or mean height so far, whichever is larger."""
        return float(self._sides.max() / self.length)

    @property
    def mean_box(self) -> Boxes:
        """Mean box so far: (4,)."""
        mean: Boxes = self._corners / self.length
        return mean

    def follow(self, frame: int, box: Boxes) -> None:
        """Take the next detection; frames since the last one are filled in a straight line."""
        gap = frame - self.last
        for step in range(1, gap + 1):
            between = self._box + (box - self._box) * (step / gap)
            self._values.append(centre_and_half(between[None])[0])
            self._sides = self._sides + between[2:] - between[:2]
            self._corners = self._corners + between
        self.last, self._box = frame, box
        self.detections += 1

    def settled(self, *, ended: bool = False) -> Iterator[tuple[int, float, float, float]]:
        """Give what can be smoothed by now.

        Args:
            ended: The track will not grow; its end values are then repeated.

        Yields:
            Frame number, half the larger side, centre column and row in pixels.
        """
        reach = SMOOTHING // 2
        while self._given < len(self._values) and (
            ended or self._given + reach < len(self._values)
        ):
            places = np.arange(self._given - reach, self._given + reach + 1)
            inside = np.clip(places, 0, len(self._values) - 1)
            half, x, y = np.median([self._values[place] for place in inside], axis=0)
            yield self.next_frame, float(half), float(x), float(y)
            self._given += 1
