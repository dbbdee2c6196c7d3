"""What goes into a clip and what comes out of the pipeline: plain records of arrays.

Knows neither files nor networks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from joystreamer.conditioning.audio import SAMPLE_RATE
from joystreamer.errors import InputError
from joystreamer.segments import Segment

Locator = Callable[[NDArray[np.uint8]], NDArray[np.bool_]]
"""Finds the speakers again: a frame (H, W, 3) to regions (speakers, H, W) of the same size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """Everything a clip is made of.

    Attributes:
        image: Reference image, uint8 (height, width, 3), any size.
        tracks: One 16 kHz mono float32 track per speaker, of equal length.
        fragments: Prompt fragments in order of time, at least one.
        regions: (speakers, height, width) bool on the image, disjoint; None for one speaker who is
            heard everywhere.
        locate: Finds the speakers again on the last frame of each segment; None keeps the regions
            of the reference image.
    """

    image: NDArray[np.uint8]
    tracks: tuple[NDArray[np.float32], ...]
    fragments: tuple[str, ...]
    regions: NDArray[np.bool_] | None = None
    locate: Locator | None = None

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return max(track.size for track in self.tracks) / SAMPLE_RATE

    def check(self) -> None:
        """Refuse parts that do not fit each other.

        Raises:
            InputError: In one sentence.
        """
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise InputError(
                f"the image has type {self.image.dtype} and shape {self.image.shape}; give "
                "(height, width, 3) uint8 RGB"
            )
        if not self.fragments or not all(text.strip() for text in self.fragments):
            raise InputError("the prompt is empty; describe the person and what they do")
        if not self.tracks or not self.seconds:
            raise InputError("there is no sound; give at least one audio sample")
        if self.regions is None:
            if len(self.tracks) > 1:
                raise InputError(
                    f"{len(self.tracks)} speakers are heard but no regions say where they are; "
                    "give a box, a mask or words to find each of them"
                )
        elif self.regions.shape != (len(self.tracks), *self.image.shape[:2]):
            raise InputError(
                f"the regions have shape {self.regions.shape}; {len(self.tracks)} speaker(s) on an "
                f"image of {self.image.shape[1]}x{self.image.shape[0]} need "
                f"{(len(self.tracks), *self.image.shape[:2])}: draw one mask per speaker on the image"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamState:
    """All that a segment takes over from those before it; enough to resume a stopped job.

    Attributes:
        next_index: Segment to render next.
        history: Last nine frames, uint8 (9, H, W, 3).
        anchor: History after the first segment, for the drift guard; None without a guard.
        first_values: The guard's probe values of the first segment.
    """

    next_index: int
    history: NDArray[np.uint8]
    anchor: NDArray[np.uint8] | None = None
    first_values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedSegment:
    """One finished stretch of the clip.

    Attributes:
        segment: Its plan.
        frames: uint8 (frames, H, W, 3), trimmed to the sound.
        state: For the next segment.
        latents: Denoised latents (1, 16, 19, H/8, W/8), float32 on the CPU; None when the frames
            come from a store.
        drifted: Probe values that had left their limit, so that the history was corrected.
        timings: Seconds spent in `conditions`, `denoising` and `decoding`.
    """

    segment: Segment
    frames: NDArray[np.uint8]
    state: StreamState
    latents: Tensor | None = None
    drifted: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
