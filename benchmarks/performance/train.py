"""What training costs: seconds per update of every stage, where a distillation step goes, memory.

    python -m benchmarks.performance.train [--rounds 3]

The tiny stack is timed on the CPU. On a CUDA device one twin-teacher step at real 14B shapes with
random weights is timed as well (high run, one shared base); without one those rows say so, and the
memory of that step is given as the arithmetic of the dry run.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import click
import torch
from torch import Tensor

from benchmarks.performance.dated_report import table, write_report
from joystreamer.model.configurations import paper_transformer_config
from joystreamer.model.transformer import JoyStreamerTransformer3DModel
from joystreamer.presets import tiny_transformer
from joystreamer.training.batches import Batch
from joystreamer.training.casts import SharedCast
from joystreamer.training.configuration import TrainingPreset
from joystreamer.training.distillation import DistillationOptions, DistillationTask
from joystreamer.training.loop import LoopOptions, TrainingLoop
from joystreamer.training.lora import AdapterOptions
from joystreamer.training.memory_estimate import estimate, total
from joystreamer.training.parallel import make_accelerator
from joystreamer.training.presets import training_preset
from joystreamer.training.pretraining import FlowMatchingTask
from joystreamer.training.randomness import seeded
from joystreamer.training.runs import model_size
from joystreamer.training.schedules import TEXT_TEACHER_BOUNDARY, expert_run
from joystreamer.training.teachers import Experts

PACKAGES: Final = ("torch", "diffusers", "accelerate", "peft")
NO_DEVICE: Final = "not measured: no device"
LATENTS: Final = 19
STAGES: Final = ("tiny-foundation", "tiny-text-teacher", "tiny-stage-1", "tiny-stage-2")
BATCH: Final = 4
WARM_UP: Final = 2
PAPER_SIZE: Final = (60, 104)  # latents of 480x832
TINY_SIZE: Final = (8, 8)


class RandomClips:
    """Clips of noise with the shapes of real ones."""

    def __init__(
        self, size: tuple[int, int], text: tuple[int, int], audio: tuple[int, int]
    ) -> None:
        self.size, self.text, self.audio = size, text, audio

    def buckets(self) -> Sequence[Sequence[int]]:
        """One bucket."""
        return [range(2 * BATCH)]

    def read(self, indices: Sequence[int]) -> Batch:
        """The same for every index but for its seed."""
        clips = [self._clip(index) for index in indices]
        return {name: torch.stack([clip[name] for clip in clips]) for name in clips[0]}

    def _clip(self, index: int) -> Batch:
        dice = seeded("bench", index)

        def noise(*shape: int) -> Tensor:
            return torch.randn(shape, generator=dice)

        return {
            "latents": noise(16, LATENTS, *self.size),
            "motion": noise(16, 3, *self.size),
            "reference": noise(16, 1, *self.size),
            "image_condition": noise(16, LATENTS + 1, *self.size),
            "reference_condition": noise(16, LATENTS + 1, *self.size),
            "text": noise(*self.text),
            "audio": noise(1, LATENTS, 8, *self.audio),
        }


def constants(text: tuple[int, int]) -> dict[str, Tensor]:
    """Stand-ins for the empty and the negative prompt."""
    return {name: torch.zeros(1, *text) for name in ("empty_text", "negative_text")}


def time_updates(loop: TrainingLoop, rounds: int) -> dict[str, list[float]]:
    """Seconds of each update by the role that steps, after two updates of warm-up."""
    found: dict[str, list[float]] = {}
    with ThreadPoolExecutor(1) as reader:
        for update in range(rounds + WARM_UP):
            start = time.perf_counter()
            figures = loop.step(reader)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if update >= WARM_UP:
                phase = next(name for name in figures if name.endswith("/loss")).split("/")[0]
                found.setdefault(phase, []).append(time.perf_counter() - start)
    return found


def tiny_pretraining(name: str, rounds: int, folder: Path) -> float:
    """Median seconds of one update of a tiny stage, batch 4 at 64x64."""
    options = training_preset(name).pretraining
    assert options is not None
    network = tiny_transformer(in_channels=36 if options.form == "image-to-video" else 16)
    task = FlowMatchingTask(network, options, constants((512, 32)))
    loop = _loop(task, TINY_SIZE, (512, 32), (4, 32), rounds, folder)
    return statistics.median(time_updates(loop, rounds)["network"])


def _loop(
    task: Any, size: tuple[int, int], text: tuple[int, int], audio: tuple[int, int], rounds: int,
    folder: Path, *, micro: int = BATCH, precision: str = "no",
) -> TrainingLoop:  # fmt: skip
    options = LoopOptions(
        updates=rounds + 100, global_batch=micro, micro_batch=micro, precision=precision,
        log_every=1000, checkpoint_every=1000,
    )  # fmt: skip
    accelerator = make_accelerator(precision=precision, unused_parameters=True)
    clips = RandomClips(size, text, audio)
    return TrainingLoop(task, clips, options, folder, accelerator)


class Stopwatch:
    """Adds up the seconds that each role's forward passes take."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def wrap(self, name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Return a function that is timed under a name (or under its first argument)."""

        def timed(*given: Any, **named: Any) -> Tensor:
            start = time.perf_counter()
            answer = function(*given, **named)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            key = given[0] if name == "role" else name
            grad = " (with gradients)" if torch.is_grad_enabled() else ""
            self.seconds[f"{key}{grad}"] = (
                self.seconds.get(f"{key}{grad}", 0.0) + time.perf_counter() - start
            )
            return answer

        return timed


