"""What the sync measure needs of a face detector and of a network, without importing any."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eval.face_tracks import Boxes, Square

VIDEO_WINDOW = 5
"""Frames per video window; one window per frame."""
SOUND_WINDOW = 20
"""MFCC rows per sound window: 0.2 s, as five frames of 25 fps."""
ROWS_PER_FRAME = 4
"""MFCC rows from one sound window to the next: 40 ms."""


class FaceFinder(Protocol):
    """Finds faces in pictures."""

    def find(self, images: Sequence[NDArray[np.uint8]]) -> list[Boxes]:
        """Return the faces of every picture.

        Args:
            images: uint8, (height, width, 3), RGB, all of one size.

        Returns:
            Per picture (k, 5): left, top, right, bottom in pixels and score, best score first.
        """


class SyncEmbedder(Protocol):
    """Maps lips and sound into one space; SyncNet, or a network of the same interface."""

    @property
    def side(self) -> int:
        """Height and width of the crops it sees, in pixels."""

    def see(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed every window of five consecutive crops.

        Args:
            crops: uint8, (n, side, side, 3), BGR, n >= 5.

        Returns:
            float32, (n - 4, d).
        """

    def hear(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed windows of sound.

        Args:
            windows: float32, (n, 20, 13), rows of MFCCs.

        Returns:
            float32, (n, d).
        """


Cutter = Callable[[NDArray[np.uint8], Square, int], NDArray[np.uint8]]
"""Cuts a square out of a picture and scales it to a side: `eval.backends.face_crops.cut_out`."""


def count_sound_windows(rows: int) -> int:
    """Return how many whole windows so many MFCC rows hold."""
    return max(0, (rows - SOUND_WINDOW) // ROWS_PER_FRAME + 1)


def sound_windows(rows: NDArray[np.float64], start: int, stop: int) -> NDArray[np.float32]:
    """Return sound windows start to stop: float32, (stop - start, 20, 13)."""
    part = rows[start * ROWS_PER_FRAME : (stop - 1) * ROWS_PER_FRAME + SOUND_WINDOW]
    view = np.lib.stride_tricks.sliding_window_view(part, SOUND_WINDOW, axis=0)[::ROWS_PER_FRAME]
    return np.ascontiguousarray(view.transpose(0, 2, 1), dtype=np.float32)
