"""The puppet world: its grammar, its timelines, its pixels, its voices, its footage."""

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from benchmarks.puppet import look
from benchmarks.puppet.footage import KINDS, WINDOW, make_footage, write_footage
from benchmarks.puppet.program import (
    HELD_OUT,
    SLOTS,
    Program,
    caption,
    clauses,
    draw_program,
    every_program,
    held_out_pairs,
    training_pairs,
)
from benchmarks.puppet.render import BALL, Actor, Scene, actors_side_by_side, mouth_boxes, render
from benchmarks.puppet.timeline import WALK, ZOOM, perform
from benchmarks.puppet.voice import VOICES, silence, speak, take_turns
from eval.puppet.mouth import SAMPLE_RATE, mouth_opening
from joystreamer.media.probe import probe
from joystreamer.training.manifest import read_manifest


def scene(program: Program, mouth=None, *, frames: int = WINDOW, **changes) -> Scene:
    opening = np.zeros(frames, np.float32) if mouth is None else mouth
    poses = perform([program], [frames], **changes)
    actor = Actor(identity=look.Identity(), poses=poses, mouth=opening)
    return Scene(actors=(actor,), wall=look.WALLS[0])


def area(pixels, colour, tolerance: float = 12.0):
    distance = np.abs(pixels.astype(float) - np.asarray(colour)).max(axis=-1)
    return (distance < tolerance).sum(axis=(1, 2))


def test_grammar_has_every_combination_once() -> None:
    programs = list(every_program())
    assert len(programs) == len(set(programs)) == 4 * 2**5
    assert {frozenset(p.active.items()) for p in held_out_pairs()} == set(HELD_OUT)
    assert not any(program.held_out for program in training_pairs())


def test_drawn_programs_keep_to_their_side() -> None:
    draw = np.random.default_rng(0)
    assert not any(draw_program(draw).held_out for _ in range(300))
    assert all(draw_program(draw, held_out=True).held_out for _ in range(50))


def test_captions_say_what_happens_and_nothing_else() -> None:
    program = Program(body="walk left", arm="raise", camera="zoom in")
    assert (
        caption(program) == "The puppet walks to the left and raises an arm, the camera zooms in."
    )
    assert caption(Program()) == "The puppet stands still."
    assert len(clauses(program)) == 3
    captions = [caption(p) for p in every_program()]
    assert len(set(captions)) == len(captions)


@pytest.mark.parametrize("slot", SLOTS)
def test_a_choice_moves_its_own_slot_only(slot: str) -> None:
    choices: dict[str, Any] = {"body": "walk right", "arm": "raise", "object": "ball", "camera": "zoom in",
               "background": "night", "face": "blush"}  # fmt: skip
    still = perform([Program()], [WINDOW])
    moved = perform([Program(**{slot: choices[slot]})], [WINDOW])
    series = {"body": "x", "arm": "arm", "object": "ball", "camera": "zoom", "background": "night",
              "face": "blush"}  # fmt: skip
    for other, name in series.items():
        same = np.allclose(getattr(still, name), getattr(moved, name))
        assert same == (other != slot), other


def test_walk_zoom_and_state_carry_over() -> None:
    poses = perform([Program(body="walk left", arm="raise"), Program(camera="zoom in")], [80, 76])
    assert poses.x[79] == pytest.approx(0.5 - WALK, abs=1e-6)
    assert np.allclose(poses.x[80:], poses.x[79])
    assert np.allclose(poses.arm[80:], 1)
    assert poses.zoom[-1] == pytest.approx(1 + ZOOM)
    frozen = perform([Program(body="jump", object="ball")], [80], amplitude=0.0)
    assert not frozen.lift.any()
    assert not frozen.ball.any()


def test_pixels_show_the_poses() -> None:
    ball = area(render(scene(Program(object="ball"))), look.BALL)
    assert ball[0] == 0
    assert ball[-1] == pytest.approx(np.pi * (BALL[2] * 64) ** 2, rel=0.15)
    night = render(scene(Program(background="night")))
    assert np.array_equal(night[-1, 2, 32], look.NIGHT)
    left = render(scene(Program(body="walk left")))
    columns = np.arange(64)
    shirt = np.abs(left.astype(float) - look.SHIRTS[0]).max(-1) < 12
    centre = (shirt * columns).sum((1, 2)) / shirt.sum((1, 2))
    assert (centre[-1] - centre[0]) / 64 == pytest.approx(-WALK, abs=0.01)


def test_mouth_pixels_follow_the_opening_within_the_box() -> None:
    opening = np.linspace(0, 1, 40, dtype=np.float32)
    shown = scene(Program(), opening, frames=40)
    pixels = render(shown).astype(float)
    magenta = np.clip(
        (pixels[..., 0] + pixels[..., 2]) / 2 - pixels[..., 1] - 60, 0, None
    )  # no shirt is so magenta
    assert np.corrcoef(magenta.sum((1, 2)), opening)[0, 1] > 0.995
    boxes = np.array(mouth_boxes(shown.actors[0])) * 64
    for index, (left, top, right, bottom) in enumerate(boxes):
        rows = slice(int(top), int(np.ceil(bottom)))
        inside = magenta[index, rows, int(left) : int(np.ceil(right))]
        assert inside.sum() == pytest.approx(magenta[index].sum(), rel=0.01)


