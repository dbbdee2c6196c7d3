"""What diffusers offers to its own models works for this one: caches, offload, casting, compile."""

import pytest
import torch
from accelerate.utils import compile_regions
from diffusers import (
    FirstBlockCacheConfig,
    MagCacheConfig,
    PyramidAttentionBroadcastConfig,
    TaylorSeerCacheConfig,
)
from diffusers.models.attention_dispatch import attention_backend
from peft import LoraConfig

from joystreamer.model.block import JoyStreamerBlock
from joystreamer.model.transformer import JoyStreamerTransformer3DModel


@torch.no_grad()
def run(model, inputs, **changes):
    return model(**{**inputs, **changes}).sample


def count_calls(modules):
    calls = [0]

    def count(*_):
        calls[0] += 1

    for module in modules:
        module.register_forward_pre_hook(count)
    return calls


def test_gradient_checkpointing_changes_no_gradient(make_model, segment):
    inputs = segment(batch=2, streams=3)
    gradients = []
    for checkpointing in (False, True):
        model = make_model().train()
        calls = count_calls(block.ffn for block in model.blocks)
        if checkpointing:
            model.enable_gradient_checkpointing()
        model(**inputs).sample.square().mean().backward()
        gradients.append({name: value.grad for name, value in model.named_parameters()})
        assert calls[0] == len(model.blocks) * (2 if checkpointing else 1)
    plain, saved = gradients
    for name, gradient in plain.items():
        assert gradient is not None, name
        assert torch.equal(gradient, saved[name]), name


