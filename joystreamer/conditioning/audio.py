"""Speech as the network hears it: wav2vec2 features, one per video frame, eight per latent.

Tracks come in as 16 kHz mono arrays; files are `joystreamer.media`'s business and who speaks when
is `turns`'. Features are made stretch by stretch, so that memory does not grow with the clip.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from joystreamer.errors import InputError
from joystreamer.media.loudness import match_loudness

SAMPLE_RATE = 16_000
"""Samples per second that wav2vec2 was trained on."""

TARGET_LUFS = -23.0
"""Loudness that every track is brought to (EBU R 128; MultiTalk normalises to the same)."""

WINDOW_BEFORE = 2
"""Frames before a latent's four that its window holds (MultiTalk: audio window 5, stride 4)."""

WINDOW_AFTER = 2
"""Frames after a latent's four; 2 + 4 + 2 = the window of 8."""

CONTEXT_SECONDS = 4.0
"""Sound on either side of a stretch that the speech encoder also hears. Ours: peers encode a whole
file at once, whose attention grows with the square of its length."""


def prepare_track(audio: NDArray[np.float32], name: str = "the audio") -> NDArray[np.float32]:
    """Check a mono track at 16 kHz and bring it to the common loudness.

    Args:
        audio: Samples in -1..1, shape (samples,).
        name: What the error calls it.

    Returns:
        Normalised samples; silence is left alone.

    Raises:
        InputError: No samples, several channels, or values that are not finite.
    """
    if audio.ndim != 1:
        raise InputError(
            f"{name} has shape {audio.shape}; a mono track of shape (samples,) is needed"
        )
    if audio.size == 0:
        raise InputError(f"{name} holds no sound; give a file with at least one audio sample")
    if not np.isfinite(audio).all():
        raise InputError(f"{name} holds values that are not finite; export it again")
    return match_loudness(audio, SAMPLE_RATE, TARGET_LUFS)


@dataclass(frozen=True, slots=True)
class TrackScale:
    """Mean and spread of a whole track, with which each stretch of it is standardised.

    wav2vec2 wants inputs of zero mean and unit variance. Taken per stretch, a pause would be blown
    up to the level of speech.
    """

    mean: float
    spread: float

    @classmethod
    def of(cls, track: NDArray[np.float32]) -> "TrackScale":
        """Statistics of a track; a silent one is left as zeros."""
        spread = float(track.std(dtype=np.float64))
        return cls(float(track.mean(dtype=np.float64)), spread if spread > 1e-7 else 1.0)


