"""Voices of puppets: syllables of sung-like vowels, made of harmonics shaped by formants.

Not speech, but real sound: an envelope of syllables and pauses, five vowels with their formants, voices
that differ in pitch and in the size of the throat. Loud open vowels open the mouth further than closed
ones. Deterministic by seed.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eval.puppet.mouth import FPS, FULLY_OPEN_RMS, SAMPLE_RATE

Sound = NDArray[np.float32]

FORMANTS: Final[dict[str, tuple[tuple[float, float, float], float]]] = {
    "a": ((730.0, 1090.0, 2440.0), 1.00),
    "e": ((530.0, 1840.0, 2480.0), 0.80),
    "i": ((270.0, 2290.0, 3010.0), 0.55),
    "o": ((570.0, 840.0, 2410.0), 0.85),
    "u": ((300.0, 870.0, 2240.0), 0.60),
}
"""Formants in hertz of an adult voice (Peterson and Barney 1952), and how open the mouth is; the
openness is ours."""
BANDWIDTHS: Final = (90.0, 110.0, 170.0)
HARMONICS: Final = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Voice:
    """How a puppet sounds.

    Attributes:
        pitch: Mean fundamental in hertz.
        throat: Factor on the formants; above 1 for a small throat.
        rate: Syllables per second.
    """

    pitch: float = 140.0
    throat: float = 1.0
    rate: float = 2.3


VOICES: Final = (
    Voice(pitch=115.0, throat=0.95, rate=1.9),
    Voice(pitch=150.0, throat=1.0, rate=2.3),
    Voice(pitch=205.0, throat=1.12, rate=2.4),
    Voice(pitch=260.0, throat=1.25, rate=2.1),
)


def speak(
    voice: Voice, seconds: float, draw: np.random.Generator, *, pauses: float = 0.25
) -> Sound:
    """Make a voice speak.

    Args:
        voice: Who.
        seconds: Length.
        draw: Source of chance: syllables, vowels, melody.
        pauses: Chance that a syllable is followed by a pause.

    Returns:
        Mono sound at 16 kHz in -1..1; loud syllables open a mouth fully.
    """
    count = round(seconds * SAMPLE_RATE)
    time = np.arange(count) / SAMPLE_RATE
    envelope = np.zeros(count)
    weights = np.zeros((len(FORMANTS), count))
    start = float(draw.uniform(0.0, 0.25))
    while start < seconds:
        length = float(draw.uniform(0.75, 1.25)) / voice.rate
        vowel = int(draw.integers(len(FORMANTS)))
        openness = list(FORMANTS.values())[vowel][1]
        loud = openness * float(draw.uniform(0.7, 1.0))
        inside = (time >= start) & (time < start + length)
        phase = (time[inside] - start) / length
        shape = 0.5 - 0.5 * np.cos(2 * np.pi * phase)
        envelope[inside] += loud * shape
        weights[vowel, inside] += shape
        start += length
        if draw.random() < pauses:
            start += float(draw.uniform(0.25, 0.7))
    melody = voice.pitch * (1 + 0.06 * np.sin(2 * np.pi * 0.7 * time + draw.uniform(0, 6.28)))
    sound = envelope * _tone(melody, weights, voice.throat)
    return _levelled(sound)


def silence(seconds: float) -> Sound:
    """Return silence."""
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def take_turns(
    voices: list[Voice], seconds: float, draw: np.random.Generator, *, turn_s: float = 2.4
) -> tuple[list[Sound], list[list[tuple[float, float]]]]:
    """Let several voices speak in turns.

    Returns:
        One sound of the whole length per voice, and each voice's spans (start, end) in seconds.
    """
    sounds = [silence(seconds) for _ in voices]
    spans: list[list[tuple[float, float]]] = [[] for _ in voices]
    start, turn = 0.0, 0
    while start < seconds - 0.2:
        end = min(seconds, start + turn_s)
        who = turn % len(voices)
        said = speak(voices[who], end - start, draw)
        at = round(start * SAMPLE_RATE)
        sounds[who][at : at + said.size] = said[: sounds[who].size - at]
        spans[who].append((round(start, 3), round(end, 3)))
        start, turn = end, turn + 1
    return sounds, spans


def _tone(
    melody: NDArray[np.float64], weights: NDArray[np.float64], throat: float
) -> NDArray[np.float64]:
    """Sum of harmonics of a melody, each as loud as the vowel of the moment makes it."""
    phase = (2 * np.pi * np.cumsum(melody) / SAMPLE_RATE) % (2 * np.pi)
    turn = phase.astype(np.float32)
    total = weights.sum(axis=0)
    mixed = (weights / np.maximum(total, 1e-9)).astype(np.float32)
    tone = np.zeros(melody.size, np.float32)
    for number in range(1, HARMONICS + 1):
        hertz = number * float(melody.mean())
        if hertz > SAMPLE_RATE / 2.2:
            break
        gains = [_gain(hertz, formants, throat) for formants, _ in FORMANTS.values()]
        tone += (np.array(gains, np.float32) @ mixed) * np.sin(np.float32(number) * turn)
    return tone.astype(np.float64)


def _gain(hertz: float, formants: tuple[float, float, float], throat: float) -> float:
    peaks = [
        1 / (1 + ((hertz - throat * centre) / width) ** 2) * weight
        for centre, width, weight in zip(formants, BANDWIDTHS, (1.0, 0.6, 0.25), strict=True)
    ]
    return 0.03 + sum(peaks)


def _levelled(sound: NDArray[np.float64]) -> Sound:
    """Scale so that vowels are equally loud per openness and the loudest open the mouth fully."""
    per_frame = SAMPLE_RATE // FPS
    frames = sound[: sound.size // per_frame * per_frame].reshape(-1, per_frame)
    loudness = np.sqrt(np.square(frames).mean(axis=1)) if len(frames) else np.zeros(1)
    loudest = float(np.quantile(loudness, 0.97))
    scaled = sound * (1.1 * FULLY_OPEN_RMS / loudest) if loudest > 0 else sound
    return np.clip(scaled, -1, 1).astype(np.float32)
