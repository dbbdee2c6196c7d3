"""Reads a clip's frames one by one: exact timestamps, display orientation, RGB, constant memory.

It knows nothing of frame rates other than the clip's own (`joystreamer.media.resampling` does that)
and nothing of sound.
"""

from collections.abc import Generator, Iterator
from fractions import Fraction
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from joystreamer.media.container import (
    MAX_SECONDS,
    DecodeError,
    lacks_trailer,
    open_media,
    promised_end,
    video_stream,
)

# Bit-exact with full rounding: the same pixels on every processor. Without these flags swscale
# takes a vector path of its own for each machine, which is off by up to three grey levels.
DECODE_SCALING = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
# How much earlier than its header says a stream may end before it counts as cut off: containers
# round, and some writers count a last frame that they do not store.
END_TOLERANCE_S = 0.25
_UNTAGGED = 2  # AVCOL_SPC_UNSPECIFIED


class Frame(NamedTuple):
    """One picture of a clip.

    Attributes:
        time_s: presentation time in seconds; the clip's first frame is at 0.
        rgb: (H, W, 3) uint8 RGB in display orientation. Resampled frames may share one array:
            copy before writing into it.
    """

    time_s: float
    rgb: NDArray[np.uint8]


def iter_frames(
    path: str | Path, *, allow_damage: bool = False, threads: int = 0
) -> Generator[Frame, None, None]:
    """Yield the clip's own frames in presentation order.

    Timestamps are exact: (pts - first pts) * time base. Rotation and mirroring stored in the file
    are applied. Colours follow the stream's tags; untagged streams count as BT.601 limited range,
    which is what FFmpeg and OpenCV assume. Pixels are not rescaled to a square aspect ratio and
    interlaced pictures are not separated. If the picture size changes in mid-stream, later frames
    are scaled to the first size.

    Args:
        path: the clip.
        allow_damage: end quietly where the file breaks instead of raising `DecodeError`.
        threads: decoder threads, 0 for one per core. The pixels do not depend on it.

    Yields:
        Frames with times that never go back.

    Raises:
        InputError: not a clip (see `open_media`).
        DecodeError: after the last frame that could be decoded, if the file is cut off or damaged.
    """
    with open_media(path) as container:
        stream = video_stream(container, path)
        stream.thread_type = "AUTO"
        stream.thread_count = threads
        converter = _Converter()
        first: int | None = None
        time_s, count = 0.0, 0
        damage = _Damage(container, stream)
        for stamp, picture in _decode(container, stream, damage):
            if stamp is not None:
                first = stamp if first is None else first
                time_s = max(time_s, float((stamp - first) * stream.time_base))
            elif count:
                time_s += _nominal_interval(stream)
            if time_s > MAX_SECONDS:
                raise DecodeError(
                    f"'{path}' says that picture {count + 1} comes after {time_s:.0f} s; clips of at "
                    f"most {MAX_SECONDS} s are read: cut it, or render it again.",
                    frames=count,
                    time_s=time_s,
                )
            yield Frame(time_s, converter.convert(picture))
            count += 1
        reason = damage.describe()
        if reason is None and lacks_trailer(container, path):
            reason = "its end is missing (truncated)"
        if count == 0 and reason is None:
            reason = "none of its packets holds a picture"
        if reason is not None and not (allow_damage and count):
            raise DecodeError(
                f"'{path}' stops after {count} frames ({time_s:.2f} s): {reason}; "
                "copy or render it again.",
                frames=count,
                time_s=time_s,
            )


def first_frame_time(path: str | Path) -> Fraction | None:
    """Presentation time of the first picture on the container's own clock, in seconds.

    This is the zero of every other time in this package. None when the file has no video stream or
    no picture of it can be decoded.
    """
    with open_media(path) as container:
        still = av.stream.Disposition.attached_pic
        if all(s.disposition & still for s in container.streams.video):
            return None
        stream = video_stream(container, path)
        stream.thread_type = "SLICE"
        stamp, _ = first_picture(container, stream)
        return None if stamp is None else Fraction(stamp * stream.time_base)


def first_picture(container: Any, stream: Any) -> tuple[int | None, Any]:
    """The first picture that can be decoded and its timestamp; (None, None) without one."""
    for stamp, picture in _decode(container, stream, _Damage(container, stream)):
        return stamp, picture
    return None, None


