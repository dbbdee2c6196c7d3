"""Options, scales by timestep, presets and probes: values, texts, refusals."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joystreamer.errors import InputError
from joystreamer.options import GenerationOptions, ScaleSchedule
from joystreamer.presets import SAMPLING, sampling_preset, tiny_vocabulary
from joystreamer.probes import DriftGuard, ProbeClip, load_probe


def test_the_papers_dynamic_scale():
    schedule = ScaleSchedule.parse("4,950:0.1")
    assert schedule == ScaleSchedule(4.0, ((950.0, 0.1),))
    assert [schedule.at(t) for t in (1000.0, 950.1, 950.0, 0.0)] == [0.1, 0.1, 4.0, 4.0]


def test_the_highest_exceeded_threshold_counts():
    schedule = ScaleSchedule(1.0, ((900.0, 3.0), (500.0, 2.0)))
    assert [schedule.at(t) for t in (950.0, 700.0, 300.0)] == [3.0, 2.0, 1.0]


scales = st.floats(-9, 9).map(lambda value: round(value, 3))


@given(scales, st.lists(st.tuples(st.integers(0, 999).map(float), scales), max_size=3))
def test_scale_texts_are_read_back(value, above):
    schedule = ScaleSchedule(value, tuple(above))
    assert ScaleSchedule.parse(str(schedule)) == schedule


@pytest.mark.parametrize("text", ["", "4,", "4,950", "4,a:1", "4,950:1:2"])
def test_bad_scales_are_refused(text):
    with pytest.raises(InputError, match="write a number, or a number and threshold:number pairs"):
        ScaleSchedule.parse(text)


@pytest.mark.parametrize("name", SAMPLING)
def test_presets_survive_json(name):
    options = sampling_preset(name)
    assert GenerationOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


def test_presets_hold_what_the_paper_says():
    assert sampling_preset("talking").reference_offset == 3.0
    distilled = sampling_preset("distilled")
    assert distilled.calls == 4
    assert (distilled.text_scale.value, distilled.audio_scale.value) == (1.0, 1.0)
    paper = sampling_preset("paper", seed=7)
    assert (paper.text_scale.value, paper.audio_scale.value, paper.seed) == (5.0, 4.0, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampler": "ddim"}, "sampler is 'ddim'; choose one of unipc, euler, distilled"),
        ({"steps": 0}, "steps is 0; choose 1 to 1000"),
        ({"height": 64}, "only one of height and width was given"),
        ({"shift": 0.0}, "shift is 0.0; it must be above 0"),
        ({"shift": float("nan")}, "shift is nan; give a number"),
        ({"steps": "4"}, "steps is '4'; give a whole number"),
        ({"seed": 1.5}, "seed is 1.5; give a whole number"),
        ({"seed": None}, "seed is None; give a whole number"),
        ({"height": 64.0, "width": 64}, "height is 64.0; give a whole number"),
        ({"area": 0}, "area is 0; give 1 to 33177600 pixels per frame"),
        ({"distilled_timesteps": ()}, "distilled_timesteps is empty"),
        ({"fragment_rule": "loop"}, "fragment_rule is 'loop'; choose one of spread, hold, replan"),
    ],
)
def test_impossible_options_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        GenerationOptions(**changes)


def test_unknown_options_suggest_the_nearest():
    with pytest.raises(InputError, match=r"unknown option .sead.; did you mean seed\?"):
        GenerationOptions.from_json({"sead": 3})
    with pytest.raises(InputError, match="unknown option 'zzz'; known are area, audio_scale"):
        GenerationOptions.from_json({"zzz": 3})


def test_values_of_another_kind_are_refused():
    with pytest.raises(InputError, match=r"distilled_timesteps is 'all'; write a list of numbers"):
        GenerationOptions.from_json({"distilled_timesteps": "all"})
    for scale in ("nan", "4,950:inf"):
        with pytest.raises(InputError, match=r"guidance scale .* came; write a number"):
            GenerationOptions.from_json({"text_scale": scale})


def test_tiny_vocabulary_is_fixed_and_has_no_doubles():
    pieces = [piece for piece, _ in tiny_vocabulary()]
    assert pieces[:3] == ["<pad>", "</s>", "<unk>"]
    assert len(set(pieces)) == len(pieces)


def brightness(clip: ProbeClip) -> dict[str, float]:
    return {"brightness": float(clip.frames.mean())}


def test_probes_are_loaded_by_name():
    assert load_probe("json:dumps").__name__ == "dumps"
    for name, message in (
        ("json", "write module:function"),
        ("json:nothing", "cannot be imported"),
        ("no_such_module:f", "cannot be imported"),
        ("json:__name__", "is not callable"),
    ):
        with pytest.raises(InputError, match=message):
            load_probe(name)


def test_guard_compares_with_the_first_segment():
    guard = DriftGuard(probe=brightness, limits={"brightness": 5.0})
    assert guard.exceeded({"brightness": 10.0}, {"brightness": 15.0}) == ()
    assert guard.exceeded({"brightness": 10.0}, {"brightness": 4.0}) == ("brightness",)
    with pytest.raises(InputError, match="the drift probe gives no brightness; it gives hue"):
        guard.exceeded({"brightness": 1.0}, {"hue": 2.0})


def test_correction_brings_channel_statistics_back():
    rng = np.random.default_rng(0)
    anchor = rng.integers(60, 180, (9, 16, 16, 3), dtype=np.uint8)
    drifted = np.clip(anchor * 0.8 + np.array([30, 0, 10]), 0, 255).astype(np.uint8)
    guard = DriftGuard(probe=brightness)
    fixed = guard.correct(drifted, anchor)
    assert np.abs(fixed.mean((0, 1, 2)) - anchor.mean((0, 1, 2))).max() < 0.6
    assert np.abs(fixed.std((0, 1, 2)) - anchor.std((0, 1, 2))).max() < 0.6
    none = DriftGuard(probe=brightness, strength=0.0)
    assert np.array_equal(none.correct(drifted, anchor), drifted)
