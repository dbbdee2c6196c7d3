"""A strip of frames: one row per system, a few moments of a few cases side by side.

Reads finished clips; knows nothing of who made them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eval.store.files import written_atomically
from joystreamer.errors import InputError
from joystreamer.media.video import iter_frames

Pixels = NDArray[np.uint8]

TILE: Final = 96
"""Pixels per side of a frame in the strip."""
GAP: Final = 12
"""Pixels between cases."""
MARGIN: Final = 132
"""Pixels for the names of systems."""
HEADING: Final = 34
PAPER: Final = (255, 255, 255)
INK: Final = (30, 30, 34)
TEXT_PX: Final = 13
MOMENTS: Final = (0.0, 0.33, 0.66, 0.97)
"""Shares of a clip's length at which frames are taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StripCase:
    """One group of columns.

    Attributes:
        title: What was asked.
        clips: One clip per row, None where there is none.
    """

    title: str
    clips: tuple[Path | None, ...]


def draw_strip(rows: Sequence[str], cases: Sequence[StripCase]) -> Image.Image:
    """Draw a strip.

    Args:
        rows: Names of the systems.
        cases: Groups of columns; each has a clip per row.

    Raises:
        InputError: A clip cannot be read, or there is nothing to draw.
    """
    if not rows or not cases:
        raise InputError("a strip needs at least one system and one case")
    group = TILE * len(MOMENTS)
    width = MARGIN + len(cases) * group + (len(cases) - 1) * GAP
    picture = Image.new("RGB", (width, HEADING + len(rows) * (TILE + 2)), PAPER)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(TEXT_PX)
    for column, case in enumerate(cases):
        left = MARGIN + column * (group + GAP)
        pen.text((left + 2, 8), _fitting(case.title, font, group - 4), fill=INK, font=font)
        for row, clip in enumerate(case.clips):
            for place, tile in enumerate(moments(clip) if clip is not None else []):
                scaled = Image.fromarray(tile).resize((TILE, TILE), Image.Resampling.LANCZOS)
                picture.paste(scaled, (left + place * TILE, HEADING + row * (TILE + 2)))
    for row, name in enumerate(rows):
        top = HEADING + row * (TILE + 2) + TILE // 2 - TEXT_PX // 2
        pen.text((4, top), _fitting(name, font, MARGIN - 8), fill=INK, font=font)
    return picture


def write_strip(target: Path, rows: Sequence[str], cases: Sequence[StripCase]) -> Path:
    """Write a strip as PNG; return the file."""
    picture = draw_strip(rows, cases)
    with written_atomically(target) as temporary:
        picture.save(temporary, "PNG", optimize=True)
    return target


def moments(clip: Path) -> list[Pixels]:
    """Return the frames of a clip at `MOMENTS`, each (H, W, 3) uint8."""
    frames = [frame.rgb.copy() for frame in iter_frames(clip)]
    return [frames[round(share * (len(frames) - 1))] for share in MOMENTS]


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Return as much of a text as fits."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
