"""From a preset and a pipeline to a task, and from a finished task to weights on the disk.

Knows which component each stage trains and what it needs beside it; the loop and the objectives
know none of that.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from joystreamer.errors import InputError, MissingWeights
from joystreamer.model.lora import export_lora
from joystreamer.model.transformer import JoyStreamerTransformer3DModel
from joystreamer.training.casts import STUDENT, Cast, FullCast, SharedCast
from joystreamer.training.codec import CodecTask, measure_latents
from joystreamer.training.configuration import TrainingPreset
from joystreamer.training.data import CONDITIONS, FRAMES, LATENTS
from joystreamer.training.distillation import DistillationTask
from joystreamer.training.parallel import whole
from joystreamer.training.pretraining import FlowMatchingTask
from joystreamer.training.schedules import TEXT_TEACHER_BOUNDARY, Expert
from joystreamer.training.teachers import Experts

EXPERT_COMPONENTS: dict[Expert, str] = {"high": "transformer", "low": "transformer_2"}
IMAGE_TO_VIDEO_CHANNELS = 36
CLIPS_MEASURED, FRAMES_MEASURED = 64, 45


@dataclass(frozen=True, kw_only=True, slots=True)
class Companions:
    """Networks beside the pipeline that a stage may need.

    Attributes:
        text_teacher: Folder with `transformer` and perhaps `transformer_2` of an image-to-video
            model.
        distilled_high: Folder of the distilled high expert, for a low run.
    """

    text_teacher: Path | None = None
    distilled_high: Path | None = None


def cache_parts(preset: TrainingPreset) -> tuple[str, ...]:
    """Return the tensors that a stage reads from its cache."""
    if preset.stage == "codec":
        return FRAMES
    parts = [*LATENTS, *CONDITIONS]
    if preset.stage == "foundation":
        parts = ["latents"]
    elif preset.stage == "text-teacher":
        parts = ["latents", "image_condition"]
    elif preset.stage in ("stage-1", "stage-2"):
        parts = ["latents", "motion", "reference"]
    parts += ["text_ids", "text_mask"] if preset.learns_text else ["text"]
    if preset.learns_speech:
        parts.append("speech")
    elif preset.stage in ("stage-2", "distill"):
        parts.append("audio")
    return tuple(parts)


def trained_component(preset: TrainingPreset) -> str:
    """Return the pipeline component whose place the trained network takes."""
    if preset.stage == "codec":
        return "vae"
    return "transformer_2" if preset.expert == "low" else "transformer"


def build_task(
    preset: TrainingPreset,
    pipeline: Any,
    constants: Mapping[str, Tensor],
    companions: Companions | None = None,
) -> Any:
    """Return the task of a preset on a pipeline's components, which are changed in place.

    Args:
        preset: The run.
        pipeline: A `JoyStreamerPipeline` to start from.
        constants: From the cache.
        companions: Text teacher and distilled high expert.

    Raises:
        InputError: The pipeline lacks an expert, or a companion is missing.
    """
    companions = companions or Companions()
    if preset.codec is not None:
        return CodecTask(pipeline.vae, preset.codec)
    if preset.pretraining is not None:
        network = _expert(pipeline, trained_component(preset))
        if preset.stage == "text-teacher":
            network = widen_input(network, IMAGE_TO_VIDEO_CHANNELS)
            pipeline.register_modules(transformer=network)
        return FlowMatchingTask(
            network,
            preset.pretraining,
            constants,
            text_encoder=pipeline.text_encoder if preset.learns_text else None,
            speech_encoder=pipeline.audio_encoder if preset.learns_speech else None,
            checkpointing=preset.checkpointing,
        )
    return _build_distillation(preset, pipeline, constants, companions)


def _build_distillation(
    preset: TrainingPreset, pipeline: Any, constants: Mapping[str, Tensor], companions: Companions
) -> DistillationTask:
    options = preset.distillation
    assert options is not None
    casts: dict[Expert, Cast] = {}
    if preset.expert == "single":
        single = _cast(preset, _expert(pipeline, "transformer"), "single")
        casts = {"high": single, "low": single}
    else:
        sides: tuple[Expert, ...] = (
            ("high", "low") if preset.expert == "joint" else (preset.expert,)
        )
        casts = {
            side: _cast(preset, _expert(pipeline, EXPERT_COMPONENTS[side]), side) for side in sides
        }
    teacher = None
    if options.guidance.equation == "twin":
        if companions.text_teacher is None:
            raise InputError(
                "twin-teacher distillation needs a text teacher and none was given; name the folder "
                "of an image-to-video model with --text-teacher"
            )
        teacher = load_text_teacher(companions.text_teacher, preset)
    earlier = None
    if companions.distilled_high is not None:
        earlier = load_transformer(companions.distilled_high, _dtype(preset))
    return DistillationTask(
        casts, teacher, options, constants, earlier=earlier, park_idle=preset.park_idle
    )


def _cast(preset: TrainingPreset, network: Any, name: str) -> Cast:
    if preset.adapters is None:
        return FullCast(
            network, name, preset.student, preset.fake, checkpointing=preset.checkpointing
        )
    return SharedCast(
        network, name, preset.adapters, preset.student, preset.fake,
        checkpointing=preset.checkpointing, seed=preset.loop.seed,
    )  # fmt: skip


def _expert(pipeline: Any, component: str) -> Any:
    network = getattr(pipeline, component)
    if network is None:
        raise InputError(
            f"the model has no component {component}; give a two-expert model, or a preset for a "
            "single network"
        )
    return network


def _dtype(preset: TrainingPreset) -> torch.dtype:
    return {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[
        preset.loop.precision
    ]


def load_transformer(folder: Path, dtype: torch.dtype) -> Any:
    """Load a transformer of ours or of Wan's diffusers layout from a component's folder.

    Raises:
        MissingWeights: There is no such folder or configuration.
        InputError: It is another class.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise MissingWeights(f"'{folder}' has no config.json; give a transformer's own folder")
    name = json.loads(config.read_text()).get("_class_name")
    classes = {
        "JoyStreamerTransformer3DModel": JoyStreamerTransformer3DModel,
        "WanTransformer3DModel": WanTransformer3DModel,
    }
    if name not in classes:
        raise InputError(f"'{folder}' holds a {name}; one of {', '.join(classes)} is needed")
    return classes[name].from_pretrained(folder, dtype=dtype)


