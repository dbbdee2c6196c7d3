"""Says what a clip is without decoding it: size, rate, length, sound.

Every packet's timestamp is read (not its pixels), so counts, durations and whether the rate is
constant are facts about the file and not its header's claims.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from joystreamer.errors import InputError
from joystreamer.media.audio import first_sample_time
from joystreamer.media.container import open_media, video_stream
from joystreamer.media.video import first_picture, orientation

# A rate is constant when every timestamp lies this close to an even grid: containers round to
# 1 ms (Matroska) or to their own tick, whichever is coarser.
GRID_TOLERANCE_S = 0.001
# A stated rate this close (relative) to the measured one is the exact form of it (24000/1001).
RATE_TOLERANCE = 0.001


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioProbe:
    """One audio stream.

    Attributes:
        codec: FFmpeg's codec name.
        sample_rate: samples per second.
        channels: number of channels.
        duration_s: length of the stream in seconds.
        start_s: first sample's time relative to the first picture; negative when sound starts
            before it.
    """

    codec: str
    sample_rate: int
    channels: int
    duration_s: float
    start_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaProbe:
    """A clip, as its file presents it.

    Attributes:
        container: FFmpeg's container name.
        codec: codec of the first video stream.
        width: columns as displayed, rotation applied, pixels not squared.
        height: rows as displayed.
        rotation: clockwise degrees that the file asks for: 0, 90, 180 or 270 (after mirroring
            left to right, where it asks for that too).
        pixel_format: FFmpeg's name of the coded pixel format.
        pixel_aspect: width of one displayed pixel over its height, 1.0 when square or unknown.
        frame_rate: frames per second, the average when not constant; None for a single frame
            without a stated rate.
        constant_rate: whether the timestamps lie on an even grid.
        num_frames: pictures in the stream, None if unknown.
        duration_s: from the first picture's appearance to the last one's end, in seconds.
        audio_streams: every audio stream, in the file's order.
    """

    container: str
    codec: str
    width: int
    height: int
    rotation: int
    pixel_format: str
    pixel_aspect: float
    frame_rate: float | None
    constant_rate: bool
    num_frames: int | None
    duration_s: float
    audio_streams: tuple[AudioProbe, ...]

    @property
    def has_audio(self) -> bool:
        """Whether there is at least one audio stream."""
        return bool(self.audio_streams)


def probe(path: str | Path) -> MediaProbe:
    """Describe a clip.

    Raises:
        InputError: missing, empty, cut off before its index, not media, or without pictures.
    """
    with open_media(path) as container:
        stream = video_stream(container, path)
        stamp, picture = first_picture(container, stream)
    if picture is None:
        raise InputError(f"no picture of '{path}' can be decoded; copy or render it again.")
    with open_media(path) as container:
        stream = video_stream(container, path)
        starts = [first_sample_time(path, n) for n in range(len(container.streams.audio))]
        spans = _read_spans(container)
        video = spans[stream.index]
        video.begin_at(stamp)
        turns, _ = orientation(picture)
        width, height = picture.width, picture.height
        aspect = float(stream.sample_aspect_ratio or 1)
        rate, constant = _measure_rate(video, stream)
        return MediaProbe(
            container=container.format.name,
            codec=stream.codec_context.name,
            width=height if turns % 2 else width,
            height=width if turns % 2 else height,
            rotation=(-turns % 4) * 90,
            pixel_format=picture.format.name,
            pixel_aspect=1 / aspect if turns % 2 else aspect,
            frame_rate=rate,
            constant_rate=constant,
            num_frames=len(video.stamps) or None,
            duration_s=video.duration(1 / rate if rate else 0.0),
            audio_streams=tuple(
                _describe_audio(audio, spans[audio.index], starts[number], video.start_s)
                for number, audio in enumerate(container.streams.audio)
                if audio.codec_context is not None
            ),
        )


class _Span:
    """Timestamps of one stream's packets."""

    def __init__(self, time_base: Fraction) -> None:
        self.time_base = time_base
        self.stamps: list[int] = []
        self.last_duration = 0

    def see(self, packet: Any) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None or packet.is_discard or packet.size == 0:
            return
        if not self.stamps or stamp >= max(self.stamps[-1], self.stamps[0]):
            self.last_duration = packet.duration or 0
        self.stamps.append(stamp)

    def begin_at(self, stamp: int | None) -> None:
        """Forget packets before the first picture that can be shown (an open first group)."""
        if stamp is not None:
            self.stamps = [s for s in self.stamps if s >= stamp] or self.stamps

    @property
    def start_s(self) -> float:
        return float(min(self.stamps) * self.time_base) if self.stamps else 0.0

    def duration(self, fallback_s: float = 0.0) -> float:
        """Length in seconds; `fallback_s` is the last packet's length where it states none."""
        if not self.stamps:
            return 0.0
        last_s = float(self.last_duration * self.time_base) or fallback_s
        return float((max(self.stamps) - min(self.stamps)) * self.time_base) + last_s


def _read_spans(container: Any) -> dict[int, _Span]:
    """Timestamps of all packets, by stream index; stops where the file breaks."""
    spans = {s.index: _Span(s.time_base or Fraction(1)) for s in container.streams}
    try:
        for packet in container.demux():
            spans[packet.stream.index].see(packet)
    except av.error.FFmpegError:
        return spans  # reading the frames reports the damage; a probe describes what is there
    return spans


def _measure_rate(span: _Span, stream: Any) -> tuple[float | None, bool]:
    """Frames per second, and whether the timestamps lie on an even grid."""
    stamps = sorted(span.stamps)
    stated = stream.average_rate or stream.guessed_rate
    if len(stamps) < 2 or stamps[-1] == stamps[0]:
        return (float(stated) if stated else None), True
    tick_s = float(span.time_base)
    interval = (stamps[-1] - stamps[0]) / (len(stamps) - 1)
    tolerance = min(max(1.0, GRID_TOLERANCE_S / tick_s), interval / 4)
    constant = all(
        abs(stamp - stamps[0] - index * interval) <= tolerance for index, stamp in enumerate(stamps)
    )
    rate = 1.0 / (interval * tick_s)
    if constant and stated and abs(float(stated) - rate) <= RATE_TOLERANCE * rate:
        rate = float(stated)
    return rate, constant


def _describe_audio(stream: Any, span: _Span, start: Fraction | None, zero: float) -> AudioProbe:
    context = stream.codec_context
    stated = stream.duration * stream.time_base if stream.duration else None
    return AudioProbe(
        codec=context.name,
        sample_rate=context.sample_rate,
        channels=context.layout.nb_channels,
        duration_s=span.duration() if stated is None else float(stated),
        start_s=0.0 if start is None else float(start) - zero,
    )
