import hashlib
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from joystreamer.errors import InputError
from joystreamer.media import (
    DecodeError,
    integrated_loudness,
    iter_frames,
    probe,
    read_audio,
    write_poster,
    write_proxy,
)
from tests.joystreamer.media_samples import (
    encode,
    numbered_clip,
    numbered_frame,
    read_number,
    tone,
)


@pytest.fixture
def clip(tmp_path):
    return numbered_clip(
        tmp_path / "original.avi", 40, codec="mpeg4", sounds=[tone(1.6, 44100)], sound_codec="mp2"
    )


def test_a_proxy_shows_the_same_frames_with_the_same_sound(clip, tmp_path):
    target = tmp_path / "proxy.mp4"
    report = write_proxy(clip, target)
    assert [read_number(f.rgb) for f in iter_frames(target)] == list(range(40))
    facts = probe(target)
    assert (facts.codec, facts.pixel_format, facts.frame_rate) == ("h264", "yuv420p", 25.0)
    (sound,) = facts.audio_streams
    assert (sound.codec, sound.sample_rate, sound.channels) == ("aac", 48000, 2)
    assert sound.duration_s == pytest.approx(facts.duration_s, abs=1e-3)
    before, after = read_audio(clip), read_audio(target)
    assert before is not None
    assert after is not None
    assert np.abs(before[3200:19200] - after[3200:19200]).mean() < 0.03
    assert report.num_frames == 40
    assert report.duration_s == pytest.approx(1.6)
    assert (report.width, report.height, report.frame_rate) == (192, 96, 25.0)
    assert report.source_sha256 == hashlib.sha256(clip.read_bytes()).hexdigest()
    assert report.proxy_sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert report.gain_db == 0.0


def test_the_same_source_gives_the_same_bytes_and_no_traces(tmp_path):
    source = tmp_path / "secret-model-v3.mp4"
    numbered_clip(source, 10, sounds=[tone(0.4, 44100)])
    with av.open(str(source)) as given, av.open(str(tmp_path / "tagged.mp4"), "w") as copy:
        streams = {s.index: copy.add_stream_from_template(s) for s in given.streams}
        copy.metadata["comment"] = "model=secret-model-v3"
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)
    assert b"secret-model" in (tmp_path / "tagged.mp4").read_bytes()
    for name in ("a.mp4", "b.mp4"):
        write_proxy(tmp_path / "tagged.mp4", tmp_path / name)
    data = (tmp_path / "a.mp4").read_bytes()
    assert data == (tmp_path / "b.mp4").read_bytes()
    for word in (b"secret", b"x264", b"Lavc", b"Lavf", b"comment"):
        assert word not in data


@pytest.mark.parametrize("box", [(320, 320), (128, 256), (640, 96), (96, 48)])
def test_letterboxing_fits_and_centres(tmp_path, box):
    frame = np.full((96, 192, 3), 200, np.uint8)
    source = encode(tmp_path / "a.mp4", [frame] * 3)
    report = write_proxy(source, tmp_path / "p.mp4", size=box)
    assert (report.width, report.height) == box
    shown = next(iter_frames(tmp_path / "p.mp4")).rgb.mean(axis=2)
    assert shown.shape == (box[1], box[0])
    scale = min(box[0] / 192, box[1] / 96)
    assert (shown > 100).sum() == pytest.approx(192 * 96 * scale**2, rel=0.03)
    rows, columns = np.nonzero(shown > 100)
    assert rows.mean() == pytest.approx((box[1] - 1) / 2, abs=1)
    assert columns.mean() == pytest.approx((box[0] - 1) / 2, abs=1)


def test_loudness_is_matched_unless_it_would_clip(tmp_path):
    frames = [numbered_frame(k) for k in range(50)]
    quiet = encode(tmp_path / "quiet.mp4", frames, sounds=[tone(2, 44100, 997, 0.05)])
    report = write_proxy(quiet, tmp_path / "p.mp4", loudness=-23.0)
    matched = read_audio(tmp_path / "p.mp4", sample_rate=48000, mono=False)
    assert matched is not None
    assert integrated_loudness(matched, 48000) == pytest.approx(-23.0, abs=0.2)
    assert report.source_loudness_lufs is not None
    assert report.gain_db == pytest.approx(-23.0 - report.source_loudness_lufs, abs=1e-6)
    assert not report.gain_limited
    # One loud click among soft speech: the gain stops where the click reaches full scale.
    sound = tone(2, 44100, 997, 0.02)
    sound[44100:44200] = 0.5
    click = encode(tmp_path / "click.mkv", frames, sounds=[sound], sound_codec="flac")
    report = write_proxy(click, tmp_path / "c.mp4", loudness=-14.0)
    assert report.gain_limited
    assert report.gain_db < 7
    silent = encode(tmp_path / "silent.mp4", frames, sounds=[np.zeros(88200, np.float32)])
    report = write_proxy(silent, tmp_path / "s.mp4", loudness=-23.0)
    assert (report.source_loudness_lufs, report.gain_db) == (None, 0.0)


