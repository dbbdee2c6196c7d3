"""From Wan's weights to ours: match every name and shape, load, and start what is new as a no-op.

Reads one expert at a time, in diffusers' or the original layout (see `wan_keys`). Nothing is
guessed: a weight left over, missing or of another shape is an error that names it.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from joystreamer.errors import InputError, brief
from joystreamer.json_files import read_object
from joystreamer.model.audio_attention import AudioAttention
from joystreamer.model.checkpoint_files import (
    StoredTensor,
    find_weight_files,
    read_headers,
    read_tensors,
)
from joystreamer.model.transformer import JoyStreamerTransformer3DModel
from joystreamer.model.wan_keys import is_addition, key_to_diffusers

Layout = Literal["diffusers", "original"]
Progress = Callable[[int, int], None]  # tensors read, tensors in all

WAN_A14B_TENSORS = 1095  # 27 per block x 40 + 15
WAN_A14B_PARAMETERS = {16: 14_288_491_584, 36: 14_288_901_184}  # by input channels: T2V, I2V
WAN_A14B_WIDTH_AND_LAYERS = (5120, 40)
HEAD_CHANNELS = 128  # of every released Wan; shapes alone do not tell the number of heads
KEY_PREFIXES = ("model.diffusion_model.", "diffusion_model.")  # of single-file checkpoints
UNUSED = ".norm_added_q."  # in some Wan2.1 image-to-video files; diffusers' Wan ignores it too
# Folders of the two experts, high noise first, by the component names of the pipeline.
EXPERT_FOLDERS = {
    "transformer": ("transformer", "high_noise_model"),
    "transformer_2": ("transformer_2", "low_noise_model"),
}


def find_experts(path: Path) -> dict[str, Path]:
    """Folders or files of the experts of a checkpoint.

    Args:
        path: A repository folder (diffusers or original layout), or one expert's folder or file.

    Returns:
        Component name -> path; only `transformer` for a single expert.
    """
    found: dict[str, Path] = {}
    for component, names in EXPERT_FOLDERS.items():
        for name in names:
            if (path / name).is_dir():
                found.setdefault(component, path / name)
    return found or {"transformer": path}


def match_keys(keys: Iterable[str]) -> tuple[Layout, dict[str, str]]:
    """Translate all keys of a checkpoint into diffusers names.

    Args:
        keys: Names as stored.

    Returns:
        The layout found, and diffusers name -> stored name.

    Raises:
        InputError: Names that belong to neither layout, or that clash.
    """
    stored = {key: _strip_prefix(key) for key in keys if UNUSED not in key}
    is_diffusers = any(name.startswith("condition_embedder.") for name in stored.values())
    layout: Layout = "diffusers" if is_diffusers else "original"
    matched: dict[str, str] = {}
    unknown = []
    for key, name in stored.items():
        translated = name if is_diffusers else key_to_diffusers(name)
        if translated is None or translated in matched:
            unknown.append(key)
        else:
            matched[translated] = key
    if unknown:
        raise InputError(
            f"{len(unknown)} of {len(stored)} weights are not Wan's: {_examples(unknown)}; a Wan or "
            "JoyStreamer transformer in diffusers or original layout fits; check the folder"
        )
    return layout, matched


def _strip_prefix(key: str) -> str:
    for prefix in KEY_PREFIXES:
        if key.startswith(prefix):
            return key.removeprefix(prefix)
    return key


def _examples(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (", ..." if len(ordered) > 3 else "")


def infer_wan_config(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Read the configuration of a Wan transformer off its shapes.

    Args:
        shapes: Diffusers name -> shape.

    Returns:
        Constructor arguments; heads are assumed to have 128 channels.

    Raises:
        InputError: Weights that would tell the configuration are missing.
    """
    try:
        width, in_channels, *patch_size = shapes["patch_embedding.weight"]
        config = {
            "patch_size": tuple(patch_size),
            "num_attention_heads": width // HEAD_CHANNELS,
            "attention_head_dim": HEAD_CHANNELS,
            "in_channels": in_channels,
            "out_channels": shapes["proj_out.weight"][0] // math.prod(patch_size),
            "text_dim": shapes["condition_embedder.text_embedder.linear_1.weight"][1],
            "freq_dim": shapes["condition_embedder.time_embedder.linear_1.weight"][1],
            "ffn_dim": shapes["blocks.0.ffn.net.0.proj.weight"][0],
        }
        blocks = {int(name.split(".")[1]) for name in shapes if name.startswith("blocks.")}
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise InputError(
            f"the shapes are no Wan transformer's ({str(error)[:80]}); give the folder with all of its "
            ".safetensors files"
        ) from error
    except KeyError as error:
        raise InputError(
            f"weight {error} is missing, so this is not a whole Wan transformer; give the folder "
            "with all of its .safetensors files"
        ) from error
    if blocks != set(range(len(blocks))):
        raise InputError(
            f"the blocks are numbered up to {max(blocks)} but there are {len(blocks)}; give the folder "
            "with all of its .safetensors files"
        )
    config["num_layers"] = len(blocks)
    config["cross_attn_norm"] = "blocks.0.norm2.weight" in shapes
    image = shapes.get("condition_embedder.image_embedder.norm1.weight")
    if image is not None:
        config["image_dim"] = image[0]
        added = shapes.get("blocks.0.attn2.add_k_proj.weight", ())
        positions = shapes.get("condition_embedder.image_embedder.pos_embed")
        if len(added) != 2 or (positions is not None and len(positions) < 2):
            raise InputError(
                "the image embedder is not whole; give the folder with all of its .safetensors files"
            )
        config["added_kv_proj_dim"] = added[1]
        config["pos_embed_seq_len"] = None if positions is None else positions[1]
    return config


