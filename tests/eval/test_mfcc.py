"""Facts about the MFCC that hold without any reference."""

import numpy as np
import pytest

from eval.mfcc import FULL_SCALE, count_frames, filterbank, mfcc


def test_a_video_of_n_frames_has_four_n_minus_one_rows() -> None:
    for frames in (5, 25, 77):
        assert count_frames(640 * frames) == 4 * frames - 1
        assert len(mfcc(np.ones(640 * frames))) == 4 * frames - 1


def test_scale_moves_only_the_energy() -> None:
    sound = np.random.default_rng(0).normal(size=8000) * 0.1
    small, large = mfcc(sound), mfcc(sound * FULL_SCALE)
    np.testing.assert_allclose(large[:, 0] - small[:, 0], 2 * np.log(FULL_SCALE), atol=1e-9)
    np.testing.assert_allclose(large[:, 1:], small[:, 1:], atol=1e-9)


def test_silence_has_equal_rows() -> None:
    rows = mfcc(np.zeros(4000))
    assert np.ptp(rows, axis=0).max() == 0
    np.testing.assert_allclose(rows[0, 0], np.log(np.finfo(float).eps))
    np.testing.assert_allclose(rows[0, 1:], 0, atol=1e-12)


def test_a_delay_of_one_hop_shifts_the_rows_by_one() -> None:
    sound = np.random.default_rng(1).normal(size=16_000)
    late = np.concatenate([np.zeros(160), sound])
    np.testing.assert_allclose(mfcc(late)[2:90], mfcc(sound)[1:89], atol=1e-9)


def test_filters_are_triangles_that_share_corners() -> None:
    bank = filterbank()
    assert bank.shape == (26, 257)
    assert bank.min() >= 0
    assert bank.max() == 1
    inside = bank.sum(axis=0)[int(bank[0].argmax()) : int(bank[-1].argmax()) + 1]
    np.testing.assert_allclose(inside, 1.0, atol=1e-12)


@pytest.mark.parametrize("shape", [(0,), (2, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        mfcc(np.zeros(shape))
