"""Clips that are broken on purpose: each oracle must see its own fault."""

from typing import Any

import numpy as np
import pytest

from benchmarks.puppet.program import Program
from benchmarks.puppet.render import render
from eval.puppet import judge as judging
from eval.puppet import mouth, proportions
from eval.puppet.lips import best_lag, correlate, follow, leakage
from joystreamer.errors import InputError
from tests.eval.puppet import worlds

WHO = worlds.identities()
ASKED = Program(body="walk left", background="night")


def judge(frames: Any, voices: Any, case: Any) -> dict[str, Any]:
    """What the judge says; the tests know what is no number."""
    return dict(judging.judge(frames, voices, case))


@pytest.fixture(scope="module")
def good():
    return worlds.truth(WHO[0], ASKED, worlds.voice(0))


@pytest.fixture(scope="module")
def case():
    return worlds.extra([WHO[0]], [ASKED])


@pytest.fixture(scope="module")
def right(good, case):
    return judge(good, [worlds.voice(0)], case)


def test_what_is_right_is_right(right):
    assert right["program"] == right["slots"] == 1
    assert right["mouth_lag"] == 0
    assert right["response"] == pytest.approx(1, abs=0.06)
    assert right["leakage"] is None
    assert right["drift"] is None


def test_a_late_mouth_is_late(case, right):
    sound = worlds.voice(0)
    late = np.concatenate([np.zeros(5 * 640, np.float32), sound])[: sound.size]
    found = judge(worlds.truth(WHO[0], ASKED, late), [sound], case)
    assert found["mouth_lag"] == 5
    assert found["mouth_correlation"] < right["mouth_correlation"] - 0.3
    assert judge(worlds.truth(WHO[0], ASKED, sound), [late], case)["mouth_lag"] == -5


def test_a_wrong_program_is_wrong(good):
    asked = Program(body="walk right", face="blush")
    found = judge(good, [worlds.voice(0)], worlds.extra([WHO[0]], [asked]))
    assert found["program"] == 0
    assert found["slots"] == pytest.approx(3 / 6)  # body, background and face
    assert found["response"] < 0
    assert found["stillness"] == pytest.approx(1, abs=0.05)


def test_another_puppet_is_another(good, case, right):
    for other in (1, 2, 3):
        found = judge(worlds.truth(WHO[other], ASKED, worlds.voice(0)), [worlds.voice(0)], case)
        assert found["identity_error"] > right["identity_error"] + 20


def test_a_frozen_clip_does_nothing(good, case):
    found = judge(np.repeat(good[:1], len(good), axis=0), [worlds.voice(0)], case)
    assert found["program"] == 0
    assert found["response"] == pytest.approx(0, abs=0.02)
    assert found["mouth_correlation"] == pytest.approx(0, abs=0.05)
    assert found["flicker"] == 0


def test_added_flicker_is_its_size(good, case, right):
    jumps = (8 * (np.arange(len(good)) % 2)).astype(np.uint8)[:, None, None, None]
    found = judge(np.clip(good.astype(int) * 0.9 + jumps, 0, 255).astype(np.uint8), [worlds.voice(0)], case)  # fmt: skip
    assert found["flicker"] == pytest.approx(8, abs=1)
    assert right["flicker"] < 1


@pytest.fixture(scope="module")
def dialogue():
    """Two puppets; only the first one has something to say."""
    who, sounds = [WHO[0], WHO[6]], [worlds.voice(2), worlds.silence(3.56)]
    clip = render(worlds.scene(who, [Program()], sounds), 64)
    swapped = render(worlds.scene(who, [Program()], sounds[::-1]), 64)
    return clip, swapped, sounds, worlds.extra(who, [Program()])


def test_the_mouth_of_the_wrong_person_is_seen(dialogue):
    clip, swapped, sounds, case = dialogue
    found, wrong = judge(clip, sounds, case), judge(swapped, sounds, case)
    assert found["mouth_correlation"] > 0.97
    assert found["leakage"] < 0.2
    assert wrong["mouth_correlation"] < 0.2
    assert wrong["leakage"] > 0.8


def test_a_silent_person_stays_silent_through_a_codec(dialogue, tmp_path):
    clip, _, sounds, case = dialogue
    found = judge(worlds.degraded(clip, tmp_path), sounds, case)
    assert found["mouth_correlation"] > 0.9
    assert found["leakage"] <= 0.2


