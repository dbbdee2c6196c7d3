"""A whole training run as a function: preset, model and data in, checkpoints and weights out.

The command line is a thin skin over this file. `plan_run` says what would happen without touching
weights or data; `run_training` does it.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from joystreamer.errors import InputError
from joystreamer.loading import check_pipeline_folder
from joystreamer.model.configurations import paper_transformer_config, tiny_transformer_config
from joystreamer.model.transformer import JoyStreamerTransformer3DModel
from joystreamer.options import GenerationOptions
from joystreamer.pipeline import JoyStreamerPipeline
from joystreamer.presets import (
    TRAINED_TEXT_POSITIONS,
    build_tiny_pipeline,
    distilled_sampling,
    tiny_sampling,
    tiny_vae,
    tiny_vae_config,
)
from joystreamer.probes import load_probe
from joystreamer.provenance import (
    code_commit,
    digest_module,
    full_disk_explained,
    package_versions,
    write_json,
)
from joystreamer.training.casts import STUDENT, FullCast, SharedCast
from joystreamer.training.checkpoint import CheckpointFolder
from joystreamer.training.codec import start_gently
from joystreamer.training.configuration import TrainingPreset, describe
from joystreamer.training.data import CacheReport, Encoders, build_cache
from joystreamer.training.distillation import DistillationTask
from joystreamer.training.flow_matching import FOUNDATION_PARAMETERS, select_parameters
from joystreamer.training.loop import TrainingLoop
from joystreamer.training.lora import adapter_size, refuse_sharded_adapters
from joystreamer.training.manifest import read_manifest
from joystreamer.training.memory_estimate import (
    ModelSize,
    estimate,
    segment_tokens,
    shares,
    total,
)
from joystreamer.training.model_card import write_model_card
from joystreamer.training.parallel import is_sharded, make_accelerator
from joystreamer.training.run_record import gather_record, open_session
from joystreamer.training.schedules import student_timesteps
from joystreamer.training.shards import ShardedClips
from joystreamer.training.stages import (
    EXPERT_COMPONENTS,
    Companions,
    build_task,
    cache_parts,
    load_transformer,
    save_result,
    trained_component,
)
from joystreamer.training.validation import SampleValidation, StopRule, read_scenes

TINY = "tiny"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """What a command asks for.

    Attributes:
        preset: The resolved configuration.
        out: Folder of the run.
        model: Folder of a pipeline to start from, or `tiny` for random tiny weights.
        replaced: Components to take from other folders, by name.
        manifest: Training clips; the cache is built from them if given.
        cache: Folder of the cache; inside the run's folder by default.
        companions: Text teacher and distilled high expert.
        validation: Manifest of validation clips.
        scenes: How many of them are rendered.
        probes: Names `module:function`.
        continue_from: Folder of another run whose networks this one begins with.
        stop_on: Name of a probe's figure; the run ends when it falls 5 % below its first value.
        trackers: Names that accelerate knows.
    """

    preset: TrainingPreset
    out: Path
    model: str
    replaced: Mapping[str, Path]
    manifest: Path | None = None
    cache: Path | None = None
    companions: Companions
    validation: Path | None = None
    scenes: int = 4
    probes: tuple[str, ...] = ()
    continue_from: Path | None = None
    stop_on: str | None = None
    trackers: tuple[str, ...] = ()

    @property
    def cache_folder(self) -> Path:
        """Where the cache is."""
        return self.cache or self.out / "cache"


def run_training(request: RunRequest) -> Path:
    """Train from the newest checkpoint (or the start) to the end and write the weights.

    Returns:
        The folder `final` of the run.

    Raises:
        InputError: Something does not fit or is damaged, or the disk is full, in one sentence.
    """
    with full_disk_explained(request.out):
        try:
            return _train(request)
        except SafetensorError as error:
            raise InputError(
                f"a file of tensors cannot be read or written ({error}); free space, or remove the "
                f"damaged file, then run the same command again: what is finished in '{request.out}' "
                "is kept"
            ) from error


def _train(request: RunRequest) -> Path:
    """Do all of `run_training`."""
    preset = request.preset
    accelerator = make_accelerator(
        precision=preset.loop.precision,
        trackers=request.trackers,
        project_dir=str(request.out),
        unused_parameters=preset.adapters is not None,
    )
    refuse_sharded_adapters(
        sharded=is_sharded(accelerator, preset.loop.sharded),
        shared_base=preset.distillation is not None and preset.adapters is not None,
    )
    pipeline = open_model(request)
    if request.manifest is not None:
        if accelerator.is_main_process:
            fill_cache(request, pipeline, accelerator.device)
        accelerator.wait_for_everyone()
    clips = ShardedClips(request.cache_folder, cache_parts(preset))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(preset.loop.seed)
        task = build_task(preset, pipeline, clips.constants(), request.companions)
    if accelerator.is_main_process:
        request.out.mkdir(parents=True, exist_ok=True)
        write_json(request.out / "run.json", _provenance(request))
        open_session(request.out)
    accelerator.init_trackers(preset.name, config={})
    loop = TrainingLoop(
        task,
        clips,
        preset.loop,
        request.out,
        accelerator,
        validate=_validation(request, pipeline, task, accelerator),
        description=describe(preset),
    )
    if request.continue_from is not None and loop.store.latest() is None:
        newest = CheckpointFolder(request.continue_from, 1).latest()
        if newest is None:
            raise InputError(
                f"'{request.continue_from}' holds no checkpoint; give the folder of a run"
            )
        loop.adopt(newest)
    loop.run()
    final, partial = request.out / "final", request.out / ".partial-final"
    if accelerator.is_main_process:
        shutil.rmtree(partial, ignore_errors=True)
    save_result(task, preset, pipeline, partial, loop)
    if accelerator.is_main_process:
        _write_card(request, loop, len(clips), accelerator, partial)
        _put_in_place(partial, final)
    accelerator.end_training()
    return final


def _put_in_place(made: Path, final: Path) -> None:
    """Give a finished folder its name; the one of an earlier run goes only then."""
    former = final.with_name(".partial-former")
    shutil.rmtree(former, ignore_errors=True)
    if final.exists():
        final.rename(former)
    made.rename(final)
    shutil.rmtree(former, ignore_errors=True)


def _write_card(
    request: RunRequest, loop: TrainingLoop, windows: int, accelerator: Any, folder: Path
) -> None:
    """Put a model card beside the weights that a run has written."""
    preset = request.preset
    joint = preset.expert == "joint"
    parts = list(EXPERT_COMPONENTS.values()) if joint else [trained_component(preset)]
    parts += ["text_encoder"] * preset.learns_text + ["audio_encoder"] * preset.learns_speech
    companions = {
        "text_teacher": request.companions.text_teacher,
        "distilled_high": request.companions.distilled_high,
        "continue_from": request.continue_from,
    }
    taken = {name: path for name, path in companions.items() if path is not None}
    record = gather_record(
        preset,
        request.out,
        parts=parts,
        model=request.model,
        replaced={**request.replaced, **taken},
        manifest=request.manifest,
        cache=request.cache_folder,
        windows=windows,
        updates=loop.done,
        processes=accelerator.num_processes,
        device=accelerator.device,
    )
    write_model_card(folder, record)


def open_model(request: RunRequest) -> Any:
    """Open the pipeline to start from and put the replaced components into it."""
    single = request.preset.expert == "single"
    if request.model == TINY:
        pipeline = build_tiny_pipeline(
            request.preset.loop.seed,
            experts=1 if single else 2,
            text_positions=TRAINED_TEXT_POSITIONS,
        )
        if request.preset.stage == "codec":
            pipeline.register_modules(vae=fresh_codec(request.preset.loop.seed))
    else:
        check_pipeline_folder(Path(request.model))
        half = request.preset.loop.precision != "no"
        dtypes: Any = {
            "vae": torch.float32,
            "audio_encoder": torch.float32,
            "default": torch.bfloat16 if half else torch.float32,
        }
        pipeline = JoyStreamerPipeline.from_pretrained(request.model, dtype=dtypes)
    pipeline.set_progress_bar_config(disable=True)
    for name, folder in request.replaced.items():
        if name not in pipeline.components:
            raise InputError(
                f"component {name!r} came; the model has {', '.join(sorted(pipeline.components))}"
            )
        present = pipeline.components[name]
        if name.startswith("transformer"):
            dtype = next(iter(pipeline.transformer.parameters())).dtype
            loaded = load_transformer(folder, dtype)
        else:
            loaded = type(present).from_pretrained(folder)
        pipeline.register_modules(**{name: loaded})
    return pipeline


def fresh_codec(seed: int) -> Any:
    """Return an untrained tiny codec that learns: wider, with shortcuts, and a gentle start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        codec = tiny_vae(**tiny_vae_config(width=16, residual=True))
    start_gently(codec)
    return codec


