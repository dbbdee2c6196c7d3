"""Conditions bound to networks: the text teacher's adapter and its experts."""

import pytest
import torch

from joystreamer.errors import InputError
from joystreamer.guidance import add_noise
from joystreamer.training.schedules import AVATAR_BOUNDARY, TEXT_TEACHER_BOUNDARY
from joystreamer.training.teachers import (
    AvatarConditions,
    Experts,
    TextTeacherConditions,
    bind,
    freeze,
    image_condition,
    text_teacher_velocity,
)
from tests.joystreamer.training.tiny_runs import RandomClips, network


class Recorder:
    """Answers with its input's first 16 channels and remembers the call."""

    def __call__(self, **given):
        self.given = given
        return (given["hidden_states"][:, :16],)


def text_conditions(batch):
    return TextTeacherConditions(
        text=batch["text"],
        encoded=batch["image_condition"],
        anchor_noise=torch.randn(2, 16, 1, 4, 4, generator=torch.Generator().manual_seed(0)),
    )


def test_the_condition_marks_the_first_slot_in_four_channels():
    encoded = RandomClips().read([0, 1])["image_condition"]
    condition = image_condition(encoded)
    assert condition.shape == (2, 20, 20, 4, 4)
    assert condition[:, :4, 0].min() == 1
    assert condition[:, :4, 1:].abs().max() == 0
    assert torch.equal(condition[:, 4:], encoded)


def test_the_text_teacher_sees_an_anchor_36_channels_20_slots_and_slot_0_is_dropped():
    batch, recorder = RandomClips().read([0, 1]), Recorder()
    conditions, tau = text_conditions(batch), torch.tensor([900.0, 500.0])
    velocity = text_teacher_velocity(recorder, conditions, batch["latents"], tau)
    seen = recorder.given["hidden_states"]
    assert seen.shape == (2, 36, 20, 4, 4)
    anchor = add_noise(batch["image_condition"][:, :, :1], conditions.anchor_noise, tau)
    torch.testing.assert_close(seen[:, :16, :1], anchor)
    assert torch.equal(seen[:, :16, 1:], batch["latents"])
    assert torch.equal(velocity, batch["latents"])
    assert torch.equal(recorder.given["timestep"], tau)


def test_a_real_text_teacher_heeds_its_anchor_and_its_prompt():
    batch, teacher = RandomClips().read([0, 1]), network(3, in_channels=36).eval()
    tau = torch.tensor([500.0, 500.0])
    with torch.no_grad():
        told = text_teacher_velocity(teacher, text_conditions(batch), batch["latents"], tau)
        other = dict(batch, image_condition=batch["image_condition"].flip(0))
        moved = text_teacher_velocity(teacher, text_conditions(other), batch["latents"], tau)
        other = dict(batch, text=batch["text"].flip(0))
        retold = text_teacher_velocity(teacher, text_conditions(other), batch["latents"], tau)
    assert told.shape == batch["latents"].shape
    assert not torch.allclose(told, moved)
    assert not torch.allclose(told, retold)


def test_a_condition_without_the_anchors_slot_is_refused():
    batch = RandomClips().read([0, 1])
    batch["image_condition"] = batch["image_condition"][:, :, 1:]
    with pytest.raises(InputError, match="has 19 slots for 19 noisy latents; it needs 20"):
        text_teacher_velocity(
            Recorder(), text_conditions(batch), batch["latents"], torch.tensor([900.0, 900.0])
        )


@pytest.mark.parametrize(
    ("level", "avatar", "teacher"),
    [
        (874.9, "low", "low"), (875.0, "high", "low"), (899.9, "high", "low"),
        (900.0, "high", "high"), (950.0, "high", "high"), (950.1, "high", "high"),
    ],
)  # fmt: skip
def test_experts_are_chosen_by_their_own_boundary(level, avatar, teacher):
    tau = torch.tensor([level, level])
    assert Experts("high", "low", AVATAR_BOUNDARY, "the avatar").at(tau) == avatar
    assert Experts("high", "low", TEXT_TEACHER_BOUNDARY, "the text teacher").at(tau) == teacher


def test_a_missing_expert_is_named_and_a_single_network_serves_all_levels():
    with pytest.raises(InputError, match="needs the low-noise expert of the text teacher"):
        Experts("high", None, 900.0, "the text teacher").at(torch.tensor([899.0]))
    single = Experts("one", "one", 900.0, "the text teacher")
    assert single.at(torch.tensor([100.0, 950.0])) == "one"


def test_a_bound_field_runs_the_expert_of_tau():
    field = bind(Experts("high", "low", 875.0, "x"), lambda name, x, t: x if name == "low" else -x)
    ones = torch.ones(1, 2)
    assert torch.equal(field(ones, torch.tensor([100.0])), ones)
    assert torch.equal(field(ones, torch.tensor([900.0])), -ones)


def test_null_audio_is_zeros_and_leaves_the_rest():
    batch = RandomClips().read([0])
    conditions = AvatarConditions(text=batch["text"], audio=batch["audio"], motion=batch["motion"])
    deaf = conditions.without_audio()
    assert deaf.audio is not None
    assert deaf.audio.abs().max() == 0
    assert deaf.motion is batch["motion"]
    assert AvatarConditions(text=batch["text"]).without_audio().audio is None


def test_frozen_networks_take_no_gradient_and_do_not_drop_out():
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout())
    freeze({"a": module, "b": None})
    assert not module.training
    assert not any(p.requires_grad for p in module.parameters())
