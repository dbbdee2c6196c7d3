"""`hands.*` end to end with the small public MediaPipe bundle."""

import numpy as np
import pytest

from eval.catalog import find_measure
from eval.hands import HandSighting
from eval.measures.hands import hand_readings, stack_sightings
from joystreamer.errors import MissingWeights
from joystreamer.media import read_image

LITE = find_measure("hands/mediapipe-lite")


@pytest.fixture(scope="module")
def open_hands(shared_data):
    image = read_image(shared_data / "images/halfbody_open_hands/echomimicv2_0035.png")
    return image[::2, ::2].copy()


def test_a_still_picture_with_hands(open_hands, feed, real_weights):
    found = feed(LITE, [open_hands] * 12, weights=real_weights)
    assert 0.5 < found["hands.confidence"].value <= 1
    # The tracker settles over the first frames; on a still picture nothing else moves.
    assert found["hands.variance"].value < 1
    assert found["hands.confidence"].details["present_rate"] == 1.0


def test_a_moving_picture_moves_the_hands(open_hands, feed, real_weights):
    frames = [np.roll(open_hands, 16 * (index % 2), axis=1) for index in range(12)]
    found = feed(LITE, frames, weights=real_weights)
    # 16 of 512 px back and forth: std 8 px in x, 11.25 at short side 720, halved by y at rest.
    assert found["hands.variance"].value == pytest.approx(8 * 720 / 512 / 2, rel=0.25)


def test_clips_do_not_leak_into_each_other(open_hands, feed, real_weights):
    first = feed(LITE, [open_hands] * 4, weights=real_weights)
    feed(LITE, [open_hands[:, ::-1].copy()] * 4, weights=real_weights)
    again = feed(LITE, [open_hands] * 4, weights=real_weights)
    assert again["hands.variance"].value == first["hands.variance"].value
    assert again["hands.confidence"].value == first["hands.confidence"].value


def test_no_hand_is_a_reason(feed, real_weights):
    found = feed(LITE, [np.full((128, 128, 3), 90, np.uint8)] * 5, weights=real_weights)
    assert {outcome.reason for outcome in found.values()} == {"no_hand"}
    assert found["hands.variance"].message == "no hand was found in any of 5 frames"


def test_without_weights_the_sentence_says_what_to_fetch(feed):
    with pytest.raises(MissingWeights, match="weights fetch hand-landmarker"):
        feed(find_measure("hands/mediapipe"), [np.zeros((64, 64, 3), np.uint8)] * 2)


def test_readings_agree_with_each_other():
    rng = np.random.default_rng(0)
    hands = [
        {0: HandSighting(side=0, score=0.5, points=rng.uniform(0, 300, (21, 2)))}
        if index % 3
        else {}
        for index in range(30)
    ]
    scores, points = stack_sightings(hands)
    shoulders = np.broadcast_to(np.array([[0.0, 0.0], [360.0, 0.0]]), (30, 2, 2))
    found = {
        name: value or 0.0
        for name, value in hand_readings(scores, points, (640, 360), shoulders).items()
    }
    assert found["hands.confidence"] == 0.5
    assert found["hands.variance_shoulder"] == pytest.approx(found["hands.variance"] / 720)
    assert found["hands.variance_squared"] >= found["hands.variance"] ** 2
    assert found["hands.step"] > 0
    assert 0 < found["hands.variance_normalised"] < 1
