"""Who is heard when: turns, rounds, stereo, parallel files, the mix."""

import numpy as np
import pytest

from joystreamer.conditioning.tracks import (
    MIX_RATE,
    Turn,
    lay_turns,
    read_parallel,
    read_single,
    split_stereo,
)
from joystreamer.errors import InputError
from tests.joystreamer.made_media import make_speech, write_wav


def spoken(track, rate=16_000):
    """Rough (start, end) in seconds of what is not silent."""
    loud = np.nonzero(np.abs(track) > 1e-3)[0]
    return loud[0] / rate, loud[-1] / rate


def test_single_file(media_folder):
    sound = read_single(media_folder / "a.wav")
    assert len(sound.tracks) == 1
    assert sound.seconds == pytest.approx(1.0, abs=0.001)
    assert sound.mix.shape == (1, MIX_RATE)


def test_turns_of_several_rounds_follow_each_other(media_folder):
    a, b = media_folder / "a.wav", media_folder / "b.wav"
    turns = [Turn(speaker=0, audio=a), Turn(speaker=1, audio=b), Turn(speaker=0, audio=b)]
    sound = lay_turns(turns, speakers=3, pause=0.5)
    assert len({track.size for track in sound.tracks}) == 1
    assert sound.seconds == pytest.approx(1.0 + 0.5 + 0.7 + 0.5 + 0.7, abs=0.001)
    start, end = spoken(sound.tracks[1])
    assert 1.5 <= start < 1.6
    assert end <= 2.2
    assert not sound.tracks[0][round(1.01 * 16_000) : round(2.69 * 16_000)].any()
    assert spoken(sound.tracks[0])[1] > 2.7
    assert not sound.tracks[2].any()
    assert sound.mix.shape[1] == pytest.approx(3.4 * MIX_RATE, abs=2)


def test_given_starts_may_overlap_and_the_mix_never_clips(media_folder):
    loud = write_wav(media_folder / "loud.wav", np.clip(make_speech(1.0) * 20, -1, 1))
    turns = [Turn(speaker=index, audio=loud, start=0.25 * index) for index in range(3)]
    sound = lay_turns(turns, speakers=3)
    assert sound.seconds == pytest.approx(1.5, abs=0.001)
    assert np.abs(sound.mix).max() <= 1.0
    assert spoken(sound.tracks[2])[0] >= 0.5


def test_parallel_files_start_together(media_folder):
    sound = read_parallel([media_folder / "a.wav", media_folder / "c.wav"])
    assert sound.seconds == pytest.approx(1.3, abs=0.001)
    assert not sound.tracks[0][round(1.01 * 16_000) :].any()


def test_stereo_is_split_left_and_right(media_folder):
    left, right = make_speech(1.0, 48_000), np.zeros(48_000, np.float32)
    right[24_000:] = make_speech(0.5, 48_000)
    path = write_wav(media_folder / "pair.wav", np.stack([left, right]), 48_000)
    sound = split_stereo(path)
    assert spoken(sound.tracks[0])[0] < 0.1
    assert spoken(sound.tracks[1])[0] >= 0.5
    assert sound.mix.shape == (2, 48_000)


def test_errors_are_sentences(media_folder):
    a = media_folder / "a.wav"
    with pytest.raises(InputError, match=r"has 1 channel\(s\); a stereo split needs 2"):
        split_stereo(a)
    with pytest.raises(InputError, match="has no turns"):
        lay_turns([], speakers=1)
    with pytest.raises(InputError, match="turn 1 is given to speaker 2; there are 2"):
        lay_turns([Turn(speaker=2, audio=a)], speakers=2)
    with pytest.raises(InputError, match="turn 1 starts at -1 s"):
        lay_turns([Turn(speaker=0, audio=a, start=-1.0)], speakers=1)
    with pytest.raises(InputError, match="is a still image"):
        read_single(media_folder / "face.png")
    empty = write_wav(media_folder / "empty.wav", np.zeros(0, np.float32))
    with pytest.raises(InputError, match="holds no sound; give a file with speech"):
        read_single(empty)
