"""Speech features: windows, stretches against the whole, silence against null, scale."""

import numpy as np
import pytest
import torch

from joystreamer.conditioning.audio import (
    SAMPLE_RATE,
    SpeechEncoder,
    SpeechStreams,
    TrackScale,
    cut_windows,
    prepare_track,
)
from joystreamer.errors import InputError
from joystreamer.media.loudness import integrated_loudness


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE))
    time = np.arange(noise.size) / SAMPLE_RATE
    return (0.1 * noise * (1 + np.sin(2 * np.pi * 3 * time))).astype(np.float32)


@pytest.fixture(scope="module")
def encoder(tiny_pipeline):
    return SpeechEncoder(tiny_pipeline.audio_encoder)


def test_windows_hold_two_frames_before_four_own_two_after():
    features = torch.arange(-2, 14).view(-1, 1, 1).float()
    windows = cut_windows(features)
    assert windows.shape == (3, 8, 1, 1)
    assert windows[0].flatten().tolist() == [-2, -1, 0, 1, 2, 3, 4, 5]
    assert windows[1].flatten().tolist() == [2, 3, 4, 5, 6, 7, 8, 9]
    assert windows[2].flatten().tolist() == [6, 7, 8, 9, 10, 11, 12, 13]


def test_features_are_the_models_hidden_states_at_the_video_rate(encoder, tiny_pipeline):
    """Against the same thing done by hand: convolutions, interpolation, then the layers."""
    model, track = tiny_pipeline.audio_encoder, speech(10.0)
    got = encoder.features(track, TrackScale(0.0, 1.0), 100, 50)
    heard = torch.from_numpy(track[0 : 250 * 640])[None]  # 4 s of context are 100 frames
    with torch.no_grad():
        convolved = model.feature_extractor(heard)
        resampled = torch.nn.functional.interpolate(
            convolved, size=250, mode="linear", align_corners=True
        )
        hidden, _ = model.feature_projection(resampled.transpose(1, 2))
        states = hidden + model.encoder.pos_conv_embed(hidden)
        states = model.encoder.layer_norm(states)
        layers = []
        for layer in model.encoder.layers:
            states = layer(states)
            states = states[0] if isinstance(states, tuple) else states
            layers.append(states[0])
    expected = torch.stack(layers, dim=1)[100:150]
    assert got.shape == (50, 4, 32)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_no_hook_is_left_behind(encoder, tiny_pipeline):
    encoder.features(speech(1.0), TrackScale(0.0, 1.0), 0, 5)
    assert not tiny_pipeline.audio_encoder.feature_extractor._forward_hooks


def test_beyond_the_track_is_silence(encoder):
    track = speech(1.0)
    padded = np.concatenate([track, np.zeros(5 * SAMPLE_RATE, np.float32)])
    scale = TrackScale.of(track)
    scale = TrackScale(0.0, scale.spread)
    torch.testing.assert_close(
        encoder.features(track, scale, 10, 60), encoder.features(padded, scale, 10, 60)
    )


def test_a_stretch_sounds_the_same_wherever_it_is_heard_from(encoder):
    """Two overlapping stretches agree far better than two different stretches do."""
    track = speech(14.0)
    scale = TrackScale.of(track)
    early, late = encoder.features(track, scale, 100, 76), encoder.features(track, scale, 138, 76)
    shared = (early[38:] - late[:38]).abs().mean()
    different = (early[:38] - late[:38]).abs().mean()
    assert shared < 0.5 * different


def test_silence_is_not_null_and_needs_several_streams(encoder):
    one = SpeechStreams(encoder, [speech(2.0)], with_silence=False)
    assert one.windows(0, 19).shape == (1, 1, 19, 8, 4, 32)
    three = SpeechStreams(encoder, [speech(2.0, seed) for seed in range(3)], with_silence=True)
    windows = three.windows(0, 19)
    assert windows.shape == (1, 4, 19, 8, 4, 32)
    assert windows[0, 3].abs().max() > 0.1
    silent = SpeechStreams(encoder, [np.zeros(32_000, np.float32)], with_silence=False)
    torch.testing.assert_close(windows[0, 3], silent.windows(0, 19)[0, 0])


def test_pauses_are_not_blown_up_to_the_level_of_speech():
    track = np.concatenate([speech(2.0), 1e-4 * speech(2.0)])
    scale = TrackScale.of(track)
    quiet = (track[32_000:] - scale.mean) / scale.spread
    assert np.abs(quiet).max() < 0.1
    assert TrackScale.of(np.zeros(10, np.float32)) == TrackScale(0.0, 1.0)


def test_tracks_come_to_one_loudness():
    levels = {
        integrated_loudness(prepare_track(speech(3.0) * gain), SAMPLE_RATE) or 0.0
        for gain in (np.float32(0.01), np.float32(1.0), np.float32(3.0))
    }
    assert max(levels) - min(levels) < 0.01
    assert max(levels) == pytest.approx(-23.0, abs=0.01)


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.zeros((2, 100), np.float32), "a mono track of shape"),
        (np.zeros(0, np.float32), "holds no sound"),
        (np.array([0.0, np.nan], np.float32), "values that are not finite"),
    ],
)
def test_bad_tracks_are_refused(audio, message):
    with pytest.raises(InputError, match=message):
        prepare_track(audio)
