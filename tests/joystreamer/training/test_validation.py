"""Validation by samples: figures, files, the stop rule, and what cannot be a scene."""

import json

import numpy as np
import pytest

from joystreamer.errors import InputError
from joystreamer.media.writing import write_clip
from joystreamer.presets import build_tiny_pipeline, distilled_sampling
from joystreamer.training.manifest import ClipRecord
from joystreamer.training.validation import (
    SampleValidation,
    StopRule,
    ValidationScene,
    read_scenes,
)


def scene():
    image = np.random.default_rng(0).integers(0, 255, size=(32, 32, 3), dtype=np.uint8)
    track = 0.1 * np.sin(np.arange(8_000) / 8).astype(np.float32)
    return ValidationScene(name="one", image=image, track=track, prompt="a puppet talks")


def test_scenes_are_rendered_alike_written_and_measured(tmp_path):
    seen = []

    def probe(clip):
        seen.append(clip)
        return {"text_alignment": 1.0 - 0.1 * len(seen)}

    pipeline = build_tiny_pipeline(experts=1)
    pipeline.set_progress_bar_config(disable=True)
    rule = StopRule(figure="text_alignment")
    options = distilled_sampling(area=32 * 32, distilled_timesteps=(1000.0,))
    made = SampleValidation(pipeline, [scene()], [probe], options, tmp_path, stop_rule=rule)
    first = made(0)
    assert first == {"text_alignment": 0.9}
    assert not made.stop
    assert seen[0].frames.shape == (13, 32, 32, 3)
    assert seen[0].audio is not None
    # A restarted run compares with the first figures of all.
    again = SampleValidation(pipeline, [scene()], [probe], options, tmp_path, stop_rule=rule)
    assert again(5) == {"text_alignment": 0.8}
    assert again.stop
    assert np.array_equal(seen[0].frames, seen[1].frames)
    assert (tmp_path / "update-00000005" / "one.mp4").is_file()
    assert json.loads((tmp_path / "first.json").read_text()) == {"text_alignment": 0.9}


def test_the_stop_rule_compares_with_the_first_value_and_names_what_is_missing():
    rule = StopRule(figure="sync", floor=0.9)
    assert not rule.broken({"sync": 1.0}, {"sync": 0.9})
    assert rule.broken({"sync": 1.0}, {"sync": 0.89})
    with pytest.raises(InputError, match="watches 'sync', which no probe gives; they give motion"):
        rule.broken({"sync": 1.0}, {"motion": 1.0})


def test_a_scene_needs_sound(tmp_path):
    path = tmp_path / "mute.mp4"
    write_clip(path, [np.zeros((32, 32, 3), dtype=np.uint8)] * 3, 25)
    with pytest.raises(InputError, match="clip mute has no sound; choose clips that speak"):
        read_scenes([ClipRecord(video=path, caption="x", id="mute")], 1)