def test_saved_and_loaded_it_is_the_same(make_model, segment, tmp_path):
    model = make_model(audio_block_indices=(0, 2), reference_offset=3.0)
    model.save_pretrained(tmp_path, max_shard_size="500KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    loaded = JoyStreamerTransformer3DModel.from_pretrained(tmp_path).eval()
    inputs = segment(streams=3)
    assert torch.equal(run(loaded, inputs), run(model, inputs))
    assert loaded.config.reference_offset == 3.0


def test_first_block_cache_skips_the_rest_when_little_changes(model, segment):
    inputs = segment(streams=3)
    plain = run(model, inputs)
    calls = count_calls(block.ffn for block in model.blocks)
    model.enable_cache(FirstBlockCacheConfig(threshold=0.5))
    with model.cache_context("cond"):
        torch.testing.assert_close(run(model, inputs), plain)
        assert calls[0] == 4
        again = run(model, inputs)
        assert calls[0] == 5  # only the first block ran
        torch.testing.assert_close(again, plain, atol=1e-4, rtol=1e-4)
        run(
            model,
            inputs,
            timestep=inputs["timestep"] / 100,
            hidden_states=torch.randn(1, 16, 3, 8, 8),
        )
        assert calls[0] == 9  # all blocks ran: the input had changed
    model.disable_cache()
    assert torch.equal(run(model, inputs), plain)


@pytest.mark.parametrize(
    "config",
    [
        PyramidAttentionBroadcastConfig(
            spatial_attention_block_skip_range=2,
            cross_attention_block_skip_range=2,
            spatial_attention_block_identifiers=("blocks",),
            cross_attention_block_identifiers=("blocks",),
            current_timestep_callback=lambda: 500,
        ),
        MagCacheConfig(num_inference_steps=4, retention_ratio=0.5, mag_ratios=[1.0, 1.0, 1.0, 1.0]),
        TaylorSeerCacheConfig(
            cache_interval=2,
            disable_cache_before_step=1,
            max_order=1,
            taylor_factors_dtype=torch.float32,
            # diffusers' own default pattern misses Wan's attn1 and attn2
            cache_identifiers=[r"blocks\.\d+\.(attn1|attn2|audio_attn)"],
        ),
    ],
    ids=lambda config: type(config).__name__,
)
def test_other_caches_take_hold_of_its_blocks(model, segment, config):
    inputs = segment(streams=3)
    plain = run(model, inputs)
    calls = count_calls(
        module for block in model.blocks for module in (block.attn1.to_q, block.ffn)
    )
    model.enable_cache(config)
    with model.cache_context("cond"):
        steps = [run(model, inputs) for _ in range(4)]
    assert calls[0] < 4 * 8
    torch.testing.assert_close(steps[0], plain)
    for step in steps[1:]:
        torch.testing.assert_close(step, plain, atol=1e-3, rtol=1e-3)


def test_weights_stored_in_fp8_keep_delicate_parts_exact(model, segment):
    inputs = segment(streams=3)
    plain = run(model, inputs)
    model.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    block = model.blocks[0]
    assert block.attn1.to_q.weight.dtype == torch.float8_e4m3fn
    assert block.audio_attn.to_q.weight.dtype == torch.float8_e4m3fn
    for kept in (
        block.audio_norm.weight,
        block.norm2.weight,
        block.attn1.norm_q.weight,
        model.patch_embedding.weight,
        model.frame_pack.proj_2x.weight,
        model.audio_projector.linear_1.weight,
        model.condition_embedder.time_proj.weight,
    ):
        assert kept.dtype == torch.float32
    cast = run(model, inputs)
    error = (cast - plain).norm() / plain.norm()
    assert 0 < error < 0.2


@pytest.mark.parametrize("kind", ["block_level", "leaf_level"])
def test_groups_of_weights_can_be_offloaded(make_model, segment, kind):
    """On a CPU both ends of the offload are the CPU; hooks, order and results are the real ones."""
    model, plain = make_model(), make_model()
    options = {"num_blocks_per_group": 1} if kind == "block_level" else {}
    model.enable_group_offload(
        onload_device=torch.device("cpu"),
        offload_device=torch.device("cpu"),
        offload_type=kind,
        **options,
    )
    inputs = segment(streams=3)
    assert torch.equal(run(model, inputs), run(plain, inputs))


def test_weights_can_rest_on_disk(make_model, segment, tmp_path):
    model, plain = make_model(), make_model()
    model.enable_group_offload(
        onload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=2,
        offload_to_disk_path=str(tmp_path),
    )
    inputs = segment(streams=3)
    assert torch.equal(run(model, inputs), run(plain, inputs))
    assert list(tmp_path.glob("*.safetensors"))


def test_attention_backends_reach_speech_too(model, segment):
    inputs = segment(streams=3)
    plain = run(model, inputs)
    with attention_backend(
        "native"
    ):  # diffusers also sets the choice for the whole process; put it back
        model.set_attention_backend("_native_math")
        block = model.blocks[0]
        layers = (block.attn1, block.attn2, block.audio_attn)
        assert {layer.processor._attention_backend.value for layer in layers} == {"_native_math"}
        torch.testing.assert_close(run(model, inputs), plain, atol=1e-5, rtol=1e-4)


def test_projections_can_be_fused(model, segment):
    inputs = segment(streams=3)
    plain = run(model, inputs)
    model.fuse_qkv_projections()
    assert model.blocks[0].attn1.fused_projections
    assert not model.blocks[0].audio_attn.fused_projections
    torch.testing.assert_close(run(model, inputs), plain, atol=1e-5, rtol=1e-4)


def test_adapters_train_alone_and_scale(model, segment):
    """The paper's post-training targets: audio projector, audio attention, self-attention."""
    inputs = segment()
    plain = run(model, inputs)
    targets = (
        r"audio_projector\.linear_\d|blocks\.\d+\.(attn1|audio_attn)\.(to_q|to_k|to_v|to_out\.0)"
    )
    model.requires_grad_(False)
    model.add_adapter(
        LoraConfig(r=4, lora_alpha=4, target_modules=targets, init_lora_weights=False)
    )
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert len(trained) == 2 * (3 + 4 * 8)
    model(**inputs).sample.square().mean().backward()
    assert all(value.grad is not None for value in model.parameters() if value.requires_grad)
    changed = run(model, inputs)
    assert not torch.allclose(changed, plain)
    halved = run(model, inputs, attention_kwargs={"scale": 0.0})
    torch.testing.assert_close(halved, plain)
    model.disable_adapters()
    assert torch.equal(run(model, inputs), plain)


def test_the_block_is_what_diffusers_compiles_and_never_splits():
    assert JoyStreamerTransformer3DModel._repeated_blocks == [JoyStreamerBlock.__name__]
    assert JoyStreamerTransformer3DModel._no_split_modules == [JoyStreamerBlock.__name__]


@pytest.mark.slow
def test_the_repeated_block_compiles_whole(make_model, segment):
    model, plain = make_model(num_layers=2), make_model(num_layers=2)
    torch._dynamo.reset()
    model.compile_repeated_blocks(fullgraph=True, backend="aot_eager")
    inputs = segment(streams=3)
    torch.testing.assert_close(run(model, inputs), run(plain, inputs), atol=1e-5, rtol=1e-4)


def test_the_regions_that_accelerate_compiles_run(make_model, segment):
    model, inputs = make_model(), segment()
    torch._dynamo.reset()
    compiled = compile_regions(model, backend="eager")
    torch.testing.assert_close(run(compiled, inputs), run(model, inputs))
