"""`motion.*`: known speeds, flicker and seams; the identities of still, mirrored and reversed clips."""

import numpy as np
import pytest

from eval.catalog import find_measure
from eval.motion import flow_speed, seam_scores, second_difference
from joystreamer.media import Frame

MOTION = find_measure("motion/flow")


def moving(texture, count=30, step=2):
    return [np.roll(texture, step * index, axis=1) for index in range(count)]


def test_a_known_speed_is_measured(texture, feed):
    found = feed(MOTION, moving(texture), rate=25)
    # 2 pixels a frame at 25 fps on a short side of 96: 52.1 % of it per second; wrapped edge excepted.
    assert found["motion.amplitude"].value == pytest.approx(100 * 2 * 25 / 96, rel=0.06)


def test_speed_does_not_depend_on_the_frame_rate(texture, feed):
    slow = feed(MOTION, moving(texture, step=4), rate=12.5)["motion.amplitude"].value
    fast = feed(MOTION, moving(texture, step=2), rate=25)["motion.amplitude"].value
    assert slow == pytest.approx(fast, rel=0.08)


def test_a_still_clip_has_no_motion_flicker_or_seam(texture, feed):
    found = feed(MOTION, [texture] * 30, borders_s=(0.4, 0.8))
    assert found["motion.amplitude"].value == pytest.approx(0, abs=1e-3)
    assert found["motion.flicker"].value == 0
    assert found["motion.seam"].value == 0


def test_mirrored_and_reversed_clips_move_alike(texture, feed):
    frames = moving(texture)
    plain = feed(MOTION, frames)
    mirrored = feed(MOTION, [frame[:, ::-1].copy() for frame in frames])
    backwards = feed(MOTION, frames[::-1])
    for other in (mirrored, backwards):
        assert other["motion.amplitude"].value == pytest.approx(
            plain["motion.amplitude"].value, rel=0.02
        )
        assert other["motion.flicker"].value == pytest.approx(
            plain["motion.flicker"].value, rel=1e-4
        )


def test_permuted_frames_flicker_more(texture, feed):
    frames = moving(texture, step=1)
    shuffled = [frames[index] for index in np.random.default_rng(0).permutation(len(frames))]
    plain, mixed = feed(MOTION, frames), feed(MOTION, shuffled)
    assert mixed["motion.flicker"].value > 5 * plain["motion.flicker"].value


def test_flicker_of_alternating_brightness_is_its_size(feed):
    frames = [np.full((96, 96, 3), 100 + 4 * (index % 2), np.uint8) for index in range(20)]
    # a - 2b + a = 2 (a - b), halved: the four grey levels of the jump.
    assert feed(MOTION, frames)["motion.flicker"].value == pytest.approx(4.0, abs=1e-3)


def test_a_steady_fade_does_not_flicker(feed):
    frames = [np.full((96, 96, 3), 50 + 3 * index, np.uint8) for index in range(20)]
    assert feed(MOTION, frames)["motion.flicker"].value == pytest.approx(0, abs=1e-4)


def test_a_jump_at_a_border_is_found_and_elsewhere_is_not(texture, feed):
    frames = moving(texture, count=40, step=1)
    jumped = frames[:20] + [
        np.clip(frame.astype(int) + 30, 0, 255).astype(np.uint8) for frame in frames[20:]
    ]
    seam = feed(MOTION, jumped, borders_s=(0.8,))["motion.seam"]
    assert seam.value is not None
    assert seam.value > 20
    assert seam.details["worst"]["time_s"] == pytest.approx(0.8)
    elsewhere = feed(MOTION, jumped, borders_s=(0.4,))["motion.seam"].value
    assert abs(elsewhere) < 2


def test_unknown_borders_are_a_reason(texture, feed):
    assert feed(MOTION, moving(texture))["motion.seam"].reason == "no_segment_borders"
    outside = feed(MOTION, moving(texture), borders_s=(99.0,))["motion.seam"]
    assert outside.reason == "no_segment_borders"
    assert outside.message == "no segment border lies between two frames of the clip"


def test_a_border_belongs_to_the_first_frame_behind_it():
    times = np.arange(1, 10) / 25
    jumps = np.ones(9)
    jumps[4] = 11.0  # between frames 4 and 5
    for border in (5 / 25, 5 / 25 + 1e-3, 4.6 / 25):
        (seam,) = seam_scores(times, jumps, (border,))
        assert seam.score == pytest.approx(10 / 0.25)
    assert seam_scores(times, jumps, (0.0,)) == []
    assert seam_scores(np.zeros(0), np.zeros(0), (1.0,)) == []


def test_one_frame_is_too_short_and_two_have_no_flicker(texture, feed):
    alone = feed(MOTION, [texture])
    assert {outcome.reason for outcome in alone.values()} == {"too_short"}
    pair = feed(MOTION, [texture, texture])
    assert pair["motion.flicker"].reason == "too_short"
    assert pair["motion.amplitude"].value is not None


def test_long_clips_get_windows_and_a_worst_one(feed):
    calm = np.full((32, 32, 3), 90, np.uint8)
    frames = [calm + 20 * np.uint8(index > 110 and index % 2) for index in range(210)]
    details = feed(MOTION, frames, rate=10)["motion.flicker"].details
    assert [window["start_s"] for window in details["windows"]] == [0, 10]
    assert details["worst_window"]["start_s"] == 10
    assert details["slope_per_minute"] > 0


def test_two_pictures_at_one_time_are_one(texture, feed, weights, make_clip):
    from eval.measure import ClipInputs
    from joystreamer.media import probe

    path = make_clip([texture] * 3)
    observer = MOTION.start(ClipInputs(path=path, probe=probe(path), weights=weights))
    for time_s in (0.0, 0.04, 0.04, 0.08):
        observer.see(Frame(time_s, texture))
    assert len(observer.finish()["motion.amplitude"].series["motion.amplitude"].times_s) == 2


def test_formulas():
    zero, one = np.zeros((4, 8)), np.ones((4, 8))
    assert second_difference(zero, one, zero) == 1.0
    assert second_difference(zero, one, 2 * one) == 0.0
    assert flow_speed(np.stack([3 * one, 4 * one], axis=-1), 0.5) == pytest.approx(
        100 * 5 / 4 / 0.5
    )


def test_a_real_clip_moves(shared_data, score):
    found = score(MOTION, shared_data / "videos/mocha/compare/01_MoCha.mp4")
    assert 0 < found["motion.amplitude"].value < 200
    assert 0 < found["motion.flicker"].value < 20
