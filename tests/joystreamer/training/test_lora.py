"""Three roles on one base: who trains, what checkpointing recomputes, what is refused."""

import pytest
import torch

from joystreamer.errors import InputError
from joystreamer.training.lora import (
    TEACHER,
    AdapterOptions,
    AdapterRoles,
    adapter_size,
    refuse_sharded_adapters,
)
from joystreamer.training.teachers import AvatarConditions, avatar_velocity
from tests.joystreamer.training.tiny_runs import RandomClips, network

OPTIONS = AdapterOptions(rank=2, alpha=2.0)


def batch_and_conditions():
    batch = RandomClips().read([0])
    return batch["latents"], AvatarConditions(
        text=batch["text"],
        reference=batch["reference"],
        motion=batch["motion"],
        audio=batch["audio"],
    )


def awake_roles(checkpointing=False):
    """Adapters with an effect: their second matrices start at zero."""
    roles = AdapterRoles(network().eval(), ("student", "fake"), OPTIONS)
    if checkpointing:
        roles.enable_checkpointing()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for table in roles.parameters.values():
            for name, value in table.items():
                if "lora_B" in name:
                    value.copy_(0.1 * torch.randn(value.shape, generator=generator))
    return roles


def test_adapters_sit_on_audio_layers_and_self_attention_and_nowhere_else():
    roles = AdapterRoles(network(), ("student",), OPTIONS)
    adapted = {name.split(".lora_")[0] for name in roles.parameters["student"]}
    kinds = {name.removeprefix("blocks.0.").removeprefix("blocks.1.") for name in adapted}
    projections = ("to_q", "to_k", "to_v", "to_out.0")
    assert kinds == {
        *(f"audio_projector.linear_{i}" for i in (1, 2, 3)),
        *(f"attn1.{name}" for name in projections),
        *(f"audio_attn.{name}" for name in projections),
    }


def test_an_adapters_size_is_known_before_it_is_made():
    roles = AdapterRoles(network(), ("student",), OPTIONS)
    made = sum(value.numel() for value in roles.parameters["student"].values())
    assert adapter_size(network(), OPTIONS) == made


def test_the_bare_base_is_the_teacher_and_roles_differ():
    latents, conditions = batch_and_conditions()
    tau = torch.tensor([700.0])
    with torch.no_grad():
        before = avatar_velocity(network().eval(), conditions, latents, tau)
        roles = awake_roles()
        answers = {}
        for role in ("student", "fake", TEACHER):
            roles.switch(role)
            answers[role] = avatar_velocity(roles.network, conditions, latents, tau)
    torch.testing.assert_close(answers[TEACHER], before)
    assert not torch.allclose(answers["student"], before, atol=1e-3)
    assert not torch.allclose(answers["student"], answers["fake"], atol=1e-3)


def gradients(roles, switch_before_backward):
    latents, conditions = batch_and_conditions()
    roles.switch("student")
    velocity = avatar_velocity(roles.network, conditions, latents, torch.tensor([700.0]))
    if switch_before_backward:
        roles.switch("fake")
    velocity.square().mean().backward()
    return {
        role: {name: value.grad for name, value in table.items()}
        for role, table in roles.parameters.items()
    }


@pytest.mark.parametrize("switch_before_backward", [False, True])
def test_checkpointed_gradients_are_the_plain_ones_whatever_role_is_active_later(
    switch_before_backward,
):
    plain = gradients(awake_roles(), switch_before_backward=False)
    recomputed = gradients(awake_roles(checkpointing=True), switch_before_backward)
    for name, gradient in plain["student"].items():
        assert gradient is not None, name
        torch.testing.assert_close(recomputed["student"][name], gradient)
    assert all(gradient is None for gradient in recomputed["fake"].values())


def test_switching_keeps_every_adapter_trainable_and_the_base_frozen():
    roles = awake_roles()
    for role in ("student", TEACHER, "fake", TEACHER):
        roles.switch(role)
        trainable = {n for n, p in roles.network.named_parameters() if p.requires_grad}
        assert trainable == {n for table in roles.parameters.values() for n in table}


def test_a_visit_to_another_role_ends():
    roles = awake_roles()
    roles.switch("student")
    with roles.playing("fake"):
        assert roles.active == "fake"
    assert roles.active == "student"


def test_targets_that_match_nothing_and_senseless_sizes_are_refused():
    with pytest.raises(InputError, match="no layer of JoyStreamerTransformer3DModel matches"):
        AdapterRoles(network(), ("student",), AdapterOptions(targets="nothing"))
    with pytest.raises(InputError, match="adapter rank 0 and alpha 64 came"):
        AdapterOptions(rank=0)


def test_sharding_a_shared_base_is_refused_with_the_ways_out():
    with pytest.raises(InputError, match="FSDP2 with adapters on one shared base came") as caught:
        refuse_sharded_adapters(sharded=True, shared_base=True)
    assert "use DDP" in str(caught.value)
    refuse_sharded_adapters(sharded=True, shared_base=False)
    refuse_sharded_adapters(sharded=False, shared_base=True)
