"""Writes clips that every browser plays and that say nothing about who made them.

H.264 (yuv420p, BT.709) and AAC in MP4, constant frame rate, index first. No encoder name, no
settings, no tags, no dates. Nothing appears under the target's name before the clip is complete.
"""

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from joystreamer.errors import InputError
from joystreamer.media.video import Frame

DEFAULT_CRF = 18  # visually transparent for generated clips
DEFAULT_PRESET = "medium"
AUDIO_BITRATE = 128_000
# x264's bytes depend on the number of threads, and they are to depend on nothing but the frames.
_ENCODER_THREADS = 1
# Macroblock-tree rate control is off: with it, x264 165 gave up to six different key frames for the
# same input within one process; without it, none differed.
_ENCODER_PARAMETERS = "mbtree=0"
# Colour is averaged over all pixels it stands for, with the same rounding on every processor.
_ENCODE_SCALING = (
    Interpolation.BICUBIC
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
)
_BT709 = 1  # the code of BT.709 for primaries, transfer and matrix (H.273)
_AUDIO_RATES = (16000, 22050, 24000, 32000, 44100, 48000)


class ClipWriter:
    """Writes one MP4; a context manager.

    Leaving the block normally finishes the file, flushes it to disk and moves it to its name in one
    step. Leaving it by an exception removes every trace; a file that was there before stays.

    Odd widths and heights are made even by repeating the last column or row, because the 4:2:0
    colour that browsers play needs even sizes. Audio can be given whole, in advance or piece by
    piece with `write_audio`; it starts with the first frame.

    Raises (from the constructor or `write`):
        InputError: a target that is not .mp4, a missing folder, an impossible rate, or frames and
            samples of the wrong type or shape.
    """

    def __init__(
        self,
        path: str | Path,
        rate: float | Fraction,
        *,
        audio: NDArray[np.float32] | None = None,
        sample_rate: int = 16000,
        channels: int = 0,
        crf: int = DEFAULT_CRF,
        preset: str = DEFAULT_PRESET,
        keyframe_s: float = 2.0,
    ) -> None:
        """Prepare a clip.

        Args:
            path: where the clip goes; its name ends in .mp4.
            rate: frames per second.
            audio: the whole sound, (samples,) or (channels, samples), full scale 1.0.
            sample_rate: samples per second of the sound, 16000 to 48000 (the usual ones).
            channels: 1 or 2 when sound will come through `write_audio`; taken from `audio` else.
            crf: x264 quality, 1 to 51; lower is better.
            preset: x264 speed preset.
            keyframe_s: longest distance between key frames, in seconds.
        """
        self.path = Path(path)
        self.rate = _as_rate(rate)
        if self.path.suffix.lower() != ".mp4":
            raise InputError(f"'{path}' does not end in .mp4; clips are written as MP4.")
        if not self.path.parent.is_dir():
            raise InputError(f"the folder of '{path}' does not exist; make it first.")
        if not 1 <= crf <= 51:  # 0 is lossless, in a profile that browsers do not play
            raise InputError(f"a quality (crf) of {crf} is not possible; give 1 to 51.")
        self.num_frames = 0
        self.num_samples = 0
        self._shape: tuple[int, ...] | None = None
        self._options = {
            "crf": str(crf),
            "preset": preset,
            "x264-params": _ENCODER_PARAMETERS,
        }
        self._gop = max(1, round(keyframe_s * self.rate))
        self._sample_rate = sample_rate
        whole = None if audio is None else np.atleast_2d(audio)
        self._channels = channels if whole is None else whole.shape[0]
        if self._channels:
            _check_audio(self._channels, sample_rate)
        self._samples = np.zeros((self._channels, 0), np.float32)
        if whole is not None:
            self.write_audio(whole)
        self._temporary = self.path.with_name(f".{self.path.stem}.{secrets.token_hex(6)}.part.mp4")
        self._container: Any = None
        self._video: Any = None
        self._audio: Any = None
        self._strip: Any = None

    def __enter__(self) -> "ClipWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def write(self, rgb: NDArray[np.uint8]) -> None:
        """Append one frame, (H, W, 3) uint8 RGB; all frames have the size of the first."""
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
            raise InputError(
                f"a frame of type {rgb.dtype} and shape {rgb.shape} came; give (H, W, 3) uint8 RGB."
            )
        if self._shape is None:
            self._shape = rgb.shape
            self._open()
        elif rgb.shape != self._shape:
            raise InputError(
                f"frame {self.num_frames} is {rgb.shape[1]}x{rgb.shape[0]}, the first was "
                f"{self._shape[1]}x{self._shape[0]}; give frames of one size."
            )
        height, width = rgb.shape[:2]
        if height % 2 or width % 2:
            rgb = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(
            format="yuv420p",
            src_color_range=int(ColorRange.JPEG),
            dst_colorspace=int(Colorspace.ITU709),
            dst_color_range=int(ColorRange.MPEG),
            interpolation=int(_ENCODE_SCALING),
            threads=1,
        )
        picture.pts = self.num_frames
        picture.time_base = 1 / self.rate
        self._mux_video(self._video.encode(picture))
        self.num_frames += 1
        self._encode_audio(until=self.num_frames / self.rate)

    def write_audio(self, samples: NDArray[np.float32]) -> None:
        """Append sound: (samples,) or (channels, samples), floating point, full scale 1.0."""
        piece = np.atleast_2d(samples)
        if not self._channels:
            raise InputError("this clip was begun without sound; give channels=1 or 2.")
        if piece.ndim != 2 or piece.shape[0] != self._channels or piece.dtype.kind != "f":
            raise InputError(
                f"sound of type {piece.dtype} and shape {piece.shape} came; "
                f"give ({self._channels}, samples) floating point in [-1, 1]."
            )
        clipped = np.clip(piece.astype(np.float32), -1.0, 1.0)
        self._samples = np.concatenate([self._samples, clipped], axis=1)

    def _open(self) -> None:
        assert self._shape is not None
        height, width = self._shape[:2]
        self._container = av.open(
            str(self._temporary.absolute()),
            "w",
            format="mp4",
            options={"movflags": "+faststart", "fflags": "+bitexact"},
        )
        video = self._container.add_stream("libx264", rate=self.rate, options=self._options)
        video.width, video.height = width + width % 2, height + height % 2
        video.pix_fmt = "yuv420p"
        context = video.codec_context
        context.time_base = 1 / self.rate
        context.gop_size = self._gop
        context.thread_count = _ENCODER_THREADS
        context.flags |= av.codec.context.Flags.bitexact
        context.color_range = int(ColorRange.MPEG)
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        self._video = video
        if self._channels:
            layout = "mono" if self._channels == 1 else "stereo"
            audio = self._container.add_stream("aac", rate=self._sample_rate, layout=layout)
            audio.codec_context.bit_rate = AUDIO_BITRATE
            audio.codec_context.flags |= av.codec.context.Flags.bitexact
            self._audio = audio
        self._container.start_encoding()
        # Supplemental information (NAL type 6) of x264 is its version and settings.
        self._strip = BitStreamFilterContext("filter_units=remove_types=6", video)

    def _mux_video(self, packets: list[Any]) -> None:
        for packet in packets:
            for kept in self._strip.filter(packet):
                kept.stream = self._video
                self._container.mux(kept)

    def _encode_audio(self, until: Fraction | None) -> None:
        """Encode the held samples up to a time in seconds, or all of them."""
        if self._audio is None:
            return
        held = self._samples.shape[1]
        wanted = (
            held if until is None else min(held, int(until * self._sample_rate) - self.num_samples)
        )
        if wanted <= 0:
            return
        piece, self._samples = self._samples[:, :wanted], self._samples[:, wanted:]
        layout = "mono" if self._channels == 1 else "stereo"
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), "fltp", layout)
        frame.sample_rate = self._sample_rate
        frame.time_base = Fraction(1, self._sample_rate)
        frame.pts = self.num_samples
        self.num_samples += wanted
        self._container.mux(self._audio.encode(frame))

    def _finish(self) -> None:
        if self._container is None:
            raise InputError(f"no frame came for '{self.path}'; give at least one.")
        self._encode_audio(until=None)
        self._mux_video(self._video.encode(None))
        for kept in self._strip.filter(None):
            kept.stream = self._video
            self._container.mux(kept)
        if self._audio is not None:
            self._container.mux(self._audio.encode(None))
        self._container.close()
        self._container = None
        with self._temporary.open("rb") as file:
            os.fsync(file.fileno())
        self._temporary.replace(self.path)

    def _discard(self) -> None:
        if self._container is not None:
            # The file is thrown away; an encoder that cannot finish must not hide the first error.
            with suppress(av.error.FFmpegError):
                self._container.close()
            self._container = None
        self._temporary.unlink(missing_ok=True)