def fill_cache(
    request: RunRequest, pipeline: Any, device: torch.device | None = None
) -> CacheReport:
    """Build or complete the cache from the manifest with the pipeline's encoders.

    Args:
        request: Names manifest, cache and what is stored.
        pipeline: Its encoders are brought to the device and back.
        device: Where they run.
    """
    assert request.manifest is not None
    contents = request.preset.cache.contents
    used = {
        "vae": "latents" in contents,
        "text_encoder": "text" in contents,
        "audio_encoder": "audio" in contents,
    }
    digests = [digest_module(getattr(pipeline, name)) for name, needed in used.items() if needed]
    encoders = Encoders(
        vae=pipeline.vae,
        tokenizer=pipeline.tokenizer,
        text_encoder=pipeline.text_encoder,
        speech_encoder=pipeline.audio_encoder,
        fingerprint=" ".join(digests),
    )
    records = read_manifest(request.manifest)
    busy = [getattr(pipeline, name) for name, needed in used.items() if needed]
    for encoder in busy:
        encoder.to(device or torch.device("cpu"))
    report = build_cache(records, request.cache_folder, request.preset.cache, encoders)
    for encoder in busy:
        encoder.to("cpu")
    return report


def plan_run(request: RunRequest, processes: int = 1) -> list[str]:
    """Return what a run would do, line by line; touches no weights and no data."""
    preset, loop = request.preset, request.preset.loop
    lines = [
        f"{preset.name}: {preset.summary}",
        f"starts from {request.model}; writes {request.out}",
        f"{loop.updates} updates of {loop.global_batch} clips "
        f"({loop.micro_batch} per pass, {processes} process(es), "
        f"{max(1, loop.global_batch // (loop.micro_batch * processes))} passes each), "
        f"precision {loop.precision}",
        f"reads {', '.join(cache_parts(preset))} from {request.cache_folder}",
    ]
    if preset.distillation is not None:
        lines += _plan_distillation(preset)
    if preset.stage != "codec":
        size = model_size(preset, tiny=preset.name.startswith("tiny-"))
        lines.append(
            f"trains {size.trained / 1e6:,.1f} M of {size.expert / 1e6:,.1f} M parameters per expert"
        )
        estimated = estimate(preset, size)
        lines += [f"  {line.gigabytes:8.2f} GB  {line.what}" for line in estimated]
        lines.append(
            f"  {total(estimated):8.2f} GB  in all on one device, without sharding and without the "
            "activations of one block"
        )
    stated = ", ".join(preset.of_the_paper)
    lines.append(f"stated by the paper: {stated or 'nothing'}; every other number is ours")
    return lines


