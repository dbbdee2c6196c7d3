"""Web proxies and posters: what a browser shows of a clip, stripped of where it came from.

Every proxy has the same codec, settings and, when asked, the same size, rate and loudness, so that
two systems cannot be told apart by their files. The original is never touched; both digests are
reported.
"""

import hashlib
import os
import secrets
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from joystreamer.errors import InputError
from joystreamer.media.audio import iter_stereo
from joystreamer.media.loudness import LoudnessMeter, gain_to
from joystreamer.media.probe import MediaProbe, probe
from joystreamer.media.resampling import resample_frames
from joystreamer.media.video import iter_frames
from joystreamer.media.writing import ClipWriter

PROXY_CRF = 20
PROXY_PRESET = "fast"
PROXY_SAMPLE_RATE = 48000
KEYFRAME_S = 0.5  # short groups of pictures: seeking and stepping stay quick
PEAK_LIMIT = 0.944  # -0.5 dBFS: a loudness gain never drives a sample past it
MAX_RATE = 60.0
# What a variable rate is brought to: the nearest of these.
STANDARD_RATES = (10.0, 12.5, 15.0, 16.0, 24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 50.0, 60.0)

# What H.264 in a browser can be: no side above 16384, and nothing so narrow that no picture is left.
LONGEST_SIDE = 16_384
LARGEST_ASPECT = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class ProxyReport:
    """What a proxy is and what was done to get there.

    Attributes:
        source_sha256: digest of the original file.
        proxy_sha256: digest of the proxy.
        width: columns of the proxy.
        height: rows of the proxy.
        frame_rate: frames per second, constant.
        num_frames: frames written.
        duration_s: num_frames / frame_rate.
        has_audio: whether the proxy has sound (the original has).
        source_loudness_lufs: integrated loudness of the original; None when silent or too short.
        gain_db: gain applied to the sound.
        gain_limited: the target would have clipped, so the gain is smaller than it needs to be.
        audio_trimmed_s: sound beyond the last frame that was cut off, in seconds.
    """

    source_sha256: str
    proxy_sha256: str
    width: int
    height: int
    frame_rate: float
    num_frames: int
    duration_s: float
    has_audio: bool
    source_loudness_lufs: float | None
    gain_db: float
    gain_limited: bool
    audio_trimmed_s: float


def write_proxy(
    source: str | Path,
    target: str | Path,
    *,
    size: tuple[int, int] | None = None,
    rate: float | None = None,
    loudness: float | None = None,
) -> ProxyReport:
    """Write a clip's web proxy: H.264 and AAC (48 kHz stereo) in MP4, constant rate, no metadata.

    The same source and settings give the same bytes. The sound is cut or padded with silence to the
    pictures' length.

    Args:
        source: any readable clip.
        target: where the proxy goes; its name ends in .mp4.
        size: (width, height) to letterbox to, in black; None keeps the clip's own size with square
            pixels.
        rate: frames per second; None keeps a constant rate up to 60 and brings a variable one to
            the nearest standard rate.
        loudness: target in LUFS; None leaves the sound as loud as it is.

    Raises:
        InputError: an unreadable source or an impossible setting.
        DecodeError: a source that is cut off or damaged; no proxy is left behind.
    """
    if size is not None and (min(size) < 2 or size[0] % 2 or size[1] % 2):
        raise InputError(f"a proxy of {size[0]}x{size[1]} is not possible; give even numbers >= 2.")
    facts = probe(source)
    rate = _pick_rate(facts) if rate is None else rate
    box = size or _square_size(facts)
    if max(box) > LONGEST_SIDE or max(box) > LARGEST_ASPECT * min(box):
        raise InputError(
            f"'{source}' would be shown as {box[0]}x{box[1]}, which cannot be encoded: its pixel aspect "
            f"{facts.pixel_aspect:.3g} is damaged; render it again."
        )
    measured, gain, limited, samples = _measure(source, facts, loudness)
    with ClipWriter(
        target,
        rate,
        sample_rate=PROXY_SAMPLE_RATE,
        channels=2 if facts.has_audio else 0,
        crf=PROXY_CRF,
        preset=PROXY_PRESET,
        keyframe_s=KEYFRAME_S,
    ) as writer:
        sound = _Sound(source, gain) if facts.has_audio else None
        for frame in resample_frames(iter_frames(source), rate, end_s=_end_of(facts)):
            if sound is not None:
                until = round((writer.num_frames + 1) / writer.rate * PROXY_SAMPLE_RATE)
                writer.write_audio(sound.take_until(until))
            writer.write(_letterbox(frame.rgb, box, facts.pixel_aspect))
    duration = writer.num_frames / writer.rate
    return ProxyReport(
        source_sha256=_digest(Path(source)),
        proxy_sha256=_digest(Path(target)),
        width=box[0] + box[0] % 2,
        height=box[1] + box[1] % 2,
        frame_rate=float(writer.rate),
        num_frames=writer.num_frames,
        duration_s=float(duration),
        has_audio=facts.has_audio,
        source_loudness_lufs=measured,
        gain_db=float(20 * np.log10(gain)),
        gain_limited=limited,
        audio_trimmed_s=float(max(Fraction(0), Fraction(samples, PROXY_SAMPLE_RATE) - duration)),
    )