def distillation_task(
    network: Any, teacher: Any, rank: int, text: tuple[int, int], *, checkpointing: bool
) -> tuple[DistillationTask, SharedCast]:
    """The high run on one shared base; every update after the first is the student's or critic's."""
    preset = training_preset("paper-distill-high")
    cast = SharedCast(
        network, "high", AdapterOptions(rank=rank, alpha=float(rank)), preset.student, preset.fake,
        checkpointing=checkpointing,
    )  # fmt: skip
    options = DistillationOptions(
        run=expert_run("high"), critic_warmup=0, critic_updates=1, explain_every=0
    )
    experts = Experts(teacher, None, TEXT_TEACHER_BOUNDARY, "the text teacher")
    return DistillationTask({"high": cast}, experts, options, constants(text)), cast


def measure_distillation(
    cast: SharedCast, loop: TrainingLoop, rounds: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds per update by role, and forward seconds per update by who predicts."""
    watch = Stopwatch()
    plain: Any = cast
    plain.velocity = watch.wrap("role", cast.velocity)
    found = time_updates(loop, 2 * rounds)
    updates = 2 * rounds + WARM_UP
    medians = {name: statistics.median(values) for name, values in found.items()}
    return medians, {name: value / updates for name, value in watch.seconds.items()}


def time_tiny_distillation(rounds: int, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Twin-teacher distillation of the tiny stack."""
    text = (512, 32)
    task, cast = distillation_task(
        tiny_transformer(), tiny_transformer(in_channels=36), 16, text, checkpointing=False
    )
    loop = _loop(task, TINY_SIZE, text, (4, 32), 2 * rounds, folder)
    return measure_distillation(cast, loop, rounds)


def time_paper_distillation(rounds: int, folder: Path) -> list[Sequence[object]]:
    """One twin-teacher step at 14B shapes with random weights; needs a CUDA device."""
    if not torch.cuda.is_available():
        names = ("student update, s", "critic update, s", "peak memory, GB (goal below 110)")
        return [(name, NO_DEVICE) for name in names]
    network, teacher = (_random_expert(channels) for channels in (16, 36))
    text = (512, 4096)
    torch.cuda.reset_peak_memory_stats()
    task, cast = distillation_task(network, teacher, 64, text, checkpointing=True)
    loop = _loop(task, PAPER_SIZE, text, (12, 768), 2 * rounds, folder, micro=1, precision="bf16")
    medians, forwards = measure_distillation(cast, loop, rounds)
    rows: list[Sequence[object]] = [
        ("student update, s", f"{medians['high-student']:.1f}"),
        ("critic update, s", f"{medians['high-fake']:.1f}"),
        ("peak memory, GB (goal below 110)", f"{torch.cuda.max_memory_allocated() / 1e9:.1f}"),
    ]
    return rows + [(f"forward of {n}, s per update", f"{v:.1f}") for n, v in forwards.items()]


def _random_expert(channels: int) -> Any:
    """A 14B network with small random weights, made on the device."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("cuda"):
            network = JoyStreamerTransformer3DModel(
                **paper_transformer_config(in_channels=channels)
            )
    finally:
        torch.set_default_dtype(dtype)
    return network.requires_grad_(False)


def memory_rows(presets: Sequence[TrainingPreset]) -> list[Sequence[object]]:
    """Memory of the paper's runs by the dry run's arithmetic."""
    rows: list[Sequence[object]] = []
    for preset in presets:
        lines = estimate(preset, model_size(preset, tiny=False))
        parts = "; ".join(f"{line.what} {line.gigabytes:.1f}" for line in lines)
        rows.append((preset.name, f"{total(lines):.1f}", parts))
    return rows


def _seconds(values: Mapping[str, float]) -> list[Sequence[object]]:
    return [(name, f"{value:.3f}") for name, value in values.items()]


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Updates timed per stage and role.")
def main(rounds: int) -> None:
    """Time training and write a dated report."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stages = {stage: tiny_pretraining(stage, rounds, folder / stage) for stage in STAGES}
        medians, forwards = time_tiny_distillation(rounds, folder / "tiny")
        paper = time_paper_distillation(rounds, folder / "paper")
    names = ("paper-stage-1-high", "paper-stage-2-high", "paper-distill-high", "paper-vanilla-high")
    tiny = f"Batch {BATCH}, 64x64 pixels, {torch.get_num_threads()} thread(s), float32, medians."
    path = write_report(
        "train",
        "What training costs",
        [
            (
                "Tiny stack, seconds per update",
                f"{tiny}\n\n{table(('stage', 's'), _seconds(stages))}",
            ),
            (
                "Tiny distillation, seconds per update",
                "One base with two adapters, high run (one or two rollout steps).\n\n"
                + table(("who steps", "s"), _seconds(medians)),
            ),
            (
                "Where tiny distillation spends its forward passes",
                "Seconds per update, critic's and student's together; backward is the rest.\n\n"
                + table(("who predicts", "s"), _seconds(forwards)),
            ),
            ("One twin-teacher step at 14B shapes, 480x832", table(("what", "value"), paper)),
            (
                "Memory of the paper's runs on one device, GB",
                "Arithmetic of the dry run, without sharding and without the activations of one "
                "block.\n\n"
                + table(
                    ("preset", "in all", "parts"),
                    memory_rows([training_preset(name) for name in names]),
                ),
            ),
        ],
        PACKAGES,
    )
    click.echo(f"wrote {path}")


if __name__ == "__main__":
    main()
