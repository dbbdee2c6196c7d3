from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from joystreamer.errors import InputError
from joystreamer.media import DecodeError, iter_frames, probe, resample_frames
from tests.joystreamer.media_samples import encode, numbered_clip, numbered_frame, read_number

# Ending, codec, settings; together: MP4, MOV, Matroska, WebM, AVI, MPEG-1 and -2, transport stream,
# FLV, ASF, GIF; with and without B-frames; 8 and 10 bit.
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "h264-mp4": ("mp4", "libx264", {}),
    "h264-faststart": ("mp4", "libx264", {"container_options": {"movflags": "+faststart"}}),
    "h264-fragments": ("mp4", "libx264", {"container_options": {"movflags": "+frag_keyframe"}}),
    "h264-mov": ("mov", "libx264", {"b_frames": 0}),
    "h264-mkv": ("mkv", "libx264", {}),
    "h264-ts": ("ts", "libx264", {}),
    "h264-flv": ("flv", "libx264", {}),
    "h264-avi": ("avi", "libx264", {}),
    "h264-10-bit": ("mp4", "libx264", {"pixel_format": "yuv420p10le"}),
    "h264-444": ("mp4", "libx264", {"pixel_format": "yuv444p"}),
    "mp4v": ("mp4", "mpeg4", {}),
    "mp4v-b-frames": ("mp4", "mpeg4", {"b_frames": 2}),
    "mpeg4-avi": ("avi", "mpeg4", {}),
    "mpeg4-avi-b-frames": ("avi", "mpeg4", {"b_frames": 2}),
    "mjpeg-avi": ("avi", "mjpeg", {"pixel_format": "yuvj420p"}),
    "ffv1-mkv": ("mkv", "ffv1", {}),
    "mpeg1": ("mpg", "mpeg1video", {}),
    "mpeg2-b-frames": ("mpg", "mpeg2video", {"b_frames": 2}),
    "vp9-webm": ("webm", "libvpx-vp9", {"options": {"deadline": "realtime", "cpu-used": "8"}}),
    "wmv": ("wmv", "wmv2", {}),
    "hevc": ("mp4", "libx265", {"options": {"preset": "ultrafast"}}),
    "gif": ("gif", "gif", {"pixel_format": "rgb8"}),
}


@pytest.fixture(scope="module", params=KINDS, ids=list(KINDS))
def clip(request, tmp_path_factory):
    ending, codec, settings = KINDS[request.param]
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no encoder {codec} to make the clip with")
    path = tmp_path_factory.mktemp("clips") / f"{request.param}.{ending}"
    return numbered_clip(path, 30, codec=codec, **settings)


def test_every_frame_of_every_format_comes_once_in_order_on_time(clip):
    frames = list(iter_frames(clip))
    assert [read_number(frame.rgb) for frame in frames] == list(range(30))
    assert [frame.time_s for frame in frames] == pytest.approx(
        [k / 25 for k in range(30)], abs=1e-3
    )
    assert frames[0].time_s == 0.0
    for frame in frames:
        assert frame.rgb.shape == (96, 192, 3)
        assert frame.rgb.dtype == np.uint8
        assert frame.rgb.flags.c_contiguous


def test_the_probe_agrees_with_the_frames(clip):
    facts = probe(clip)
    assert (facts.width, facts.height, facts.rotation) == (192, 96, 0)
    assert facts.num_frames == 30
    assert facts.constant_rate
    assert facts.frame_rate == pytest.approx(25, rel=1e-9)
    assert facts.duration_s == pytest.approx(1.2, abs=2e-3)
    assert not facts.has_audio