def _plan_distillation(preset: TrainingPreset) -> list[str]:
    options = preset.distillation
    assert options is not None
    tau, guidance = options.run.tau, options.guidance
    levels = student_timesteps(shift=tau.shift)
    exits = ", ".join(f"{levels[index]:.1f}" for index in options.run.exits)
    above = 100 * tau.share(guidance.threshold)
    lines = [
        f"{options.student_updates(preset.loop.updates)} student updates, {options.critic_updates} "
        f"critic updates before each, {options.critic_warmup} before the first",
        f"student exits {exits}; tau {max(tau.low, tau.minimum):g} to "
        f"{min(tau.high, tau.maximum):g}, {above:.1f} % of it above {guidance.threshold:g}",
    ]
    if guidance.dynamic == "tau" and above == 0:
        lines.append("  note: the dynamic scale never acts in this run")
    for where, weights in guidance.weights().items():
        named = {
            "N (negative, no audio)": weights.negative,
            "A (text)": weights.text,
            "B (text, audio)": weights.audio,
            "T (text teacher)": weights.text_teacher,
        }
        lines.append(f"teacher weights {where}: {shares(named)}")
        if guidance.equation == "twin" and weights.text_teacher == 0:
            lines.append("  note: the text teacher has no weight here (text scale = audio scale)")
    return lines


