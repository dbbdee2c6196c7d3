"""Clips and references as annotators may see them: one size, one loudness, no trace of their origin.

Files are made when first needed and kept under names that only the server can compute. The originals
are never served. Decoder, arrays and pictures are loaded only when something is made, so that a server whose clips were
prepared stays small.
"""

from __future__ import annotations

import hashlib
import json
import threading
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from eval.store.files import digest_file, write_text, written_atomically
from eval.store.workspace import Workspace
from joystreamer.errors import InputError

LOUDNESS_LUFS: Final = -23.0
"""EBU R 128's programme loudness: every clip and reference sounds equally loud."""

LONGEST_SIDE: Final = 1280
"""Pixels of the longer side of a shown clip at most; a rating page shows two beside each other."""

IMAGE_SIDE: Final = 1024
AUDIO_RATE: Final = 24_000
_RECIPE: Final = "2"  # part of every file's name: a changed recipe makes new files


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindClip:
    """A clip ready to be shown.

    Attributes:
        path: The file.
        frame_rate: Frames per second, constant.
        duration_s: Seconds.
        has_audio: Whether it has sound.
    """

    path: Path
    frame_rate: float
    duration_s: float
    has_audio: bool


def shared_box(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The (width, height) that holds clips of all these sizes, even, its longer side bounded."""
    width = max((size[0] for size in sizes), default=0) or LONGEST_SIDE
    height = max((size[1] for size in sizes), default=0) or LONGEST_SIDE
    scale = min(1.0, LONGEST_SIDE / max(width, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


class BlindMedia:
    """Makes and finds blind files of a workspace; may be used by many threads.

    Attributes:
        boxes: Size of the clips by campaign's row number and case, as far as worked out.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._originals = workspace.media
        self._folder = workspace.root / "blind"
        self.boxes: dict[tuple[int, str], tuple[int, int]] = {}
        self._failed: set[Path] = set()
        self._making = threading.Lock()  # one encoder at a time: pages stay responsive

    def clip(self, digest: str, box: tuple[int, int]) -> BlindClip:
        """A clip, letterboxed to a box and brought to one loudness.

        Args:
            digest: sha256 of the original.
            box: (width, height) in pixels.

        Raises:
            InputError: The original is missing or damaged.
        """
        name = f"clip {digest} {box[0]}x{box[1]} {LOUDNESS_LUFS}"

        def write(target: Path) -> None:
            from joystreamer.media import write_proxy

            made = write_proxy(self._original(digest), target, size=box, loudness=LOUDNESS_LUFS)
            facts = [made.frame_rate, made.duration_s, made.has_audio, made.proxy_sha256]
            write_text(self._path(name, ".json"), json.dumps(facts))

        path = self._made(name, ".mp4", write)
        try:
            return _read_facts(path, path.with_suffix(".json"))
        except DamagedFile:
            with self._making:
                self._make(path, write)
            return _read_facts(path, path.with_suffix(".json"))

    def is_settled(self, digest: str, box: tuple[int, int]) -> bool:
        """Whether a clip is ready, or known to be damaged, so that asking for it takes no time."""
        path = self._path(f"clip {digest} {box[0]}x{box[1]} {LOUDNESS_LUFS}", ".mp4")
        return path in self._failed or path.is_file()

    def image(self, digest: str) -> Path:
        """A reference image as JPEG without metadata, its longer side at most `IMAGE_SIDE` pixels.

        Raises:
            InputError: The original is missing or damaged.
        """

        def write(target: Path) -> None:
            from PIL import Image

            from joystreamer.media import read_image

            picture = Image.fromarray(read_image(self._original(digest)))
            picture.thumbnail((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.LANCZOS)
            picture.save(target, format="JPEG", quality=90)

        return self._made(f"image {digest}", ".jpg", write)

    def audio(self, digests: Sequence[str]) -> Path:
        """Reference speech as 16-bit mono WAV without metadata; several speakers are added up.

        Raises:
            InputError: An original is missing, damaged or silent of streams.
        """

        def write(target: Path) -> None:
            import numpy as np

            from joystreamer.media import read_audio

            voices = [
                read_audio(self._original(digest), sample_rate=AUDIO_RATE) for digest in digests
            ]
            sounding = [voice for voice in voices if voice is not None]
            if not sounding:
                raise InputError("the reference speech has no sound; ingest the case again")
            mix = np.zeros(max(len(voice) for voice in sounding), np.float32)
            for voice in sounding:
                mix[: len(voice)] += voice
            mix /= max(1.0, float(np.abs(mix).max(initial=0.0)))
            with wave.open(str(target), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(AUDIO_RATE)
                file.writeframes((mix * 32767).astype("<i2").tobytes())

        return self._made(f"audio {' '.join(digests)}", ".wav", write)

    def _original(self, digest: str) -> Path:
        found = self._originals.find(digest) if digest else None
        if found is None:
            raise InputError(
                f"media {digest[:12] or 'without digest'} are not in the workspace; ingest them again"
            )
        return found

    def _path(self, what: str, suffix: str) -> Path:
        name = hashlib.sha256(f"{_RECIPE} {what}".encode()).hexdigest()
        return self._folder / name[:2] / f"{name}{suffix}"

    def _made(self, what: str, suffix: str, write: Callable[[Path], None]) -> Path:
        path = self._path(what, suffix)
        if not path.is_file():
            with self._making:
                if not path.is_file():
                    self._make(path, write)
        return path

    def _make(self, path: Path, write: Callable[[Path], None]) -> None:
        try:
            with written_atomically(path) as temporary:
                write(temporary)
        except InputError:
            self._failed.add(path)
            raise
        self._failed.discard(path)


class DamagedFile(InputError):
    """A blind clip, or what is known of it, is not what was written."""


@lru_cache(maxsize=4096)
def _read_facts(path: Path, beside: Path) -> BlindClip:
    """What is known of a clip; the clip itself is looked at once per process."""
    try:
        rate, duration, has_audio, digest = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError) as error:
        raise DamagedFile(f"{beside.name} is damaged or missing; it is made again") from error
    if digest_file(path) != digest:
        raise DamagedFile(f"{path.name} is damaged; it is made again")
    return BlindClip(path=path, frame_rate=rate, duration_s=duration, has_audio=has_audio)
