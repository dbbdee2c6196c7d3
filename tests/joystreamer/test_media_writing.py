from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from joystreamer.errors import InputError
from joystreamer.media import ClipWriter, iter_frames, probe, read_audio, write_clip
from tests.joystreamer.media_samples import numbered_frame, read_number, tone


def boxes(data, wanted=None):
    """Top-level MP4 boxes, in order."""
    names, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        names.append(data[at + 4 : at + 8].decode("latin-1"))
        at += size
    return names


@pytest.mark.parametrize(
    "rate", [25, 30, 24, 16, 12.5, 60, Fraction(30000, 1001), 30000 / 1001, 23.0]
)
def test_frames_come_back_in_order_at_their_rate(tmp_path, rate):
    path = tmp_path / "a.mp4"
    write_clip(path, [numbered_frame(k) for k in range(20)], rate)
    frames = list(iter_frames(path))
    assert [read_number(frame.rgb) for frame in frames] == list(range(20))
    assert [f.time_s for f in frames] == pytest.approx(
        [k / float(rate) for k in range(20)], abs=1e-4
    )
    facts = probe(path)
    assert (facts.codec, facts.pixel_format, facts.constant_rate) == ("h264", "yuv420p", True)
    assert facts.frame_rate == pytest.approx(float(rate), rel=1e-6)
    assert facts.num_frames == 20
    assert facts.duration_s == pytest.approx(20 / float(rate), abs=1e-4)


def test_colours_survive(tmp_path):
    colours = [(200, 30, 40), (20, 180, 60), (40, 50, 210), (255, 255, 255), (0, 0, 0)]
    frame = np.concatenate([np.full((64, 32, 3), c, np.uint8) for c in colours], axis=1)
    write_clip(tmp_path / "a.mp4", [frame] * 3, 25, crf=4)
    shown = next(iter_frames(tmp_path / "a.mp4")).rgb.astype(int)
    for index, colour in enumerate(colours):
        assert np.abs(shown[32, 32 * index + 16] - colour).max() <= 3
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)
        assert context.color_range == 1


@pytest.mark.parametrize(("width", "height"), [(193, 97), (192, 97), (193, 96), (1, 1)])
def test_odd_sizes_grow_by_repeating_the_edge(tmp_path, width, height):
    rng = np.random.default_rng(0)
    grey_rows = rng.integers(30, 220, (height, 1, 1), dtype=np.uint8)
    frame = np.broadcast_to(grey_rows, (height, width, 3))
    write_clip(tmp_path / "a.mp4", [frame] * 2, 25, crf=1)
    shown = next(iter_frames(tmp_path / "a.mp4")).rgb
    assert shown.shape == (height + height % 2, width + width % 2, 3)
    grey = shown.astype(int).mean(axis=2)
    assert np.abs(grey[:height, :width] - frame.mean(axis=2)).mean() < 3
    if height % 2:
        np.testing.assert_allclose(grey[-1], grey[-2], atol=3)


