"""Clips made for the media tests: every frame carries its number, every sound a known signal."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

BITS = 12
BLOCK = 16  # pixels per bit: large enough to survive every codec


def numbered_frame(number: int, width: int = 192, height: int = 96) -> NDArray[np.uint8]:
    """A frame whose top row of black and white blocks is its number, above a moving square."""
    frame = np.full((height, width, 3), 90, np.uint8)
    for bit in range(BITS):
        frame[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 235 if number >> bit & 1 else 16
    left = 4 * number % (width - 20)
    frame[40:60, left : left + 20] = (200, 60, 40)
    return frame


def read_number(rgb: NDArray[np.uint8]) -> int:
    """The number that `numbered_frame` wrote."""
    centres = rgb[BLOCK // 2, BLOCK // 2 : BITS * BLOCK : BLOCK].mean(axis=-1)
    return sum(1 << bit for bit, value in enumerate(centres) if value > 128)


def tone(seconds: float, rate: int, hertz: float = 440.0, gain: float = 0.5) -> NDArray[np.float32]:
    """A sine, (samples,) float32."""
    times = np.arange(round(seconds * rate)) / rate
    return (gain * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def encode(
    path: Path,
    frames: Sequence[NDArray[np.uint8]],
    *,
    codec: str = "libx264",
    rate: Fraction | int = 25,
    times: Sequence[Fraction] | None = None,
    pixel_format: str = "yuv420p",
    sounds: Sequence[NDArray[np.float32]] = (),
    sound_codec: str = "aac",
    sample_rate: int = 44100,
    sound_start: Fraction = Fraction(0),
    rotation: tuple[float, bool] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    b_frames: int | None = None,
    tags: dict[str, int] | None = None,
    aspect: Fraction | None = None,
) -> Path:
    """Write any clip FFmpeg can write; `times` are presentation times in seconds."""
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    time_base = Fraction(1, 90000) if times is not None else 1 / Fraction(rate)
    with av.open(str(path), "w", options=container_options or {}) as container:
        video = container.add_stream(codec, rate=rate, options={**quiet, **(options or {})})
        height, width = frames[0].shape[:2]
        video.width, video.height, video.pix_fmt = width, height, pixel_format
        video.codec_context.time_base = time_base
        if b_frames is not None:
            video.codec_context.max_b_frames = b_frames
        if aspect is not None:
            video.codec_context.sample_aspect_ratio = aspect
        for name, value in (tags or {}).items():
            setattr(video.codec_context, name, value)
        if rotation is not None:
            video.set_display_rotation(rotation[0], hflip=rotation[1])
        tracks = [_add_sound(container, sound_codec, sample_rate, sound) for sound in sounds]
        for index, frame in enumerate(frames):
            picture = _picture(frame, pixel_format, tags or {})
            picture.time_base = time_base
            picture.pts = index if times is None else round(times[index] / time_base)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        for track, sound in zip(tracks, sounds, strict=True):
            piece = 4096
            for start in range(0, np.atleast_2d(sound).shape[1], piece):
                frame_ = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(np.atleast_2d(sound)[:, start : start + piece]),
                    "fltp",
                    _layout(sound),
                )
                frame_.sample_rate = sample_rate
                frame_.time_base = Fraction(1, sample_rate)
                frame_.pts = start + round(sound_start * sample_rate)
                container.mux(track.encode(frame_))
            container.mux(track.encode(None))
    return path


def _layout(sound: NDArray[np.float32]) -> str:
    return {1: "mono", 2: "stereo", 6: "5.1"}[np.atleast_2d(sound).shape[0]]


def _add_sound(container: Any, codec: str, sample_rate: int, sound: NDArray[np.float32]) -> Any:
    return container.add_stream(codec, rate=sample_rate, layout=_layout(sound))


def _picture(frame: NDArray[np.uint8], pixel_format: str, tags: dict[str, int]) -> Any:
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame))
    if pixel_format == "rgb24":
        return picture
    return picture.reformat(
        format=pixel_format,
        dst_colorspace=tags.get("colorspace", 5),
        dst_color_range=tags.get("color_range", 1),
    )


def numbered_clip(path: Path, count: int = 30, **settings: Any) -> Path:
    """A clip of numbered frames."""
    return encode(path, [numbered_frame(number) for number in range(count)], **settings)