class _Damage:
    """What was seen of a stream against what its container promised."""

    def __init__(self, container: Any, stream: Any) -> None:
        self.error: str | None = None
        self.end: Fraction | None = None
        self.stream = stream
        self.promised = promised_end(container, stream)

    def see(self, packet: Any) -> None:
        """Note a packet's end time and whether it arrived whole."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None:
            end = (stamp + (packet.duration or 0)) * self.stream.time_base
            self.end = end if self.end is None else max(self.end, end)
        if packet.is_corrupt:
            self.error = "the file ends inside a frame"

    def describe(self) -> str | None:
        """Why the frames are not all there, or None when they are."""
        if self.promised is not None and self.promised > 0:
            missing = float(self.promised - (self.end or 0))
            if missing > END_TOLERANCE_S:
                return f"{missing:.2f} s of {float(self.promised):.2f} s are missing (truncated)"
        return self.error


def _decode(container: Any, stream: Any, damage: _Damage) -> Iterator[tuple[int | None, Any]]:
    """(timestamp, picture) in presentation order; errors are noted and decoding goes on.

    AVI has no presentation times, only slots in storage order, and what FFmpeg makes of them is not
    in order when there are B-frames. Pictures leave the decoder in presentation order, so each
    takes the earliest slot that is free.
    """
    slots: list[int] = []
    only_slots = container.format.name == "avi"
    packets = iter(container.demux(stream))
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError as error:
            damage.error = f"it cannot be read further ({error.strerror})"
            packet = None
        if packet is not None:
            damage.see(packet)
            if only_slots and packet.dts is not None and packet.size:
                heappush(slots, packet.dts)
        try:
            pictures = stream.codec_context.decode(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            damage.error = f"a frame cannot be decoded ({error.strerror})"
            pictures = []
            if slots:
                heappop(slots)  # its picture will not come
        for picture in pictures:
            if picture.is_corrupt:
                damage.error = "a frame is damaged"
            yield (heappop(slots) if slots else picture.pts), picture
        if packet is None:
            return


def _nominal_interval(stream: Any) -> float:
    rate = stream.average_rate or stream.guessed_rate
    return float(1 / rate) if rate else 0.04


class _Converter:
    """Decoded pictures to upright RGB arrays, with one reused scaler."""

    def __init__(self) -> None:
        self.scaler = VideoReformatter()
        self.size: tuple[int, int] | None = None
        self.turned: tuple[int, bool] = (0, False)

    def convert(self, picture: Any) -> NDArray[np.uint8]:
        if self.size is None:
            self.size = (picture.width, picture.height)
            # Asked of the first picture alone: asking makes a reference cycle, which would keep
            # every decoded picture alive until the garbage collector's next round.
            self.turned = orientation(picture)
        rgb = to_rgb(picture, self.scaler, self.size)
        turns, mirrored = self.turned
        if mirrored:
            rgb = rgb[:, ::-1]
        return np.ascontiguousarray(np.rot90(rgb, turns) if turns else rgb)


def to_rgb(picture: Any, scaler: Any, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A decoded picture as an (H, W, 3) RGB array of the given (width, height).

    The array may have padded rows; it is a view of memory that nothing else uses.
    """
    matrix = picture.colorspace
    converted = scaler.reformat(
        picture,
        width=size[0],
        height=size[1],
        format="rgb24",
        src_colorspace=int(Colorspace.ITU601) if matrix == _UNTAGGED else matrix,
        src_color_range=picture.color_range,
        dst_color_range=int(ColorRange.JPEG),
        interpolation=int(DECODE_SCALING),
        threads=1,
    )
    array: NDArray[np.uint8] = converted.to_ndarray()
    return array


def orientation(picture: Any) -> tuple[int, bool]:
    """How a decoded picture is to be shown.

    Returns:
        Quarter turns counter-clockwise (0 to 3) and whether it is mirrored left to right before
        being turned. Angles between quarter turns go to the nearest one.
    """
    matrix = picture.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 0, False
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5].astype(np.float64)
    mirrored = a * d - b * c < 0
    # Undo the mirror (x -> -x comes first) and read the angle of what is left, a pure rotation
    # by (x, y) -> (a x + c y, b x + d y) in a frame whose y axis points down.
    if mirrored:
        a, b = -a, -b
    turns = round(float(np.arctan2(-b, a)) / (np.pi / 2)) % 4
    return turns, bool(mirrored)
