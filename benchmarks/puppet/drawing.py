"""Soft-edged shapes on many frames at once: the only place that touches pixels.

Coordinates are shares of the picture's side, x to the right, y down. Every number of a shape may be one
per frame. A shape's edge is one pixel wide, so that a motion of a tenth of a pixel is still seen.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Numbers = NDArray[np.floating[Any]]


class Canvas:
    """Frames (T, side, side, 3) in 0..255 that shapes are painted on, the latest on top.

    Args:
        frames: How many.
        side: Pixels per side.
        zoom: Magnification of everything, about the middle of the picture; one per frame.
    """

    def __init__(self, frames: int, side: int, zoom: ArrayLike = 1.0) -> None:
        self.pixels: Floats = np.zeros((frames, side, side, 3), dtype=np.float32)
        self._side, self._frames = side, frames
        self._zoom = self._each(zoom)
        centres = ((np.arange(side, dtype=np.float32) + 0.5) / side)[None]
        self._axis = (centres - 0.5) / self._zoom[:, None] + 0.5  # (T, side): seen from the world

    def fill(self, colour: ArrayLike) -> None:
        """Paint everything: one colour (3,), or one per frame (T, 3)."""
        self.pixels[:] = np.asarray(colour, np.float32).reshape(-1, 1, 1, 3)

    def ellipse(
        self, x: ArrayLike, y: ArrayLike, wide: ArrayLike, high: ArrayLike, colour: ArrayLike
    ) -> None:
        """Paint an ellipse of half-axes `wide` and `high`; a half-axis of 0 paints nothing."""
        x, y = self._each(x), self._each(y)
        wide, high = self._each(wide), self._each(high)
        least = np.float32(1e-4)
        rows, columns = self._window(x, y, wide, high)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        dx = ((self._axis[:, columns] - x[:, None]) / np.maximum(wide, least)[:, None])[:, None, :]
        dy = ((self._axis[:, rows] - y[:, None]) / np.maximum(high, least)[:, None])[:, :, None]
        radius = np.sqrt(dx * dx + dy * dy)
        # Distance to the edge, exact along the axes: enough for one soft pixel.
        distance = (radius - 1) * np.minimum(wide, high)[:, None, None]
        shown = np.clip(np.minimum(wide, high) * self._side * self._zoom, 0, 1)[:, None, None]
        self._blend(distance, colour, rows, columns, shown)

    def stroke(
        self,
        x0: ArrayLike, y0: ArrayLike, x1: ArrayLike, y1: ArrayLike,
        half: float, colour: ArrayLike,
    ) -> None:  # fmt: skip
        """Paint a line with round ends from (x0, y0) to (x1, y1), `half` wide on either side."""
        x0, y0 = self._each(x0), self._each(y0)
        x1, y1 = self._each(x1), self._each(y1)
        mid_x, mid_y = (x0 + x1) / 2, (y0 + y1) / 2
        reach_x, reach_y = np.abs(x1 - x0) / 2 + half, np.abs(y1 - y0) / 2 + half
        rows, columns = self._window(mid_x, mid_y, reach_x, reach_y)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        px = (self._axis[:, columns] - x0[:, None])[:, None, :]
        py = (self._axis[:, rows] - y0[:, None])[:, :, None]
        dx, dy = (x1 - x0)[:, None, None], (y1 - y0)[:, None, None]
        along = np.clip((px * dx + py * dy) / np.maximum(dx * dx + dy * dy, 1e-8), 0, 1)
        distance = np.hypot(px - along * dx, py - along * dy) - np.float32(half)
        self._blend(distance, colour, rows, columns)

    def box(
        self, x0: ArrayLike, y0: ArrayLike, x1: ArrayLike, y1: ArrayLike, colour: ArrayLike
    ) -> None:
        """Paint an upright rectangle."""
        x0, y0 = self._each(x0), self._each(y0)
        x1, y1 = self._each(x1), self._each(y1)
        mid_x, mid_y = (x0 + x1) / 2, (y0 + y1) / 2
        rows, columns = self._window(mid_x, mid_y, (x1 - x0) / 2, (y1 - y0) / 2)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        away_x = np.abs(self._axis[:, columns] - mid_x[:, None]) - ((x1 - x0) / 2)[:, None]
        away_y = np.abs(self._axis[:, rows] - mid_y[:, None]) - ((y1 - y0) / 2)[:, None]
        distance = np.maximum(away_x[:, None, :], away_y[:, :, None])
        self._blend(distance, colour, rows, columns)

    def finished(self) -> NDArray[np.uint8]:
        """Return the frames, (T, side, side, 3) uint8."""
        return np.clip(np.rint(self.pixels), 0, 255).astype(np.uint8)

    def _each(self, value: ArrayLike) -> Floats:
        """One float per frame."""
        return np.broadcast_to(np.asarray(value, np.float32), (self._frames,)).astype(np.float32)

    def _window(self, x: Numbers, y: Numbers, wide: Numbers, high: Numbers) -> tuple[slice, slice]:
        """Rows and columns that a shape can reach in any frame."""
        edge = np.float32(1.0) / self._side

        def span(middle: Numbers, reach: Numbers) -> slice:
            low = ((middle - reach - edge - 0.5) * self._zoom + 0.5).min() * self._side
            high_ = ((middle + reach + edge - 0.5) * self._zoom + 0.5).max() * self._side
            return slice(max(0, int(np.floor(low))), min(self._side, int(np.ceil(high_))))

        return span(y, high), span(x, wide)

    def _blend(
        self,
        distance: Floats, colour: ArrayLike, rows: slice, columns: slice, shown: Floats | float = 1,
    ) -> None:  # fmt: skip
        scale = (self._side * self._zoom)[:, None, None]
        cover = (np.clip(0.5 - distance * scale, 0, 1) * shown)[..., None]
        under = self.pixels[:, rows, columns]
        under += cover * (np.asarray(colour, np.float32).reshape(-1, 1, 1, 3) - under)
