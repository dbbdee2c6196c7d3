"""Turns the crops of one face, as they come, into a table of distances to the sound.

Embeddings are made in small chunks and dropped at once; what stays is 31 numbers per frame. Knows
neither where crops come from nor which network embeds them.
"""

from collections import OrderedDict
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eval.sync.curve import MAX_SHIFT, Outside, shift_distances
from eval.sync.networks import VIDEO_WINDOW, SyncEmbedder, count_sound_windows, sound_windows

CHUNK: Final = 32
"""Windows that are embedded together."""
_KEPT: Final = 6  # chunks of sound embeddings that stay at hand


class SoundEmbeddings:
    """Embeds sound windows when they are first needed.

    Args:
        rows: (m, 13) MFCCs of the whole sound.
        embedder: Embeds them.
        count: Windows to use, at most as many as the rows hold; None for all.
    """

    def __init__(
        self, rows: NDArray[np.float64], embedder: SyncEmbedder, count: int | None = None
    ) -> None:
        whole = count_sound_windows(len(rows))
        self.count = whole if count is None else min(whole, count)
        self._rows = rows
        self._embedder = embedder
        self._chunks: OrderedDict[int, NDArray[np.float32]] = OrderedDict()

    def between(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the embeddings of windows start to stop: float32, (stop - start, d)."""
        if start >= stop:
            return np.zeros((0, 1), np.float32)
        chunks = range(start // CHUNK, (stop - 1) // CHUNK + 1)
        joined = np.concatenate([self._chunk(index) for index in chunks])
        return joined[start - chunks[0] * CHUNK : stop - chunks[0] * CHUNK]

    def _chunk(self, index: int) -> NDArray[np.float32]:
        if index not in self._chunks:
            start = index * CHUNK
            windows = sound_windows(self._rows, start, min(self.count, start + CHUNK))
            self._chunks[index] = self._embedder.hear(windows)
            while len(self._chunks) > _KEPT:
                self._chunks.popitem(last=False)
        self._chunks.move_to_end(index)
        return self._chunks[index]


class TrackScorer:
    """Collects one face's crops and keeps its distances.

    Args:
        first: Sound window that belongs to the first crop.
        sound: The sound.
        embedder: Embeds the crops.
        hold: Crops that are only kept until there are so many: a face that vanishes sooner costs
            no network time.
        outside: What shifts beyond the sound give; see `eval.sync.curve.shift_distances`.
    """

    def __init__(
        self,
        first: int,
        sound: SoundEmbeddings,
        embedder: SyncEmbedder,
        *,
        hold: int = 0,
        outside: Outside = "missing",
    ) -> None:
        self._next = first
        self._sound = sound
        self._embedder = embedder
        self._hold = hold
        self._outside: Outside = outside
        self._crops: list[NDArray[np.uint8]] = []
        self._parts: list[NDArray[np.float32]] = []
        self.count = 0

    def add(self, crop: NDArray[np.uint8]) -> None:
        """Take the next crop: uint8, (side, side, 3), BGR."""
        self._crops.append(crop)
        self.count += 1
        while self.count >= self._hold and len(self._crops) >= CHUNK + VIDEO_WINDOW - 1:
            self._embed(CHUNK)

    def finish(self) -> NDArray[np.float64] | None:
        """Return the distances, (windows, 31); None when there were fewer crops than `hold`."""
        if self.count < self._hold or self.count < VIDEO_WINDOW:
            self._crops = []
            return None
        while (left := len(self._crops) - VIDEO_WINDOW + 1) > 0:
            self._embed(min(left, CHUNK))
        self._crops = []
        return np.concatenate(self._parts).astype(np.float64)

    def _embed(self, windows: int) -> None:
        video = self._embedder.see(np.stack(self._crops[: windows + VIDEO_WINDOW - 1]))
        low = min(max(0, self._next - MAX_SHIFT), self._sound.count)
        high = max(low, min(self._sound.count, self._next + windows + MAX_SHIFT))
        sound = self._sound.between(low, high)
        if not len(sound):
            sound = np.zeros((0, video.shape[1]), np.float32)
        table = shift_distances(video, sound, first=self._next - low, outside=self._outside)
        self._parts.append(table.astype(np.float32))
        self._next += windows
        del self._crops[:windows]
