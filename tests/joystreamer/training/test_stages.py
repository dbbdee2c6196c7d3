"""Assembling and saving: merged students, widened inputs, folders that do not fit."""

import json

import pytest
import torch

from joystreamer.errors import InputError, MissingWeights
from joystreamer.training.casts import STUDENT, SharedCast
from joystreamer.training.lora import AdapterOptions
from joystreamer.training.presets import training_preset
from joystreamer.training.stages import (
    load_text_teacher,
    load_transformer,
    merged_student,
    plain_network,
    trained_component,
    widen_input,
)
from joystreamer.training.task import Rates
from joystreamer.training.teachers import AvatarConditions
from tests.joystreamer.training.tiny_runs import RandomClips, network


def conditions():
    batch = RandomClips().read([0])
    return batch["latents"], AvatarConditions(
        text=batch["text"], reference=batch["reference"], audio=batch["audio"]
    )


@torch.no_grad()
def test_the_merged_student_is_a_plain_network_with_the_students_answers():
    rates = Rates(rate=1e-3)
    cast = SharedCast(network(), "single", AdapterOptions(rank=2, alpha=4.0), rates, rates)
    generator = torch.Generator().manual_seed(0)
    for value in cast.roles.parameters[STUDENT].values():
        value.copy_(0.1 * torch.randn(value.shape, generator=generator))
    latents, told = conditions()
    tau = torch.tensor([800.0])
    expected = cast.velocity(STUDENT, told, latents, tau)
    merged = merged_student(cast)
    assert set(merged.state_dict()) == set(network().state_dict())
    answer = merged(latents, tau, told.text, told.reference, None, told.audio, return_dict=False)[0]
    torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_new_input_channels_are_silent_at_first():
    narrow = network().eval()
    wide = widen_input(narrow, 36).eval()
    latents, told = conditions()
    more = torch.cat([latents, torch.randn(1, 20, *latents.shape[2:])], dim=1)
    tau = torch.tensor([500.0])
    before = narrow(latents, tau, told.text, return_dict=False)[0]
    torch.testing.assert_close(wide(more, tau, told.text, return_dict=False)[0], before)


def test_a_stored_network_takes_the_runs_precision_where_it_trained():
    made = network().bfloat16()
    for name, value in made.named_parameters():
        value.requires_grad_("attn1" in name)
        if value.requires_grad:
            value.data = value.data.float()
    stored = plain_network(made, torch.bfloat16)
    assert {value.dtype for value in stored.parameters()} == {torch.bfloat16}
    for name, value in stored.state_dict().items():
        torch.testing.assert_close(value, made.state_dict()[name].bfloat16())


def test_folders_that_hold_no_fitting_network_are_told(tmp_path):
    with pytest.raises(MissingWeights, match=r"has no config\.json"):
        load_transformer(tmp_path, torch.float32)
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKLWan"}))
    with pytest.raises(InputError, match="holds a AutoencoderKLWan; one of JoyStreamer"):
        load_transformer(tmp_path, torch.float32)
    network().save_pretrained(tmp_path / "transformer")
    with pytest.raises(InputError, match="takes 16 channels; an image-to-video model takes 36"):
        load_text_teacher(tmp_path, training_preset("tiny-distill"))


def test_a_text_teacher_with_one_network_serves_all_levels(tmp_path):
    network(in_channels=36).save_pretrained(tmp_path / "transformer")
    experts = load_text_teacher(tmp_path, training_preset("tiny-distill"))
    assert experts.high is experts.low
    assert experts.boundary == 900.0


def test_each_stage_trains_the_component_of_its_expert():
    names = {
        "tiny-codec": "vae",
        "tiny-decoder": "vae",
        "tiny-stage-1": "transformer",
        "paper-stage-2-high": "transformer",
        "paper-stage-2-low": "transformer_2",
    }
    for name, component in names.items():
        assert trained_component(training_preset(name)) == component
