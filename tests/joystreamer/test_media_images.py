import numpy as np
import pytest
from PIL import Image

from joystreamer.errors import InputError
from joystreamer.media import read_image


def picture(height=40, width=60):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 6, columns * 4, np.full_like(rows, 100)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("a.png", 0), ("a.bmp", 0), ("a.tiff", 0), ("a.ppm", 0), ("a.jpg", 6), ("a.webp", 8)],
)
def test_common_formats_come_as_they_are(tmp_path, name, tolerance):
    Image.fromarray(picture()).save(tmp_path / name, quality=95)
    rgb = read_image(tmp_path / name)
    assert rgb.shape == (40, 60, 3)
    assert rgb.dtype == np.uint8
    assert np.abs(rgb.astype(int) - picture()).mean() <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(tmp_path, orientation):
    upright = picture()
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), upright)


def test_transparency_is_laid_over_white(tmp_path):
    rgba = np.zeros((4, 6, 4), np.uint8)
    rgba[:, 3:] = (200, 0, 0, 255)
    rgba[:, 2] = (200, 0, 0, 128)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    rgb = read_image(tmp_path / "a.png")
    assert rgb[0, 0].tolist() == [255, 255, 255]
    assert rgb[0, 5].tolist() == [200, 0, 0]
    assert np.abs(rgb[0, 2].astype(int) - [227, 127, 127]).max() <= 1


def test_other_colour_models_become_rgb(tmp_path):
    grey = np.linspace(0, 65535, 24).astype(np.uint16).reshape(4, 6)
    Image.fromarray(grey).save(tmp_path / "deep.png")
    deep = read_image(tmp_path / "deep.png")
    np.testing.assert_array_equal(deep[..., 0], grey >> 8)
    Image.fromarray(picture()).convert("CMYK").save(tmp_path / "cmyk.tiff")
    assert np.abs(read_image(tmp_path / "cmyk.tiff").astype(int) - picture()).max() <= 2
    Image.fromarray(picture()).convert("L").save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png").shape == (40, 60, 3)
    Image.fromarray(picture()).convert("P").save(tmp_path / "palette.png")
    assert read_image(tmp_path / "palette.png").shape == (40, 60, 3)
    Image.fromarray(picture()).convert("1").save(tmp_path / "bits.png")
    assert set(np.unique(read_image(tmp_path / "bits.png"))) <= {0, 255}


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (10, 120, 250)]
    for name in ("a.gif", "a.webp", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert np.abs(read_image(tmp_path / name).astype(int) - 10).max() <= 1


def test_what_is_no_picture_is_refused_with_one_sentence(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "script.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    for name, words in {
        "missing.png": "does not exist; give the path of an image file",
        "": "is not a file",
        "empty.png": r"is empty \(0 bytes\)",
        "text.png": "is not a picture that can be read; give a PNG",
        "script.eps": "is not a picture that can be read; give a PNG",
        "cut.png": "is damaged .*; copy or save it again",
    }.items():
        with pytest.raises(InputError, match=words):
            read_image(tmp_path / name)


def test_pictures_that_are_too_large_are_refused_before_they_are_decoded(tmp_path):
    Image.new("1", (14000, 13000)).save(tmp_path / "bomb.png")
    with pytest.raises(InputError, match=r"far more than the \d+ pixels that are read: scale it"):
        read_image(tmp_path / "bomb.png")
    Image.fromarray(picture()).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="has 60x40 pixels; at most 100 are read: scale it down"):
        read_image(tmp_path / "a.png", max_pixels=100)


def test_real_pictures_can_be_read(shared_data):
    pictures = [p for p in (shared_data / "images").rglob("*.*") if "cat" in p.name]
    assert pictures
    for path in pictures:
        rgb = read_image(path)
        assert rgb.ndim == 3
        assert rgb.std() > 5
