"""Training presets as functions: the paper's runs, and the same stages for the tiny stack.

What the paper states is named in `of_the_paper`; every other number is ours and may be changed.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from joystreamer.errors import InputError
from joystreamer.training.codec import CodecOptions
from joystreamer.training.configuration import Stage, TrainingPreset, Which
from joystreamer.training.data import CONDITIONS, CacheOptions
from joystreamer.training.distillation import DistillationOptions
from joystreamer.training.dmd import Guidance
from joystreamer.training.flow_matching import (
    FOUNDATION_PARAMETERS,
    STAGE_1_PARAMETERS,
    STAGE_2_PARAMETERS,
    ConditionDropout,
)
from joystreamer.training.loop import LoopOptions
from joystreamer.training.lora import AdapterOptions
from joystreamer.training.pretraining import PretrainingOptions
from joystreamer.training.schedules import AVATAR_BOUNDARY, TauSchedule, expert_run
from joystreamer.training.task import Rates

PAPER_RATE = 2e-5  # Sec. 4.1, pretraining
PAPER_DISTILLATION_RATE = 1e-5  # Sec. 4.1, post-training with LoRA
PAPER_BATCH = 64  # Sec. 4.1
VANILLA_SHARE = 0.05
"""Share of the student's updates that the closing vanilla round may take; ours. A long one erases
the text: 0.99 -> 0.23 in 100 updates at full rate, measured with exact teachers."""
VANILLA_SLOWER = 0.1

# Student updates of the paper's post-training are not printed; the published 14 B recipes take 600.
DISTILLATION_CYCLES = 600
TINY_CYCLES = 140
TINY_UPDATES = {"foundation": 3000, "text-teacher": 3000, "stage-1": 400, "stage-2": 800}
"""What puppets took. The foundation is trained until it obeys text: what it never learned, no student can
take up again."""
TINY_FLOW_SHIFT = 2.0
"""Small latents lose their content at lower noise than large ones, so their levels are warped less."""
TINY_TAU_SHIFT = 3.0
TINY_FIRST_SEGMENTS = 0.4
"""Share of tiny training without history: half of what short clips are made of."""


def _flow_interval(expert: Which) -> TauSchedule:
    """Noise levels of flow matching: those of one expert, or all."""
    low = AVATAR_BOUNDARY if expert == "high" else 0.0
    high = AVATAR_BOUNDARY if expert == "low" else 1000.0
    return TauSchedule(minimum=0.0, maximum=1000.0, low=low, high=high)


def _tiny_flow_levels() -> TauSchedule:
    """Noise levels of flow matching in the tiny stack."""
    return TauSchedule(shift=TINY_FLOW_SHIFT, minimum=0.0, maximum=1000.0)


def _distillation(
    expert: Which,
    equation: Literal["twin", "vanilla"],
    cycles: int,
    warmup: int,
    critic_updates: int,
) -> tuple[DistillationOptions, int]:
    guidance = Guidance(equation=equation, dynamic="tau" if equation == "twin" else "never")
    if equation == "vanilla":
        cycles, warmup = max(1, round(VANILLA_SHARE * cycles)), 0
    side: Literal["high", "low", "joint"] = "joint" if expert == "single" else expert
    options = DistillationOptions(
        guidance=guidance,
        run=expert_run(side),
        critic_warmup=warmup,
        critic_updates=critic_updates,
    )
    return options, warmup + cycles * (options.critic_updates + 1)


def paper_pretraining(stage: Literal["stage-1", "stage-2"], expert: Which) -> TrainingPreset:
    """Stage 1 or 2 of one expert at 14 B (paper, Sec. 3.2 and 4.1)."""
    second = stage == "stage-2"
    return TrainingPreset(
        name=f"paper-{stage}-{expert}",
        summary=f"{'audio layers' if second else 'FramePack and self-attention'}, {expert} expert",
        stage=stage,
        expert=expert,
        loop=LoopOptions(
            updates=20_000 if second else 10_000,
            global_batch=PAPER_BATCH,
            precision="bf16",
            clip=1.0,
            rate_warmup=500,
            ema_decay=0.999,
            ema_start=1000,
        ),
        cache=CacheOptions(),
        pretraining=PretrainingOptions(
            form="avatar",
            parameters=(STAGE_2_PARAMETERS if second else STAGE_1_PARAMETERS,),
            audio=second,
            tau=_flow_interval(expert),
            dropout=ConditionDropout(),
            rates=Rates(rate=PAPER_RATE),
        ),
        checkpointing=True,
        of_the_paper=("pretraining.parameters", "pretraining.rates.rate", "loop.global_batch"),
    )


def paper_distillation(equation: Literal["twin", "vanilla"], expert: Which) -> TrainingPreset:
    """Twin-teacher distillation, or the closing vanilla round, at 14 B (Sec. 3.3 and 4.1)."""
    options, updates = _distillation(expert, equation, DISTILLATION_CYCLES, 100, 5)
    rate = PAPER_DISTILLATION_RATE * (VANILLA_SLOWER if equation == "vanilla" else 1.0)
    rates = Rates(rate=rate, betas=(0.0, 0.999))
    return TrainingPreset(
        name=f"paper-{'distill' if equation == 'twin' else 'vanilla'}-{expert}",
        summary=(
            f"twin-teacher DMD with dynamic scale, {expert}"
            if equation == "twin"
            else f"short closing round with Eq. 2, {expert}"
        ),
        stage="distill",
        expert=expert,
        loop=LoopOptions(
            updates=updates,
            global_batch=PAPER_BATCH,
            precision="bf16",
            ema_decay=0.99,
            ema_start=20,
            checkpoint_every=120,
            validate_every=120 if equation == "twin" else 12,
        ),
        cache=CacheOptions(),
        distillation=options,
        adapters=AdapterOptions(),
        student=rates,
        fake=rates,
        checkpointing=True,
        park_idle=expert == "joint",
        of_the_paper=(
            "student.rate", "distillation.guidance.audio_scale",
            "distillation.guidance.audio_scale_high_noise", "distillation.guidance.threshold",
            "adapters.targets",
        ),
    )  # fmt: skip


def _tiny_loop(updates: int, **changes: float) -> LoopOptions:
    loop = LoopOptions(
        updates=updates, global_batch=16, micro_batch=16, clip=1.0, rate_warmup=20, log_every=10,
        checkpoint_every=100,
    )  # fmt: skip
    return replace(loop, **changes)  # type: ignore[arg-type]


def _tiny_cache(*contents: str) -> CacheOptions:
    return CacheOptions(
        contents=contents, area=64 * 64, precision="float32", per_shard=64, negative_prompt=""
    )


def tiny_codec() -> TrainingPreset:
    """The tiny Wan VAE: minutes on a core; check the mouth before training anything on it."""
    updates = 3200
    return TrainingPreset(
        name="tiny-codec",
        summary="the tiny stack's Wan VAE, with care for the mouth",
        stage="codec",
        expert="single",
        loop=_tiny_loop(
            updates, global_batch=4, micro_batch=4, ema_decay=0.98, ema_start=100, rate_end=0.05
        ),
        cache=_tiny_cache("frames"),
        codec=CodecOptions(updates=updates, curriculum=((0.0, 1), (0.25, 9), (0.8, 17))),
    )


def tiny_decoder() -> TrainingPreset:
    """The tiny VAE's decoder alone, trained on: sharper frames from the same latents."""
    codec = tiny_codec()
    updates = 1800
    options = CodecOptions(
        updates=updates,
        curriculum=((0.0, 9), (0.5, 17)),
        frames_per_clip=9,
        region_weight=6.0,
        decoder_only=True,
        rates=Rates(rate=1e-3, weight_decay=0.0),
    )
    return replace(
        codec,
        name="tiny-decoder",
        summary="the tiny VAE's decoder, its encoder kept",
        loop=replace(codec.loop, updates=updates),
        codec=options,
    )


