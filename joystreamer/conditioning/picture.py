"""The size of a clip, and how an image and its masks are brought to it.

Image and masks always take the same path (scale to cover, then cut the centre), so that a region
drawn on the photo still lies on the same person. Knows arrays only.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from joystreamer.errors import InputError

LARGEST_SIDE = 4096
"""Longest side that is accepted; Wan's positions end at 1,024 tokens of 16 pixels."""


def check_size(height: int, width: int, multiple: int) -> None:
    """Refuse a size that the network's patches cannot cover.

    Raises:
        InputError: Names the nearest size that fits.
    """
    good = all(
        side > 0 and side % multiple == 0 and side <= LARGEST_SIDE for side in (height, width)
    )
    if not good:
        near = "x".join(str(snap(side, multiple)) for side in (width, height))
        raise InputError(
            f"size {width}x{height} came; width and height must be multiples of {multiple} up to "
            f"{LARGEST_SIDE}: {near} is the nearest"
        )


def snap(side: int, multiple: int) -> int:
    """Nearest allowed side."""
    return min(LARGEST_SIDE, max(multiple, round(side / multiple) * multiple))


def choose_size(image_height: int, image_width: int, area: int, multiple: int) -> tuple[int, int]:
    """Allowed size nearest to the image's shape among those of about the wanted area.

    Args:
        image_height: Pixels.
        image_width: Pixels.
        area: Pixels per frame aimed at.
        multiple: Both sides are multiples of this.

    Returns:
        (height, width): of all allowed sizes whose area is at most the wanted one, the one that
        loses least of image and area.
    """
    wanted = image_height / image_width
    best, best_loss = (multiple, multiple), math.inf
    for height in range(multiple, min(LARGEST_SIDE, area // multiple) + 1, multiple):
        widest = min(LARGEST_SIDE, area // height // multiple * multiple)
        for width in {widest, snap(round(height / wanted), multiple)}:
            if not 0 < width <= widest:
                continue
            loss = abs(math.log(height / width / wanted)) + 0.5 * math.log(area / (height * width))
            if loss < best_loss:
                best, best_loss = (height, width), loss
    return best


def fit_image(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Scale an RGB image (H, W, 3) until it covers the size, and cut the centre."""
    return _cover(Image.fromarray(image), height, width, Image.Resampling.LANCZOS)


def fit_mask(mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """Take a mask (H, W) of the original image along the path of `fit_image`."""
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    return _cover(picture, height, width, Image.Resampling.BILINEAR) >= 128


def _cover(
    picture: Image.Image, height: int, width: int, filter_: Image.Resampling
) -> NDArray[np.uint8]:
    scale = max(height / picture.height, width / picture.width)
    cut_width, cut_height = width / scale, height / scale
    left, top = (picture.width - cut_width) / 2, (picture.height - cut_height) / 2
    box = (left, top, left + cut_width, top + cut_height)
    return np.asarray(picture.resize((width, height), filter_, box=box))
