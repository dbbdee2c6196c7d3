from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from joystreamer.errors import InputError
from joystreamer.media import DecodeError, iter_audio, iter_frames, probe, read_audio
from joystreamer.media.audio import iter_stereo, mixing_matrix
from tests.joystreamer.media_samples import encode, numbered_clip, numbered_frame, tone

RATE = 44100
FLASH = 15  # the frame that flashes; its time at 25 fps is 0.6 s

# Ending, video codec, sound codec, settings, and how far in seconds the sound may be off.
# MP3 in AVI is late by the encoder's delay of 1105 samples, because AVI has no field that says so,
# and FFmpeg's writer leaves one picture slot empty to make up for it.
KINDS: dict[str, tuple[str, str, str, dict[str, Any], float]] = {
    "mp4-aac": ("mp4", "libx264", "aac", {}, 0.001),
    "mp4-no-b-frames": ("mp4", "libx264", "aac", {"b_frames": 0}, 0.001),
    "mp4-mp3": ("mp4", "libx264", "libmp3lame", {}, 0.001),
    "mp4v": ("mp4", "mpeg4", "aac", {}, 0.001),
    "mov-pcm": ("mov", "libx264", "pcm_s16le", {}, 0.001),
    "mkv-flac": ("mkv", "libx264", "flac", {}, 0.001),
    "mkv-opus": ("mkv", "libx264", "libopus", {"sample_rate": 48000}, 0.001),
    "mkv-aac": ("mkv", "libx264", "aac", {}, 0.001),
    "webm-opus": (
        "webm",
        "libvpx-vp9",
        "libopus",
        {"sample_rate": 48000, "options": {"deadline": "realtime", "cpu-used": "8"}},
        0.001,
    ),
    "avi-pcm": ("avi", "mpeg4", "pcm_s16le", {}, 0.001),
    "avi-pcm-b-frames": ("avi", "mpeg4", "pcm_s16le", {"b_frames": 2}, 0.001),
    "avi-mp3": ("avi", "mpeg4", "libmp3lame", {}, 0.001 + 1105 / RATE),
    "mpg-mp2": ("mpg", "mpeg1video", "mp2", {}, 0.012),
    "ts-mp2": ("ts", "libx264", "mp2", {}, 0.012),
}


def clap(rate, seconds=1.2, at=0.6):
    """Silence but for 10 ms of noise that begins at a known time."""
    sound = np.zeros(round(seconds * rate), np.float32)
    begin = round(at * rate)
    length = round(0.01 * rate)
    sound[begin : begin + length] = np.random.default_rng(1).uniform(-0.9, 0.9, length)
    return sound


def clap_frames(count=30):
    return [
        np.full((64, 96, 3), 235 if number == FLASH else 16, np.uint8) for number in range(count)
    ]


def onset(sound, rate):
    """Where the clap begins, in seconds: the first sample above a quarter of the peak."""
    return int(np.argmax(np.abs(sound) > np.abs(sound).max() / 4)) / rate


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", [16000, None])
def test_a_clap_is_heard_when_it_is_seen(tmp_path, kind, target):
    ending, codec, sound_codec, settings, tolerance = KINDS[kind]
    if {codec, sound_codec} - av.codecs_available:
        pytest.skip(f"this PyAV has no encoder {codec} or {sound_codec} to make the clip with")
    rate = settings.get("sample_rate", RATE)
    target = target or rate
    path = encode(
        tmp_path / f"clap.{ending}",
        clap_frames(),
        codec=codec,
        sounds=[clap(rate)],
        sound_codec=sound_codec,
        **{"sample_rate": rate, **settings},
    )
    (flash,) = [f.time_s for f in iter_frames(path) if f.rgb.mean() > 128]
    assert flash == pytest.approx(0.6, abs=0.041 if kind == "avi-mp3" else 1e-3)
    sound = read_audio(path, sample_rate=target)
    assert sound is not None
    assert onset(sound, target) == pytest.approx(0.6, abs=tolerance)
    assert sound.dtype == np.float32
    assert np.abs(sound).max() <= 1.0
    assert probe(path).has_audio


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("late", [Fraction(1, 2), Fraction(1, 30), Fraction(-3, 10)])
def test_start_offsets_are_honoured(tmp_path, ending, late):
    """Sound that starts after the first picture is preceded by silence; earlier sound is cut."""
    video_start = max(Fraction(0), -late)
    path = encode(
        tmp_path / f"late.{ending}",
        clap_frames(),
        times=[video_start + Fraction(k, 25) for k in range(30)],
        sounds=[clap(RATE)],
        sound_codec="flac" if ending == "mkv" else "aac",
        sound_start=max(Fraction(0), late),
    )
    sound = read_audio(path)
    assert sound is not None
    assert onset(sound, 16000) == pytest.approx(0.6 + float(late), abs=1.5e-3)
    assert len(sound) / 16000 == pytest.approx(1.2 + float(late), abs=0.03)
    # FFmpeg's MP4 writer presents the 1024 priming samples of AAC when the sound starts late.
    assert probe(path).audio_streams[0].start_s == pytest.approx(float(late), abs=1100 / RATE)


