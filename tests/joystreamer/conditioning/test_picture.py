"""Sizes, and image and mask taking the same path."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from joystreamer.conditioning.picture import check_size, choose_size, fit_image, fit_mask
from joystreamer.errors import InputError


@given(st.integers(16, 3000), st.integers(16, 3000), st.sampled_from([32, 64]))
@example(16, 34, 64)
def test_chosen_sizes_fit_and_keep_the_shape(height, width, multiple):
    chosen = choose_size(height, width, 480 * 832, multiple)
    check_size(*chosen, multiple)
    assert chosen[0] * chosen[1] <= 480 * 832
    if 1 / 3 < height / width < 3:
        assert chosen[0] * chosen[1] >= 0.8 * 480 * 832  # reached by 16 x 34 in steps of 64
        assert abs(np.log(chosen[0] / chosen[1] / (height / width))) < 0.15


@pytest.mark.parametrize(
    ("image", "expected"),
    [((832, 480), (832, 480)), ((480, 832), (480, 832)), ((1024, 1024), (608, 608))],
)
def test_known_shapes(image, expected):
    assert choose_size(image[0], image[1], 480 * 832, 32) in (expected, expected[::-1])


def test_a_wrong_size_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"size 500x290 came; .* multiples of 32 .*: 512x288"):
        check_size(290, 500, 32)
    with pytest.raises(InputError, match="size 0x64 came"):
        check_size(64, 0, 32)


def test_image_and_mask_take_the_same_path():
    image = np.zeros((90, 200, 3), np.uint8)
    image[20:60, 80:130] = 255
    mask = image[..., 0] > 0
    fitted, fitted_mask = fit_image(image, 64, 96), fit_mask(mask, 64, 96)
    assert fitted.shape == (64, 96, 3)
    both = (fitted[..., 0] > 127) == fitted_mask
    assert both.mean() > 0.99
    assert fitted_mask.mean() == pytest.approx(40 * 50 / (90 * 135), abs=0.01)


def test_fitting_its_own_size_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    assert np.array_equal(fit_image(image, 64, 96), image)
