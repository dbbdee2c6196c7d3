"""Small inputs made in code: a drawn face, a buzzing voice, WAV files."""

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def make_portrait(height: int = 96, width: int = 80) -> NDArray[np.uint8]:
    """A drawn face: flat background, oval head, dark mouth."""
    rows, columns = np.mgrid[0:height, 0:width]
    picture = np.full((height, width, 3), (70, 110, 160), np.uint8)
    head = ((rows - height * 0.45) / (height * 0.3)) ** 2
    head = head + ((columns - width * 0.5) / (width * 0.25)) ** 2
    picture[head < 1] = (225, 180, 150)
    mouth = (abs(rows - height * 0.58) < height * 0.03) & (abs(columns - width / 2) < width * 0.1)
    picture[mouth] = (120, 30, 40)
    return picture


def make_speech(seconds: float, rate: int = 16_000, pitch: float = 130.0) -> NDArray[np.float32]:
    """A buzzing voice that rises and falls four times a second, from a fixed seed."""
    time = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 12))
    hiss = np.random.default_rng(0).standard_normal(time.size)
    envelope = np.clip(np.sin(2 * np.pi * 2 * time), 0, None)
    return (0.1 * envelope * (buzz + 0.1 * hiss)).astype(np.float32)


def write_wav(path: Path, samples: NDArray[np.float32], rate: int = 16_000) -> Path:
    """16-bit WAV of (samples,) or (channels, samples)."""
    channels = np.atleast_2d(samples)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(channels.T, -1, 1) * 32767).astype("<i2").tobytes())
    return path
