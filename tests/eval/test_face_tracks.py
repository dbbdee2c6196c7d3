"""Face tracks on small scenes that can be checked by hand."""

import numpy as np
import pytest

from eval.face_tracks import (
    FaceTracker,
    complete,
    follow_faces,
    joonson_tracks,
    mocha_tracks,
    overlap,
    smooth,
    square_around,
)

LEFT = np.array([10.0, 10.0, 110.0, 110.0])
RIGHT = np.array([300.0, 10.0, 400.0, 110.0])


def boxes(*faces: np.ndarray) -> np.ndarray:
    return np.array(faces).reshape(-1, 4)


def test_overlap_of_known_boxes() -> None:
    assert overlap(LEFT, LEFT) == pytest.approx(1.0)
    assert overlap(LEFT, RIGHT) == 0.0
    assert overlap([0, 0, 2, 2], [1, 0, 3, 2]) == pytest.approx(1 / 3)


def test_two_people_whose_order_changes_are_two_tracks() -> None:
    detections = [boxes(LEFT, RIGHT) if i % 3 else boxes(RIGHT, LEFT) for i in range(40)]
    tracks = follow_faces(detections)
    assert [track.detections for track in tracks] == [40, 40]
    for track in tracks:
        assert np.ptp(track.boxes, axis=0).max() == 0


def test_the_mocha_tracker_makes_ghosts_of_them() -> None:
    detections = [boxes(LEFT, RIGHT) if i % 3 else boxes(RIGHT, LEFT) for i in range(40)]
    assert len(mocha_tracks(detections)) > 2
    assert [track.detections for track in joonson_tracks(detections)] == [40, 40]


def test_joonsons_tracker_skips_the_face_after_a_taken_one() -> None:
    twin = LEFT + 1
    tracks = joonson_tracks([boxes(LEFT), boxes(twin, LEFT)])
    assert [track.detections for track in tracks] == [2, 1]


def test_gaps_are_filled_in_a_straight_line_up_to_the_limit() -> None:
    moved = LEFT + 10
    held = [boxes(LEFT), *[boxes()] * 24, boxes(moved)]
    (track,) = follow_faces(held)
    assert track.detections == 2
    assert len(track.frames) == 26
    np.testing.assert_allclose(track.boxes[5], LEFT + 10 * 5 / 25)
    broken = [boxes(LEFT), *[boxes()] * 25, boxes(moved)]
    assert [len(track.frames) for track in follow_faces(broken)] == [1, 1]


def test_a_face_goes_to_the_track_it_overlaps_most() -> None:
    near, far = LEFT + 4, LEFT + 20
    tracker = FaceTracker()
    ((track, _),) = tracker.step(0, boxes(LEFT))
    found = tracker.step(1, boxes(far, near))
    assert found[0][0] is track
    np.testing.assert_array_equal(found[0][1], near)
    assert found[1][0] is not track


def test_a_cut_ends_all_tracks() -> None:
    tracker = FaceTracker()
    ((first, _),) = tracker.step(0, boxes(LEFT))
    tracker.cut()
    ((second, _),) = tracker.step(1, boxes(LEFT))
    assert first is not second


def test_size_is_the_larger_mean_side() -> None:
    track = complete([3, 5], [np.array([0, 0, 10.0, 30]), np.array([0, 0, 20.0, 30])])
    np.testing.assert_array_equal(track.frames, [3, 4, 5])
    assert track.size_px == 30


def test_smoothing_keeps_a_constant_to_its_ends() -> None:
    values = np.full((20, 2), 7.0)
    np.testing.assert_array_equal(smooth(values), values)
    assert smooth(values, ends="zeros")[0, 0] == 7.0
    ramp = np.arange(1.0, 21.0)[:, None]
    assert smooth(ramp, ends="zeros")[0, 0] < smooth(ramp)[3, 0]


def test_square_takes_more_below_than_above() -> None:
    square = square_around(50, 200, 150, 480, 640)
    assert (square.top, square.bottom, square.left, square.right) == (100, 240, 130, 270)
