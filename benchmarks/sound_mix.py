"""One sound file for systems that take one: a single voice as it is, several voices summed."""

from pathlib import Path

import numpy as np

from benchmarks.importers.dialogue_json import RATE, write_wave
from eval.records import Case
from joystreamer.errors import InputError
from joystreamer.media import read_audio


def voices(case: Case) -> tuple[Path, ...]:
    """Return the recordings of a case.

    Raises:
        InputError: It has none.
    """
    found = tuple(speaker.audio for speaker in case.speakers if speaker.audio is not None)
    if not found:
        raise InputError(
            f"case {case.id!r} has no recording; fill the suite with 'python -m benchmarks build'"
        )
    return found


def one_sound(case: Case, scratch: Path) -> Path:
    """Return a file with the sound of a case; a sum is written to `scratch`.

    The sum is scaled down when it would clip.
    """
    files = voices(case)
    if len(files) == 1:
        return files[0]
    sounds = [read_audio(file, sample_rate=RATE) for file in files]
    heard = [sound for sound in sounds if sound is not None]
    total = np.zeros(max(sound.size for sound in heard), np.float32)
    for sound in heard:
        total[: sound.size] += sound
    peak = float(np.abs(total).max(initial=0.0))
    return write_wave(scratch / f"{case.id}.mix.wav", total / max(1.0, peak))


def sound_seconds(path: Path) -> float:
    """Return the length of a sound file in seconds."""
    samples = read_audio(path, sample_rate=RATE)
    return 0.0 if samples is None else samples.size / RATE