def load_text_teacher(folder: Path, preset: TrainingPreset) -> Experts:
    """Load the experts of an image-to-video model that a run needs.

    Raises:
        MissingWeights: A folder is missing.
        InputError: The network has not 36 input channels.
    """
    options = preset.distillation
    assert options is not None
    single = not (folder / "transformer_2").is_dir()
    tau = options.run.tau
    wants_high = tau.high > TEXT_TEACHER_BOUNDARY
    wants_low = tau.low < TEXT_TEACHER_BOUNDARY
    dtype = _dtype(preset)
    high = low = None
    if wants_high or single:
        high = load_transformer(folder / "transformer", dtype)
    if wants_low:
        low = high if single else load_transformer(folder / "transformer_2", dtype)
    for network in (high, low):
        if network is not None and network.config.in_channels != IMAGE_TO_VIDEO_CHANNELS:
            raise InputError(
                f"the text teacher in '{folder}' takes {network.config.in_channels} channels; an "
                f"image-to-video model takes {IMAGE_TO_VIDEO_CHANNELS}: give Wan2.2-I2V-A14B or the "
                "result of a text-teacher stage"
            )
    return Experts(high, low, options.text_boundary, "the text teacher")


@torch.no_grad()
def widen_input(network: Any, channels: int) -> Any:
    """Return a copy of a transformer with more input channels, the new ones silent at first.

    Args:
        network: A `JoyStreamerTransformer3DModel`.
        channels: Input channels of the copy.
    """
    config = {**network.config, "in_channels": channels}
    wide = JoyStreamerTransformer3DModel.from_config(config)
    state = network.state_dict()
    for name, value in wide.state_dict().items():
        if value.shape != state[name].shape:
            grown = torch.zeros_like(value)
            grown[:, : state[name].shape[1]] = state[name]
            state[name] = grown
    wide.load_state_dict(state)
    return wide


