"""Names of weights in the two layouts of Wan: the original repository's and diffusers'.

Pure functions on strings, both ways, one table. The trap of the pair: the affine norm before text
attention is `norm3` in the original and `norm2` in diffusers, and the plain norm before the
feed-forward network is the other way round.

JoyStreamer's own weights have an original-layout name too, so that tools which expect that layout
(single files, Kohya-style LoRA) can name every layer: FramePack as in Wan-S2V, audio attention in
the manner of Wan's other attentions.
"""

import re

# Original module -> diffusers module, outside the blocks.
_TOP_MODULES = {
    "patch_embedding": "patch_embedding",
    "text_embedding.0": "condition_embedder.text_embedder.linear_1",
    "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "time_embedding.0": "condition_embedder.time_embedder.linear_1",
    "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "img_emb.proj.0": "condition_embedder.image_embedder.norm1",
    "img_emb.proj.1": "condition_embedder.image_embedder.ff.net.0.proj",
    "img_emb.proj.3": "condition_embedder.image_embedder.ff.net.2",
    "img_emb.proj.4": "condition_embedder.image_embedder.norm2",
    "head.head": "proj_out",
    "frame_packer.proj": "frame_pack.proj",
    "frame_packer.proj_2x": "frame_pack.proj_2x",
    "frame_packer.proj_4x": "frame_pack.proj_4x",
    "audio_projector.linear_1": "audio_projector.linear_1",
    "audio_projector.linear_2": "audio_projector.linear_2",
    "audio_projector.linear_3": "audio_projector.linear_3",
    "audio_projector.norm": "audio_projector.norm",
}
_TOP_PARAMETERS = {
    "head.modulation": "scale_shift_table",
    "img_emb.emb_pos": "condition_embedder.image_embedder.pos_embed",
    "audio_projector.layer_logits": "audio_projector.layer_logits",
}


def _attention(original: str, diffusers: str) -> dict[str, str]:
    pairs = (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("o", "to_out.0"))
    names = (*pairs, ("norm_q", "norm_q"), ("norm_k", "norm_k"))
    return {f"{original}.{old}": f"{diffusers}.{new}" for old, new in names}


# Original module -> diffusers module, inside a block.
_BLOCK_MODULES = {
    **_attention("self_attn", "attn1"),
    **_attention("cross_attn", "attn2"),
    "cross_attn.k_img": "attn2.add_k_proj",
    "cross_attn.v_img": "attn2.add_v_proj",
    "cross_attn.norm_k_img": "attn2.norm_added_k",
    **_attention("audio_cross_attn", "audio_attn"),
    "norm1": "norm1",
    "norm3": "norm2",
    "norm2": "norm3",
    "audio_norm": "audio_norm",
    "ffn.0": "ffn.net.0.proj",
    "ffn.2": "ffn.net.2",
}
_BLOCK_PARAMETERS = {"modulation": "scale_shift_table"}

_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")
_KOHYA_BLOCK = re.compile(r"blocks_(\d+)_(.+)")
_KOHYA_PREFIX = "lora_unet_"


def _invert(table: dict[str, str]) -> dict[str, str]:
    return {new: old for old, new in table.items()}


_TOP_MODULES_BACK = _invert(_TOP_MODULES)
_TOP_PARAMETERS_BACK = _invert(_TOP_PARAMETERS)
_BLOCK_MODULES_BACK = _invert(_BLOCK_MODULES)
_BLOCK_PARAMETERS_BACK = _invert(_BLOCK_PARAMETERS)
_KOHYA_TOP = {name.replace(".", "_"): name for name in _TOP_MODULES}
_KOHYA_IN_BLOCK = {name.replace(".", "_"): name for name in _BLOCK_MODULES}


def _translate(name: str, top: dict[str, str], block: dict[str, str]) -> str | None:
    match = _BLOCK.fullmatch(name)
    if match is None:
        return top.get(name)
    inside = block.get(match[2])
    return None if inside is None else f"blocks.{match[1]}.{inside}"


def _translate_key(
    key: str,
    modules: tuple[dict[str, str], dict[str, str]],
    parameters: tuple[dict[str, str], dict[str, str]],
) -> str | None:
    whole = _translate(key, *parameters)
    if whole is not None:
        return whole
    module, dot, parameter = key.rpartition(".")
    if not dot or parameter not in ("weight", "bias"):
        return None
    translated = _translate(module, *modules)
    return None if translated is None else f"{translated}.{parameter}"


def module_to_diffusers(module: str) -> str | None:
    """Name of an original-layout module in diffusers, or None if it is unknown."""
    return _translate(module, _TOP_MODULES, _BLOCK_MODULES)


def module_to_original(module: str) -> str | None:
    """Name of a diffusers module in the original layout, or None if it is unknown."""
    return _translate(module, _TOP_MODULES_BACK, _BLOCK_MODULES_BACK)


def key_to_diffusers(key: str) -> str | None:
    """Diffusers key of an original-layout weight, or None if it is unknown."""
    return _translate_key(key, (_TOP_MODULES, _BLOCK_MODULES), (_TOP_PARAMETERS, _BLOCK_PARAMETERS))


def key_to_original(key: str) -> str | None:
    """Original-layout key of a diffusers weight, or None if it is unknown."""
    return _translate_key(
        key,
        (_TOP_MODULES_BACK, _BLOCK_MODULES_BACK),
        (_TOP_PARAMETERS_BACK, _BLOCK_PARAMETERS_BACK),
    )


def module_to_kohya(module: str) -> str | None:
    """Kohya (musubi-tuner) LoRA name of a diffusers module, or None if it is unknown."""
    original = module_to_original(module)
    return None if original is None else _KOHYA_PREFIX + original.replace(".", "_")


def module_from_kohya(name: str) -> str | None:
    """Diffusers module of a Kohya LoRA name, or None if it is unknown."""
    if not name.startswith(_KOHYA_PREFIX):
        return None
    name = name.removeprefix(_KOHYA_PREFIX)
    match = _KOHYA_BLOCK.fullmatch(name)
    if match is None:
        return None if name not in _KOHYA_TOP else module_to_diffusers(_KOHYA_TOP[name])
    inside = _KOHYA_IN_BLOCK.get(match[2])
    return None if inside is None else module_to_diffusers(f"blocks.{match[1]}.{inside}")


def is_addition(key: str) -> bool:
    """Whether a diffusers key belongs to what JoyStreamer adds to Wan."""
    parts = key.split(".")
    return any(part == "frame_pack" or part.startswith("audio_") for part in parts)