def test_a_variable_rate_becomes_constant_and_stays_on_time(tmp_path):
    times = [Fraction(k, 25) + Fraction(k % 3, 100) for k in range(50)]
    source = encode(tmp_path / "vfr.mp4", [numbered_frame(k) for k in range(50)], times=times)
    report = write_proxy(source, tmp_path / "p.mp4")
    assert report.frame_rate == 25.0
    assert probe(tmp_path / "p.mp4").constant_rate
    for frame in iter_frames(tmp_path / "p.mp4"):
        assert abs(float(times[read_number(frame.rgb)]) - frame.time_s) <= 0.031


def test_another_rate_can_be_asked_for(tmp_path):
    source = numbered_clip(tmp_path / "a.mp4", 60, rate=30)
    report = write_proxy(source, tmp_path / "p.mp4", rate=25)
    assert (report.frame_rate, report.num_frames) == (25.0, 50)
    numbers = [read_number(f.rgb) for f in iter_frames(tmp_path / "p.mp4")]
    assert all(abs(number / 30 - k / 25) <= 1 / 60 + 1e-6 for k, number in enumerate(numbers))


def test_sound_is_cut_or_padded_to_the_pictures(tmp_path):
    frames = [numbered_frame(k) for k in range(25)]
    for seconds, trimmed in ((1.5, 0.5), (0.4, 0.0)):
        source = encode(tmp_path / "a.mp4", frames, sounds=[tone(seconds, 44100)])
        report = write_proxy(source, tmp_path / "p.mp4")
        assert report.audio_trimmed_s == pytest.approx(trimmed, abs=0.03)
        sound = read_audio(tmp_path / "p.mp4")
        assert sound is not None
        assert len(sound) == pytest.approx(16000, abs=2)


def test_rotated_anamorphic_and_mute_clips_become_plain(tmp_path):
    source = numbered_clip(tmp_path / "a.mp4", 5, rotation=(90, False), aspect=Fraction(3, 2))
    report = write_proxy(source, tmp_path / "p.mp4")
    facts = probe(tmp_path / "p.mp4")
    assert (facts.rotation, facts.pixel_aspect) == (0, 1.0)
    assert (facts.width, facts.height) == (96, 288)  # turned, and its tall pixels made square
    assert not report.has_audio
    assert not facts.has_audio


def test_a_damaged_source_leaves_no_proxy(tmp_path):
    source = numbered_clip(tmp_path / "a.mkv", 50, options={"g": "5"})
    source.write_bytes(source.read_bytes()[:4000])
    with pytest.raises(DecodeError, match="copy or render it again"):
        write_proxy(source, tmp_path / "p.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["a.mkv"]


def test_impossible_sizes_are_refused(clip, tmp_path):
    for size in ((321, 240), (0, 0)):
        with pytest.raises(InputError, match="is not possible; give even numbers >= 2"):
            write_proxy(clip, tmp_path / "p.mp4", size=size)


@pytest.mark.parametrize(("name", "kind"), [("p.jpg", "JPEG"), ("p.png", "PNG")])
def test_a_poster_is_the_first_frame_without_metadata(clip, tmp_path, name, kind):
    write_poster(clip, tmp_path / name, height=48)
    with Image.open(tmp_path / name) as image:
        assert (image.format, image.size) == (kind, (96, 48))
        assert not image.getexif()
    write_poster(clip, tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert read_number(np.asarray(image)) == 0
        assert image.size == (192, 96)


def test_poster_mistakes_are_refused(clip, tmp_path):
    with pytest.raises(InputError, match=r"does not end in .jpg or .png; posters are JPEG or PNG"):
        write_poster(clip, tmp_path / "p.bmp")
    with pytest.raises(InputError, match="a poster of height 0 is not possible; give 1 or more"):
        write_poster(clip, tmp_path / "p.png", height=0)
    with pytest.raises(InputError, match="does not exist"):
        write_poster(tmp_path / "missing.mp4", tmp_path / "p.png")
    assert not list(tmp_path.glob("*p.*"))


def test_a_real_clip_becomes_a_proxy(shared_data, tmp_path):
    source = shared_data / "videos/real/grid_bbaf2n.mpg"
    report = write_proxy(source, tmp_path / "p.mp4", size=(320, 256), loudness=-23.0)
    assert (report.num_frames, report.frame_rate) == (75, 25.0)
    assert probe(tmp_path / "p.mp4").audio_streams[0].duration_s == pytest.approx(3.0, abs=1e-3)
