"""Opens a pipeline for a command: which folder, which device, how it is arranged in memory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from joystreamer.errors import InputError, MissingWeights
from joystreamer.loading import check_pipeline_folder
from joystreamer.memory import Workload, apply_plan, choose_tier, free_device_gb, plan_memory
from joystreamer.model.lora import import_lora
from joystreamer.options import GenerationOptions
from joystreamer.pipeline import JoyStreamerPipeline
from joystreamer.presets import build_tiny_pipeline

TINY = "tiny"
"""Name of the random model that is made on the spot."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A pipeline ready to run, with the sampling switches its memory plan asks for."""

    pipeline: JoyStreamerPipeline
    batch_guidance: bool
    notes: tuple[str, ...]


def resolve_device(name: str) -> torch.device:
    """Device of a name; `auto` is CUDA where there is one.

    Raises:
        InputError: CUDA was asked for and is absent, or the name is unknown.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device {name!r} came; choose auto, cpu, cuda or cuda:0") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device {name!r} came; choose auto, cpu, cuda or cuda:0")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "CUDA was asked for but this machine has no usable CUDA device; use --device cpu, or "
            "check the driver with joystreamer doctor"
        )
    if device.index is not None and device.index >= max(1, torch.cuda.device_count()):
        raise InputError(
            f"device {name!r} came; there are {torch.cuda.device_count()} CUDA devices"
        )
    return device


def open_pipeline(
    model: str,
    options: GenerationOptions,
    *,
    device: str = "auto",
    tier: int | None = None,
    loras: tuple[Path | None, Path | None] = (None, None),
) -> Opened:
    """Load a pipeline and arrange it.

    Args:
        model: Folder of a saved pipeline, or `tiny`.
        options: Decide the size, and whether guidance runs.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        tier: Memory tier in GB; None chooses from free memory.
        loras: LoRA files for the high- and the low-noise expert.

    Raises:
        InputError: Device, folder or LoRA does not fit.
        MissingWeights: The folder lacks a component.
    """
    place = resolve_device(device)
    pipeline = _load(model, place)
    for expert, path in zip((pipeline.transformer, pipeline.transformer_2), loras, strict=True):
        if path is not None:
            if expert is None:
                raise InputError(f"'{path}' is for the second expert, but the model has only one")
            import_lora(expert, path)
    pipeline.set_progress_bar_config(disable=True)
    if place.type != "cuda" and tier is None:
        pipeline.to(place)
        return Opened(
            pipeline=pipeline,
            batch_guidance=options.batch_guidance,
            notes=(f"running on {place}: every component in main memory",),
        )
    height, width = _planned_size(options)
    plan = plan_memory(
        Workload.of(pipeline, height, width),
        tier or choose_tier(free_device_gb(place)),
        guided=options.sampler != "distilled",
    )
    apply_plan(pipeline, plan, place)
    return Opened(
        pipeline=pipeline,
        batch_guidance=plan.batch_guidance and options.batch_guidance,
        notes=plan.explanation,
    )


def _load(model: str, device: torch.device) -> JoyStreamerPipeline:
    if model == TINY:
        return build_tiny_pipeline()
    check_pipeline_folder(Path(model))
    half = torch.bfloat16 if device.type == "cuda" else torch.float32
    dtypes: Any = {"vae": torch.float32, "audio_encoder": torch.float32, "default": half}
    try:
        pipeline: JoyStreamerPipeline = JoyStreamerPipeline.from_pretrained(model, dtype=dtypes)
    except (OSError, SafetensorError) as error:
        why = (str(error).splitlines() or ["no reason given"])[0].strip().rstrip(".")
        raise MissingWeights(
            f"a component of '{model}' is incomplete or damaged ({why}); fetch or convert it again"
        ) from error
    return pipeline


def _planned_size(options: GenerationOptions) -> tuple[int, int]:
    """Size to plan memory for, before the image is known: the options', or a square of the area."""
    if options.height is not None and options.width is not None:
        return options.height, options.width
    side = int(options.area**0.5) // 32 * 32
    return side, side
