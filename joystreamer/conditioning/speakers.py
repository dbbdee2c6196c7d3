"""Where each speaker is: boxes and mask files become disjoint regions, silence has the rest.

The regions steer which sound each video token hears (paper, section 3.4). Any number of speakers;
a picture of the regions is drawn, since a box with swapped axes is otherwise found out too late.
Detection is `detector`'s business; this file knows arrays only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from joystreamer.errors import InputError, brief
from joystreamer.media.images import read_image

_COLOURS = (
    (230, 57, 70),
    (29, 120, 200),
    (42, 157, 80),
    (244, 162, 30),
    (140, 80, 190),
    (0, 170, 170),
)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the original image in pixels: x to the right, y downwards, ends excluded."""

    x0: float
    y0: float
    x1: float
    y1: float

    @classmethod
    def parse(cls, text: str) -> "Box":
        """Read `x0,y0,x1,y1`.

        Raises:
            InputError: Not four numbers.
        """
        try:
            x0, y0, x1, y1 = (float(part) for part in text.split(","))
        except ValueError as error:
            raise InputError(f"box {brief(text)} came; write x0,y0,x1,y1 in pixels") from error
        return cls(x0, y0, x1, y1)


def box_mask(box: Box, height: int, width: int) -> NDArray[np.bool_]:
    """Mask of a box.

    Raises:
        InputError: The box is empty or lies (partly) outside the image.
    """
    if not (0 <= box.x0 < box.x1 <= width and 0 <= box.y0 < box.y1 <= height):
        raise InputError(
            f"box {box.x0:g},{box.y0:g},{box.x1:g},{box.y1:g} does not fit the image of "
            f"{width}x{height}; x0,y0,x1,y1 must be in pixels with x0 < x1 <= {width} and "
            f"y0 < y1 <= {height}"
        )
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[round(box.y0) : max(round(box.y0) + 1, round(box.y1)),
         round(box.x0) : max(round(box.x0) + 1, round(box.x1))] = True  # fmt: skip
    return mask


def read_mask(path: str | Path, height: int, width: int) -> NDArray[np.bool_]:
    """Mask file of the image's size: white (above half) is the speaker.

    Raises:
        InputError: Another size, or nothing is white.
    """
    pixels = read_image(path)
    if pixels.shape[:2] != (height, width):
        raise InputError(
            f"mask '{path}' is {pixels.shape[1]}x{pixels.shape[0]} but the image is "
            f"{width}x{height}; draw the mask on the image itself"
        )
    mask: NDArray[np.bool_] = pixels.mean(axis=2) > 127
    if not mask.any():
        raise InputError(f"mask '{path}' is all black; paint the speaker white")
    return mask


def make_disjoint(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Regions without overlap.

    A pixel claimed twice goes to the region whose centre is nearer, measured in that region's own
    size, so that a small region in front of a large one keeps its shape.

    Args:
        masks: (H, W) each, none empty.

    Returns:
        (speakers, H, W), of which at most one is true per pixel.
    """
    stacked = np.stack(masks)
    height, width = stacked.shape[1:]
    rows = np.arange(height, dtype=np.float64)[:, None] * np.ones(width)
    columns = np.arange(width, dtype=np.float64) * np.ones((height, 1))
    distances = []
    for mask in stacked:
        size = np.sqrt(mask.sum())
        centre_row, centre_column = rows[mask].mean(), columns[mask].mean()
        distances.append(np.hypot(rows - centre_row, columns - centre_column) / size)
    claimed = np.where(stacked, np.stack(distances), np.inf)
    winner: NDArray[np.intp] = np.argmin(claimed, axis=0)
    disjoint: NDArray[np.bool_] = stacked & (winner == np.arange(len(stacked))[:, None, None])
    return disjoint


def token_masks(regions: NDArray[np.bool_], rows: int, columns: int) -> Tensor:
    """Which stream each video token hears.

    A token goes to whoever covers most of it, silence included.

    Args:
        regions: (speakers, H, W), disjoint, at the clip's size.
        rows: Token rows (H / 16).
        columns: Token columns (W / 16).

    Returns:
        (1, speakers + 1, rows, columns) float32 of zeros and ones that sum to one; silence is last.

    Raises:
        InputError: A speaker covers most of no token.
    """
    speakers, height, width = regions.shape
    tiles = regions.reshape(speakers, rows, height // rows, columns, width // columns)
    shares = tiles.mean(axis=(2, 4))
    shares = np.concatenate([shares, 1 - shares.sum(axis=0, keepdims=True)])
    winner: NDArray[np.intp] = np.argmax(shares, axis=0)
    for speaker in range(speakers):
        if not (winner == speaker).any():
            raise InputError(
                f"the region of speaker {speaker} (from 0) covers no token of the {width}x{height} clip "
                f"(a token is {width // columns}x{height // rows} pixels); enlarge the region or "
                "the clip, or separate the regions"
            )
    chosen = winner == np.arange(speakers + 1)[:, None, None]
    return torch.from_numpy(chosen.astype(np.float32))[None]


def draw_preview(
    image: NDArray[np.uint8], regions: NDArray[np.bool_], names: Sequence[str]
) -> NDArray[np.uint8]:
    """Picture of the regions for a human eye, (H, W, 3): each tinted, named at its centre."""
    tinted = image.astype(np.float32)
    for index, region in enumerate(regions):
        colour = np.array(_COLOURS[index % len(_COLOURS)], dtype=np.float32)
        tinted[region] = 0.55 * tinted[region] + 0.45 * colour
    picture = Image.fromarray(tinted.round().astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(10, image.shape[0] // 25))
    for index, (region, name) in enumerate(zip(regions, names, strict=True)):
        rows, columns = np.nonzero(region)
        if rows.size:
            place = (float(columns.mean()), float(rows.mean()))
            pen.text(
                place,
                f"{index} {name}",
                font=font,
                anchor="mm",
                fill="white",
                stroke_width=2,
                stroke_fill="black",
            )
    return np.asarray(picture)