def test_pixels_do_not_depend_on_the_number_of_threads(clip):
    alone = [frame.rgb for frame in iter_frames(clip, threads=1)]
    many = [frame.rgb for frame in iter_frames(clip, threads=5)]
    for a, b in zip(alone, many, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_rotation_and_mirroring_are_applied(tmp_path, degrees, mirrored):
    upright = np.zeros((64, 96, 3), np.uint8)
    upright[:32, :48] = (220, 30, 30)
    upright[:32, 48:] = (30, 220, 30)
    upright[32:, :48] = (30, 30, 220)
    # PyAV writes "turn counter-clockwise by `degrees`, then mirror left to right".
    path = encode(tmp_path / "turned.mp4", [upright] * 3, rotation=(degrees, mirrored))
    shown = np.rot90(upright, degrees // 90)
    shown = shown[:, ::-1] if mirrored else shown
    frame = next(iter_frames(path)).rgb
    assert frame.shape == shown.shape
    height, width = shown.shape[:2]
    for row in (height // 4, 3 * height // 4):
        for column in (width // 4, 3 * width // 4):
            assert np.abs(frame[row, column].astype(int) - shown[row, column]).max() < 25
    facts = probe(path)
    assert (facts.height, facts.width) == (height, width)
    assert facts.rotation == (degrees if mirrored else -degrees % 360)


@pytest.mark.parametrize(("width", "height"), [(193, 97), (195, 96), (192, 101)])
@pytest.mark.parametrize("codec", ["ffv1", "mjpeg", "libx264"])
def test_odd_sizes_are_read_whole(tmp_path, codec, width, height):
    pixel_format = {"ffv1": "yuv420p", "mjpeg": "yuvj420p", "libx264": "yuv444p"}[codec]
    frames = [numbered_frame(k, width, height) for k in range(5)]
    path = encode(tmp_path / "odd.mkv", frames, codec=codec, pixel_format=pixel_format)
    got = [frame.rgb for frame in iter_frames(path)]
    assert [read_number(rgb) for rgb in got] == list(range(5))
    assert got[0].shape == (height, width, 3)
    assert np.abs(got[0].astype(int) - frames[0]).mean() < 4


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
def test_variable_frame_rate_keeps_its_timestamps(tmp_path, ending):
    gaps = [1, 1, 4, 2, 10, 1, 3, 1, 1, 25, 1, 2]
    times = [Fraction(sum(gaps[:k]), 50) for k in range(len(gaps))]
    frames = [numbered_frame(k) for k in range(len(gaps))]
    path = encode(tmp_path / f"vfr.{ending}", frames, times=times)
    got = list(iter_frames(path))
    assert [frame.time_s for frame in got] == pytest.approx([float(t) for t in times], abs=1e-3)
    facts = probe(path)
    assert not facts.constant_rate
    assert facts.num_frames == len(gaps)
    grid = list(resample_frames(got, 25, end_s=facts.duration_s))
    for frame in grid:
        number = read_number(frame.rgb)
        near = min(abs(float(t) - frame.time_s) for t in times)
        assert abs(float(times[number]) - frame.time_s) <= near + 1e-3


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "mov"])
def test_a_stream_that_starts_late_starts_at_zero_here(tmp_path, ending):
    times = [Fraction(2) + Fraction(k, 25) for k in range(10)]
    path = encode(tmp_path / f"late.{ending}", [numbered_frame(k) for k in range(10)], times=times)
    frames = list(iter_frames(path))
    assert [f.time_s for f in frames] == pytest.approx([k / 25 for k in range(10)], abs=1e-3)
    assert probe(path).duration_s == pytest.approx(0.4, abs=0.041)


def test_a_single_frame_is_a_clip(tmp_path):
    for name, codec, pixel_format in [("a.mp4", "libx264", "yuv420p"), ("a.gif", "gif", "rgb8")]:
        path = numbered_clip(tmp_path / name, 1, codec=codec, pixel_format=pixel_format)
        (frame,) = iter_frames(path)
        assert frame.time_s == 0.0
        facts = probe(path)
        assert facts.num_frames == 1
        assert facts.duration_s == pytest.approx(0.04, abs=0.07)


@pytest.mark.parametrize(
    ("matrix", "value"), [("BT.601", 5), ("BT.709", 1), ("untagged, which counts as BT.601", 2)]
)
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_follow_the_tags(tmp_path, matrix, value, full_range):
    colours = [
        (200, 30, 40),
        (20, 180, 60),
        (40, 50, 210),
        (255, 255, 255),
        (0, 0, 0),
        (90, 90, 90),
    ]
    frame = np.concatenate([np.full((64, 32, 3), c, np.uint8) for c in colours], axis=1)
    path = encode(
        tmp_path / "colour.mp4",
        [frame] * 2,
        options={"crf": "2"},
        tags={"colorspace": value, "color_range": 2 if full_range else 1},
    )
    shown = next(iter_frames(path)).rgb
    for index, colour in enumerate(colours):
        centre = shown[32, 32 * index + 16].astype(int)
        assert np.abs(centre - colour).max() <= 4, (matrix, colour, centre)


def test_pixels_that_are_not_square_are_told_not_scaled(tmp_path):
    path = numbered_clip(tmp_path / "wide.mp4", 3, aspect=Fraction(4, 3))
    assert probe(path).pixel_aspect == pytest.approx(4 / 3)
    assert next(iter_frames(path)).rgb.shape == (96, 192, 3)
    turned = numbered_clip(tmp_path / "t.mp4", 3, aspect=Fraction(4, 3), rotation=(90, False))
    assert probe(turned).pixel_aspect == pytest.approx(3 / 4)


def test_leaving_early_closes_the_file(tmp_path):
    path = numbered_clip(tmp_path / "a.mp4", 30)
    frames = iter_frames(path)
    next(frames)
    frames.close()
    path.unlink()
    with pytest.raises(InputError):
        next(iter_frames(path))


TRUNCATED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mp4": ("mp4", "libx264", {"container_options": {"movflags": "+faststart"}}),
    "fragments": ("mp4", "libx264", {"container_options": {"movflags": "+frag_keyframe"}}),
    "mkv": ("mkv", "libx264", {}),
    "avi": ("avi", "mpeg4", {}),
    "mpg": ("mpg", "mpeg1video", {}),
    "webm": ("webm", "libvpx-vp9", {"options": {"deadline": "realtime", "cpu-used": "8"}}),
    "gif": ("gif", "gif", {"pixel_format": "rgb8"}),
}


@pytest.mark.parametrize("kind", TRUNCATED)
def test_a_truncated_clip_gives_what_it_has_then_says_so(tmp_path, kind):
    ending, codec, settings = TRUNCATED[kind]
    rng = np.random.default_rng(0)
    frames = [numbered_frame(k) for k in range(75)]
    for frame in frames:
        frame[60:] = rng.integers(0, 255, frame[60:].shape)
    if codec != "gif":
        settings = {**settings, "options": {**settings.get("options", {}), "g": "10"}}
    path = encode(tmp_path / f"a.{ending}", frames, codec=codec, **settings)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    with pytest.raises(DecodeError, match=r"stops after \d+ frames \(.* s\): .*; copy or") as e:
        list(iter_frames(path))
    assert e.value.frames > 0
    kept = list(iter_frames(path, allow_damage=True))
    assert len(kept) == e.value.frames
    assert kept[-1].time_s == pytest.approx(e.value.time_s)
    assert 20 < len(kept) < 60
    assert [read_number(frame.rgb) for frame in kept[:15]] == list(range(15))


def test_damage_in_the_middle_is_told_at_the_end(tmp_path):
    rng = np.random.default_rng(0)
    frames = [numbered_frame(k) for k in range(50)]
    for frame in frames:
        frame[60:] = rng.integers(0, 255, frame[60:].shape)
    path = encode(tmp_path / "a.mp4", frames, options={"g": "10"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20000] = rng.bytes(20000)
    path.write_bytes(data)
    with pytest.raises(DecodeError, match="a frame"):
        list(iter_frames(path))
    assert 30 < len(list(iter_frames(path, allow_damage=True))) <= 50


def test_files_that_are_no_clips_are_refused_with_one_sentence(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("a prompt, not a clip\n" * 100)
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    (tmp_path / "script.mp4").write_text("ffconcat version 1.0\nfile a.mp4\n")
    whole = numbered_clip(tmp_path / "whole.mp4", 30).read_bytes()
    (tmp_path / "headless.mp4").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (32, 32)).save(tmp_path / "png.mp4", format="PNG")
    for name, words in {
        "missing.mp4": "does not exist; give the path of a media file",
        "": "is not a file; give the path of a media file",
        "empty.mp4": r"is empty \(0 bytes\); copy or render it again",
        "text.mp4": "holds text, not media; give an MP4",
        "list.mp4": "holds text, not media",
        "script.mp4": "holds text, not media",
        "noise.mp4": "is not a media file that can be read; give an MP4",
        "headless.mp4": "is cut off or damaged: its index is missing; copy or render",
        "png.mp4": "is a still image, not a clip; give an MP4",
    }.items():
        for read in (probe, lambda path: list(iter_frames(path))):
            with pytest.raises(InputError, match=words):
                read(tmp_path / name)


def decode_to_the_end(path):
    facts = probe(path)
    count, last = 0, 0.0
    for frame in iter_frames(path):
        assert frame.rgb.shape == (facts.height, facts.width, 3)
        assert frame.time_s >= last
        count, last = count + 1, frame.time_s
    assert count == facts.num_frames
    assert last < facts.duration_s <= last + 0.081


REAL = [
    "videos/mocha/example/video.avi",  # mpeg4 in AVI with one missing frame
    "videos/mocha/gen/1p_generalize_chinese/3_man_man_agents.mp4",  # microsecond time base
    "videos/mocha/compare/01_hallo3.mp4",  # MP3 sound in MP4
    "videos/nonhuman/fantasy_orange_cat.mp4",  # 23 fps
    "videos/real/grid_bbaf2n.mpg",
    "videos/real/grid_id2_swwp2s.mpg",
]


@pytest.mark.parametrize("name", REAL)
def test_real_clips_decode_to_their_end(shared_data, name):
    decode_to_the_end(shared_data / name)


@pytest.mark.slow
def test_all_real_clips_decode_to_their_end(shared_data):
    endings = {".mp4", ".avi", ".mpg"}
    clips = [p for p in sorted((shared_data / "videos").rglob("*")) if p.suffix in endings]
    assert len(clips) > 40
    for path in clips:
        decode_to_the_end(path)


def test_real_clips_are_described(shared_data):
    facts = probe(shared_data / "videos/mocha/compare/01_MoCha.mp4")
    assert (facts.width, facts.height, facts.frame_rate) == (976, 528, 24.0)
    assert facts.num_frames == 125
    assert facts.constant_rate
    assert [(a.codec, a.sample_rate, a.channels) for a in facts.audio_streams] == [
        ("aac", 44100, 1)
    ]
    grid = probe(shared_data / "videos/real/grid_bbaf2n.mpg")
    assert (grid.codec, grid.num_frames, grid.duration_s) == ("mpeg1video", 75, 3.0)
    gap = probe(shared_data / "videos/mocha/example/video.avi")
    assert (gap.num_frames, gap.constant_rate) == (132, False)
