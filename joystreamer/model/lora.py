"""LoRA files: read and written in the forms of PEFT, Kohya (musubi-tuner) and ComfyUI.

Every form is turned into the same thing, a factor pair with its alpha per module, and written from
it. A layer adds alpha / rank * up @ down to its module's weight; alpha is kept as it was, so that a
round trip changes no bit.
"""

import json
import math
import re
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from diffusers.models.modeling_utils import ModelMixin
from peft.utils import get_peft_model_state_dict
from peft.utils.other import get_pattern_key
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from joystreamer.errors import InputError, brief
from joystreamer.json_files import is_finite, parse_object, read_object
from joystreamer.model.checkpoint_files import find_weight_files, read_metadata, written_whole
from joystreamer.model.wan_keys import (
    module_from_kohya,
    module_to_diffusers,
    module_to_kohya,
    module_to_original,
)

LoraForm = Literal["peft", "kohya", "comfy"]
ADAPTER_METADATA = "lora_adapter_metadata"  # header entry in which diffusers keeps the PEFT config
COMPONENT = "transformer"  # prefix of PEFT keys in files of diffusers pipelines
_DAMAGED = "download the file again"
_PLAIN_PATTERN = re.compile(r"\^?[\w.\\]+\$?")
_DOWN = (".lora_A.weight", ".lora_down.weight", ".lora.down.weight")
_UP = (".lora_B.weight", ".lora_up.weight", ".lora.up.weight")
_ORIGINAL_PREFIXES = ("model.diffusion_model.", "diffusion_model.")
_PEFT_PREFIXES = ("transformer.", "transformer_2.", "base_model.model.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraLayer:
    """The low-rank update of one module.

    Attributes:
        down: (rank, in features); PEFT's A.
        up: (out features, rank); PEFT's B.
        alpha: The update is alpha / rank * up @ down.
    """

    down: Tensor
    up: Tensor
    alpha: float

    @property
    def rank(self) -> int:
        """Number of directions."""
        return self.down.shape[0]


def parse_lora(
    weights: Mapping[str, Tensor], adapter: Mapping[str, Any] | None = None
) -> dict[str, LoraLayer]:
    """Read LoRA weights of any supported form.

    Args:
        weights: Names as stored.
        adapter: PEFT configuration (r, lora_alpha, alpha_pattern ...), for files that keep alpha
            there. Without it and without stored alphas, alpha equals the rank.

    Returns:
        Diffusers module -> layer, sorted by module.

    Raises:
        InputError: A name is unknown, or half of a pair is missing.
    """
    down: dict[str, Tensor] = {}
    up: dict[str, Tensor] = {}
    alphas: dict[str, float] = {}
    unknown = []
    for key, tensor in weights.items():
        stem, part = _split_part(key)
        module = _module_name(stem) if part else None
        if module is None:
            unknown.append(key)
        elif part == "alpha" and tensor.numel() == 1:
            alphas[module] = float(tensor)
        elif part == "alpha" or tensor.ndim not in (2, 4, 5):
            raise InputError(
                f"the LoRA weight {key[:80]} has shape {tuple(tensor.shape)}; a matrix is needed, and "
                f"one number for alpha; {_DAMAGED}"
            )
        else:
            (down if part == "down" else up)[module] = tensor
    if unknown:
        raise InputError(
            f"{len(unknown)} of {len(weights)} LoRA weights are not understood, such as "
            f"{min(unknown)}; plain LoRA of Wan or JoyStreamer layers in PEFT, Kohya or ComfyUI "
            "names fits; convert or retrain the adapter without DoRA, bias or full differences"
        )
    halves = down.keys() ^ up.keys()
    if halves or not down:
        example = f", such as {min(halves)}" if halves else ""
        raise InputError(
            f"the LoRA file holds {len(down)} down and {len(up)} up matrices that do not pair"
            f"{example}; every layer needs both; download the file again"
        )
    return {
        module: LoraLayer(
            down=down[module],
            up=up[module],
            alpha=alphas.get(module, _peft_alpha(module, down[module].shape[0], adapter)),
        )
        for module in sorted(down)
    }


def _split_part(key: str) -> tuple[str, str | None]:
    for part, endings in (("down", _DOWN), ("up", _UP), ("alpha", (".alpha",))):
        for ending in endings:
            if key.endswith(ending):
                return key.removesuffix(ending), part
    return key, None


def _module_name(stem: str) -> str | None:
    """Diffusers module that a stored name stands for."""
    if stem.startswith("lora_unet_"):
        return module_from_kohya(stem)
    for prefix in _ORIGINAL_PREFIXES:
        if stem.startswith(prefix):
            return module_to_diffusers(stem.removeprefix(prefix))
    for prefix in _PEFT_PREFIXES:
        stem = stem.removeprefix(prefix)
    if module_to_original(stem) is not None:
        return stem
    return module_to_diffusers(stem)


def _peft_alpha(module: str, rank: int, adapter: Mapping[str, Any] | None) -> float:
    if not adapter or "lora_alpha" not in adapter:
        return float(rank)
    pattern: Mapping[str, float] = adapter.get("alpha_pattern") or {}
    fits = isinstance(pattern, dict) and all(
        map(is_finite, (adapter["lora_alpha"], *pattern.values()))
    )
    # PEFT takes the keys for regular expressions; a file must not bring one that never ends.
    if not fits or not all(_PLAIN_PATTERN.fullmatch(name) for name in pattern):
        raise InputError(
            f"the LoRA configuration has lora_alpha {brief(adapter['lora_alpha'])} and alpha_pattern "
            f"{brief(pattern)}; numbers, and names of modules without wildcards fit; {_DAMAGED}"
        )
    alpha = float(pattern.get(get_pattern_key(pattern, module), adapter["lora_alpha"]))
    # Rank-stabilised adapters scale by alpha / sqrt(rank).
    return alpha * math.sqrt(rank) if adapter.get("use_rslora") else alpha


def adapter_config(layers: Mapping[str, LoraLayer]) -> dict[str, Any]:
    """PEFT configuration of some layers: the commonest rank and alpha, exceptions by module.

    Args:
        layers: Diffusers module -> layer.
    """
    rank = Counter(layer.rank for layer in layers.values()).most_common(1)[0][0]
    alpha = Counter(layer.alpha for layer in layers.values()).most_common(1)[0][0]
    return {
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {f"^{n}": layer.rank for n, layer in layers.items() if layer.rank != rank},
        "alpha_pattern": {
            f"^{n}": layer.alpha for n, layer in layers.items() if layer.alpha != alpha
        },
        "target_modules": sorted(layers),
    }


def name_lora(layers: Mapping[str, LoraLayer], form: LoraForm) -> dict[str, Tensor]:
    """Name LoRA weights in a form, without changing them.

    Args:
        layers: Diffusers module -> layer.
        form: 'peft' (`transformer.` prefix, lora_A/lora_B; alpha goes to the metadata), 'kohya'
            (`lora_unet_`, lora_down/lora_up, alpha) or 'comfy' (`diffusion_model.`, lora_down/
            lora_up, alpha, original module names).

    Raises:
        InputError: The form is unknown.
    """
    if form not in get_args(LoraForm):
        raise InputError(
            f"LoRA form {form!r} is unknown; it can be {', '.join(get_args(LoraForm))}; choose one"
        )
    named: dict[str, Tensor] = {}
    for module, layer in layers.items():
        if form == "peft":
            named[f"{COMPONENT}.{module}.lora_A.weight"] = layer.down
            named[f"{COMPONENT}.{module}.lora_B.weight"] = layer.up
            continue
        original = module_to_original(module)
        if original is None:
            raise InputError(
                f"module {module} has no name outside diffusers; export this adapter in form 'peft'"
            )
        stem = module_to_kohya(module) if form == "kohya" else f"diffusion_model.{original}"
        named[f"{stem}.lora_down.weight"] = layer.down
        named[f"{stem}.lora_up.weight"] = layer.up
        named[f"{stem}.alpha"] = torch.tensor(layer.alpha)
    return named


def read_lora(path: Path) -> dict[str, LoraLayer]:
    """Read a LoRA file.

    Args:
        path: A `.safetensors` file, or a folder that holds one.

    Returns:
        Diffusers module -> layer.

    Raises:
        InputError: It is a pickle, several files, or not a LoRA.
        MissingWeights: There is no file.
    """
    files = find_weight_files(path)
    if len(files) > 1:
        raise InputError(
            f"{path} holds {len(files)} .safetensors files; a LoRA is one file; name it"
        )
    adapter: dict[str, Any] = {}
    stored = read_metadata(files[0]).get(ADAPTER_METADATA)
    beside = files[0].parent / "adapter_config.json"
    if stored:
        entries = parse_object(stored, f"the metadata of {files[0]}", _DAMAGED)
        adapter = {name.removeprefix(f"{COMPONENT}."): value for name, value in entries.items()}
    elif beside.is_file():
        adapter = read_object(beside, _DAMAGED)
    try:
        return parse_lora(load_file(files[0]), adapter)
    except SafetensorError as error:
        raise InputError(
            f"{files[0]} cannot be read as safetensors ({error}); {_DAMAGED}"
        ) from error


def write_lora(layers: Mapping[str, LoraLayer], path: Path, form: LoraForm) -> None:
    """Write a LoRA file atomically.

    Args:
        layers: Diffusers module -> layer.
        path: The `.safetensors` file to make or replace.
        form: Which names to use, see `name_lora`.

    Raises:
        InputError: The form is unknown, or the file cannot be written.
    """
    metadata = {"format": "pt"}
    if form == "peft":
        config = {f"{COMPONENT}.{name}": value for name, value in adapter_config(layers).items()}
        metadata[ADAPTER_METADATA] = json.dumps(config, sort_keys=True)
    named = {name: tensor.contiguous() for name, tensor in name_lora(layers, form).items()}
    with written_whole(path) as partial:
        save_file(named, partial, metadata=metadata)


def export_lora(
    model: ModelMixin, path: Path, *, form: LoraForm = "peft", adapter_name: str = "default"
) -> None:
    """Write one adapter of a model to a file.

    Args:
        model: A transformer with a PEFT adapter.
        path: The `.safetensors` file.
        form: Which names to use, see `name_lora`.
        adapter_name: Which adapter.

    Raises:
        InputError: The model has no such adapter.
    """
    adapters = getattr(model, "peft_config", {})
    if adapter_name not in adapters:
        raise InputError(
            f"the model has no adapter {adapter_name!r}; it has {', '.join(adapters) or 'none'}; "
            "name one of them"
        )
    weights = get_peft_model_state_dict(model, adapter_name=adapter_name)
    layers = parse_lora(weights, adapters[adapter_name].to_dict())
    on_cpu = {
        module: LoraLayer(down=layer.down.cpu(), up=layer.up.cpu(), alpha=layer.alpha)
        for module, layer in layers.items()
    }
    write_lora(on_cpu, path, form)


def import_lora(model: ModelMixin, path: Path, *, adapter_name: str = "default") -> None:
    """Add an adapter from a file of any form to a model.

    Args:
        model: The transformer.
        path: A `.safetensors` file, or a folder that holds one.
        adapter_name: Name to give the adapter.

    Raises:
        InputError: The file names modules that the model lacks, or sizes that do not fit.
        MissingWeights: There is no file.
    """
    layers = read_lora(path)
    modules = dict(model.named_modules())
    for module, layer in layers.items():
        target = modules.get(module)
        weight = getattr(target, "weight", None)
        if not isinstance(weight, Tensor):
            raise InputError(
                f"{path} adapts {module}, which this model lacks; use the model it was trained on"
            )
        fits = (layer.up.shape[0], layer.down.shape[1])
        if weight.ndim == 2 and tuple(weight.shape) != fits:
            raise InputError(
                f"{path} adapts {module} as {fits}, but it is {tuple(weight.shape)}; use the model "
                "it was trained on"
            )
    weights = {}
    for module, layer in layers.items():
        weights[f"{module}.lora_A.weight"] = layer.down
        weights[f"{module}.lora_B.weight"] = layer.up
    with warnings.catch_warnings():
        # Several adapters on one base are meant; PEFT warns of the second.
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")
        model.load_lora_adapter(
            weights, prefix=None, metadata=adapter_config(layers), adapter_name=adapter_name
        )
