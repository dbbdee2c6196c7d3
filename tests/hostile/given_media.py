"""Small real media, links and pipes for a sandbox: what manifests may name, and what they must not."""

import os
import wave
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from joystreamer.media import write_clip
from tests.hostile.watch import Sandbox

CLIP_SECONDS: Final = 0.6


def drawn_frames(count: int, side: int = 48) -> list[NDArray[np.uint8]]:
    """A bright square that wanders."""
    frames = []
    for number in range(count):
        frame = np.full((side, side, 3), 60, np.uint8)
        left = 2 * number % (side - 12)
        frame[8:20, left : left + 12] = (220, 160, 90)
        frames.append(frame)
    return frames


def write_small_clip(path: Path, seconds: float = CLIP_SECONDS) -> Path:
    """A clip with sound, written by the project."""
    clock = np.arange(round(seconds * 16_000)) / 16_000
    tone = (0.3 * np.sin(2 * np.pi * 440 * clock)).astype(np.float32)
    write_clip(path, drawn_frames(round(seconds * 25)), 25, audio=tone, sample_rate=16_000)
    return path


def write_tone(path: Path, seconds: float = 0.5, rate: int = 16_000) -> Path:
    """A 16-bit WAV."""
    clock = np.arange(round(seconds * rate)) / rate
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((9000 * np.sin(2 * np.pi * 330 * clock)).astype("<i2").tobytes())
    return path


def fill_given(sandbox: Sandbox) -> None:
    """Lay out media that exist, links that lead out, a loop, a pipe and a folder."""
    folder = sandbox.given
    if (folder / "image.png").exists():
        return
    Image.new("RGB", (64, 48), (200, 120, 80)).save(folder / "image.png")
    Image.new("L", (64, 48), 255).save(folder / "mask.png")
    write_tone(folder / "audio.wav")
    write_small_clip(folder / "clip.mp4")
    for name in ("link.png", "link.wav", "link.mp4"):
        (folder / name).symlink_to(sandbox.guard / name.replace("link", "secret"))
    (folder / "out").symlink_to(sandbox.guard, target_is_directory=True)
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "folder").mkdir()
    for name in ("pipe.wav", "pipe.png", "pipe.mp4"):
        os.mkfifo(folder / name)