def test_drift_is_the_change_of_colour(case):
    sound = worlds.voice(0, 160)
    frames = worlds.truth(WHO[0], ASKED, sound, lengths=(160,))
    assert judge(frames, [sound], case)["drift"] == pytest.approx(0, abs=1)
    fading = frames * np.linspace(1, 0.8, 160)[:, None, None, None]
    assert judge(fading.astype(np.uint8), [sound], case)["drift"] > 5


def test_large_clips_are_judged_alike(right, case):
    large = worlds.truth(WHO[0], ASKED, worlds.voice(0), side=128)
    found = judge(large, [worlds.voice(0)], case)
    for name in ("program", "response", "mouth_correlation", "identity_error"):
        assert found[name] == pytest.approx(right[name], abs=0.12), name


def test_what_does_not_fit_is_said(good, case):
    with pytest.raises(InputError, match="frames of 60 pixels came; give 64 or a multiple"):
        judge(good[:, :60, :60], [None], case)
    with pytest.raises(InputError, match="2 voices came for 1 people"):
        judge(good[:1], [None, None], case)
    with pytest.raises(InputError, match="the case has no puppet facts"):
        judge(good, [None], {})
    with pytest.raises(InputError, match="no frames came"):
        judge(good[:0], [None], case)
    short = judge(good[:40], [None], case)
    assert short["program"] is None
    assert short["mouth_correlation"] is None


def test_lips_by_hand():
    asked = np.abs(np.sin(np.arange(60) / 4)).astype(np.float32)
    found = follow(0.5 * asked + np.float32(0.1), asked)
    assert found is not None
    assert found.correlation == pytest.approx(1, abs=1e-5)
    assert found.lag == 0
    assert found.gain == pytest.approx(0.5, abs=1e-5)
    assert follow(asked, np.zeros(60, np.float32)) is None
    assert best_lag([0.0] * 13) == 0
    assert correlate(np.ones(5, np.float32), np.arange(5, dtype=np.float32)) == 0
    both = np.stack([asked, np.zeros(60, np.float32)], axis=1)
    alone = leakage(both, both)
    together = leakage(np.stack([asked, asked], axis=1), both)
    assert alone is not None
    assert together is not None
    assert alone["correlation"] == 0
    assert together["listener"] == 1
    assert leakage(both[:10], both[:10]) is None


def test_proportions_are_those_of_the_renderer():
    from benchmarks.puppet import render as drawn

    assert proportions.GROUND == drawn.GROUND
    assert proportions.MOUTH == (drawn.MOUTH_HEIGHT, drawn.MOUTH_WIDE, drawn.MOUTH_HIGH)
    assert drawn.MOUTH_CLOSED == proportions.MOUTH_CLOSED
    assert proportions.HAIR[0] == pytest.approx(drawn.HEAD_HEIGHT + 0.03)
    assert proportions.HAIR[1:] == (drawn.HEAD_WIDE, drawn.HEAD_HIGH)
    assert proportions.FACE[0] == pytest.approx(drawn.HEAD_HEIGHT - 0.015)
    assert mouth.FPS == 25


def test_hand_ball_and_window_are_where_the_renderer_draws_them():
    from benchmarks.puppet import look

    asked = Program(arm="raise", object="ball")
    last = worlds.truth(worlds.identities()[0], asked, worlds.voice(), side=512)[-1]

    def place(colour, share=slice(None)):
        rows, columns = np.nonzero((last[:, share] == colour).all(axis=2))
        offset = share.start or 0
        return (columns + offset + 0.5) / 512, (rows + 0.5) / 512

    x, y = place(look.BALL)
    assert (x.mean(), y.mean()) == pytest.approx(proportions.BALL[:2], abs=0.003)
    assert np.sqrt(x.size / np.pi) / 512 == pytest.approx(proportions.BALL[2], abs=0.003)
    x, y = place(look.GLOVE, slice(256, None))
    assert (x.mean() - 0.5, proportions.GROUND - y.mean()) == pytest.approx(
        proportions.RAISED, abs=0.004
    )
    assert np.sqrt(x.size / np.pi) / 512 == pytest.approx(proportions.HAND, abs=0.003)
    x, y = place(look.WINDOW)
    edges = (x.min(), y.min(), x.max(), y.max())
    assert edges == pytest.approx(proportions.WINDOW, abs=0.003)
