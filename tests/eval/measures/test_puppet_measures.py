"""`puppet.*` in the harness: files in, scores out, and only where the case is a puppet's."""

import numpy as np
import pytest
from scipy.io import wavfile

from benchmarks.puppet.program import Program
from eval.catalog import default_measures, find_measure
from eval.plan import applies
from eval.records import Speaker
from eval.store.registry import StoredCase
from joystreamer.media import write_clip
from tests.eval.puppet import worlds

PUPPET = find_measure("puppet/oracle")
ASKED = Program(arm="raise", face="blush")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("puppet")
    sound = worlds.voice(1)
    wavfile.write(folder / "voice.wav", 16_000, sound)
    frames = worlds.truth(worlds.identities()[0], ASKED, sound, side=128)
    write_clip(folder / "clip.mp4", list(frames), 25, audio=sound)
    return folder / "clip.mp4", folder / "voice.wav"


def test_a_clip_is_judged_from_its_file(score, clip):
    path, voice = clip
    extra = worlds.extra([worlds.identities()[0]], [ASKED])
    found = score(PUPPET, path, extra=extra, speakers=(Speaker(audio=voice),))
    assert set(found) == {metric.name for metric in PUPPET.metrics}
    assert found["puppet.program"].value == 1
    assert found["puppet.program"].details["stretches"][0]["right"]["arm"] is True
    assert found["puppet.response"].value == pytest.approx(1, abs=0.1)
    assert found["puppet.mouth_correlation"].value > 0.97
    assert found["puppet.mouth_lag"].value == 0
    assert found["puppet.identity_error"].value < 8
    assert found["puppet.leakage"].reason == "one_person"
    assert found["puppet.drift"].reason == "too_short"
    mouth = found["puppet.mouth_correlation"].series["mouth 1"]
    assert len(mouth.times_s) == len(mouth.values) == worlds.FRAMES


def test_a_lone_puppet_without_a_file_speaks_the_sound_of_the_clip(score, clip):
    extra = worlds.extra([worlds.identities()[0]], [ASKED])
    found = score(PUPPET, clip[0], extra=extra, speakers=(Speaker(),))
    assert found["puppet.mouth_correlation"].value > 0.97


def test_other_cases_have_no_answer(score, clip):
    found = score(PUPPET, clip[0], speakers=(Speaker(),))
    assert {outcome.reason for outcome in found.values()} == {"not_puppet"}


def test_a_standing_prompt_has_no_response(feed):
    frames = worlds.truth(worlds.identities()[3], Program(), worlds.silence(3.56))
    extra = worlds.extra([worlds.identities()[3]], [Program()])
    found = feed(PUPPET, list(frames), extra=extra, speakers=(Speaker(),))
    assert found["puppet.response"].reason == "nothing_asked"
    assert found["puppet.program"].value == 1
    assert found["puppet.mouth_error"].reason == "silent_audio"


def test_odd_sizes_are_scaled(feed):
    frames = worlds.truth(worlds.identities()[0], Program(), worlds.voice(0))
    wide = np.repeat(frames, 2, axis=2)[:, :, :100]
    extra = worlds.extra([worlds.identities()[0]], [Program()])
    found = feed(PUPPET, list(wide), extra=extra, speakers=(Speaker(),))
    assert np.isfinite(found["puppet.identity_error"].value)


def test_it_is_planned_for_puppet_cases_only():
    def stored(extra):
        return StoredCase(record={"extra": extra}, image="", speech="")

    assert PUPPET in default_measures()
    assert applies(PUPPET, stored(worlds.extra([worlds.identities()[0]], [ASKED])))
    assert not applies(PUPPET, stored({}))
    assert not applies(PUPPET, None)
