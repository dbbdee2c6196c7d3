"""Turn checkpoints from one form into another, on disk: what `joystreamer convert` does.

Wan (either layout) becomes JoyStreamer, JoyStreamer becomes original layout, and LoRA files change
names. The result appears whole or not at all.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from huggingface_hub import save_torch_state_dict

from joystreamer.errors import InputError
from joystreamer.model.checkpoint_files import written_whole
from joystreamer.model.lora import LoraForm, read_lora, write_lora
from joystreamer.model.transformer import JoyStreamerTransformer3DModel
from joystreamer.model.wan_keys import key_to_original
from joystreamer.model.weights import EXPERT_FOLDERS, find_experts, wan_to_joystreamer

CheckpointForm = Literal["joystreamer", "original"]
ConversionProgress = Callable[[str, int, int], None]  # component, tensors read, tensors in all
SHARD_SIZE = "5GB"
LORA_FORMS: tuple[str, ...] = get_args(LoraForm)
FORMS: tuple[str, ...] = (*get_args(CheckpointForm), *(f"lora-{form}" for form in LORA_FORMS))


def convert_checkpoint(
    source: Path | str,
    target: Path | str,
    *,
    to: str = "joystreamer",
    dtype: torch.dtype | None = None,
    max_shard_size: str = SHARD_SIZE,
    config: dict[str, Any] | None = None,
    progress: ConversionProgress | None = None,
) -> list[Path]:
    """Convert a checkpoint or a LoRA file.

    Args:
        source: Repository folder with both experts, one expert's folder or file, or a LoRA file.
        target: Folder to make (a file for LoRA); it must not exist.
        to: 'joystreamer' (diffusers folders `transformer`, `transformer_2`), 'original' (folders
            `high_noise_model`, `low_noise_model`, original names), 'lora-peft', 'lora-kohya' or
            'lora-comfy'.
        dtype: Of the weights written; as stored if None. Ignored for LoRA.
        max_shard_size: Largest weight file, such as '5GB'.
        config: Overrides of the transformer's configuration.
        progress: Called with component, tensors read and tensors in all.

    Returns:
        What was made: one folder per expert, or the LoRA file.

    Raises:
        InputError: The form is unknown, the target exists or cannot be written, or the weights do
            not fit.
        MissingWeights: The source has no weights.
    """
    source, target = Path(source), Path(target)
    if to not in FORMS:
        raise InputError(f"conversion to {to!r} is unknown; it can be {', '.join(FORMS)}")
    if target.exists():
        raise InputError(
            f"{target} exists already; conversions never overwrite; name another target or remove it"
        )
    if to.startswith("lora-"):
        form: Any = to.removeprefix("lora-")
        write_lora(read_lora(source), target, form)
        return [target]
    return _convert_experts(source, target, to, dtype, max_shard_size, config, progress)


def _convert_experts(
    source: Path,
    target: Path,
    to: str,
    dtype: torch.dtype | None,
    max_shard_size: str,
    config: dict[str, Any] | None,
    progress: ConversionProgress | None,
) -> list[Path]:
    """Convert every expert found, one at a time, into a folder that appears when complete."""
    made = []
    with written_whole(target) as partial:
        for component, folder in find_experts(source).items():

            def report(read: int, total: int, component: str = component) -> None:
                if progress is not None:
                    progress(component, read, total)

            model = wan_to_joystreamer(folder, dtype=dtype, config=config, progress=report)
            new, old = EXPERT_FOLDERS[component]
            name = new if to == "joystreamer" else old
            if to == "joystreamer":
                model.save_pretrained(partial / name, max_shard_size=max_shard_size)
            else:
                save_original(model, partial / name, max_shard_size)
            made.append(target / name)
    return made


def save_original(
    model: JoyStreamerTransformer3DModel, folder: Path, max_shard_size: str = SHARD_SIZE
) -> None:
    """Write a transformer in the original layout, sharded, with its configuration.

    Args:
        model: The transformer.
        folder: Where to write.
        max_shard_size: Largest weight file.

    Raises:
        InputError: A weight has no name in the original layout.
    """
    weights = {}
    for name, tensor in model.state_dict().items():
        original = key_to_original(name)
        if original is None:
            raise InputError(
                f"weight {name} has no name in the original layout; fuse or remove adapters first"
            )
        weights[original] = tensor
    folder.mkdir(parents=True, exist_ok=True)
    model.save_config(folder)
    save_torch_state_dict(
        weights,
        folder,
        filename_pattern="diffusion_pytorch_model{suffix}.safetensors",
        max_shard_size=max_shard_size,
    )
