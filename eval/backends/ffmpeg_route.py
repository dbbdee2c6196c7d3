"""The reference pipelines' detour through files: re-encoded clip, JPEG frames, encoded crops.

Published numbers went through these lossy copies (an AVI of MPEG-4 and MP3, JPEG frames, an XVID crop,
JPEG again), with frame duplications of their own. The same FFmpeg commands run here, except that
pictures travel through pipes instead of folders of files. Knows nothing of faces or networks.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import IO, Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

from eval.measure import CannotMeasure
from joystreamer.errors import MissingExtra

FPS: Final = 25
SAMPLE_RATE: Final = 16_000
_AS_WAVE: Final = ("-vn", "-ac", "1", "-ar", str(SAMPLE_RATE), "-c:a", "pcm_s16le")
_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_BLOCK: Final = 1 << 20


def find_ffmpeg() -> str:
    """Return the path of the FFmpeg program that comes with imageio-ffmpeg.

    Raises:
        MissingExtra: The package is not installed.
    """
    try:
        package = import_module("imageio_ffmpeg")
    except ImportError as error:
        raise MissingExtra(
            "the compatibility modes of sync need the package imageio-ffmpeg; install the extra "
            "'eval'."
        ) from error
    path: str = package.get_ffmpeg_exe()
    return path


def run_ffmpeg(arguments: Sequence[str]) -> None:
    """Run FFmpeg.

    Raises:
        CannotMeasure: It failed; the message is its last line.
    """
    command = [find_ffmpeg(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise CannotMeasure("decode_error", f"ffmpeg could not convert the clip: {lines[-1]}")


def copy_clip(clip: Path, copy: Path) -> None:
    """Write the 25 fps copy that every later step reads; the suffix decides the codecs."""
    run_ffmpeg(["-i", str(clip), "-async", "1", "-q:v", "2", "-r", str(FPS), str(copy)])


def read_sound(source: Path, scratch: Path) -> NDArray[np.int16]:
    """Return a file's sound as FFmpeg converts it: int16, (samples,), 16 kHz mono.

    Raises:
        CannotMeasure: It has none.
    """
    run_ffmpeg(["-i", str(source), *_AS_WAVE, str(scratch)])
    samples: NDArray[np.int16] = wavfile.read(scratch)[1]
    return samples


def jpeg_frames(
    clip: Path, *, quality: int | None = None, keep: Path | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Yield a file's pictures after a JPEG round trip.

    Args:
        clip: The file.
        quality: FFmpeg's quality scale; None for its default.
        keep: Where the JPEG files are kept, one after the other, for `kept_frames`.

    Yields:
        uint8, (height, width, 3), BGR.

    Raises:
        CannotMeasure: FFmpeg failed.
    """
    scale = [] if quality is None else ["-q:v", str(quality)]
    command = [find_ffmpeg(), "-hide_banner", "-loglevel", "error", "-nostdin", "-i", str(clip)]
    command += [*scale, "-threads", "1", "-f", "image2pipe", "-c:v", "mjpeg", "-"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process,
        keep.open("wb") if keep else nullcontext() as copy,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield from _pictures(process.stdout, copy)
            message = process.stderr.read().decode(errors="replace").strip()
        finally:
            process.kill()
    if process.returncode > 0:
        lines = message.splitlines() or ["no message"]
        raise CannotMeasure("decode_error", f"ffmpeg could not read the clip: {lines[-1]}")


def kept_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield the pictures that `jpeg_frames` kept: uint8, (height, width, 3), BGR."""
    with path.open("rb") as stream:
        yield from _pictures(stream, None)


def _pictures(stream: IO[bytes], copy: IO[bytes] | None) -> Iterator[NDArray[np.uint8]]:
    """Decode a stream of JPEG files, and copy it."""
    held = b""
    while block := stream.read(_BLOCK):
        if copy is not None:
            copy.write(block)
        *whole, held = _split(held + block)
        for picture in whole:
            yield _decode(picture)
    if held:
        yield _decode(held)


def _split(stream: bytes) -> list[bytes]:
    """Cut a stream of JPEG files between an end and the next start; the last part may be open."""
    parts = stream.split(_END + _START)
    return [
        (_START if index else b"") + part + (_END if index < len(parts) - 1 else b"")
        for index, part in enumerate(parts)
    ]


def _decode(picture: bytes) -> NDArray[np.uint8]:
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise CannotMeasure("decode_error", "ffmpeg gave a picture that cannot be decoded")
    image: NDArray[np.uint8] = decoded
    return image


class CropWriter:
    """Writes the crops of one track as the reference does.

    Args:
        path: `.avi` for XVID, `.mp4` for mp4v.
        side: Height and width of the crops.
    """

    def __init__(self, path: Path, side: int) -> None:
        self.path = path
        code = "XVID" if path.suffix == ".avi" else "mp4v"
        fourcc = cv2.VideoWriter.fourcc(*code)
        self._writer = cv2.VideoWriter(str(path), fourcc, FPS, (side, side))
        if not self._writer.isOpened():
            raise CannotMeasure("backend_error", f"OpenCV cannot write {code} clips")

    def write(self, crop: NDArray[np.uint8]) -> None:
        """Take the next crop: uint8, (side, side, 3), BGR."""
        self._writer.write(crop)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.release()


def mux_aac(pictures: Path, sound: NDArray[np.int16], scratch: Path) -> NDArray[np.int16]:
    """Return sound after LatentSync's AAC round trip inside the crop's MP4 file.

    Args:
        pictures: The crop's clip.
        sound: int16, (samples,), 16 kHz.
        scratch: An empty folder.
    """
    plain, joined = scratch / "plain.wav", scratch / "joined.mp4"
    wavfile.write(plain, SAMPLE_RATE, sound)
    run_ffmpeg(["-i", str(pictures), "-i", str(plain), "-c:v", "copy", "-c:a", "aac", str(joined)])
    back = scratch / "back.wav"
    run_ffmpeg(["-i", str(joined), *_AS_WAVE, "-af", "aresample=async=1", str(back)])
    samples: NDArray[np.int16] = wavfile.read(back)[1]
    return samples
