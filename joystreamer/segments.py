"""The frame arithmetic of long clips: which frames, seed and words each pass gets.

Pure integers and seconds. This file knows neither tensors nor networks; the pipeline asks it for
the segments of a clip and follows them in order (paper, sections 3.2, 4.1).
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Literal

from joystreamer.errors import InputError

FragmentRule = Literal["spread", "hold", "replan"]

FRAGMENT_SECONDS = 3.24
"""Seconds of speech that earn one more prompt fragment (paper, section 4.1)."""

MOST_FRAGMENTS = 5
"""Fragments that one plan may hold (paper, section 4.1)."""

_TIME_SLACK_FRAMES = 1e-6
"""76 frames at 25 fps are 3.04 s, which times 25 is a hair above 76 in floating point."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentLayout:
    """Lengths of one pass, in video frames and in latents.

    Attributes:
        fps: Video frames per second; 25 since 3.24 s are then 81 frames exactly.
        motion_frames: Frames of history; one more than a multiple of the stride.
        video_frames: Frames of one training clip; the last latent of it is the pseudo last frame.
        stride: Video frames per latent of the Wan VAE.
    """

    fps: int = 25
    motion_frames: int = 9
    video_frames: int = 80
    stride: int = 4

    def __post_init__(self) -> None:
        """Check that the lengths fall on whole latents."""
        if self.motion_frames % self.stride != 1:
            raise InputError(
                f"motion_frames is {self.motion_frames}; a codec of stride {self.stride} needs "
                "one frame more than a multiple of it"
            )
        if self.video_frames % self.stride or self.video_frames < 2 * self.stride:
            raise InputError(
                f"video_frames is {self.video_frames}; it must be at least two latents of "
                f"{self.stride} frames"
            )

    @property
    def motion_latents(self) -> int:
        """Latents of the history: one for its first frame, one per further four (9 -> 3)."""
        return self.latents(self.motion_frames)

    @property
    def noisy_latents(self) -> int:
        """Latents that are denoised: all of the clip but the pseudo last frame (80 -> 19)."""
        return self.video_frames // self.stride - 1

    @property
    def usable_frames(self) -> int:
        """Video frames that one pass adds to the clip (19 latents -> 76)."""
        return self.noisy_latents * self.stride

    def latents(self, frames: int) -> int:
        """Latents of a causal encoding of `frames` frames (9 -> 3, 85 -> 22)."""
        return 1 + (frames - 1) // self.stride

    def decoded_frames(self, latents: int) -> int:
        """Video frames of a causal decoding of `latents` latents (22 -> 85, 20 -> 77)."""
        return 1 + (latents - 1) * self.stride


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """One pass of the network over a stretch of the clip.

    Attributes:
        index: Position among the segments, from 0.
        start_frame: First video frame that the pass adds.
        frames: Video frames kept; fewer than a pass yields only at the end.
        fragment: Index of the prompt fragment that the pass is told.
        seed: Seed of the pass, derived from the job's seed and the index.
    """

    index: int
    start_frame: int
    frames: int
    fragment: int
    seed: int


def frame_count(seconds: float, fps: int) -> int:
    """Video frames that cover `seconds` of sound: the ceiling, so that no sound is cut off."""
    return max(1, math.ceil(seconds * fps - _TIME_SLACK_FRAMES))


def fragment_count(seconds: float, rule: FragmentRule = "spread") -> int:
    """Prompt fragments for a clip of `seconds`: one per 3.24 s, at least 1.

    At most five (paper, section 4.1) unless the rule is `replan`, where each further stretch of
    5 x 3.24 s is planned anew (ours; the paper is silent beyond 16.2 s).
    """
    wanted = max(1, math.ceil(seconds / FRAGMENT_SECONDS - _TIME_SLACK_FRAMES))
    return wanted if rule == "replan" else min(MOST_FRAGMENTS, wanted)


def fragment_at(moment: float, seconds: float, count: int, rule: FragmentRule = "spread") -> int:
    """Index of the fragment spoken of at `moment`.

    Args:
        moment: Seconds from the start of the clip.
        seconds: Length of the clip.
        count: Number of fragments, at least 1.
        rule: `spread` shares the clip evenly among the fragments; `hold` and `replan` give each
            3.24 s, and the last one whatever remains.

    Returns:
        An index in 0..count-1.
    """
    share = moment / seconds * count if rule == "spread" else moment / FRAGMENT_SECONDS
    return min(count - 1, max(0, math.floor(share)))


def segment_seed(seed: int, index: int) -> int:
    """Seed of one segment, in 0..2^63-1: any segment can be rendered again on its own.

    A hash, so that neighbouring seeds and neighbouring segments share no stream of noise.
    """
    digest = hashlib.sha256(f"joystreamer segment {seed} {index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def plan_segments(
    seconds: float,
    *,
    seed: int,
    fragments: int = 1,
    rule: FragmentRule = "spread",
    layout: SegmentLayout | None = None,
) -> tuple[Segment, ...]:
    """Cut a clip into passes.

    A segment is told the fragment at its midpoint; by its start the first fragment would be said
    twice, since a fragment (81 frames) is longer than a segment (76).

    Args:
        seconds: Length of the sound; above 0.
        seed: Seed of the whole job.
        fragments: Number of prompt fragments.
        rule: How fragments are laid over time.
        layout: Lengths of one pass; the paper's by default.

    Returns:
        Segments in order; their frames add up to `frame_count(seconds, fps)`.
    """
    layout = layout or SegmentLayout()
    total = frame_count(seconds, layout.fps)
    segments = []
    for index, start in enumerate(range(0, total, layout.usable_frames)):
        frames = min(layout.usable_frames, total - start)
        moment = (start + frames / 2) / layout.fps
        segments.append(
            Segment(
                index=index,
                start_frame=start,
                frames=frames,
                fragment=fragment_at(moment, seconds, fragments, rule),
                seed=segment_seed(seed, index),
            )
        )
    return tuple(segments)
