"""Blind files: one size, one loudness, no trace of their origin, made once."""

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dashboard.blind_media import AUDIO_RATE, IMAGE_SIDE, LONGEST_SIDE, BlindMedia, shared_box
from eval.store.workspace import Workspace
from joystreamer.errors import InputError

SIZES = st.tuples(st.integers(16, 4000), st.integers(16, 4000))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@given(st.lists(SIZES, min_size=1, max_size=5))
def test_a_shared_box_is_even_bounded_and_of_the_right_shape(sizes: list[tuple[int, int]]) -> None:
    width, height = shared_box(sizes)
    assert width % 2 == height % 2 == 0
    assert 2 <= max(width, height) <= LONGEST_SIDE
    wide, high = max(w for w, _ in sizes), max(h for _, h in sizes)
    scale = min(1.0, LONGEST_SIDE / max(wide, high))
    assert abs(width - wide * scale) <= 2
    assert abs(height - high * scale) <= 2


def test_clips_of_two_sizes_and_loudnesses_become_alike(
    workspace: Workspace, make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    wide = workspace.media.add_file(make_clip(tmp_path / "a.mp4", size=(96, 64)))
    tall = workspace.media.add_file(make_clip(tmp_path / "b.mp4", size=(64, 96), seed=3))
    media = BlindMedia(workspace)
    assert not media.is_settled(wide, (96, 96))
    clips = [media.clip(digest, (96, 96)) for digest in (wide, tall)]
    assert media.is_settled(wide, (96, 96))
    for clip, digest in zip(clips, (wide, tall), strict=True):
        assert clip.frame_rate == pytest.approx(25)
        assert clip.duration_s == pytest.approx(0.6, abs=0.01)
        assert clip.has_audio
        assert digest not in str(clip.path)
        content = clip.path.read_bytes()
        assert b"Lavf" not in content
        assert b"x264" not in content
    before = clips[0].path.stat().st_mtime_ns
    assert media.clip(wide, (96, 96)).path.stat().st_mtime_ns == before


def test_a_damaged_clip_is_told_and_settled(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no clip")
    digest = workspace.media.add_file(tmp_path / "bad.mp4")
    media = BlindMedia(workspace)
    with pytest.raises(InputError):
        media.clip(digest, (64, 64))
    assert media.is_settled(digest, (64, 64))
    assert not list((workspace.root / "blind").rglob("*.mp4"))


def test_a_missing_original_is_told_in_words(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="are not in the workspace; ingest them again"):
        BlindMedia(workspace).image("0" * 64)


def test_reference_images_are_small_jpegs_without_metadata(
    workspace: Workspace, tmp_path: Path
) -> None:
    picture = Image.new("RGB", (3000, 1500), (10, 90, 200))
    exif = Image.Exif()
    exif[0x010E] = "made by somebody"
    picture.save(tmp_path / "a.jpg", exif=exif)
    digest = workspace.media.add_file(tmp_path / "a.jpg")
    made = BlindMedia(workspace).image(digest)
    assert b"somebody" not in made.read_bytes()
    with Image.open(made) as shown:
        assert (shown.format, shown.size) == ("JPEG", (IMAGE_SIDE, IMAGE_SIDE // 2))
        assert not shown.getexif()


def test_several_speakers_are_added_up(
    workspace: Workspace, make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    one = workspace.media.add_file(make_clip(tmp_path / "a.mp4", tone=300.0))
    two = workspace.media.add_file(make_clip(tmp_path / "b.mp4", tone=700.0, seconds=0.4))
    silent = workspace.media.add_file(make_clip(tmp_path / "c.mp4", tone=None))
    media = BlindMedia(workspace)
    with wave.open(str(media.audio([one, two, silent]))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, AUDIO_RATE)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    assert len(samples) / AUDIO_RATE == pytest.approx(0.6, abs=0.05)
    window = samples[: AUDIO_RATE // 4]
    spectrum = np.abs(np.fft.rfft(window * np.hanning(len(window))))
    loudest = sorted(np.argsort(spectrum)[-8:] * AUDIO_RATE / len(window))
    assert loudest[0] == pytest.approx(300, abs=20)
    assert loudest[-1] == pytest.approx(700, abs=20)
    with pytest.raises(InputError, match="the reference speech has no sound"):
        media.audio([silent])
