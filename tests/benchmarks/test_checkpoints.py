"""A checkpoint's folder says how it wants to be sampled; bundled ones go by name."""

import json
from pathlib import Path

import pytest

from benchmarks.checkpoints import bundled_checkpoints, find_checkpoint, read_settings
from benchmarks.renderers import ModelRenderer
from joystreamer.errors import InputError


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "twin"
    folder.mkdir()
    (folder / "model_index.json").write_text("{}")
    return folder


def say(folder: Path, **facts: object) -> None:
    (folder / "benchmark.json").write_text(json.dumps(facts))


def test_settings_of_a_checkpoint_hold_unless_another_preset_is_asked_for(checkpoint: Path) -> None:
    plain = ModelRenderer(str(checkpoint))
    assert plain.settings["preset"] == "paper"
    say(checkpoint, preset="distilled", options={"area": 4096}, family="puppet", step=150)
    own = ModelRenderer(str(checkpoint), changes={"shift": 3.0})
    assert own.settings["preset"] == "distilled"
    assert own.settings["changes"] == {"area": 4096, "shift": 3.0}
    assert (own.system.family, own.system.step) == ("puppet", 150)
    asked = ModelRenderer(str(checkpoint), preset="tiny")
    assert (asked.settings["preset"], asked.settings["changes"]) == ("tiny", {})
    assert asked.system.family == "puppet"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "holds a list; write a JSON object"),
        ("{", "is not JSON"),
        ('{"presset": "tiny"}', "unknown key 'presset' (did you mean 'preset'?)"),
        ('{"step": true}', "step is True; write a whole number"),
        ('{"options": 3}', "options is 3; write an object"),
    ],
)
def test_settings_that_do_not_fit_are_refused(checkpoint: Path, text: str, words: str) -> None:
    (checkpoint / "benchmark.json").write_text(text)
    with pytest.raises(InputError) as caught:
        read_settings(checkpoint)
    assert words in str(caught.value)
    assert "benchmark.json" in str(caught.value)


def test_bundled_checkpoints_go_by_name(checkpoint: Path) -> None:
    root = checkpoint.parent
    (root / "not-a-checkpoint").mkdir()
    assert bundled_checkpoints(root) == ("twin",)
    assert find_checkpoint("twin", root) == str(checkpoint)
    assert find_checkpoint("elsewhere/twin", root) == "elsewhere/twin"
