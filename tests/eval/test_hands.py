"""HKC and HKV on keypoints whose answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.hands import (
    HandSighting,
    SideKeeper,
    as_fractions,
    body_relative_spread,
    confidence,
    in_pixels,
    present_rate,
    shoulder_spread,
    spread,
    step,
)

RNG = np.random.default_rng(3)


def wave(frames=50, travel=10.0):
    """One hand of 21 points that swings by +-travel in x; the other side absent."""
    points = np.full((frames, 2, 21, 2), np.nan)
    points[:, 0] = RNG.uniform(100, 200, (21, 2))
    points[:, 0, :, 0] += travel * np.where(np.arange(frames) % 2, 1, -1)[:, None]
    return points


def hand(side, x, score=0.9, size=40.0):
    return HandSighting(
        side=side, score=score, points=np.array([(x, 100.0), (x + size, 100 + size)])
    )


def test_a_still_hand_has_no_movement():
    points = np.broadcast_to(wave(1), (30, 2, 21, 2)).copy()
    assert spread(points) == 0.0
    assert spread(points, "var") == 0.0
    assert step(points) == 0.0


def test_a_known_swing_has_its_standard_deviation():
    # x alternates between +-10 (std 10), y rests (std 0): the mean over coordinates is 5.
    assert spread(wave()) == pytest.approx(5.0)
    assert spread(wave(), "var") == pytest.approx(50.0)
    assert step(wave()) == pytest.approx(20.0)


def test_both_sides_count_alike():
    points = wave()
    points[:, 1] = points[:1, 0]  # the other hand rests
    assert spread(points) == pytest.approx(2.5)


def test_absent_frames_are_left_out():
    points = wave(60)
    points[20:40] = np.nan
    assert spread(points) == pytest.approx(5.0)
    assert present_rate(points) == pytest.approx(40 / 60)


def test_one_sighting_says_nothing_of_movement():
    points = wave()
    points[1:] = np.nan
    assert spread(points) is None
    assert step(points) is None
    assert present_rate(np.zeros((0, 2, 21, 2))) == 0.0


@given(st.floats(0.1, 10), st.floats(-500, 500))
def test_spread_scales_with_the_picture_and_ignores_its_place(scale: float, shift: float):
    points = wave()
    assert spread(points * scale + shift) == pytest.approx(5.0 * scale, rel=1e-6)


def test_mirrored_reversed_and_permuted_hands_spread_alike():
    points = wave() + RNG.normal(0, 3, (50, 2, 21, 2))
    mirrored = points * [-1, 1] + [640, 0]
    for other in (mirrored, points[::-1], points[RNG.permutation(50)]):
        assert spread(other) == pytest.approx(spread(points))
    assert step(points[::-1]) == pytest.approx(step(points))


def test_resolution_does_not_matter():
    small, large = wave(), wave() * 0
    large = small * 3
    assert spread(in_pixels(small, 640, 360)) == pytest.approx(spread(in_pixels(large, 1920, 1080)))
    assert spread(in_pixels(small, 1280, 720)) == pytest.approx(5.0)
    assert as_fractions(small, 200, 100)[0, 0, 0] == pytest.approx(small[0, 0, 0] / [200, 100])


def test_confidence_is_over_seen_hands_only():
    scores = np.array([[0.8, np.nan], [0.6, 1.0], [np.nan, np.nan]])
    assert confidence(scores) == pytest.approx(0.8)
    assert confidence(scores * np.nan) is None


def test_body_relative_spread_ignores_the_camera():
    points = wave()
    camera = RNG.normal(0, 30, (50, 2))
    shoulders = np.array([[100.0, 50], [160, 50]]) + camera[:, None]
    moved = points + camera[:, None, None]
    assert body_relative_spread(moved, shoulders) == pytest.approx(5.0)
    assert shoulder_spread(points, shoulders) == pytest.approx(5.0 / 60)
    assert shoulder_spread(points, shoulders * np.nan) is None
    assert body_relative_spread(points, shoulders * np.nan) is None


def test_two_hands_called_left_are_told_apart():
    sides = SideKeeper().assign([hand(0, 500, score=0.7), hand(0, 100, score=0.9)])
    assert sides[0].points[0, 0] == 100
    assert sides[1].points[0, 0] == 500


def test_a_swapped_label_does_not_swap_the_hands():
    keeper = SideKeeper()
    keeper.assign([hand(0, 100), hand(1, 500)])
    swapped = keeper.assign([hand(1, 110), hand(0, 495)])
    assert (swapped[0].points[0, 0], swapped[1].points[0, 0]) == (110, 495)
    alone = keeper.assign([hand(0, 490)])
    assert list(alone) == [1]
    far = keeper.assign([hand(0, 300)])
    assert list(far) == [0]


def test_a_place_is_forgotten_after_a_second():
    keeper = SideKeeper()
    keeper.assign([hand(1, 100)])
    for _ in range(26):
        keeper.assign([])
    assert list(keeper.assign([hand(0, 100)])) == [0]


def test_the_surest_two_hands_are_kept():
    kept = SideKeeper().assign([hand(0, 100, 0.5), hand(1, 300, 0.9), hand(0, 600, 0.8)])
    assert sorted(each.score for each in kept.values()) == [0.8, 0.9]
