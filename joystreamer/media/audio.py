"""Reads sound on the video's clock: sample 0 is the moment of the first picture.

One path for every use: decode, place by timestamp (start offsets, gaps and overlaps), mix down,
then one swresample rate conversion of the continuous signal. Knows nothing of features or models.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from joystreamer.errors import InputError
from joystreamer.media.container import MAX_SECONDS, DecodeError, open_media, promised_end
from joystreamer.media.video import END_TOLERANCE_S, first_frame_time

# Timestamps may wander this far from the sample count (containers round to 1 ms, encoders pad)
# before samples are inserted or dropped: one frame at 25 fps.
GAP_TOLERANCE_S = 0.04

# More channels than any recording has; swresample knows no more than 64.
MAX_CHANNELS = 64
# Rates of recordings in samples per second, generously: damaged headers claim 4, or 4 billion.
MIN_RATE, MAX_RATE = 100, 768_000
# PyAV counts the planes of a frame by looking for the first missing one, and reads past the end of
# the list when all of FFmpeg's eight are there: such sound is handled interleaved.
PLANES = 8

# Samples of silence that are made at once.
LONGEST_SILENCE = 2**20

# Samples of all channels that `read_audio` holds at once: 1 GiB of float32, 4.6 hours of 16 kHz mono.
MAX_SAMPLES = 2**28

# Down-mix gains by channel (ITU-R BS.775-4, annex 4): centre and surrounds at -3 dB against the
# fronts, no low-frequency channel. They are normalised so that no mix can exceed full scale.
_HALF_POWER = 0.7071067811865476
_LEFT = {"FL": 1.0, "FC": _HALF_POWER, "SL": _HALF_POWER, "BL": _HALF_POWER, "BC": 0.5}
_RIGHT = {"FR": 1.0, "FC": _HALF_POWER, "SR": _HALF_POWER, "BR": _HALF_POWER, "BC": 0.5}


def read_audio(
    path: str | Path, *, sample_rate: int = 16000, stream: int = 0, mono: bool = True
) -> NDArray[np.float32] | None:
    """Read a whole audio stream, aligned to the first picture.

    A stream that starts after the first picture is preceded by silence, one that starts before is
    cut; holes longer than `GAP_TOLERANCE_S` become silence. Files without pictures start at their
    own first sample. The mono mix of stereo is (L + R) / 2.

    Args:
        path: a clip or a sound file.
        sample_rate: samples per second of the result.
        stream: which audio stream, counted from 0.
        mono: mix to one channel, else keep the channels.

    Returns:
        float32 in [-1, 1], (samples,) or, when not `mono`, (channels, samples). None when the file
        has no audio stream.

    Raises:
        InputError: not media, or no audio stream of that number.
        DecodeError: the sound is cut off or damaged.
    """
    chunks, held = [], 0
    for chunk in _stream_chunks(path, sample_rate, stream, "mono" if mono else "all", 10.0):
        chunks.append(chunk)
        held += chunk.size
        if held > MAX_SAMPLES:
            raise InputError(
                f"the sound of '{path}' is longer than {held / chunk.shape[0] / sample_rate:.0f} s, "
                "which is as much as is held in memory; cut it."
            )
    if not chunks:
        with open_media(path) as container:
            if not container.streams.audio:
                return None
        return np.zeros(0 if mono else (1, 0), np.float32)
    joined = np.concatenate(chunks, axis=1)
    return joined[0] if mono else joined


def iter_audio(
    path: str | Path, *, sample_rate: int = 16000, chunk_s: float = 10.0, stream: int = 0
) -> Iterator[NDArray[np.float32]]:
    """Stream mono sound in chunks of equal length (the last one shorter).

    The concatenated chunks equal `read_audio(path, sample_rate=sample_rate)`; a file without sound
    yields nothing.

    Args:
        path: a clip or a sound file.
        sample_rate: samples per second of the result.
        chunk_s: seconds per chunk.
        stream: which audio stream, counted from 0.

    Yields:
        (samples,) float32 in [-1, 1].
    """
    for chunk in _stream_chunks(path, sample_rate, stream, "mono", chunk_s):
        yield chunk[0]


def iter_stereo(
    path: str | Path, *, sample_rate: int, chunk_s: float = 10.0, stream: int = 0
) -> Iterator[NDArray[np.float32]]:
    """Like `iter_audio` with (2, samples) chunks: mono is doubled, more channels are mixed down."""
    return _stream_chunks(path, sample_rate, stream, "stereo", chunk_s)


def first_sample_time(path: str | Path, stream: int = 0) -> Fraction | None:
    """Presentation time of a stream's first sample on the container's clock, in seconds.

    The encoder's priming samples, which are stored but not played, are left out. None when nothing
    of the stream can be decoded.
    """
    with open_media(path) as container:
        source = container.streams.audio[stream]
        for frame, error in _decode(container, source):
            if error is None and frame.pts is not None:
                return Fraction(frame.pts * source.time_base)
    return None


def mixing_matrix(channels: tuple[str, ...], form: str) -> NDArray[np.float32]:
    """Gains that bring named channels to a form.

    Args:
        channels: FFmpeg's channel names: ("FL", "FR"), ("FC",), ...
        form: "all" (unchanged), "mono" or "stereo".

    Returns:
        (outputs, channels) float32; the absolute gains of a row sum to 1 (or each row is a unit
        vector for "all").
    """
    count = len(channels)
    if form == "all":
        return np.eye(count, dtype=np.float32)
    if count == 1:
        return np.ones((1 if form == "mono" else 2, 1), np.float32)
    left = np.array([_LEFT.get(name, 0.0) for name in channels])
    right = np.array([_RIGHT.get(name, 0.0) for name in channels])
    if not (left.any() and right.any()):  # unnamed channels carry equal weight
        left = right = np.ones(count)
    rows = [left + right] if form == "mono" else [left, right]
    return np.stack([row / row.sum() for row in rows]).astype(np.float32)


def _stream_chunks(
    path: str | Path, sample_rate: int, stream: int, form: str, chunk_s: float
) -> Iterator[NDArray[np.float32]]:
    """(channels, samples) chunks of `chunk_s` seconds at `sample_rate`."""
    if sample_rate < 1:
        raise InputError(
            f"a sample rate of {sample_rate} is not possible; give a whole number > 0."
        )
    size = round(chunk_s * sample_rate)
    if size < 1:
        raise InputError(f"chunks of {chunk_s} s hold no sample; give a longer chunk_s.")
    held: list[NDArray[np.float32]] = []
    count = 0
    for piece in _resampled(path, sample_rate, stream, form):
        held.append(piece)
        count += piece.shape[1]
        if count < size:
            continue
        joined = np.concatenate(held, axis=1)
        whole = count // size * size
        for start in range(0, whole, size):
            yield joined[:, start : start + size]
        held, count = [joined[:, whole:]], count - whole
    if count:
        yield np.concatenate(held, axis=1)


def _resampled(
    path: str | Path, sample_rate: int, stream: int, form: str
) -> Iterator[NDArray[np.float32]]:
    zero = first_frame_time(path)
    with open_media(path) as container:
        streams = container.streams.audio
        if not streams:
            return
        if not 0 <= stream < len(streams):
            raise InputError(
                f"'{path}' has {len(streams)} audio stream(s), not one numbered {stream}; "
                f"give 0 to {len(streams) - 1}."
            )
        source = streams[stream]
        if source.codec_context is None:
            raise InputError(
                f"'{path}' uses a sound codec this build cannot decode; give AAC, MP3, FLAC, Opus or WAV."
            )
        converter: _RateConverter | None = None
        for samples, rate in _continuous(container, source, zero, form, path):
            converter = converter or _RateConverter(rate, sample_rate)
            yield from converter.push(samples)
        if converter is not None:
            yield from converter.finish()


def _continuous(
    container: Any, source: Any, zero: Fraction | None, form: str, path: str | Path
) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Mixed (channels, samples) pieces at the source rate, without holes, and that rate."""
    placer: _Placer | None = None
    normaliser = _Normaliser()
    matrix: NDArray[np.float32] | None = None
    damage: str | None = None
    end_s = 0.0
    for frame, error in _decode(container, source):
        if error is not None:
            # Some files start inside a frame; what follows it counts.
            damage = error if placer is not None else None
            continue
        if not (
            0 < frame.layout.nb_channels <= MAX_CHANNELS
            and MIN_RATE <= frame.sample_rate <= MAX_RATE
        ):
            raise DecodeError(
                f"the sound of '{path}' has {frame.layout.nb_channels} channels at {frame.sample_rate} Hz; "
                f"1 to {MAX_CHANNELS} channels at {MIN_RATE} to {MAX_RATE} Hz are read: export it again.",
                time_s=end_s,
            )
        if placer is None:
            placer = _Placer(frame.sample_rate, zero)
        stamp = None if frame.pts is None else Fraction(frame.pts * source.time_base)
        try:
            samples = normaliser.convert(frame)
        except av.error.FFmpegError as refusal:
            raise DecodeError(
                f"the sound of '{path}' says at {end_s:.2f} s that it has {frame.layout.nb_channels} channels at "
                f"{frame.sample_rate} Hz, which cannot be converted ({refusal.strerror}); export it again.",
                time_s=end_s,
            ) from refusal
        if matrix is None or matrix.shape[1] != samples.shape[0]:
            names = tuple(channel.name for channel in normaliser.layout.channels)
            matrix = mixing_matrix(names, form)
        if stamp is not None:
            end_s = float(stamp) + frame.samples / frame.sample_rate
            samples = samples[:, : _samples_shown(container, source, stamp, placer.rate)]
        if abs(placer.target(stamp)) > MAX_SECONDS * placer.rate:
            raise DecodeError(
                f"the sound of '{path}' says that a part of it stands at {float(stamp or 0):.0f} s; at "
                f"most {MAX_SECONDS} s are read: cut it, or render it again.",
                time_s=end_s,
            )
        if not np.isfinite(samples).all():
            raise DecodeError(
                f"the sound of '{path}' holds values that are no finite numbers; export it again.",
                time_s=end_s,
            )
        for piece in placer.place(samples, stamp):
            yield matrix @ piece, placer.rate
    promised = promised_end(container, source)
    if promised is not None and damage is None and placer is not None:
        missing = float(promised) - end_s
        if missing > END_TOLERANCE_S:
            damage = f"{missing:.2f} s of {float(promised):.2f} s are missing (truncated)"
    if damage is not None:
        raise DecodeError(
            f"the sound of '{path}' stops at {end_s:.2f} s: {damage}; copy or render it again.",
            time_s=end_s,
        )