def save_result(task: Any, preset: TrainingPreset, pipeline: Any, folder: Path, loop: Any) -> Path:
    """Write what was trained, averaged if an average was kept; every process calls it together.

    Distillation writes the merged student and, with adapters, the adapter alone as well. A tiny
    stack is written as a whole pipeline, so that the next stage starts from one folder. A codec's
    latents are measured first, since every later stage standardises them.

    Args:
        task: From `build_task`.
        preset: The run.
        pipeline: What the task was built on.
        folder: `final` of the run.
        loop: The finished `TrainingLoop`, for its averages.

    Returns:
        The folder.
    """
    writes = loop.accelerator.is_main_process
    with ExitStack() as stack:
        for average in loop.averages.values():
            stack.enter_context(average.applied())
        if isinstance(task, DistillationTask):
            networks = _students(task)
        else:
            networks = {trained_component(preset): _network_of(task)}
        if isinstance(task, CodecTask):
            measure_latents(task.network.vae.eval(), _some_pixels(loop))
        plain = {
            name: network if name == "vae" else plain_network(network, _dtype(preset))
            for name, network in networks.items()
        }
        if preset.stage == "foundation":  # history begins as what the trained network knows
            for network in plain.values():
                network.frame_pack.start_from_patch_embedding(network.patch_embedding)
        if not writes:
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        for name, network in plain.items():
            network.save_pretrained(folder / name)
        if isinstance(task, DistillationTask):
            _save_adapters(task, folder)
        if preset.learns_text:
            pipeline.text_encoder.save_pretrained(folder / "text_encoder")
        if preset.learns_speech:
            pipeline.audio_encoder.save_pretrained(folder / "audio_encoder")
        if preset.name.startswith("tiny-") and preset.stage != "text-teacher":
            pipeline.register_modules(**plain)
            pipeline.save_pretrained(folder)
    return folder


@torch.no_grad()
def plain_network(network: Any, dtype: torch.dtype) -> Any:
    """Return a network as it is stored: on the CPU, unsharded, without adapters.

    Trained parameters, which are single-precision masters, take the precision of the run; frozen
    ones keep theirs.

    Args:
        network: A transformer, sharded or not.
        dtype: Of the parameters that trained.
    """
    trains = {name for name, value in network.named_parameters() if value.requires_grad}
    state = {
        name: whole(value).to(dtype) if name in trains else whole(value)
        for name, value in network.state_dict().items()
    }
    with torch.device("meta"):
        plain = JoyStreamerTransformer3DModel.from_config(network.config)
    plain.load_state_dict(state, assign=True)
    return plain.eval()


def _some_pixels(loop: Any) -> Iterator[Tensor]:
    """Pixels of the first clips of a codec's training set, (1, 3, T, H, W) in -1..1."""
    for index in range(min(len(loop.clips), CLIPS_MEASURED)):
        frames = loop.clips.read([index])["frames"][:, :FRAMES_MEASURED]
        pixels = frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        yield pixels.to(loop.accelerator.device)


def _network_of(task: Any) -> nn.Module:
    network: nn.Module = task.network.vae if isinstance(task, CodecTask) else task.stack.network
    return network


def _students(task: DistillationTask) -> dict[str, Any]:
    """The students by component; those on a shared base with their adapter merged."""
    found: dict[str, Any] = {}
    for side, cast in task.casts.items():
        if side == "low" and task.casts.get("high") is cast:
            continue  # one network for all levels
        if isinstance(cast, SharedCast):
            found[EXPERT_COMPONENTS[side]] = merged_student(cast)
        else:
            assert isinstance(cast, FullCast)
            found[EXPERT_COMPONENTS[side]] = cast.networks[STUDENT]
    return found


def _save_adapters(task: DistillationTask, folder: Path) -> None:
    for side, cast in task.casts.items():
        if isinstance(cast, SharedCast):
            name = f"{cast.name if cast.name != 'single' else 'transformer'}-lora.safetensors"
            if side == "low" and task.casts.get("high") is cast:
                continue
            export_lora(cast.base, folder / name, adapter_name=STUDENT)


@torch.no_grad()
def merged_student(cast: SharedCast) -> Any:
    """Return a plain network: the base with the student's adapter added to its weights."""
    base = cast.base
    state = {
        name.replace(".base_layer", ""): value.clone()
        for name, value in base.state_dict().items()
        if ".lora_" not in name
    }
    for name, layer in base.named_modules():
        if isinstance(layer, BaseTunerLayer) and STUDENT in layer.lora_A:
            weight = state[f"{name}.weight"]
            weight += layer.get_delta_weight(STUDENT).to(weight)
    with torch.device("meta"):
        merged = type(base).from_config(base.config)
    merged.load_state_dict(state, assign=True)
    return merged.eval().requires_grad_(False)
