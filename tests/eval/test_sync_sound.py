"""The gate before sync: silence and unvarying sound."""

from pathlib import Path

import numpy as np
import pytest

from eval.sync.sound import judge_sound
from joystreamer.media import read_audio

TIMES = np.arange(16_000 * 4) / 16_000


@pytest.mark.parametrize(
    ("sound", "reason"),
    [
        (np.zeros(64_000), "silent_audio"),
        (1e-3 * np.sin(2 * np.pi * 300 * TIMES), "silent_audio"),
        (0.3 * np.sin(2 * np.pi * 300 * TIMES), "music_only"),
        (np.random.default_rng(0).normal(size=64_000) * 0.1, "music_only"),
        (0.3 * np.sin(2 * np.pi * 300 * TIMES) * (1 + np.sin(2 * np.pi * 4 * TIMES)), None),
    ],
    ids=["zeros", "below -50 dB", "tone", "noise", "syllables"],
)
def test_made_sounds(sound: np.ndarray, reason: str | None) -> None:
    assert judge_sound(sound, 16_000).reason == reason


def test_a_tenth_of_a_second_is_silence() -> None:
    click = np.zeros(64_000)
    click[1000:2600] = 0.5
    assert judge_sound(click, 16_000).reason == "silent_audio"


def test_real_speech_and_singing_pass(shared_data: Path) -> None:
    files = sorted((shared_data / "audio").glob("*.*"))
    assert len(files) >= 10
    for path in files:
        samples = read_audio(path, sample_rate=16_000)
        assert samples is not None
        assert judge_sound(samples, 16_000).reason is None, path.name