def test_holes_become_silence(tmp_path):
    path = tmp_path / "hole.mkv"
    sound = tone(2.0, RATE)
    with av.open(str(path), "w") as container:
        track = container.add_stream("flac", rate=RATE, layout="mono")
        for start in range(0, len(sound), 4410):
            if 22050 <= start < 44100:
                continue  # half a second is missing
            frame = av.AudioFrame.from_ndarray(sound[None, start : start + 4410], "fltp", "mono")
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), start
            for packet in track.encode(frame):
                container.mux(packet)
        container.mux(track.encode(None))
    got = read_audio(path, sample_rate=RATE)
    assert got is not None
    assert len(got) == pytest.approx(2 * RATE, abs=RATE * 0.002)
    quiet = np.abs(got[round(0.62 * RATE) : round(0.88 * RATE)])
    assert quiet.max() == 0.0
    np.testing.assert_allclose(got[: RATE // 4], sound[: RATE // 4], atol=1e-3)


def test_no_sound_is_none(tmp_path):
    path = numbered_clip(tmp_path / "mute.mp4", 5)
    assert read_audio(path) is None
    assert read_audio(path, mono=False) is None
    assert list(iter_audio(path)) == []
    assert probe(path).audio_streams == ()


def test_each_of_several_streams_can_be_read(tmp_path):
    sounds = [tone(1, RATE, hertz) for hertz in (300, 700, 1500)]
    path = encode(tmp_path / "three.mkv", [numbered_frame(k) for k in range(25)], sounds=sounds)
    for number, hertz in enumerate((300, 700, 1500)):
        sound = read_audio(path, stream=number)
        assert sound is not None
        spectrum = np.abs(np.fft.rfft(sound[:16000]))
        assert np.argmax(spectrum) == pytest.approx(hertz, abs=2)
    assert len(probe(path).audio_streams) == 3
    for wrong in (3, -1):
        with pytest.raises(InputError, match=rf"has 3 audio stream\(s\), not one numbered {wrong}"):
            read_audio(path, stream=wrong)


def test_channels_are_kept_or_mixed(tmp_path):
    left, right = tone(1, RATE, 500, 0.6), tone(1, RATE, 1100, 0.3)
    path = encode(
        tmp_path / "stereo.mkv",
        [numbered_frame(k) for k in range(25)],
        sounds=[np.stack([left, right])],
        sound_codec="flac",
    )
    both = read_audio(path, sample_rate=RATE, mono=False)
    assert both is not None
    np.testing.assert_allclose(both, np.stack([left, right]), atol=1e-4)
    mixed = read_audio(path, sample_rate=RATE)
    assert mixed is not None
    np.testing.assert_allclose(mixed, (left + right) / 2, atol=1e-4)
    stereo = np.concatenate(list(iter_stereo(path, sample_rate=RATE)), axis=1)
    np.testing.assert_allclose(stereo, both, atol=1e-6)


def test_surround_mixes_without_clipping_or_losing_the_centre(tmp_path):
    names = ("FL", "FR", "FC", "LFE", "BL", "BR")
    for form, rows in (("mono", 1), ("stereo", 2), ("all", 6)):
        matrix = mixing_matrix(names, form)
        assert matrix.shape == (rows, 6)
        np.testing.assert_allclose(np.abs(matrix).sum(axis=1), 1.0, rtol=1e-6)
    assert mixing_matrix(names, "mono")[0, 3] == 0.0
    np.testing.assert_allclose(mixing_matrix(("FL", "FR"), "mono"), [[0.5, 0.5]])
    np.testing.assert_allclose(mixing_matrix(("A", "B"), "mono"), [[0.5, 0.5]])
    np.testing.assert_allclose(mixing_matrix(("FC",), "stereo"), [[1.0], [1.0]])
    sound = np.zeros((6, RATE), np.float32)
    sound[2] = tone(1, RATE, 600, 1.0)  # speech is in the centre
    path = encode(
        tmp_path / "surround.mkv", [numbered_frame(0)] * 25, sounds=[sound], sound_codec="flac"
    )
    mixed = read_audio(path, sample_rate=RATE)
    assert mixed is not None
    assert np.abs(mixed).max() == pytest.approx(mixing_matrix(names, "mono")[0, 2], rel=0.01)
    kept = read_audio(path, sample_rate=RATE, mono=False)
    assert kept is not None
    assert kept.shape == (6, RATE)


@pytest.fixture(scope="module")
def chirp(tmp_path_factory):
    times = np.arange(3 * RATE) / RATE
    sound = (0.7 * np.sin(2 * np.pi * (200 + 900 * times) * times)).astype(np.float32)
    path = tmp_path_factory.mktemp("sound") / "chirp.mkv"
    return encode(path, [numbered_frame(0)] * 75, sounds=[sound], sound_codec="flac")


@pytest.mark.parametrize("chunk_s", [0.1, 0.37, 1.0, 60.0])
@pytest.mark.parametrize("rate", [16000, RATE])
def test_chunks_join_to_the_whole(chirp, chunk_s, rate):
    chunks = list(iter_audio(chirp, sample_rate=rate, chunk_s=chunk_s))
    assert all(len(chunk) == round(chunk_s * rate) for chunk in chunks[:-1])
    assert 0 < len(chunks[-1]) <= round(chunk_s * rate)
    np.testing.assert_array_equal(np.concatenate(chunks), read_audio(chirp, sample_rate=rate))


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000, 96000])
def test_a_tone_keeps_its_phase_level_and_length_at_any_rate(tmp_path, rate):
    path = encode(
        tmp_path / "tone.mkv", [numbered_frame(0)] * 50, sounds=[tone(2, RATE)], sound_codec="flac"
    )
    sound = read_audio(path, sample_rate=rate)
    assert sound is not None
    assert len(sound) == pytest.approx(2 * rate, abs=1)
    inner = slice(rate // 4, len(sound) - rate // 4)
    np.testing.assert_allclose(sound[inner], tone(3, rate)[: len(sound)][inner], atol=2e-3)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_samples_stay_within_full_scale(tmp_path, rate):
    square = np.sign(tone(0.2, RATE, 900))
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as container:
        track = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray((square * 32767).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate = RATE
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    sound = read_audio(path, sample_rate=rate)
    assert sound is not None
    assert np.abs(sound).max() == 1.0  # the filter overshoots; what it overshoots is cut


def test_a_sound_file_has_its_own_zero_and_is_no_clip(tmp_path, shared_data):
    path = shared_data / "videos/mocha/example/speech.wav"
    sound = read_audio(path)
    assert sound is not None
    assert len(sound) > 16000
    with pytest.raises(InputError, match=r"has no video stream \(only sound\); give a clip"):
        probe(path)
    for name in ("audio/jfk_en.flac", "audio/omniavatar_0000.mp3"):
        speech = read_audio(shared_data / name)
        assert speech is not None
        assert np.abs(speech).max() > 0.05


def test_truncated_sound_is_told(tmp_path):
    path = encode(
        tmp_path / "a.mov",
        [numbered_frame(k) for k in range(75)],
        sounds=[tone(3, RATE)],
        sound_codec="pcm_s16le",
        container_options={"movflags": "+faststart"},
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DecodeError, match=r"the sound of .* stops at .* s: .*; copy or render it"):
        read_audio(path)


def test_impossible_settings_are_refused(chirp):
    with pytest.raises(InputError, match="a sample rate of 0 is not possible; give a whole number"):
        read_audio(chirp, sample_rate=0)
    with pytest.raises(InputError, match="chunks of 0 s hold no sample; give a longer chunk_s"):
        list(iter_audio(chirp, chunk_s=0))


def test_real_clips_have_sound_as_long_as_their_pictures(shared_data):
    for name in ("mocha/compare/01_hallo3.mp4", "mocha/example/video.avi", "real/grid_bbaf2n.mpg"):
        path = shared_data / "videos" / name
        sound = read_audio(path)
        assert sound is not None
        assert len(sound) / 16000 == pytest.approx(probe(path).duration_s, abs=0.1)
        assert np.abs(sound).max() > 0.05
