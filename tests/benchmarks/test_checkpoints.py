"""A checkpoint's folder says how it wants to be sampled; bundled ones go by name."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig

from benchmarks.checkpoints import (
    ADAPTER_FILE,
    bundled_checkpoints,
    find_checkpoint,
    read_settings,
)
from benchmarks.renderers import ModelRenderer
from joystreamer.errors import InputError
from joystreamer.model.lora import export_lora
from joystreamer.presets import build_tiny_pipeline


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


def test_an_adapter_stands_on_the_pipeline_beside_it(tmp_path: Path) -> None:
    pipeline = build_tiny_pipeline(0)
    pipeline.save_pretrained(tmp_path / "base")
    plain = pipeline.transformer.blocks[0].attn1.to_q.weight.clone()
    config = LoraConfig(r=2, target_modules=["to_q", "to_v"])
    pipeline.transformer.add_adapter(config)
    with torch.no_grad():
        for name, value in pipeline.transformer.named_parameters():
            if "lora_B" in name:
                value.fill_(0.01)
    student = tmp_path / "student"
    student.mkdir()
    export_lora(pipeline.transformer, student / ADAPTER_FILE)
    say(student, preset="distilled", base="base", options={"area": 4096})

    assert bundled_checkpoints(tmp_path) == ("base", "student")
    renderer = ModelRenderer(str(student), device="cpu")
    opened, options, _ = renderer._open()
    assert options.steps == 4
    layer = opened.transformer.blocks[0].attn1.to_q
    assert torch.equal(layer.base_layer.weight, plain)
    assert (layer.lora_B["default"].weight == 0.01).all()
    changed = ModelRenderer(str(tmp_path / "base"), device="cpu").settings["model"]
    assert renderer.settings["model"] != changed


def test_an_adapter_without_its_pipeline_is_refused(tmp_path: Path) -> None:
    student = tmp_path / "student"
    student.mkdir()
    for base, words in (
        ("../base", "write the name of a folder beside this one"),
        ("base", "is no saved pipeline"),
    ):
        say(student, base=base)
        with pytest.raises(InputError, match=words):
            ModelRenderer(str(student))
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model_index.json").write_text("{}")
    with pytest.raises(InputError, match="is an adapter for"):
        ModelRenderer(str(student))