def tiny_pretraining(stage: Stage) -> TrainingPreset:
    """Foundation, text teacher, stage 1 or stage 2 of the tiny stack."""
    from_scratch = stage == "foundation"
    rates = Rates(rate=1.5e-3 if from_scratch else 1e-3)
    no_history = ConditionDropout(motion=0.0)
    some_history = ConditionDropout(motion=TINY_FIRST_SEGMENTS)
    forms = {
        "foundation": PretrainingOptions(
            form="text-to-video", parameters=(FOUNDATION_PARAMETERS,), dropout=no_history,
            tau=_tiny_flow_levels(), rates=rates,
        ),
        "text-teacher": PretrainingOptions(
            form="image-to-video", parameters=(FOUNDATION_PARAMETERS,), dropout=no_history,
            tau=_tiny_flow_levels(), rates=rates,
        ),
        "stage-1": PretrainingOptions(
            form="avatar", parameters=(STAGE_1_PARAMETERS,), tau=_tiny_flow_levels(),
            dropout=some_history, rates=rates,
        ),
        "stage-2": PretrainingOptions(
            form="avatar", parameters=(STAGE_2_PARAMETERS,), audio=True,
            tau=_tiny_flow_levels(), dropout=some_history, rates=rates,
        ),
    }  # fmt: skip
    contents = {
        "foundation": ("latents", "text_ids"),
        "text-teacher": ("latents", "image_condition", "text"),
        "stage-1": ("latents", "text"),
        "stage-2": ("latents", "text", "speech"),
    }
    if stage not in forms:
        raise InputError(f"stage {stage!r} is no flow-matching stage; choose {', '.join(forms)}")
    return TrainingPreset(
        name=f"tiny-{stage}",
        summary=f"{stage} of the tiny stack",
        stage=stage,
        expert="single",
        loop=_tiny_loop(
            TINY_UPDATES[stage],
            ema_decay=0.99,
            ema_start=100,
            rate_end=0.1,
            rate_warmup=100 if from_scratch else 20,
        ),
        cache=_tiny_cache(*contents[stage]),
        pretraining=forms[stage],
        learns_text=stage == "foundation",
        learns_speech=stage == "stage-2",
    )