def model_size(preset: TrainingPreset, *, tiny: bool) -> ModelSize:
    """Return the sizes of a preset's networks, counted on the meta device."""
    network, width, blocks = _bare_network(tiny, 16)
    every = sum(p.numel() for p in network.parameters())
    if preset.pretraining is not None:
        chosen = select_parameters(network, preset.pretraining.parameters)
        trained = sum(p.numel() for p in chosen.values())
    elif preset.adapters is not None:
        trained = adapter_size(network, preset.adapters)
    else:
        trained = every
    height, frame_width = (64, 64) if tiny else (480, 832)
    return ModelSize(
        expert=every,
        trained=trained,
        text_teacher=sum(
            value.numel()
            for name, value in _bare_network(tiny, 36)[0].named_parameters()
            if re.match(FOUNDATION_PARAMETERS, name)
        ),
        tokens=segment_tokens(height, frame_width),
        width=width,
        blocks=blocks,
    )


@cache
def _bare_network(tiny: bool, channels: int) -> tuple[Any, int, int]:
    """A network without storage, its width and its number of blocks."""
    make = tiny_transformer_config if tiny else paper_transformer_config
    config = make(in_channels=channels)
    with torch.device("meta"):
        network = JoyStreamerTransformer3DModel(**config)
    width = config["num_attention_heads"] * config["attention_head_dim"]
    return network, width, config["num_layers"]


def _validation(
    request: RunRequest, pipeline: Any, task: Any, accelerator: Any
) -> SampleValidation | None:
    if request.validation is None:
        if request.probes or request.stop_on:
            raise InputError("probes were given without --validation; name a manifest of clips")
        return None
    preset = request.preset
    sharded = is_sharded(accelerator, preset.loop.sharded)
    if preset.stage in ("codec", "text-teacher") or sharded:
        raise InputError(
            f"{preset.stage} cannot be validated by rendering in this mode; leave --validation out"
        )
    distilled = isinstance(task, DistillationTask)
    options = distilled_sampling() if distilled else GenerationOptions()
    if preset.name.startswith("tiny-"):
        options = distilled_sampling(area=64 * 64) if distilled else tiny_sampling(steps=8)
    return SampleValidation(
        pipeline,
        read_scenes(read_manifest(request.validation), request.scenes),
        [load_probe(name) for name in request.probes],
        options,
        request.out / "validation",
        refresh=lambda: _show_students(task, pipeline) if distilled else None,
        around=accelerator.autocast,
        stop_rule=None if request.stop_on is None else StopRule(figure=request.stop_on),
    )


def _show_students(task: DistillationTask, pipeline: Any) -> None:
    """Put the students into the pipeline as they are now."""
    for side, cast in task.casts.items():
        if side == "low" and task.casts.get("high") is cast:
            continue
        if isinstance(cast, SharedCast):
            cast.roles.switch(STUDENT)
            network: Any = cast.base
        else:
            assert isinstance(cast, FullCast)
            network = cast.networks[STUDENT]
        pipeline.register_modules(**{EXPERT_COMPONENTS[side]: network})


def _provenance(request: RunRequest) -> dict[str, Any]:
    return {
        "preset": describe(request.preset),
        "model": request.model,
        "replaced": {name: str(path) for name, path in request.replaced.items()},
        "commit": code_commit(),
        "packages": package_versions(),
    }
