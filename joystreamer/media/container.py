"""Opens media files safely and turns FFmpeg's errors into sentences a user can act on.

Clips of other systems are untrusted input: only plain container formats are opened (no playlist,
no concatenation script, nothing that could name another file or a network address), and pictures of
absurd size are refused before a decoder allocates them. This file knows nothing of pixels, samples
or time; `joystreamer.media.probe`, `video` and `audio` build on it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from joystreamer.errors import InputError

# FFmpeg's demuxer names. Playlists (hls, dash, concat, sdp) and device readers are left out on
# purpose; still-image readers too, so that a picture named .mp4 is told apart from a clip.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo,mpegts,gif,flv,asf,ogg,nut,m4v,h264,"
    "hevc,wav,w64,mp3,flac,aac,aiff,caf,au"
)

# Containers whose header states how long the streams are, so that an early end can be recognised.
# The others (MPEG program and transport streams, raw streams) only have an estimate of FFmpeg's.
STATES_DURATION = frozenset({"mov", "matroska", "avi"})

# The largest picture that is decoded: 8K UHD (7680 x 4320).
MAX_CLIP_PIXELS = 7680 * 4320

# The longest clip or sound that is read: ten hours, as long as a case of a suite may be. A damaged
# or lying time stamp would otherwise ask for years of silence or of one repeated picture.
MAX_SECONDS = 36_000

_READ_OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
_ADVICE = "give an MP4, MOV, WebM, MKV, AVI, MPEG or GIF clip"


class DecodeError(InputError):
    """A file that opens but cannot be decoded to its end.

    Attributes:
        frames: how many video frames were decoded before the damage.
        time_s: presentation time in seconds up to which the file could be decoded.
    """

    def __init__(self, message: str, *, frames: int = 0, time_s: float = 0.0) -> None:
        super().__init__(message)
        self.frames = frames
        self.time_s = time_s


def check_file(path: Path, *, what: str = "a media") -> None:
    """Refuse what cannot be a media file before a decoder sees it.

    Args:
        path: the file.
        what: words for the error sentence: "a media", "an image".

    Raises:
        InputError: missing file, a folder, or an empty file.
    """
    try:
        there = path.exists()
    except (OSError, ValueError):  # a name that no file can have
        there = False
    if not there:
        raise InputError(f"'{path}' does not exist; give the path of {what} file.")
    if not path.is_file():
        raise InputError(f"'{path}' is not a file; give the path of {what} file.")
    if path.stat().st_size == 0:
        raise InputError(f"'{path}' is empty (0 bytes); copy or render it again.")


@contextmanager
def open_media(path: str | Path) -> Iterator[Any]:
    """Open a media file for reading; a context manager over PyAV's input container.

    Raises:
        InputError: the file is missing, empty, a folder, not readable, not media, a still image, or
            cut off before its index.
    """
    source = Path(path)
    check_file(source)
    try:
        container = av.open(str(source.absolute()), options=dict(_READ_OPTIONS))
    except av.error.PermissionError as error:
        raise InputError(f"'{source}' may not be read; change its permissions.") from error
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
        raise InputError(_why_unreadable(source)) from error
    with container:
        yield container


def promised_end(container: Any, stream: Any) -> Fraction | None:
    """When the header says a stream ends, in seconds on the container's clock; None if unsaid."""
    if not STATES_DURATION.intersection(container.format.name.split(",")):
        return None
    if stream.duration is not None:
        return Fraction(((stream.start_time or 0) + stream.duration) * stream.time_base)
    # Matroska states each track's end as text, "00:00:05.200000000".
    try:
        hours, minutes, seconds = map(Fraction, stream.metadata.get("DURATION", "").split(":"))
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds


def lacks_trailer(container: Any, path: str | Path) -> bool:
    """Whether a GIF ends without its closing byte (59), which is all that tells it is cut off."""
    if container.format.name != "gif":
        return False
    with Path(path).open("rb") as file:
        file.seek(max(0, Path(path).stat().st_size - 64))
        return not file.read().rstrip(b"\x00").endswith(b";")


def video_stream(container: Any, path: str | Path) -> Any:
    """The stream with moving pictures: the first that is not a cover picture.

    Raises:
        InputError: there is none, its codec is unknown, or its pictures are too large.
    """
    still = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & still]
    if not streams:
        held = "only sound" if container.streams.audio else "no pictures"
        raise InputError(f"'{path}' has no video stream ({held}); give a clip with pictures.")
    stream = streams[0]
    if stream.codec_context is None:
        raise InputError(f"'{path}' uses a video codec this build cannot decode; {_ADVICE}.")
    width, height = stream.codec_context.width, stream.codec_context.height
    if width <= 0 or height <= 0:
        raise InputError(f"'{path}' does not state its picture size: it is damaged; {_ADVICE}.")
    if width * height > MAX_CLIP_PIXELS:
        raise InputError(
            f"'{path}' has pictures of {width}x{height}; "
            f"at most {MAX_CLIP_PIXELS} pixels (8K) are read: scale it down."
        )
    return stream


def _why_unreadable(path: Path) -> str:
    """One sentence that says what a file that FFmpeg refuses looks like."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head[:3] == b"\xff\xd8\xff" or head[:8] == b"\x89PNG\r\n\x1a\n" or head[:2] == b"BM":
        return f"'{path}' is a still image, not a clip; {_ADVICE}."
    if head[4:8] in {b"ftyp", b"moov", b"mdat", b"free", b"wide"}:
        return f"'{path}' is cut off or damaged: its index is missing; copy or render it again."
    if _looks_like_text(head):
        return f"'{path}' holds text, not media; {_ADVICE}."
    return f"'{path}' is not a media file that can be read; {_ADVICE}."


def _looks_like_text(head: bytes) -> bool:
    if b"\x00" in head:
        return False
    try:
        head[: len(head) - 4 if len(head) == 4096 else None].decode("utf-8")
    except UnicodeDecodeError as error:
        return len(head) == 4096 and error.start > 4080
    return True