def _samples_shown(container: Any, source: Any, stamp: Fraction, rate: int) -> int | None:
    """How many samples of a frame at `stamp` the container presents; None for all of them.

    MP4 states the exact length of the sound; what the last AAC frame holds beyond it is padding of
    the encoder that players do not play.
    """
    if "mp4" not in container.format.name:
        return None
    end = promised_end(container, source)
    return None if end is None else max(0, round((end - stamp) * rate))


def _decode(container: Any, source: Any) -> Iterator[tuple[Any, str | None]]:
    """Decoded frames, or (None, what went wrong); nothing where the codec is unknown."""
    if source.codec_context is None:
        return
    packets = iter(container.demux(source))
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError as error:
            yield None, f"it cannot be read further ({error.strerror})"
            return
        try:
            frames = source.codec_context.decode(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            yield None, f"a packet cannot be decoded ({error.strerror})"
            continue
        for frame in frames:
            yield frame, None


def _sample_form(channels: int) -> str:
    return "fltp" if channels < PLANES else "flt"


def _layout_name(channels: int) -> str:
    """FFmpeg's name for so many channels; above eight it knows no places for them."""
    names = {1: "mono", 2: "stereo"}
    return names.get(channels, f"{channels}c" if channels <= PLANES else f"{channels}C")


def _by_channel(frame: Any, channels: int) -> NDArray[np.float32]:
    """A float frame as (channels, samples), however it is stored."""
    array: NDArray[np.float32] = frame.to_ndarray()
    return array if channels < PLANES else np.ascontiguousarray(array.reshape(-1, channels).T)


class _Normaliser:
    """Decoded frames of any sample format to (channels, samples) float32 at the first rate."""

    def __init__(self) -> None:
        self.layout: Any = None
        self._rate = 0
        self._form: tuple[str, str, int] | None = None
        self._resampler: Any = None

    def convert(self, frame: Any) -> NDArray[np.float32]:
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._form:
            if self._form is None:
                self._rate, self.layout = frame.sample_rate, frame.layout
            self._form = form
            count = self.layout.nb_channels
            self._resampler = av.AudioResampler(_sample_form(count), self.layout, self._rate)
        frame.pts = None  # the sample count is the clock here
        count = self.layout.nb_channels
        pieces = [_by_channel(piece, count) for piece in self._resampler.resample(frame)]
        if not pieces:
            return np.zeros((count, 0), np.float32)
        joined: NDArray[np.float32] = np.concatenate(pieces, axis=1)
        return joined


class _Placer:
    """Puts samples where their timestamps say: leading silence, cuts, holes."""

    def __init__(self, rate: int, zero: Fraction | None) -> None:
        self.rate = rate
        self._zero = zero
        self._position: int | None = None  # index of the next sample; negative before zero

    def target(self, stamp: Fraction | None) -> int:
        """Index of the sample that stands at a time stamp; the next one where there is none."""
        if stamp is None:
            return self._position or 0
        if self._zero is None:
            self._zero = stamp  # a sound file: its first sample is its zero
        return round((stamp - self._zero) * self.rate)

    def place(
        self, samples: NDArray[np.float32], stamp: Fraction | None
    ) -> Iterator[NDArray[np.float32]]:
        target = self.target(stamp)
        if self._position is None:
            self._position = min(target, 0)
            hole = target - self._position
        else:
            hole = target - self._position
            if abs(hole) <= GAP_TOLERANCE_S * self.rate:
                hole = 0
        if hole > 0:
            self._position += hole
            # A damaged time stamp may ask for hours of silence: they are given in pieces.
            for start in range(0, hole, LONGEST_SILENCE):
                yield np.zeros((samples.shape[0], min(LONGEST_SILENCE, hole - start)), np.float32)
        elif hole < 0:
            samples = samples[:, -hole:]
        skipped = min(max(0, -self._position), samples.shape[1])
        self._position += samples.shape[1]
        if samples.shape[1] > skipped:
            yield samples[:, skipped:]


class _RateConverter:
    """One swresample context over the continuous signal, so that nothing is shifted or lost."""

    def __init__(self, rate: int, target: int) -> None:
        self._rate, self._target = rate, target
        self._resampler: Any = None
        self._channels = 1
        self._taken = 0
        self._given = 0

    def push(self, samples: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        if samples.shape[1] == 0:
            return
        if self._rate == self._target:
            yield np.clip(samples, -1.0, 1.0)
            return
        self._channels = samples.shape[0]
        layout = _layout_name(self._channels)
        form = _sample_form(self._channels)
        if self._resampler is None:
            self._resampler = av.AudioResampler(form, layout, self._target)
        laid = samples if form == "fltp" else samples.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(laid), form, layout)
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._taken
        self._taken += samples.shape[1]
        yield from self._collect(self._resampler.resample(frame))

    def finish(self) -> Iterator[NDArray[np.float32]]:
        if self._resampler is not None:
            yield from self._collect(self._resampler.resample(None))

    def _collect(self, frames: list[Any]) -> Iterator[NDArray[np.float32]]:
        for frame in frames:
            piece = _by_channel(frame, self._channels)
            self._given += piece.shape[1]
            yield np.clip(piece, -1.0, 1.0)