class SpeechEncoder:
    """wav2vec2 hidden states at the video rate.

    As in MultiTalk, the convolutional features are interpolated to one per video frame *before* the
    transformer layers, and all layers' outputs are kept.

    Args:
        model: A `Wav2Vec2Model`; any size.
        fps: Video frames per second.
        normalise: Whether inputs are standardised (the feature extractor's `do_normalize`).
    """

    def __init__(self, model: Any, fps: int = 25, *, normalise: bool = True) -> None:
        self.model = model
        self.fps = fps
        self.normalise = normalise

    @property
    def shape(self) -> tuple[int, int]:
        """(layers, channels) of one feature."""
        return self.model.config.num_hidden_layers, self.model.config.hidden_size

    @torch.no_grad()
    def features(
        self, track: NDArray[np.float32], scale: TrackScale, start: int, frames: int
    ) -> Tensor:
        """Features of `frames` video frames from frame `start` on.

        Args:
            track: 16 kHz mono samples; outside of it there is silence.
            scale: Statistics of the whole track.
            start: First video frame, may be negative.
            frames: Number of video frames.

        Returns:
            (frames, layers, channels) float32 on the CPU.
        """
        context = round(CONTEXT_SECONDS * self.fps)
        heard = frames + 2 * context
        samples = self._cut(track, start - context, heard)
        if self.normalise:
            samples = (samples - np.float32(scale.mean)) / np.float32(scale.spread)
        device, dtype = self._placement()
        inputs = torch.from_numpy(samples)[None].to(device, dtype)
        hook = self.model.feature_extractor.register_forward_hook(_interpolate_to(heard))
        try:
            states = self.model(inputs, output_hidden_states=True).hidden_states[1:]
        finally:
            hook.remove()
        stacked = torch.stack(states, dim=2)[0].float().cpu()
        return stacked[context : context + frames]

    def windows(
        self, track: NDArray[np.float32], scale: TrackScale, start: int, latents: int
    ) -> Tensor:
        """Windows of features of consecutive latents of four frames.

        Args:
            track: 16 kHz mono samples.
            scale: Statistics of the whole track.
            start: First video frame of the first latent.
            latents: Number of latents.

        Returns:
            (latents, 8, layers, channels) float32: two frames before, the four, two after.
        """
        span = 4 * latents + WINDOW_BEFORE + WINDOW_AFTER
        return cut_windows(self.features(track, scale, start - WINDOW_BEFORE, span))

    def _cut(self, track: NDArray[np.float32], start: int, frames: int) -> NDArray[np.float32]:
        """Samples of a stretch of video frames, with silence outside the track."""
        first, last = (round(frame * SAMPLE_RATE / self.fps) for frame in (start, start + frames))
        cut = np.zeros(last - first, dtype=np.float32)
        inside = track[max(0, first) : max(0, last)]
        offset = max(0, -first)
        cut[offset : offset + inside.size] = inside
        return cut

    def _placement(self) -> tuple[torch.device, torch.dtype]:
        """Device the model runs on (also under offload hooks) and its precision."""
        hook = getattr(self.model, "_hf_hook", None)
        device = getattr(hook, "execution_device", None)
        parameter = next(self.model.parameters())
        return torch.device(device) if device is not None else parameter.device, parameter.dtype


def _interpolate_to(frames: int) -> Callable[[Any, Any, Tensor], Tensor]:
    """Hook that resamples (batch, channels, time) features to `frames` along time."""

    def resample(_module: Any, _inputs: Any, features: Tensor) -> Tensor:
        return F.interpolate(features, size=frames, mode="linear", align_corners=True)

    return resample


def cut_windows(features: Tensor) -> Tensor:
    """Overlapping windows of eight from (4 n + 4, layers, channels): (n, 8, layers, channels)."""
    return features.unfold(0, WINDOW_BEFORE + 4 + WINDOW_AFTER, 4).movedim(-1, 1)


class SpeechStreams:
    """The audio input of the network for any stretch of a clip, for one or several speakers.

    Args:
        encoder: Makes the features.
        tracks: One normalised 16 kHz mono track per speaker.
        with_silence: Whether a last stream of silence is added, for what lies outside all regions.
    """

    def __init__(
        self,
        encoder: SpeechEncoder,
        tracks: Sequence[NDArray[np.float32]],
        *,
        with_silence: bool,
    ) -> None:
        self.with_silence = with_silence
        self.encoder = encoder
        self.tracks = tuple(tracks)
        self.scales = tuple(TrackScale.of(track) for track in tracks)

    @property
    def seconds(self) -> float:
        """Length of the longest track."""
        return max(track.size for track in self.tracks) / SAMPLE_RATE

    def windows(self, start: int, latents: int) -> Tensor:
        """Windows of all streams.

        Returns:
            (1, streams, latents, 8, layers, channels) float32. A silent stream is encoded
            silence, which is not null audio (zeros).
        """
        streams = [
            self.encoder.windows(track, scale, start, latents)
            for track, scale in zip(self.tracks, self.scales, strict=True)
        ]
        if self.with_silence:
            quiet = np.zeros(1, dtype=np.float32)
            streams.append(self.encoder.windows(quiet, TrackScale(0.0, 1.0), start, latents))
        return torch.stack(streams)[None]
