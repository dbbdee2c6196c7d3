from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joystreamer.errors import InputError
from joystreamer.media.loudness import (
    LoudnessMeter,
    gain_to,
    integrated_loudness,
    match_loudness,
    weighting_coefficients,
)
from tests.joystreamer.media_samples import tone


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000])
def test_a_full_scale_sine_is_minus_3_01(rate):
    # BS.1770-5: "0 dB FS, 997 Hz sine wave ... the indicated loudness will equal -3.01 LKFS".
    error = 0.001 if rate == 48000 else 0.05  # the bilinear transform of the shelf below 48 kHz
    assert integrated_loudness(tone(5, rate, 997, 1.0), rate) == pytest.approx(-3.01, abs=error)


def test_the_filters_at_48_khz_are_those_of_the_recommendation():
    shelf, high_pass = weighting_coefficients(48000)
    # BS.1770-5 tables 1 and 2.
    np.testing.assert_allclose(
        shelf[0], [1.53512485958697, -2.69169618940638, 1.19839281085285], atol=1e-12
    )
    np.testing.assert_allclose(shelf[1][1:], [-1.69065929318241, 0.73248077421585], atol=1e-12)
    np.testing.assert_allclose(high_pass[0], [1.0, -2.0, 1.0], atol=0)
    np.testing.assert_allclose(high_pass[1][1:], [-1.99004745483398, 0.99007225036621], atol=1e-12)


def ffmpeg_loudness(samples, rate):
    """Integrated loudness by FFmpeg's ebur128 filter, an implementation of its own."""
    graph = av.filter.Graph()
    source = graph.add(
        "abuffer",
        sample_rate=str(rate),
        sample_fmt="fltp",
        channel_layout="mono" if len(samples) == 1 else "stereo",
        time_base=f"1/{rate}",
    )
    meter = graph.add("ebur128", metadata="1")
    sink = graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(
        samples.astype(np.float32), "fltp", "mono" if len(samples) == 1 else "stereo"
    )
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
    source.push(frame)
    source.push(None)
    value = None
    while True:
        try:
            value = float(sink.pull().metadata["lavfi.r128.I"])
        except (av.error.EOFError, av.error.BlockingIOError):
            return value


@pytest.mark.parametrize("channels", [1, 2])
def test_agrees_with_ffmpeg_on_gated_noise(channels):
    rng = np.random.default_rng(3)
    loud = rng.normal(0, 0.1, (channels, 48000 * 4))
    soft = rng.normal(0, 0.004, (channels, 48000 * 4))
    quiet = np.zeros((channels, 48000 * 3))
    signal = np.concatenate([quiet, loud, soft, loud * 0.5, quiet], axis=1)
    assert integrated_loudness(signal, 48000) == pytest.approx(
        ffmpeg_loudness(signal, 48000), abs=0.06
    )


def test_the_relative_gate_ignores_a_long_soft_tail():
    loud = tone(4, 48000, 997, 0.5)
    signal = np.concatenate([loud, tone(40, 48000, 997, 0.028)])  # 25 LU below
    assert integrated_loudness(signal, 48000) == pytest.approx(
        integrated_loudness(loud, 48000),
        abs=0.2,  # three blocks straddle the border
    )


@given(
    pieces=st.lists(st.integers(1, 9000), min_size=1, max_size=8),
    rate=st.sampled_from([11025, 16000, 44100]),
)
def test_pieces_of_any_length_measure_the_same(pieces, rate):
    signal = np.random.default_rng(0).normal(0, 0.1, (2, rate)).astype(np.float32)
    meter = LoudnessMeter(rate, 2)
    start = 0
    for piece in pieces:
        meter.push(signal[:, start : start + piece])
        start += piece
    meter.push(signal[:, start:])
    assert meter.integrated() == pytest.approx(integrated_loudness(signal, rate), abs=1e-6)
    assert meter.peak == pytest.approx(float(np.abs(signal).max()))


def test_silence_and_snippets_have_no_loudness():
    assert integrated_loudness(np.zeros(48000, np.float32), 48000) is None
    assert integrated_loudness(tone(0.39, 48000), 48000) is None
    assert integrated_loudness(tone(0.41, 48000), 48000) is not None
    assert integrated_loudness(tone(2, 48000, 997, 10 ** (-75 / 20)), 48000) is None


@given(target=st.floats(-40, -10), gain=st.floats(0.01, 1))
def test_matching_reaches_the_target(target, gain):
    matched = match_loudness(tone(1, 16000, 997, gain), 16000, target)
    assert integrated_loudness(matched, 16000) == pytest.approx(target, abs=0.01)
    assert matched.dtype == np.float32


def test_silence_is_left_alone():
    silence = np.zeros(16000, np.float32)
    np.testing.assert_array_equal(match_loudness(silence, 16000, -23.0), silence)
    assert gain_to(None, -23.0) == 1.0


def test_channel_gains_weigh_the_power():
    both = np.stack([tone(2, 48000, 997, 0.5)] * 2)
    one = integrated_loudness(both, 48000, channel_gains=[1, 0])
    two = integrated_loudness(both, 48000)
    assert one is not None
    assert two is not None
    assert two - one == pytest.approx(10 * np.log10(2), abs=1e-6)


def test_wrong_channels_and_rates_are_refused():
    with pytest.raises(InputError, match="3 channel gains came for 2 channels; give one per"):
        LoudnessMeter(48000, 2, channel_gains=[1, 1, 1])
    with pytest.raises(InputError, match="1 channels came where 2 were announced"):
        LoudnessMeter(48000, 2).push(np.zeros((1, 10), np.float32))
    with pytest.raises(InputError, match="loudness at 100 samples per second is not defined"):
        LoudnessMeter(100, 1)