def read_stored_config(path: Path) -> dict[str, Any]:
    """Constructor arguments from a diffusers `config.json` beside the weights, if there is one."""
    file = (path if path.is_dir() else path.parent) / "config.json"
    if not file.is_file():
        return {}
    stored = read_object(file, "download it again")
    if "num_attention_heads" not in stored:  # the original repository's own form
        heads, width = stored.get("num_heads"), stored.get("dim")
        if not isinstance(heads, int) or not isinstance(width, int) or heads < 1 or width < 1:
            return {}
        return {"num_attention_heads": heads, "attention_head_dim": width // heads}
    known = JoyStreamerTransformer3DModel._get_init_keys(JoyStreamerTransformer3DModel)
    return {name: value for name, value in stored.items() if name in known}


def check_shapes(
    found: Mapping[str, tuple[int, ...]], model: JoyStreamerTransformer3DModel
) -> bool:
    """Compare names and shapes with those a model needs.

    Args:
        found: Diffusers name -> shape.
        model: The model to fill; the meta device will do.

    Returns:
        Whether the weights include JoyStreamer's additions (all of them), not only Wan's.

    Raises:
        InputError: Something is missing, left over or of another shape, or a checkpoint of A14B
            size does not have its known counts.
    """
    needed = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    has_additions = any(is_addition(name) for name in found)
    expected = {
        name: shape for name, shape in needed.items() if has_additions or not is_addition(name)
    }
    missing = expected.keys() - found.keys()
    surplus = found.keys() - expected.keys()
    if missing or surplus:
        raise InputError(
            f"the weights do not match the model: {len(missing)} missing ({_examples(missing)}), "
            f"{len(surplus)} left over ({_examples(surplus)}); give the matching configuration or "
            "the whole checkpoint"
        )
    wrong = [name for name, shape in expected.items() if tuple(found[name]) != shape]
    if wrong:
        name = min(wrong)
        raise InputError(
            f"{len(wrong)} weights have another shape, such as {name}: {tuple(found[name])} where "
            f"the model needs {expected[name]}; give the matching configuration"
        )
    _check_known_counts(found, model)
    return has_additions


def _check_known_counts(
    found: Mapping[str, tuple[int, ...]], model: JoyStreamerTransformer3DModel
) -> None:
    config = model.config
    width = config.num_attention_heads * config.attention_head_dim
    known = WAN_A14B_PARAMETERS.get(config.in_channels)
    if (width, config.num_layers) != WAN_A14B_WIDTH_AND_LAYERS or config.image_dim or not known:
        return
    base = [math.prod(shape) for name, shape in found.items() if not is_addition(name)]
    if (len(base), sum(base)) != (WAN_A14B_TENSORS, known):
        raise InputError(
            f"the checkpoint has {len(base)} tensors and {sum(base)} parameters; Wan2.2-A14B has "
            f"{WAN_A14B_TENSORS} and {known}; give the unmodified checkpoint"
        )


def initialise_additions(model: JoyStreamerTransformer3DModel, device: str = "cpu") -> None:
    """Start everything that Wan lacks, so that it changes nothing yet.

    Linear layers and norms start as PyTorch starts them, FramePack from the patch embedding, and
    the outputs of the audio attentions at zero.

    Args:
        model: The model; its additions may be on the meta device.
        device: Where the additions are made.
    """
    for name, module in model.named_modules():
        own = list(module.named_parameters(recurse=False))
        if not own or not all(is_addition(f"{name}.{parameter}") for parameter, _ in own):
            continue
        module.to_empty(device=device, recurse=False)
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
        else:  # the mixture of speech layers, even at first
            for _, parameter in own:
                nn.init.zeros_(parameter)
    for module in model.modules():
        if isinstance(module, AudioAttention):
            module.silence_output()
    model.frame_pack.start_from_patch_embedding(model.patch_embedding)


def wan_to_joystreamer(
    path: Path | str,
    *,
    dtype: torch.dtype | None = None,
    device: str = "cpu",
    config: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> JoyStreamerTransformer3DModel:
    """Load one expert of Wan (or an exported JoyStreamer) as a JoyStreamer transformer.

    Args:
        path: Folder or `.safetensors` file of one transformer, diffusers or original layout.
        dtype: Of the weights; as stored if None. Norms, modulation tables and the time embedding
            stay float32, as diffusers keeps them.
        device: Where the weights are put.
        config: Overrides of the configuration, such as `motion_buckets` or audio sizes.
        progress: Called with tensors read and tensors in all.

    Returns:
        The model in evaluation mode. If the file holds Wan only, the additions are new.

    Raises:
        InputError: The weights do not fit, or are pickles.
        MissingWeights: There are none.
    """
    path = Path(path)
    stored = read_headers(find_weight_files(path))
    _, matched = match_keys(stored)
    tensors: dict[str, StoredTensor] = {name: stored[key] for name, key in matched.items()}
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    inferred = infer_wan_config(shapes)
    settings = {**inferred, **read_stored_config(path), **(config or {})}
    if settings["num_layers"] != inferred["num_layers"]:
        raise InputError(
            f"the configuration says {brief(settings['num_layers'])} blocks, the weights hold "
            f"{inferred['num_layers']}; give the matching configuration"
        )
    try:
        with torch.device("meta"):
            model = JoyStreamerTransformer3DModel(**settings)
    except (TypeError, ValueError, ArithmeticError, RuntimeError, LookupError) as error:
        raise InputError(
            f"the configuration beside {path} makes no transformer ({str(error)[:120]}); download it again"
        ) from error
    has_additions = check_shapes(shapes, model)
    loaded = {}
    for count, (name, tensor) in enumerate(read_tensors(tensors, device), start=1):
        if not tensor.is_floating_point():
            raise InputError(
                f"weight {brief(name)} of {path} holds {str(tensor.dtype).removeprefix('torch.')}, "
                "and weights are floating-point numbers; download them again"
            )
        loaded[name] = tensor.to(_dtype_for(name, tensor, dtype))
        if progress is not None:
            progress(count, len(tensors))
    model.load_state_dict(loaded, strict=False, assign=True)
    if not has_additions:
        initialise_additions(model, device)
        for name, parameter in model.named_parameters():
            if is_addition(name):
                parameter.data = parameter.data.to(_dtype_for(name, model.proj_out.weight, dtype))
    return model.eval()


def _dtype_for(name: str, tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.dtype:
    """Dtype that a weight is held in: float32 for the delicate ones, else as asked or stored."""
    keep = JoyStreamerTransformer3DModel._keep_in_fp32_modules
    if any(part in keep for part in name.split(".")):
        return torch.float32
    return tensor.dtype if dtype is None else dtype
