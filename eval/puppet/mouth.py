"""How wide a puppet's mouth is open at each frame of its voice.

The world draws its mouths by this function and the oracles judge by it, so that there is one truth.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

SAMPLE_RATE: Final = 16_000
FPS: Final = 25
SMOOTHING_FRAMES: Final = 2.2
"""Standard deviation of the smoothing: puppets talk slowly, since a codec that folds four frames into one
latent loses faster mouths first."""
FULLY_OPEN_RMS: Final = 0.16
"""Loudness (root mean square, full scale 1) at which a mouth is fully open."""


def mouth_opening(sound: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Return the opening of the mouth at each frame, 0 closed to 1 fully open.

    Args:
        sound: Mono voice in -1..1 at 16 kHz; silence is assumed after its end.
        frames: Video frames at 25 fps to return.
    """
    per_frame = SAMPLE_RATE // FPS
    whole = np.zeros(frames * per_frame, np.float64)
    heard = np.asarray(sound, np.float64)[: whole.size]
    whole[: heard.size] = heard
    power = np.square(whole).reshape(frames, per_frame).mean(axis=1)
    loudness = gaussian_filter1d(np.sqrt(power), SMOOTHING_FRAMES, mode="constant")
    return np.clip(loudness / FULLY_OPEN_RMS, 0, 1).astype(np.float32)