def write_clip(
    path: str | Path,
    frames: Iterable[NDArray[np.uint8] | Frame],
    rate: float | Fraction,
    *,
    audio: NDArray[np.float32] | None = None,
    sample_rate: int = 16000,
    crf: int = DEFAULT_CRF,
) -> None:
    """Write frames, and sound if given, as one MP4; see `ClipWriter`.

    Args:
        path: where the clip goes; its name ends in .mp4.
        frames: (H, W, 3) uint8 RGB arrays, or `Frame`s, whose times are ignored.
        rate: frames per second.
        audio: (samples,) or (channels, samples), full scale 1.0; starts with the first frame.
        sample_rate: samples per second of `audio`.
        crf: x264 quality, 1 to 51; lower is better.
    """
    with ClipWriter(path, rate, audio=audio, sample_rate=sample_rate, crf=crf) as writer:
        for frame in frames:
            writer.write(frame.rgb if isinstance(frame, Frame) else frame)


def _as_rate(rate: float | Fraction) -> Fraction:
    """The rate as the ratio that was meant: 23.976... becomes 24000/1001."""
    if not 0 < rate <= 1000:
        raise InputError(f"a frame rate of {rate} is not possible; give 0 to 1000 per second.")
    return Fraction(rate).limit_denominator(1001)


def _check_audio(channels: int, sample_rate: int) -> None:
    if channels not in {1, 2}:
        raise InputError(f"{channels} audio channels came; clips hold one or two.")
    if sample_rate not in _AUDIO_RATES:
        raise InputError(
            f"a sample rate of {sample_rate} came; give one of {', '.join(map(str, _AUDIO_RATES))}."
        )
