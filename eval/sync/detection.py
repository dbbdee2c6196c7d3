"""Decides in which frames faces must be looked for, and fills the others in.

Detection is ten times as costly as everything else. Faces are found in every `every`-th frame; where
two such frames agree (same number of faces, each overlapping its successor almost fully, no cut
between) the boxes between them lie on a straight line, else every frame between them is searched as
well. Motion, arrivals, departures and cuts are therefore seen frame by frame, stillness is not paid
for. Knows nothing of tracks.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eval.face_tracks import Boxes, overlap
from eval.sync.networks import FaceFinder

EVERY: Final = 5
"""Frames from one searched frame to the next: 0.2 s at 25 fps."""
SAME_OVERLAP: Final = 0.8
"""Two boxes with at least this overlap are one face that hardly moved: less than 11 % of its width
over the whole step, while the crop is smoothed over 13 frames anyway."""
MIN_SIDE_PX: Final = 2.0
"""Smaller boxes are no faces."""


class SparseDetection:
    """Finds the faces of a stream of frames in time order.

    Args:
        finder: Finds faces in pictures.
        every: Frames from one searched frame to the next; 1 searches every frame.
        same_overlap: Overlap above which a face counts as hardly moved.
        batch: Searched frames per call of the finder. One at a time takes least memory.
    """

    def __init__(
        self,
        finder: FaceFinder,
        *,
        every: int = EVERY,
        same_overlap: float = SAME_OVERLAP,
        batch: int = 1,
    ) -> None:
        self._finder = finder
        self._every = every
        self._same_overlap = same_overlap
        self._batch = batch
        self._waiting: list[tuple[int, NDArray[np.uint8], bool]] = []
        self._last: Boxes | None = None
        self.searched = 0

    @property
    def waiting(self) -> int:
        """Frames whose faces are not known yet."""
        return len(self._waiting)

    def push(self, frame: int, image: NDArray[np.uint8], *, cut: bool) -> list[tuple[int, Boxes]]:
        """Take the next frame.

        Args:
            frame: Frame number, one more than the last.
            image: uint8, (height, width, 3), RGB.
            cut: Whether another shot begins with this frame.

        Returns:
            Frames whose faces are now known, in order, each with (k, 4) boxes.
        """
        self._waiting.append((frame, image, cut))
        full = len(self._waiting) >= self._every * self._batch
        return self._settle() if full else []

    def finish(self) -> list[tuple[int, Boxes]]:
        """Return the faces of the frames that still waited."""
        return self._settle() if self._waiting else []

    def _settle(self) -> list[tuple[int, Boxes]]:
        known: dict[int, Boxes] = {}
        cuts = [cut for _, _, cut in self._waiting]
        count = len(self._waiting)
        keys = [i for i in range(count) if (i + 1) % self._every == 0 or i == count - 1]
        if self._last is None:
            keys = sorted({0, *keys})
        self._search(keys, known)
        missing: list[int] = []
        before = -1
        for key in keys:
            start = self._last if before < 0 else known[before]
            between = range(before + 1, key)
            pairs = None
            if start is not None and not any(cuts[before + 1 : key + 1]):
                pairs = self._pair(start, known[key])
            if pairs is None:
                missing.extend(between)
            else:
                for index in between:
                    share = (index - before) / (key - before)
                    known[index] = (1 - share) * pairs[0] + share * pairs[1]
            before = key
        self._search(missing, known)
        self._last = known[count - 1]
        settled = [(self._waiting[i][0], known[i]) for i in range(count)]
        self._waiting = []
        return settled

    def _search(self, indices: Sequence[int], known: dict[int, Boxes]) -> None:
        for start in range(0, len(indices), self._batch):
            part = indices[start : start + self._batch]
            found = self._finder.find([self._waiting[index][1] for index in part])
            self.searched += len(part)
            for index, faces in zip(part, found, strict=True):
                boxes = faces[:, :4].astype(np.float64)
                sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf)
                known[index] = boxes[sides >= MIN_SIDE_PX]

    def _pair(self, start: Boxes, stop: Boxes) -> tuple[Boxes, Boxes] | None:
        """Both ends of every face that hardly moved, or None when the ends do not agree."""
        if len(start) != len(stop):
            return None
        left = list(range(len(stop)))
        order = []
        for box in start:
            scores = [overlap(box, stop[index]) for index in left]
            best = int(np.argmax(scores))
            if scores[best] < self._same_overlap:
                return None
            order.append(left.pop(best))
        return start, stop[order] if order else stop
