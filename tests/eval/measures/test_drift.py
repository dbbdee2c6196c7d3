"""`drift.colour*`: constant clips have none, a known change has its size."""

import numpy as np
import pytest

from eval.catalog import find_measure
from eval.colour import ciede2000, mean_lab
from eval.drift import colour_drift, falling_drift
from eval.weights import WeightFolder
from joystreamer.media import read_image

COLOUR = find_measure("drift/colour")
FACE = find_measure("drift/colour-face")


def plain(level, size=64):
    return np.full((size, size, 3), level, np.uint8)


def test_a_constant_clip_has_no_drift(feed, texture):
    outcome = feed(COLOUR, [texture] * 100)["drift.colour"]
    assert outcome.value == pytest.approx(0, abs=1e-9)
    assert outcome.details["slope_per_minute"] == pytest.approx(0, abs=1e-9)
    assert outcome.details["first"] == outcome.details["last"]


def test_a_change_of_colour_has_the_size_of_its_distance(feed):
    frames = [plain((120, 100, 90))] * 75 + [plain((90, 100, 120))] * 75
    outcome = feed(COLOUR, frames)["drift.colour"]
    expected = ciede2000(mean_lab(frames[0]), mean_lab(frames[-1]))
    assert outcome.value == pytest.approx(float(expected))
    assert outcome.details["slope_per_minute"] > 0


def test_drift_of_a_reversed_or_mirrored_clip_is_the_same(feed, texture):
    frames = [
        np.clip(texture.astype(int) + index // 2, 0, 255).astype(np.uint8) for index in range(110)
    ]
    value = feed(COLOUR, frames)["drift.colour"].value
    assert value > 1
    assert feed(COLOUR, frames[::-1])["drift.colour"].value == pytest.approx(value, rel=0.05)
    mirrored = [frame[:, ::-1].copy() for frame in frames]
    assert feed(COLOUR, mirrored)["drift.colour"].value == pytest.approx(value, rel=1e-9)


def test_a_short_clip_says_how_long_it_must_be(feed, texture):
    outcome = feed(COLOUR, [texture] * 50)["drift.colour"]
    assert outcome.reason == "too_short"
    assert outcome.message == "drift needs 4 s, the clip has 2.00 s"


def test_falling_drift_is_first_minus_last():
    times = np.arange(0, 6, 0.5)
    values = 0.9 - 0.05 * times
    drift = falling_drift(times, values, 6.0)
    assert drift is not None
    assert drift.value == pytest.approx(0.2)
    assert drift.slope_per_minute == pytest.approx(3.0)
    assert falling_drift(times, values, 3.0) is None
    values[times >= 4] = np.nan
    assert falling_drift(times, values, 6.0) is None


def test_colour_drift_without_colour_at_one_end_is_nothing():
    times = np.arange(0, 6, 0.5)
    lab = np.full((12, 3), 50.0)
    lab[times < 2] = np.nan
    assert colour_drift(times, lab, 6.0) is None


def test_face_and_background_are_told_apart(feed, shared_data, real_weights):
    portrait = read_image(shared_data / "images/portrait/hallo3_0001.jpg")
    dark = np.rint(portrait * 0.8).astype(np.uint8)
    found = feed(FACE, [portrait] * 60 + [dark] * 60, weights=real_weights)
    assert found["drift.colour_face"].value > 3
    assert found["drift.colour_background"].value is not None
    still = feed(FACE, [portrait] * 110, weights=real_weights)
    assert still["drift.colour_face"].value == pytest.approx(0, abs=1e-9)


def test_no_face_is_a_reason(feed, real_weights):
    found = feed(FACE, [plain(90)] * 110, weights=real_weights)
    assert {outcome.reason for outcome in found.values()} == {"no_face"}
    assert found["drift.colour_face"].message == (
        "a face was found in 0% of the frames looked at, but not at both ends of the clip"
    )


def test_missing_weights_are_named_in_the_description(weights: WeightFolder):
    assert FACE.weights == ("face-detector",)
    assert FACE.description(weights.digests(FACE.weights))["weights"] == {
        "face-detector": "missing"
    }