@pytest.mark.parametrize("sample_rate", [16000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_sound_comes_back_aligned_and_as_long(tmp_path, sample_rate, channels):
    sound = np.stack([tone(1.0, sample_rate, 440 + 200 * c) for c in range(channels)])
    path = tmp_path / "a.mp4"
    write_clip(
        path, [numbered_frame(k) for k in range(25)], 25, audio=sound, sample_rate=sample_rate
    )
    got = read_audio(path, sample_rate=sample_rate, mono=False)
    assert got is not None
    assert got.shape == sound.shape
    inner = slice(sample_rate // 5, -sample_rate // 5)
    for shift in (-8, 8):  # the aligned signal fits better than a shifted one
        aligned = np.abs(got[:, inner] - sound[:, inner]).mean()
        assert aligned < np.abs(np.roll(got, shift, axis=1)[:, inner] - sound[:, inner]).mean()
    assert aligned < 0.02
    assert probe(path).audio_streams[0].start_s == 0.0


def test_sound_in_pieces_equals_sound_in_advance(tmp_path):
    sound = tone(2.0, 16000)
    frames = [numbered_frame(k) for k in range(50)]
    write_clip(tmp_path / "whole.mp4", frames, 25, audio=sound)
    with ClipWriter(tmp_path / "pieces.mp4", 25, channels=1) as writer:
        for number, frame in enumerate(frames):
            writer.write_audio(sound[number * 640 : (number + 1) * 640])
            writer.write(frame)
    assert (tmp_path / "whole.mp4").read_bytes() == (tmp_path / "pieces.mp4").read_bytes()


@pytest.mark.parametrize("seconds", [0.3, 3.0])
def test_sound_may_be_shorter_or_longer_than_the_pictures(tmp_path, seconds):
    path = tmp_path / "a.mp4"
    write_clip(path, [numbered_frame(k) for k in range(25)], 25, audio=tone(seconds, 16000))
    got = read_audio(path)
    assert got is not None
    assert len(got) == round(seconds * 16000)
    assert probe(path).num_frames == 25


def test_the_file_says_nothing_about_its_maker(tmp_path):
    path = tmp_path / "system-name.mp4"
    write_clip(path, [numbered_frame(k) for k in range(30)], 25, audio=tone(1, 16000))
    data = path.read_bytes()
    for word in (b"x264", b"Lavc", b"Lavf", b"libx264", b"crf=", b"system-name", b"encoder"):
        assert word not in data
    with av.open(str(path)) as container:
        assert not container.metadata.keys() & {"encoder", "comment", "title", "creation_time"}
        video = container.streams.video[0]
        kinds = {unit[0] & 31 for p in container.demux(video) for unit in units(bytes(p))}
    assert 6 not in kinds  # supplemental information
    assert 5 in kinds  # key frames are still there


def units(packet):
    """NAL units of an MP4 sample (four-byte lengths)."""
    at = 0
    while at + 4 < len(packet):
        size = int.from_bytes(packet[at : at + 4], "big")
        yield packet[at + 4 : at + 4 + size]
        at += 4 + size


def test_the_index_comes_first_and_key_frames_are_frequent(tmp_path):
    path = tmp_path / "a.mp4"
    with ClipWriter(path, 25, keyframe_s=0.4) as writer:
        for number in range(50):
            writer.write(numbered_frame(number))
    names = boxes(path.read_bytes())
    assert names.index("moov") < names.index("mdat")
    with av.open(str(path)) as container:
        keys = [p.pts * p.time_base for p in container.demux(video=0) if p.is_keyframe and p.size]
    assert keys == [Fraction(2 * k, 5) for k in range(5)]


def test_the_same_frames_give_the_same_bytes(tmp_path):
    rng = np.random.default_rng(0)
    frames = list(rng.integers(0, 255, (12, 96, 128, 3), dtype=np.uint8))
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / name, frames, 25, audio=tone(0.5, 16000))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_nothing_is_left_by_a_failure_and_the_old_clip_stays(tmp_path):
    path = tmp_path / "a.mp4"
    write_clip(path, [numbered_frame(0)] * 3, 25)
    before = path.read_bytes()

    def frames():
        yield from [numbered_frame(k) for k in range(40)]
        raise RuntimeError("the model failed")

    with pytest.raises(RuntimeError, match="the model failed"):
        write_clip(path, frames(), 25, audio=tone(1, 16000))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_wrong_input_is_refused_with_one_sentence_and_leaves_no_file(tmp_path):
    good = numbered_frame(0)
    target = tmp_path / "a.mp4"
    cases: list[tuple[list[Any], dict[str, Any], str]] = [
        ([], {}, "no frame came for .*; give at least one"),
        ([good, good[:-2]], {}, "frame 1 is 192x94, the first was 192x96; give frames of one size"),
        ([good.astype(np.float32)], {}, r"of type float32 and shape \(96, 192, 3\) came; give"),
        ([good[:, :, 0]], {}, r"shape \(96, 192\) came; give \(H, W, 3\) uint8 RGB"),
        ([good], {"crf": 0}, r"a quality \(crf\) of 0 is not possible; give 1 to 51"),
        (
            [good],
            {"audio": np.zeros((3, 9), np.float32)},
            "3 audio channels came; clips hold one or",
        ),
        ([good], {"audio": np.zeros(9, np.int16)}, "sound of type int16 and shape"),
        (
            [good],
            {"audio": np.zeros(9, np.float32), "sample_rate": 12345},
            "a sample rate of 12345 came; give one of 16000, 22050",
        ),
    ]
    for frames, settings, words in cases:
        with pytest.raises(InputError, match=words):
            write_clip(target, frames, 25, **settings)
    with pytest.raises(InputError, match="a frame rate of 0 is not possible; give 0 to 1000"):
        write_clip(target, [good], 0)
    with pytest.raises(InputError, match=r"does not end in .mp4; clips are written as MP4"):
        write_clip(tmp_path / "a.avi", [good], 25)
    with pytest.raises(InputError, match=r"the folder of .* does not exist; make it first"):
        write_clip(tmp_path / "no" / "a.mp4", [good], 25)
    with ClipWriter(target, 25) as writer:
        writer.write(good)
        with pytest.raises(InputError, match="begun without sound; give channels=1 or 2"):
            writer.write_audio(np.zeros(9, np.float32))
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
