"""`video.*` says what the container holds."""

import numpy as np
import pytest

from eval.catalog import find_measure

VIDEO = find_measure("video/probe")


def values(outcomes):
    return {name: outcome.value for name, outcome in outcomes.items()}


def test_facts_of_a_clip_with_sound(make_clip, score):
    seconds = np.arange(32000) / 16000
    sine = (0.5 * np.sin(2 * np.pi * 997 * seconds)).astype(np.float32)
    path = make_clip([np.zeros((48, 64, 3), np.uint8)] * 50, 25, audio=sine)
    found = score(VIDEO, path)
    assert set(found) == {metric.name for metric in VIDEO.metrics}
    facts = values(found)
    assert facts["video.fps"] == 25
    assert facts["video.duration"] == pytest.approx(2.0)
    assert (facts["video.width"], facts["video.height"]) == (64, 48)
    assert facts["video.has_audio"] == 1
    # A full-scale 997 Hz sine on one channel is -3.01 LKFS; half as loud, on two: -6.02 + 3.01.
    assert facts["video.loudness"] == pytest.approx(-3.01 - 6.02 + 3.01, abs=0.15)
    assert facts["video.duration_difference"] < 0.1


def test_sound_that_goes_on_is_a_difference(make_clip, score):
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * 16000).astype(np.float32)
    path = make_clip([np.zeros((48, 64, 3), np.uint8)] * 50, 25, audio=noise)
    outcome = score(VIDEO, path)["video.duration_difference"]
    assert outcome.value == pytest.approx(1.0, abs=0.1)
    assert outcome.details["pictures_minus_sound_s"] == pytest.approx(-1.0, abs=0.1)


def test_without_sound_only_the_sound_is_missing(make_clip, score):
    found = score(VIDEO, make_clip([np.zeros((48, 64, 3), np.uint8)] * 10, 24))
    assert found["video.has_audio"].value == 0
    assert {name for name, outcome in found.items() if outcome.value is None} == {
        "video.duration_difference",
        "video.loudness",
    }
    assert found["video.loudness"].reason == "no_audio"
    assert found["video.fps"].value == 24


def test_silence_has_no_loudness(make_clip, score):
    silent = np.zeros(16000, np.float32)
    found = score(VIDEO, make_clip([np.zeros((48, 64, 3), np.uint8)] * 25, audio=silent))
    assert found["video.loudness"].reason == "silent_audio"
