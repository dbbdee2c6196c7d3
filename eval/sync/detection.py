"""Decides in which frames faces must be looked for, and fills the others in.

Detection is ten times as costly as everything else. Faces are found in every `every`-th frame; where
two such frames agree (same number of faces, each overlapping its successor almost fully, no cut
between) the boxes between them lie on a straight line, else every frame between them is searched as
well. Motion, arrivals, departures and cuts are therefore seen frame by frame, stillness is not paid
for. Knows nothing of tracks.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

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


class _Frame(NamedTuple):
    """A frame that waits for its faces; `cut` when another shot begins with it."""

    number: int
    image: NDArray[np.uint8]
    cut: bool


class SparseDetection:
    """Finds the faces of a stream of frames in time order.

    Frames are taken in lots, from one searched frame to the next. A lot is searched in a thread of its
    own while the next one is decoded and the faces of the one before are looked at.

    Args:
        finder: Finds faces in pictures; only ever called for one picture, which takes least memory.
        every: Frames from one searched frame to the next; 1 searches every frame.
        same_overlap: Overlap above which a face counts as hardly moved.
    """

    def __init__(
        self, finder: FaceFinder, *, every: int = EVERY, same_overlap: float = SAME_OVERLAP
    ) -> None:
        self._finder = finder
        self._every = every
        self._same_overlap = same_overlap
        self._lot: list[_Frame] = []
        self._searching: Future[list[tuple[int, Boxes]]] | None = None
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="faces")
        self._last: Boxes | None = None
        self.waiting = 0
        """Frames whose faces are not known yet."""
        self.searched = 0

    def push(self, frame: int, image: NDArray[np.uint8], *, cut: bool) -> list[tuple[int, Boxes]]:
        """Take the next frame.

        Args:
            frame: Frame number, one more than the last.
            image: uint8, (height, width, 3), RGB.
            cut: Whether another shot begins with this frame.

        Returns:
            Frames whose faces are now known, in order, each with (k, 4) boxes.
        """
        self._lot.append(_Frame(frame, image, cut))
        self.waiting += 1
        if len(self._lot) < self._every:
            return []
        known = self._searched()
        self._searching = self._aside.submit(self._settle, self._lot)
        self._lot = []
        return known

    def finish(self) -> list[tuple[int, Boxes]]:
        """Return the faces of the frames that still waited."""
        known = self._searched()
        if self._lot:
            rest = self._settle(self._lot)
            self.waiting -= len(rest)
            known += rest
        self._lot = []
        self._aside.shutdown()
        return known

    def _searched(self) -> list[tuple[int, Boxes]]:
        """Wait for the lot that is being searched, if there is one."""
        if self._searching is None:
            return []
        known, self._searching = self._searching.result(), None
        self.waiting -= len(known)
        return known

    def _settle(self, lot: list[_Frame]) -> list[tuple[int, Boxes]]:
        """Find the faces of a lot, which ends with a searched frame; lots come in order."""
        known: dict[int, Boxes] = {}
        count = len(lot)
        keys = sorted({count - 1} if self._last is not None else {0, count - 1})
        self._search(lot, keys, known)
        missing: list[int] = []
        before = -1
        for key in keys:
            start = self._last if before < 0 else known[before]
            between = range(before + 1, key)
            pairs = None
            if start is not None and not any(frame.cut for frame in lot[before + 1 : key + 1]):
                pairs = self._pair(start, known[key])
            if pairs is None:
                missing.extend(between)
            else:
                for index in between:
                    share = (index - before) / (key - before)
                    known[index] = (1 - share) * pairs[0] + share * pairs[1]
            before = key
        self._search(lot, missing, known)
        self._last = known[count - 1]
        return [(lot[index].number, known[index]) for index in range(count)]

    def _search(self, lot: list[_Frame], indices: list[int], known: dict[int, Boxes]) -> None:
        for index in indices:
            (faces,) = self._finder.find([lot[index].image])
            self.searched += 1
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
