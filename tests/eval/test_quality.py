"""Q-Align's head and the technical measures on values known by hand."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from eval.quality import blockiness, five_point, level_score, noise, sharpness

RNG = np.random.default_rng(0)


def test_level_scores_of_certain_and_undecided_judges():
    assert level_score(np.array([30.0, 0, 0, 0, 0])) == pytest.approx(1.0)
    assert level_score(np.array([0, 0, 0, 0, 30.0])) == pytest.approx(0.0)
    assert level_score(np.zeros(5)) == pytest.approx(0.5)
    # Halfway between excellent and good.
    assert level_score(np.array([40.0, 40, 0, 0, 0])) == pytest.approx(0.875)


def test_level_scores_ignore_a_common_shift_and_do_not_overflow():
    logits = RNG.normal(size=(7, 5)) * 3
    assert level_score(logits + 1e4) == pytest.approx(level_score(logits))


def test_both_scales_agree():
    assert five_point(0.0) == 1.0
    assert five_point(0.92) == pytest.approx(4.68)
    logits = RNG.normal(size=5)
    weights = np.exp(logits) / np.exp(logits).sum()
    assert five_point(float(level_score(logits))) == pytest.approx(float(weights @ [5, 4, 3, 2, 1]))


def test_blur_lowers_sharpness():
    picture = RNG.uniform(0, 255, (90, 120))
    values = [sharpness(gaussian_filter(picture, sigma)) for sigma in (0, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.8
    assert values[-1] < 0.3
    assert sharpness(np.full((20, 20), 7.0)) == 0.0


def test_blocks_are_seen_where_they_are():
    smooth = gaussian_filter(RNG.uniform(0, 255, (128, 128)), 3)
    blocks = smooth.reshape(16, 8, 16, 8).mean(axis=(1, 3)).repeat(8, 0).repeat(8, 1)
    mixed = 0.7 * smooth + 0.3 * blocks
    assert abs(blockiness(smooth)) < 0.15
    assert blockiness(mixed) > 0.5
    assert blockiness(np.zeros((4, 4))) == 0.0


def test_noise_is_the_standard_deviation_of_grain():
    flat = np.full((400, 400), 120.0)
    assert noise(flat) == 0.0
    assert noise(flat + RNG.normal(0, 5, flat.shape)) == pytest.approx(5.0, rel=0.03)


def test_mirrored_pictures_have_the_same_values():
    picture = RNG.uniform(0, 255, (64, 96))
    assert sharpness(picture[:, ::-1]) == pytest.approx(sharpness(picture))
    assert noise(picture[::-1]) == pytest.approx(noise(picture))