def write_poster(source: str | Path, target: str | Path, *, height: int | None = None) -> None:
    """Write a clip's first frame as a JPEG or PNG without metadata.

    Args:
        source: any readable clip.
        target: where the picture goes; its name ends in .jpg, .jpeg or .png.
        height: rows of the picture, None for the clip's own.

    Raises:
        InputError: an unreadable source, another ending, or a height below 1.
    """
    place = Path(target)
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}.get(place.suffix.lower())
    if kind is None:
        raise InputError(f"'{target}' does not end in .jpg or .png; posters are JPEG or PNG.")
    if height is not None and height < 1:
        raise InputError(f"a poster of height {height} is not possible; give 1 or more.")
    frame = next(iter_frames(source))
    image = Image.fromarray(frame.rgb)
    if height is not None:
        width = max(1, round(image.width * height / image.height))
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    temporary = place.with_name(f".{place.name}.{secrets.token_hex(6)}.part")
    try:
        with temporary.open("wb") as file:
            image.save(file, format=kind, **({"quality": 88} if kind == "JPEG" else {}))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)


class _Sound:
    """The source's sound at the proxy's rate, handed out up to a sample count."""

    def __init__(self, source: str | Path, gain: float) -> None:
        self._chunks = iter_stereo(source, sample_rate=PROXY_SAMPLE_RATE, chunk_s=1.0)
        self._gain = np.float32(gain)
        self._held = np.zeros((2, 0), np.float32)
        self._given = 0

    def take_until(self, count: int) -> NDArray[np.float32]:
        """(2, samples) up to sample `count` of the clip, padded with silence after the end."""
        wanted = max(0, count - self._given)
        while self._held.shape[1] < wanted:
            chunk = next(self._chunks, None)
            if chunk is None:
                chunk = np.zeros((2, wanted - self._held.shape[1]), np.float32)
            self._held = np.concatenate([self._held, chunk * self._gain], axis=1)
        piece, self._held = self._held[:, :wanted], self._held[:, wanted:]
        self._given += wanted
        return piece


def _measure(
    source: str | Path, facts: MediaProbe, target: float | None
) -> tuple[float | None, float, bool, int]:
    """Loudness, gain to apply, whether the gain was limited by peaks, and the sample count."""
    if not facts.has_audio:
        return None, 1.0, False, 0
    meter = LoudnessMeter(PROXY_SAMPLE_RATE, 2)
    samples = 0
    for chunk in iter_stereo(source, sample_rate=PROXY_SAMPLE_RATE):
        meter.push(chunk)
        samples += chunk.shape[1]
    measured = meter.integrated()
    gain = 1.0 if target is None else gain_to(measured, target)
    limited = gain > 1.0 and gain * meter.peak > PEAK_LIMIT
    if limited:
        gain = max(1.0, PEAK_LIMIT / meter.peak)
    return measured, gain, limited, samples


def _pick_rate(facts: MediaProbe) -> float:
    if facts.frame_rate is None:
        return 25.0
    if facts.constant_rate and 1.0 <= facts.frame_rate <= MAX_RATE:
        return facts.frame_rate
    rate = facts.frame_rate
    return min(STANDARD_RATES, key=lambda standard: abs(standard - rate))


def _end_of(facts: MediaProbe) -> float | None:
    """The probe's end, unless packets state no duration for a last frame."""
    return facts.duration_s if facts.duration_s > 0 else None


def _square_size(facts: MediaProbe) -> tuple[int, int]:
    """The clip's size with square pixels; the longer side grows, nothing is thrown away."""
    width, height, aspect = facts.width, facts.height, facts.pixel_aspect
    if aspect > 1:
        width = round(width * aspect)
    elif aspect < 1:
        height = round(height / aspect)
    return width, height


def _letterbox(
    rgb: NDArray[np.uint8], box: tuple[int, int], pixel_aspect: float
) -> NDArray[np.uint8]:
    """Scale a frame to fit a (width, height) box, centred on black."""
    height, width = rgb.shape[:2]
    if (width, height) == box:
        return rgb
    shown = width * pixel_aspect
    scale = min(box[0] / shown, box[1] / height)
    fitted = (max(1, round(shown * scale)), max(1, round(height * scale)))
    fitted = (min(fitted[0], box[0]), min(fitted[1], box[1]))
    image: Any = Image.fromarray(rgb).resize(fitted, Image.Resampling.LANCZOS)
    if fitted == box:
        return np.asarray(image)
    canvas = np.zeros((box[1], box[0], 3), np.uint8)
    top, left = (box[1] - fitted[1]) // 2, (box[0] - fitted[0]) // 2
    canvas[top : top + fitted[1], left : left + fitted[0]] = np.asarray(image)
    return canvas


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
