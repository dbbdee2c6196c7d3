"""Reads one picture as upright 8-bit RGB, whatever its file holds. Knows nothing of clips."""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from joystreamer.errors import InputError
from joystreamer.media.container import check_file

# 16384 x 8192: larger than any camera's picture; its RGB form takes 400 MB.
MAX_IMAGE_PIXELS = 16384 * 8192
# Formats that hold pictures. Pillow's document and script readers (PDF, EPS) are left out: they
# hand the file to other programs.
IMAGE_FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "BMP",
    "TIFF",
    "GIF",
    "AVIF",
    "PPM",
    "JPEG2000",
    "TGA",
    "MPO",
)
_BACKDROP = (255, 255, 255)
# What Pillow's readers raise for damaged files, beside its own errors: they index, unpack and divide
# by what the file says.
_DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
)


def read_image(path: str | Path, *, max_pixels: int = MAX_IMAGE_PIXELS) -> NDArray[np.uint8]:
    """Read a picture.

    The EXIF orientation is applied; CMYK, palette, grey and 16-bit pictures become 8-bit RGB
    (16 bits by dropping the low byte); transparency is laid over white; of an animation the first
    frame is taken.

    Args:
        path: the picture.
        max_pixels: pictures with more pixels are refused before they are decoded.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: missing, empty, not a picture, damaged, or too large.
    """
    source = Path(path)
    check_file(source, what="an image")
    try:
        with warnings.catch_warnings():
            # Our own limit below replaces Pillow's warning about large pictures; what it warns of
            # in damaged metadata either does not matter for the pixels or ends in an error.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)
            Image.init()  # registers every format that this build of Pillow has
            known = [name for name in IMAGE_FORMATS if name in Image.OPEN]
            with Image.open(source, formats=known) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise InputError(
                        f"'{path}' has {width}x{height} pixels; at most {max_pixels} are read: "
                        "scale it down."
                    )
                image.seek(0)
                return np.asarray(_as_rgb(ImageOps.exif_transpose(image)))
    except UnidentifiedImageError as error:
        raise InputError(
            f"'{path}' is not a picture that can be read; give a PNG, JPEG, WebP, BMP, TIFF or GIF."
        ) from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"'{path}' has far more than the {max_pixels} pixels that are read: scale it down."
        ) from error
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(
            f"'{path}' is damaged ({str(error)[:200] or type(error).__name__}); copy or save it again."
        ) from error


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        if image.mode != "F":
            values = values // 256  # 16-bit grey, whatever Pillow calls it
        else:
            values = np.nan_to_num(values, nan=0.0, posinf=255.0, neginf=0.0)
            values = values / 256 if values.max(initial=0) > 255 else values
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        backdrop = Image.new("RGBA", layer.size, (*_BACKDROP, 255))
        return Image.alpha_composite(backdrop, layer).convert("RGB")
    return image.convert("RGB")
