"""Tells silence and unvarying sound from speech, so that they get a reason and not a number.

SyncNet answers silence with an artefact of its padding (offset at the end of its range). This is a
gate, not a speech detector: it refuses what certainly holds no speech (silence, hum, noise, sustained
chords) and lets everything pass whose loudness moves as syllables or notes do, plucked music included.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FRAME_S: Final = 0.01
ACTIVE_DB: Final = -50.0
"""Frames louder than this (RMS against full scale) count as sound."""
MIN_ACTIVE_S: Final = 0.2
"""Sound below this length is silence: one sound window of SyncNet."""
SYLLABLE_HZ: Final = (1.5, 12.0)
"""Loudness of speech moves at these rates (Houtgast & Steeneken 1985)."""
MIN_MODULATION: Final = 0.2
"""Depth of that movement. 51 recordings of speech and singing lie between 0.33 and 1.15; tones, noise
and sustained chords below 0.05."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """What a piece of sound is like.

    Attributes:
        active_s: Seconds louder than `ACTIVE_DB`.
        modulation: Depth of the loudness movement at syllable rates, relative to its mean.
        reason: Code from `eval.reasons` why it cannot be scored, or None.
    """

    active_s: float
    modulation: float
    reason: str | None


def judge_sound(samples: NDArray[Any], sample_rate: int) -> Sound:
    """Say whether sound may hold speech.

    Args:
        samples: (n,), mono in [-1, 1].
        sample_rate: Hz.
    """
    hop = max(1, round(FRAME_S * sample_rate))
    count = len(samples) // hop
    framed = samples[: count * hop].reshape(count, hop).astype(np.float64)
    loudness = np.sqrt((framed**2).mean(axis=1))
    active = np.flatnonzero(loudness > 10 ** (ACTIVE_DB / 20))
    active_s = len(active) * FRAME_S
    if active_s < MIN_ACTIVE_S:
        return Sound(active_s=active_s, modulation=0.0, reason="silent_audio")
    modulation = _modulation(loudness[active[0] : active[-1] + 1])
    steady = modulation < MIN_MODULATION
    return Sound(active_s=active_s, modulation=modulation, reason="music_only" if steady else None)


def _modulation(loudness: NDArray[np.float64]) -> float:
    relative = loudness / loudness.mean() - 1
    power = 2 * np.abs(np.fft.rfft(relative)) ** 2 / len(relative) ** 2
    rates = np.fft.rfftfreq(len(relative), FRAME_S)
    inside = (rates >= SYLLABLE_HZ[0]) & (rates <= SYLLABLE_HZ[1])
    return float(np.sqrt(power[inside].sum()))
