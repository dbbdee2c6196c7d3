"""Colour as people see it: sRGB to CIELAB, and the CIEDE2000 difference.

Pure arithmetic. Source: IEC 61966-2-1 (sRGB), CIE 15:2004 (CIELAB, D65, 2 degrees), Sharma, Wu and
Dalal 2005 (CIEDE2000, with their test pairs in our tests).
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_TO_XYZ: Final = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE: Final = np.array([0.95047, 1.0, 1.08883])
_EPSILON: Final = 216 / 24389
_KAPPA: Final = 24389 / 27

# The 256 possible channel values as linear light: a table is faster than a power per pixel.
_LEVELS: Final = np.arange(256) / 255.0
_LINEAR: Final = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)

Floats = NDArray[np.floating[Any]]


def lab_from_rgb(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return CIELAB values of sRGB pixels.

    Args:
        rgb: uint8, (..., 3).

    Returns:
        float64, (..., 3): L* 0 to 100, a* and b* about -110 to 110.
    """
    xyz = _LINEAR[rgb] @ _TO_XYZ.T / _WHITE
    cubic = np.where(xyz > _EPSILON, np.cbrt(xyz), (_KAPPA * xyz + 16) / 116)
    x, y, z = cubic[..., 0], cubic[..., 1], cubic[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ciede2000(first: Floats, second: Floats) -> NDArray[np.float64]:
    """Return the CIEDE2000 difference of CIELAB colours (kL = kC = kH = 1).

    Args:
        first: (..., 3).
        second: (..., 3), broadcast against `first`.

    Returns:
        float64, (...): 0 for equal colours, about 1 for a just visible difference.
    """
    first, second = np.broadcast_arrays(np.asarray(first, float), np.asarray(second, float))
    l1, a1, b1 = np.moveaxis(first, -1, 0)
    l2, a2, b2 = np.moveaxis(second, -1, 0)
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    grey = c1 * c2 == 0

    turn = (h2 - h1 + 180) % 360 - 180
    # Exactly opposite hues count as +180, as in the reference.
    turn = np.where(grey, 0.0, np.where((turn == -180) & (h2 > h1), 180.0, turn))
    hue = np.where(np.abs(h1 - h2) <= 180, (h1 + h2) / 2, (h1 + h2 + 360) / 2 % 360)
    hue = np.where(grey, h1 + h2, hue)
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2

    rad = np.radians
    t = (
        1
        - 0.17 * np.cos(rad(hue - 30))
        + 0.24 * np.cos(rad(2 * hue))
        + 0.32 * np.cos(rad(3 * hue + 6))
        - 0.20 * np.cos(rad(4 * hue - 63))
    )
    s_l = 1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2)
    s_c = 1 + 0.045 * chroma
    s_h = 1 + 0.015 * chroma * t
    rotation = (
        -2
        * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
        * np.sin(rad(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    )
    d_l, d_c = (l2 - l1) / s_l, (c2 - c1) / s_c
    d_h = 2 * np.sqrt(c1 * c2) * np.sin(rad(turn / 2)) / s_h
    result: NDArray[np.float64] = np.sqrt(
        np.maximum(d_l**2 + d_c**2 + d_h**2 + rotation * d_c * d_h, 0.0)
    )
    return result


def mean_lab(rgb: NDArray[np.uint8], mask: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return the mean CIELAB colour of an image, or of the part under a mask.

    Args:
        rgb: uint8, (height, width, 3).
        mask: bool, (height, width); None for the whole image.

    Returns:
        float64, (3,); NaN when the mask is empty.
    """
    pixels = rgb.reshape(-1, 3) if mask is None else rgb[mask]
    if len(pixels) == 0:
        return np.full(3, np.nan)
    mean: NDArray[np.float64] = lab_from_rgb(pixels).mean(axis=0)
    return mean