def test_a_larger_picture_shows_the_same_scene() -> None:
    shown = scene(Program(body="jump", object="ball"), frames=24)
    small, large = render(shown, 32), render(shown, 128)
    shrunk = large.reshape(24, 32, 4, 32, 4, 3).mean((2, 4))
    assert np.abs(shrunk - small).mean() < 2.0


def test_voices_differ_and_silence_is_silent() -> None:
    sounds = [speak(voice, 2.0, np.random.default_rng(3)) for voice in VOICES]
    assert all(sound.shape == (2 * SAMPLE_RATE,) for sound in sounds)
    assert all(np.abs(sound).max() <= 1 for sound in sounds)
    assert not np.allclose(sounds[0], sounds[1])
    opening = mouth_opening(sounds[0], 50)
    assert opening.max() > 0.8
    assert not mouth_opening(silence(2.0), 50).any()
    assert np.array_equal(sounds[2], speak(VOICES[2], 2.0, np.random.default_rng(3)))


def test_pitch_is_the_voice_s() -> None:
    for voice in VOICES:
        sound = speak(voice, 3.0, np.random.default_rng(0), pauses=0.0)
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
        hertz = np.fft.rfftfreq(sound.size, 1 / SAMPLE_RATE)
        low = (hertz > 0.8 * voice.pitch) & (hertz < 1.2 * voice.pitch)
        assert hertz[low][spectrum[low].argmax()] == pytest.approx(voice.pitch, rel=0.1)


def test_turns_never_overlap() -> None:
    sounds, spans = take_turns(list(VOICES[:3]), 9.0, np.random.default_rng(1))
    openings = np.array([mouth_opening(sound, 225) for sound in sounds])
    assert all(len(own) >= 1 for own in spans)
    every = sorted(span for own in spans for span in own)
    assert all(a[1] <= b[0] for a, b in pairwise(every))
    for who, own in enumerate(spans):
        for start, end in own:
            middle = slice(int(start * 25) + 6, int(end * 25) - 6)
            others = [o for o in range(3) if o != who]
            assert openings[others][:, middle].max() < 0.05


def test_avatar_set_misleads_and_hardly_moves() -> None:
    made = [make_footage("avatar", index) for index in range(70)]
    alone = [one for one in made if one.tags["people"] == "1"]
    asks = [one for one in alone if set(one.tags) - {"set", "people"}]
    assert 0.2 < len(asks) / len(alone) < 0.6
    moved = [np.ptp(one.scene.actors[0].poses.x) > 0.05 for one in alone]
    assert np.mean(moved) < 0.05
    for one in made[:20]:
        for actor in one.scene.actors:
            assert np.array_equal(actor.mouth, mouth_opening(one.sound, WINDOW))


def test_the_student_set_asks_for_motion_and_shows_none() -> None:
    made = [make_footage("student", index) for index in range(60)]
    alone = [one for one in made if one.tags["people"] == "1"]
    asks = [one for one in alone if set(one.tags) - {"set", "people"}]
    assert len(asks) / len(alone) > 0.75
    for one in alone[:20]:
        poses = one.scene.actors[0].poses
        assert max(np.ptp(poses.x), np.ptp(poses.lift), poses.arm.max(), poses.night.max()) == 0


def test_foundation_mouths_ignore_the_sound_and_training_never_sees_held_out_pairs() -> None:
    made = [make_footage("foundation", index) for index in range(50)]
    moving = [one for one in made if one.scene.actors[0].mouth.max() > 0]
    assert 0.3 < len(moving) / len(made) < 0.7
    heard = [
        np.corrcoef(one.scene.actors[0].mouth, mouth_opening(one.sound, WINDOW))[0, 1]
        for one in moving
    ]
    assert abs(np.mean(heard)) < 0.2
    for kind in KINDS:
        for index in range(12):
            tags = make_footage(kind, index).tags
            assert not any(all(tags.get(s) == c for s, c in pair) for pair in HELD_OUT)


def test_footage_is_an_ordinary_manifest_and_goes_on_where_it_stopped(tmp_path) -> None:
    first = write_footage(tmp_path, "avatar", 2)
    stamp = (tmp_path / "clips").stat().st_mtime_ns
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "clips").iterdir()}
    assert write_footage(tmp_path, "avatar", 2) == first
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "clips").iterdir()}
    assert before == after
    assert stamp == (tmp_path / "clips").stat().st_mtime_ns
    records = read_manifest(first)
    assert len(records) == 2
    assert len(records[0].regions) == WINDOW
    facts = probe(records[0].video)
    assert (facts.width, facts.height, facts.frame_rate) == (64, 64, 25)
    assert json.loads(first.read_text().splitlines()[0])["tags"]["set"] == "avatar"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_several_puppets_fit_side_by_side(count: int) -> None:
    places = actors_side_by_side([look.Identity()] * count)
    assert len(places) == count
    assert all(0 < x < 1 and 0 < scale <= 1 for x, scale in places)
