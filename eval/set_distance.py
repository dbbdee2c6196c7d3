"""FID and FVD between two sets of clips: optional, never per clip, always with their numbers.

Set metrics need hundreds of items; avatar papers use 20 to 100 clips. What is printed therefore
names how many items stood on each side, and says when they are few.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eval.frechet import FEW, Moments, frechet_distance
from joystreamer.errors import InputError
from joystreamer.media import iter_frames


class Features(Protocol):
    """A network that turns pieces of a clip into features.

    Attributes:
        frames: Frames per piece.
    """

    @property
    def frames(self) -> int:
        """Frames per piece."""

    def features(self, clip: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return (n, channels) of a piece (frames, height, width, 3)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SetDistance:
    """A distance between two sets.

    Attributes:
        value: Squared Fréchet distance; lower is better.
        first_items: Features of the first set.
        second_items: Features of the second set.
    """

    value: float
    first_items: int
    second_items: int

    def __str__(self) -> str:
        """Return the value with its numbers, and a word when they are few."""
        few = min(self.first_items, self.second_items) < FEW
        note = f"; fewer than {FEW} items: read it as a rough order" if few else ""
        return f"{self.value:.2f} ({self.first_items} against {self.second_items} items{note})"


def pieces(path: Path, frames: int) -> Iterator[NDArray[np.uint8]]:
    """Yield consecutive pieces of a clip, (frames, height, width, 3), without a shorter rest."""
    waiting: list[NDArray[np.uint8]] = []
    for frame in iter_frames(path):
        waiting.append(frame.rgb)
        if len(waiting) == frames:
            yield np.stack(waiting)
            waiting = []


def set_distance(
    first: Sequence[Path],
    second: Sequence[Path],
    network: Features,
    *,
    progress: Callable[[Path], None] | None = None,
) -> SetDistance:
    """Return the Fréchet distance between two sets of clips.

    Args:
        first: Clips of one system.
        second: Clips of the other, or real ones.
        network: Inception for FID, I3D for FVD.
        progress: Called before each clip.

    Raises:
        InputError: A set gives fewer than two features.
    """
    sides = [_moments(paths, network, progress) for paths in (first, second)]
    for name, side in zip(("first", "second"), sides, strict=True):
        if side.count < 2:
            raise InputError(
                f"the {name} set gives {side.count} features of {network.frames} frames; give at "
                "least two: more clips, or longer ones"
            )
    value = frechet_distance(*sides)
    return SetDistance(value=value, first_items=sides[0].count, second_items=sides[1].count)


def _moments(
    paths: Iterable[Path], network: Features, progress: Callable[[Path], None] | None
) -> Moments:
    moments = Moments()
    for path in paths:
        if progress is not None:
            progress(path)
        for piece in pieces(path, network.frames):
            moments.add(network.features(piece))
    return moments
