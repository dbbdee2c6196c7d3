"""One small case for every flaw of the decoders' callers that the attack found."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from joystreamer.errors import InputError
from joystreamer.media import DecodeError, audio, probe, read_audio, read_image, video
from joystreamer.media.proxy import write_proxy
from tests.hostile.given_media import write_small_clip
from tests.hostile.media_targets import png_that_claims, wav
from tests.joystreamer.media_samples import encode


@pytest.mark.parametrize("channels", [7, 8, 9, 64])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_sound_of_many_channels_is_read_channel_by_channel(
    tmp_path: Path, channels: int, rate: int
) -> None:
    """From eight channels without named places on, the binding's planar arrays end the process."""
    loud = np.zeros((800, channels), np.int16)
    loud[:, -1] = 8192
    (tmp_path / "a.wav").write_bytes(wav(loud.tobytes(), channels=channels))
    samples = read_audio(tmp_path / "a.wav", sample_rate=rate, mono=False)
    assert samples is not None
    assert samples.shape == (channels, 800 * rate // 16_000)
    assert np.allclose(samples[-1, 100:-100], 0.25, atol=2e-3)
    assert not samples[:-1].any()
    mixed = read_audio(tmp_path / "a.wav", sample_rate=rate)
    assert mixed is not None
    assert mixed.shape == (800 * rate // 16_000,)


def test_sound_of_too_many_channels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(bytes(65 * 2 * 100), channels=65))
    with pytest.raises(
        DecodeError, match=r"has 65 channels.*1 to 64 channels at 100 to 768000 Hz are read"
    ):
        read_audio(tmp_path / "a.wav")


def test_a_rate_that_nothing_records_is_refused(tmp_path: Path) -> None:
    for rate in (2**31 - 1, 4):
        (tmp_path / "a.wav").write_bytes(wav(bytes(800), rate=rate))
        with pytest.raises(
            DecodeError, match=f"at {rate} Hz; 1 to 64 channels at 100 to 768000 Hz"
        ):
            read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_sound_that_is_not_finite_is_refused(tmp_path: Path, value: float) -> None:
    samples = np.zeros(400, np.float32)
    samples[7] = value
    (tmp_path / "a.wav").write_bytes(wav(samples.tobytes(), bits=32, form=3))
    with pytest.raises(DecodeError, match="values that are no finite numbers; export it again"):
        read_audio(tmp_path / "a.wav")


def test_more_sound_than_is_held_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.wav").write_bytes(wav(bytes(2 * 16_000)))
    monkeypatch.setattr(audio, "MAX_SAMPLES", 15_000)
    with pytest.raises(InputError, match=r"longer than 1 s.*cut it"):
        read_audio(tmp_path / "a.wav")


def test_a_clip_longer_than_any_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_small_clip(tmp_path / "c.mp4")
    monkeypatch.setattr(video, "MAX_SECONDS", 0.3)
    monkeypatch.setattr(audio, "MAX_SECONDS", 0.1)
    with pytest.raises(
        DecodeError, match=r"picture 9 comes after 0 s; clips of at most 0\.3 s are read"
    ):
        list(video.iter_frames(path))
    with pytest.raises(DecodeError, match="says that a part of it stands at"):
        read_audio(path)


def test_a_clip_with_sound_of_an_unknown_codec_is_refused_in_words(tmp_path: Path) -> None:
    content = write_small_clip(tmp_path / "c.mp4").read_bytes()
    assert content.count(b"mp4a") == 1
    (tmp_path / "c.mp4").write_bytes(content.replace(b"mp4a", b"zzzz").replace(b"esds", b"zzzz"))
    with pytest.raises(InputError, match="uses a sound codec this build cannot decode"):
        read_audio(tmp_path / "c.mp4")
    assert probe(tmp_path / "c.mp4").num_frames == 15


@pytest.mark.parametrize("size", [(30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "b.png").write_bytes(png_that_claims(*size))
    with pytest.raises(InputError, match=r"scale it down|damaged"):
        read_image(tmp_path / "b.png")


def test_damage_below_pillow_is_one_sentence(tmp_path: Path) -> None:
    """A block of TIFF that promises more entries than it has, whose reader indexes and unpacks."""
    for number in range(40):
        entry = struct.pack("<HHII", 256 + number, 1 + number % 13, 2**31 - 1 - number, number)
        (tmp_path / "t.tif").write_bytes(b"II*\0" + struct.pack("<IH", 8, 200) + entry * 3)
        with pytest.raises(InputError, match=r"copy or save it again|not a picture"):
            read_image(tmp_path / "t.tif")


@pytest.mark.parametrize(("wide", "high"), [(1, 60_000), (60_000, 1)])
def test_a_damaged_pixel_aspect_makes_no_proxy(tmp_path: Path, wide: int, high: int) -> None:
    clip = encode(tmp_path / "a.mp4", [np.zeros((64, 64, 3), np.uint8)] * 3, aspect=Fraction(4, 3))
    whole = clip.read_bytes()
    place = whole.index(b"pasp") + 4
    clip.write_bytes(whole[:place] + struct.pack(">II", wide, high) + whole[place + 8 :])
    with pytest.raises(
        InputError, match=r"which cannot be encoded: its pixel aspect .* is damaged"
    ):
        write_proxy(clip, tmp_path / "proxy.mp4")
    assert not (tmp_path / "proxy.mp4").exists()


def test_sound_that_changes_to_a_form_nobody_can_convert_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged AAC packet may claim dozens of channels in the middle of a stereo sound."""
    frames = [
        av.AudioFrame.from_ndarray(np.zeros((2, 64), np.float32), "fltp", "stereo"),
        av.AudioFrame(format="fltp", layout="38C", samples=64),
    ]
    for frame in frames:
        frame.sample_rate = 44_100
    monkeypatch.setattr(audio, "_decode", lambda *_: ((frame, None) for frame in frames))
    with pytest.raises(DecodeError, match=r"38 channels at 44100 Hz, which cannot be converted"):
        read_audio(write_small_clip(tmp_path / "a.mp4"))
