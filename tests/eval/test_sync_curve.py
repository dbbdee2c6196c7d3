"""SyncNet's arithmetic on synthetic embeddings whose truth is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.sync.curve import frame_confidence, read_table, shift_distances

WIDTH = 64


def embeddings(count: int, seed: int = 0, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Video and sound embeddings that agree without shift: slowly changing, plus noise."""
    dice = np.random.default_rng(seed)
    steps = dice.normal(size=(count, WIDTH))
    common = np.stack([np.convolve(column, np.ones(3), "same") for column in steps.T], axis=1)
    video = common + noise * dice.normal(size=common.shape)
    sound = common + noise * dice.normal(size=common.shape)
    return video.astype(np.float32), sound.astype(np.float32)


@settings(max_examples=31, deadline=None)
@given(st.integers(-15, 15))
def test_a_delay_of_k_frames_moves_the_offset_by_exactly_k(delay: int) -> None:
    video, sound = embeddings(120, seed=4)
    late_picture = np.roll(video, delay, axis=0)
    reading = read_table(shift_distances(late_picture, sound))
    assert reading is not None
    assert reading.offset == delay


def test_confidence_does_not_depend_on_the_clips_length() -> None:
    values = {}
    for count in (51, 101, 151, 251, 751):
        confidences = []
        for seed in range(12):
            reading = read_table(shift_distances(*embeddings(count, seed)))
            assert reading is not None
            confidences.append(reading.confidence)
        values[count] = np.mean(confidences)
    for count, value in values.items():
        assert value == pytest.approx(values[751], rel=0.02), count


def test_zeros_outside_make_short_clips_look_worse() -> None:
    short = read_table(shift_distances(*embeddings(51), outside="zeros"))
    honest = read_table(shift_distances(*embeddings(51)))
    assert short is not None
    assert honest is not None
    assert short.confidence < 0.95 * honest.confidence


def test_pieces_give_the_same_table_as_the_whole() -> None:
    video, sound = embeddings(90)
    whole = shift_distances(video, sound)
    pieces = []
    for start in range(0, 90, 7):
        stop = min(90, start + 7)
        low, high = max(0, start - 15), min(90, stop + 15)
        pieces.append(shift_distances(video[start:stop], sound[low:high], first=start - low))
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_distances_are_those_of_the_definition() -> None:
    video, sound = embeddings(9)
    table = shift_distances(video, sound, max_shift=2)
    gap = video[4].astype(float) - sound[5] + 1e-6
    assert table[4, 3] == pytest.approx(np.sqrt((gap**2).sum()))
    assert np.isnan(table[0, 0])
    zeros = shift_distances(video, sound, max_shift=2, outside="zeros")
    assert zeros[0, 0] == pytest.approx(np.linalg.norm(video[0].astype(float) + 1e-6))


def test_shift_zero_is_reported_beside_the_best() -> None:
    video, sound = embeddings(100)
    reading = read_table(shift_distances(np.roll(video, 3, axis=0), sound))
    assert reading is not None
    assert reading.distance_zero > reading.distance
    assert reading.confidence_zero == pytest.approx(
        reading.confidence - (reading.distance_zero - reading.distance)
    )


def test_too_little_sound_has_no_reading() -> None:
    video, sound = embeddings(40)
    assert read_table(shift_distances(video[:5], sound[:5])) is None
    assert read_table(shift_distances(video, sound[:0])) is None


def test_frame_confidence_shows_where_sync_is_lost() -> None:
    video, sound = embeddings(200)
    broken = video.copy()
    broken[100:160] = embeddings(60, seed=9)[0]
    table = shift_distances(broken, sound)
    reading = read_table(table)
    assert reading is not None
    values = frame_confidence(table, reading)
    assert values[110:150].mean() < 0.3 * values[20:80].mean()
