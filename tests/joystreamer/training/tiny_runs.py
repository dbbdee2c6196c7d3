"""Training runs of the tiny real classes, for tests in this process and in launched ones.

Run as a script under torchrun it trains one run and stores what it ended with.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from joystreamer.presets import tiny_transformer
from joystreamer.training.casts import FullCast, SharedCast
from joystreamer.training.distillation import DistillationOptions, DistillationTask
from joystreamer.training.flow_matching import (
    ALL_PARAMETERS,
    STAGE_1_PARAMETERS,
    STAGE_2_PARAMETERS,
)
from joystreamer.training.loop import LoopOptions, TrainingLoop
from joystreamer.training.lora import AdapterOptions, refuse_sharded_adapters
from joystreamer.training.parallel import make_accelerator, whole
from joystreamer.training.pretraining import FlowMatchingTask, PretrainingOptions
from joystreamer.training.randomness import seeded
from joystreamer.training.schedules import TEXT_TEACHER_BOUNDARY
from joystreamer.training.task import Rates
from joystreamer.training.teachers import Experts

LATENTS, SIDE, TEXT_TOKENS, TEXT_DIM = 19, 4, 6, 32


class RandomClips:
    """A training set of noise with the shapes of real clips at 32x32 pixels."""

    def __init__(self, count: int = 8) -> None:
        self.count = count

    def buckets(self) -> Sequence[Sequence[int]]:
        return [range(self.count)]

    def read(self, indices):
        clips = [self.clip(index) for index in indices]
        return {name: torch.stack([clip[name] for clip in clips]) for name in clips[0]}

    def clip(self, index):
        generator = seeded("clip", index)

        def noise(*shape):
            return torch.randn(shape, generator=generator)

        return {
            "latents": noise(16, LATENTS, SIDE, SIDE),
            "motion": noise(16, 3, SIDE, SIDE),
            "reference": noise(16, 1, SIDE, SIDE),
            "image_condition": noise(16, LATENTS + 1, SIDE, SIDE),
            "reference_condition": noise(16, LATENTS + 1, SIDE, SIDE),
            "text": noise(TEXT_TOKENS, TEXT_DIM),
            "audio": noise(1, LATENTS, 8, 4, 32),
        }


def network(seed=0, **changes):
    """A tiny transformer whose audio layers are no longer silent, so that audio matters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = tiny_transformer(num_layers=2, ffn_dim=64, attention_head_dim=24, **changes)
        for block in made.blocks:
            listening: Any = block.audio_attn
            torch.nn.init.normal_(listening.to_out[0].weight, std=0.05)
    return made


def constants():
    return {
        "empty_text": torch.randn(1, TEXT_TOKENS, TEXT_DIM, generator=seeded("empty")),
        "negative_text": torch.randn(1, TEXT_TOKENS, TEXT_DIM, generator=seeded("negative")),
    }


def pretraining_task(stage, *, checkpointing=False):
    rates = Rates(rate=1e-3)
    forms = {
        "foundation": PretrainingOptions(form="text-to-video", rates=rates),
        "text-teacher": PretrainingOptions(form="image-to-video", rates=rates),
        "stage-1": PretrainingOptions(form="avatar", parameters=(STAGE_1_PARAMETERS,), rates=rates),
        "stage-2": PretrainingOptions(
            form="avatar", parameters=(STAGE_2_PARAMETERS,), audio=True, rates=rates
        ),
        "all": PretrainingOptions(
            form="avatar", parameters=(ALL_PARAMETERS,), audio=True, rates=rates
        ),
    }
    made = network(in_channels=36) if stage == "text-teacher" else network()
    return FlowMatchingTask(made, forms[stage], constants(), checkpointing=checkpointing)


def distillation_task(*, shared=True, checkpointing=False, options=None):
    options = options or DistillationOptions(critic_warmup=1, critic_updates=2)
    student, fake = Rates(rate=1e-3, betas=(0.0, 0.999)), Rates(rate=2e-3, betas=(0.0, 0.999))
    base = network()
    cast = (
        SharedCast(
            base, "both", AdapterOptions(rank=4, alpha=4.0), student, fake,
            checkpointing=checkpointing,
        )
        if shared
        else FullCast(base, "both", student, fake, checkpointing=checkpointing)
    )  # fmt: skip
    teacher = network(1, in_channels=36)
    experts = Experts(teacher, teacher, TEXT_TEACHER_BOUNDARY, "the text teacher")
    return DistillationTask({"high": cast, "low": cast}, experts, options, constants())


def make_loop(task, folder, *, unused=False, **changes):
    options = LoopOptions(
        **{
            "updates": 6, "global_batch": 2, "micro_batch": 1, "log_every": 1,
            "checkpoint_every": 100, **changes,
        }
    )  # fmt: skip
    accelerator = make_accelerator(precision=options.precision, unused_parameters=unused)
    return TrainingLoop(task, RandomClips(), options, Path(folder), accelerator)


def make_task(kind):
    if kind == "shared":
        return distillation_task()
    if kind == "full":
        return distillation_task(shared=False)
    return pretraining_task(kind)


def measure(clip):
    """A probe: mean brightness and number of frames."""
    return {"brightness": float(clip.frames.mean()), "frames": float(len(clip.frames))}


def trained_values(loop):
    return {
        f"{trained.name}/{name}": whole(value).clone()
        for trained in loop.task.trained
        for name, value in trained.parameters.items()
    }


def main(kind, folder, sharded, checkpoint_every, updates):
    torch.set_num_threads(1)
    refuse_sharded_adapters(sharded=sharded == "sharded", shared_base=kind == "shared")
    loop = make_loop(
        make_task(kind),
        folder,
        unused=kind == "shared",
        sharded=sharded == "sharded",
        checkpoint_every=int(checkpoint_every),
        updates=int(updates),
        ema_decay=0.9,
    )
    assert loop.accelerator.num_processes == int(os.environ.get("WORLD_SIZE", "1"))
    loop.run()
    values = trained_values(loop)
    if loop.accelerator.is_main_process:
        world = torch.tensor([loop.accelerator.num_processes])
        save_file({**values, "processes": world}, Path(folder) / "end.safetensors")
    loop.accelerator.end_training()


if __name__ == "__main__":
    main(*sys.argv[1:])
