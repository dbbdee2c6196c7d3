"""CIELAB and CIEDE2000 against published values."""

import numpy as np
import pytest

from eval.colour import ciede2000, lab_from_rgb, mean_lab

# From the test data of Sharma, Wu and Dalal 2005, table 1: blues, hue wrap-around, greys, real colours.
PAIRS = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 3.1571, -77.2803), (50, 0, -82.7485), 2.8615),
    ((50, 2.8361, -74.0200), (50, 0, -82.7485), 3.4412),
    ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
    ((50, -1.1848, -84.8006), (50, 0, -82.7485), 1.0000),
    ((50, -0.9009, -85.5211), (50, 0, -82.7485), 1.0000),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, -1, 2), (50, 0, 0), 2.3669),
    ((50, 2.4900, -0.0010), (50, -2.4900, 0.0009), 7.1792),
    ((50, 2.4900, -0.0010), (50, -2.4900, 0.0010), 7.1792),
    ((50, 2.4900, -0.0010), (50, -2.4900, 0.0011), 7.2195),
    ((50, -0.0010, 2.4900), (50, 0.0009, -2.4900), 4.8045),
    ((50, -0.0010, 2.4900), (50, 0.0011, -2.4900), 4.7461),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (61, -5, 29), 22.8977),
    ((50, 2.5, 0), (56, -27, -3), 31.9030),
    ((50, 2.5, 0), (58, 24, 15), 19.4535),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((63.0109, -31.0961, -5.8663), (62.8187, -29.7946, -4.0864), 1.2630),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((6.7747, -0.2908, -2.4247), (5.8714, -0.0985, -2.2286), 0.6377),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("first", "second", "expected"), PAIRS)
def test_ciede2000_matches_the_published_pairs(first, second, expected):
    assert float(ciede2000(np.array(first), np.array(second))) == pytest.approx(expected, abs=1e-4)


def test_ciede2000_broadcasts_and_is_zero_on_equal_colours():
    lab = np.random.default_rng(0).uniform(-50, 50, (7, 3))
    assert ciede2000(lab, lab) == pytest.approx(np.zeros(7))
    assert ciede2000(lab[0], lab).shape == (7,)


def test_srgb_primaries_have_their_lab_values():
    rgb = np.array(
        [[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8
    )
    expected = [
        (100, 0, 0),
        (0, 0, 0),
        (53.2408, 80.0925, 67.2032),
        (87.7347, -86.1827, 83.1793),
        (32.2970, 79.1875, -107.8602),
    ]
    assert lab_from_rgb(rgb) == pytest.approx(np.array(expected), abs=2e-2)


def test_mean_colour_follows_the_mask():
    image = np.zeros((4, 6, 3), dtype=np.uint8)
    image[:, 3:] = 255
    mask = np.zeros((4, 6), dtype=bool)
    mask[:, 3:] = True
    assert mean_lab(image, mask) == pytest.approx([100, 0, 0], abs=1e-2)
    assert mean_lab(image)[0] == pytest.approx(50, abs=1e-2)
    assert np.isnan(mean_lab(image, mask & False)).all()