def tiny_distillation(equation: Literal["twin", "vanilla"]) -> TrainingPreset:
    """Twin-teacher distillation of the tiny stack, or its closing vanilla round."""
    options, updates = _distillation("single", equation, TINY_CYCLES, 20, 2)
    options = replace(
        options,
        run=expert_run("joint", TauSchedule(shift=TINY_TAU_SHIFT)),
        motion_dropout=TINY_FIRST_SEGMENTS,
    )
    slower = VANILLA_SLOWER if equation == "vanilla" else 1.0
    return TrainingPreset(
        name=f"tiny-{'distill' if equation == 'twin' else 'vanilla'}",
        summary=(
            "twin-teacher DMD of the tiny stack"
            if equation == "twin"
            else "short closing round with Eq. 2 of the tiny stack"
        ),
        stage="distill",
        expert="single",
        loop=_tiny_loop(
            updates,
            global_batch=8,
            micro_batch=8,
            clip=10.0,
            ema_decay=0.95,
            ema_start=10,
            rate_warmup=0,
        ),
        cache=_tiny_cache("latents", *CONDITIONS, "text", "audio"),
        distillation=options,
        adapters=AdapterOptions(rank=16, alpha=16.0),
        student=Rates(rate=8e-4 * slower, betas=(0.0, 0.999)),
        fake=Rates(rate=1.6e-3 * slower, betas=(0.0, 0.999)),
    )


def training_presets() -> dict[str, Callable[[], TrainingPreset]]:
    """Return every preset by its name on the command line."""
    table: dict[str, Callable[[], TrainingPreset]] = {
        "tiny-codec": tiny_codec,
        "tiny-decoder": tiny_decoder,
    }
    stages: tuple[Stage, ...] = ("foundation", "text-teacher", "stage-1", "stage-2")
    for stage in stages:
        table[f"tiny-{stage}"] = lambda stage=stage: tiny_pretraining(stage)  # type: ignore[misc]
    table["tiny-distill"] = lambda: tiny_distillation("twin")
    table["tiny-vanilla"] = lambda: tiny_distillation("vanilla")
    sides: tuple[Which, ...] = ("high", "low")
    for side in sides:
        table[f"paper-stage-1-{side}"] = lambda side=side: paper_pretraining("stage-1", side)  # type: ignore[misc]
        table[f"paper-stage-2-{side}"] = lambda side=side: paper_pretraining("stage-2", side)  # type: ignore[misc]
    runs: tuple[Which, ...] = ("high", "low", "joint")
    for run in runs:
        table[f"paper-distill-{run}"] = lambda run=run: paper_distillation("twin", run)  # type: ignore[misc]
        table[f"paper-vanilla-{run}"] = lambda run=run: paper_distillation("vanilla", run)  # type: ignore[misc]
    return table


def training_preset(name: str) -> TrainingPreset:
    """Return a preset by name.

    Raises:
        InputError: No preset has that name.
    """
    table = training_presets()
    if name not in table:
        raise InputError(f"no training preset is called {name!r}; choose one of {', '.join(table)}")
    return table[name]()
