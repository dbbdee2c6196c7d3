import pytest
import torch
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

from joystreamer.model.configurations import paper_transformer_config, tiny_transformer_config
from joystreamer.model.transformer import JoyStreamerTransformer3DModel
from joystreamer.model.wan_keys import (
    is_addition,
    key_to_diffusers,
    key_to_original,
    module_from_kohya,
    module_to_kohya,
    module_to_original,
)


def original_a14b_keys() -> list[str]:
    """The keys of Wan2.2-A14B as its repository lists them, written out by hand."""
    keys = ["patch_embedding", "text_embedding.0", "text_embedding.2", "time_embedding.0"]
    keys += ["time_embedding.2", "time_projection.1", "head.head"]
    for block in range(40):
        for attention in ("self_attn", "cross_attn"):
            keys += [f"blocks.{block}.{attention}.{name}" for name in "qkvo"]
        keys += [f"blocks.{block}.{name}" for name in ("norm3", "ffn.0", "ffn.2")]
    names = [f"{key}.{part}" for key in keys for part in ("weight", "bias")]
    for block in range(40):
        names.append(f"blocks.{block}.modulation")
        for attention in ("self_attn", "cross_attn"):
            names += [f"blocks.{block}.{attention}.norm_{part}.weight" for part in "qk"]
    return [*names, "head.modulation"]


def make_keys(**config) -> list[str]:
    with torch.device("meta"):
        return list(JoyStreamerTransformer3DModel(**config).state_dict())


def test_every_original_key_of_the_14b_model_has_its_place_and_way_back():
    original = original_a14b_keys()
    assert len(original) == len(set(original)) == 1095
    translated = [str(key_to_diffusers(key)) for key in original]
    base = [key for key in make_keys(**paper_transformer_config()) if not is_addition(key)]
    assert sorted(translated) == sorted(base)
    assert [key_to_original(key) for key in translated] == original


@pytest.mark.parity
def test_the_map_agrees_with_diffusers_own():
    theirs = convert_wan_transformer_to_diffusers({key: key for key in original_a14b_keys()})
    assert {key_to_diffusers(original): original for original in theirs.values()} == theirs


@pytest.mark.parametrize(
    ("original", "diffusers"),
    [
        ("blocks.7.norm3.weight", "blocks.7.norm2.weight"),
        ("blocks.7.norm2.weight", "blocks.7.norm3.weight"),
        ("blocks.39.modulation", "blocks.39.scale_shift_table"),
        ("head.modulation", "scale_shift_table"),
        ("blocks.0.self_attn.o.bias", "blocks.0.attn1.to_out.0.bias"),
        ("blocks.0.cross_attn.k_img.weight", "blocks.0.attn2.add_k_proj.weight"),
        ("blocks.0.cross_attn.norm_k_img.weight", "blocks.0.attn2.norm_added_k.weight"),
        ("img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed"),
        ("frame_packer.proj_2x.weight", "frame_pack.proj_2x.weight"),
        ("blocks.3.audio_cross_attn.v.weight", "blocks.3.audio_attn.to_v.weight"),
    ],
)
def test_pairs_of_names(original, diffusers):
    assert key_to_diffusers(original) == diffusers
    assert key_to_original(diffusers) == original


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"motion_buckets": (1, 2, 16), "audio_layer_fusion": "weighted"},
        {"in_channels": 36, "image_dim": 20, "added_kv_proj_dim": 96, "pos_embed_seq_len": 9},
    ],
    ids=["default", "three buckets, weighted speech layers", "wan2.1 first-last-frame"],
)
def test_every_key_we_make_has_an_original_name_and_way_back(changes):
    keys = make_keys(**{**tiny_transformer_config(), **changes})
    original = [key_to_original(key) for key in keys]
    assert None not in original
    assert len(set(original)) == len(keys)
    assert [key_to_diffusers(str(key)) for key in original] == keys


@pytest.mark.parametrize(
    "key",
    ["blocks.0.face_attn.q.weight", "vae.conv1.weight", "blocks.0.self_attn.q.lora_A", "head"],
)
def test_strangers_have_no_name(key):
    assert key_to_diffusers(key) is None
    assert key_to_original(key) is None


def test_every_linear_layer_has_a_kohya_name_and_way_back():
    with torch.device("meta"):
        model = JoyStreamerTransformer3DModel(
            **tiny_transformer_config(),
        )
    layers = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    names = [module_to_kohya(layer) for layer in layers]
    assert len(set(names)) == len(layers) == 5 + 1 + 3 + 4 * (3 * 4 + 2)
    assert [module_from_kohya(str(name)) for name in names] == layers
    assert module_to_kohya("blocks.11.attn1.to_out.0") == "lora_unet_blocks_11_self_attn_o"
    assert module_to_kohya("blocks.0.ffn.net.0.proj") == "lora_unet_blocks_0_ffn_0"
    assert module_from_kohya("lora_te_text_model") is None
    assert module_from_kohya("lora_unet_blocks_0_norm9") is None
    assert module_to_original("blocks.0.unknown") is None
