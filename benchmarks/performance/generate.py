"""What generation costs: the network against plain Wan, speakers, the VAE's share, memory by length.

    python -m benchmarks.performance.generate [--rounds 5] [--segments 12]

Contestants alternate within one run, and processor time is reported beside wall time, because the
machine may be shared. On a CUDA device the real 14B shapes at 480x832 are timed with random weights
as well; without one those rows say so.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.performance.dated_report import table, write_report
from joystreamer.memory import Workload
from joystreamer.model.configurations import paper_transformer_config, tiny_transformer_config
from joystreamer.model.transformer import JoyStreamerTransformer3DModel
from joystreamer.options import ScaleSchedule
from joystreamer.presets import build_tiny_pipeline, paper_vae_config, tiny_sampling
from joystreamer.scene import Scene

PACKAGES: Final = ("torch", "diffusers", "transformers")
NO_DEVICE: Final = "not measured: no device"
LATENTS: Final = 19
PEAK_FLOPS: Final = 989e12  # dense bf16 of one H100 or H200 SXM (NVIDIA data sheet)

# 128x128 pixels: 64 tokens per latent. 19 noisy + 1 reference + 1.25 motion latents are 1,360
# tokens, which plain Wan has at 20 latents of 4x17 tokens.
GRID: Final = (16, 16)
WAN_SHAPE: Final = (20, 8, 34)
TEXT: Final = (512, 256)
WIDTHS: Final = {256: 4, 768: 2}
"""Widths compared, and blocks of each: matrix products dominate, one core suffices."""

FORWARD_NOTE: Final = (
    "Goals: one speaker <= 1.2 of plain Wan, three <= 1.05 of one. fp32, one thread. Attention "
    "to speech is one call over the same queries whoever speaks; what three speakers add are "
    "audio tokens of three more streams to project (two speakers, silence). Here a latent has 64 "
    "video tokens and 32 audio tokens per stream; at 480x832 it has 1,560, and three speakers add "
    "at most 1.5 % to the audio attention (`tests/joystreamer/model/test_speaker_routing.py`)."
)

Forward = Callable[[], Any]


def network_config(width: int) -> dict[str, Any]:
    """A network of a width of `WIDTHS`, heads of 64, Wan's ratio of the feed-forward width."""
    return {
        **tiny_transformer_config(text_dim=TEXT[1], audio_dim=64, audio_layers=4),
        "num_attention_heads": width // 64,
        "attention_head_dim": 64,
        "ffn_dim": width * 11 // 4,
        "num_layers": WIDTHS[width],
        "audio_token_dim": 128,
    }


def inputs_of(model: Any, speakers: int | None, size: tuple[int, int] = GRID) -> dict[str, Any]:
    """Random inputs of one full segment; `speakers` None leaves the audio out."""
    config, place = model.config, {"device": model.device, "dtype": model.dtype}
    dice = torch.Generator(model.device).manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=dice, **place)

    given: dict[str, Any] = {
        "hidden_states": noise(1, 16, LATENTS, *size),
        "timestep": torch.full((1,), 900.0, device=model.device),
        "encoder_hidden_states": noise(1, 512, config.text_dim),
        "reference_latents": noise(1, 16, 1, *size),
        "motion_latents": noise(1, 16, 3, *size),
        "return_dict": False,
    }
    if speakers is not None:
        streams = 1 if speakers == 1 else speakers + 1
        given["audio_features"] = noise(
            1, streams, LATENTS, 8, config.audio_layers, config.audio_dim
        )
        if streams > 1:
            columns = torch.arange(size[1] // 2, device=model.device) * streams // (size[1] // 2)
            masks = columns == torch.arange(streams, device=model.device)[:, None]
            given["speaker_masks"] = (
                masks[None, :, None].expand(1, streams, size[0] // 2, -1).to(model.dtype)
            )
    return given


def contestants(width: int) -> dict[str, Forward]:
    """Forward passes to compare, all of 1,360 tokens."""
    torch.manual_seed(0)
    config = network_config(width)
    ours = JoyStreamerTransformer3DModel(**config).eval()
    shared = {name: value for name, value in config.items() if name in
              WanTransformer3DModel._get_init_keys(WanTransformer3DModel)}  # fmt: skip
    wan = WanTransformer3DModel(**shared).eval()
    wan_inputs = {
        "hidden_states": torch.randn(1, 16, *WAN_SHAPE),
        "timestep": torch.full((1,), 900.0),
        "encoder_hidden_states": torch.randn(1, *TEXT),
        "return_dict": False,
    }
    forwards: dict[str, Forward] = {"plain Wan": lambda: wan(**wan_inputs)}
    for name, speakers in (("ours, no audio", None), ("1 speaker", 1), ("3 speakers", 3)):
        given = inputs_of(ours, speakers)
        forwards[name] = lambda given=given: ours(**given)  # type: ignore[misc]
    return forwards


@torch.no_grad()
def time_in_turns(forwards: dict[str, Forward], rounds: int) -> dict[str, tuple[float, float]]:
    """Median (processor, wall) seconds per forward, contestants alternating."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in forwards}
    for turn in range(rounds + 1):
        for name, forward in forwards.items():
            started = time.process_time(), time.perf_counter()
            forward()
            if turn:  # the first round warms up
                spent[name].append(
                    (time.process_time() - started[0], time.perf_counter() - started[1])
                )
    return {
        name: (
            statistics.median(cpu for cpu, _ in times),
            statistics.median(wall for _, wall in times),
        )
        for name, times in spent.items()
    }


@torch.no_grad()
def count_operations(forward: Forward) -> int:
    """Multiply-adds (times two) in matrix products, convolutions and attention of one pass."""
    with FlopCounterMode(display=False) as counter:
        forward()
    return counter.get_total_flops()


def resident_mb() -> float:
    """Memory of this process now, in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def render_long(segments: int) -> tuple[dict[str, float], float]:
    """Stage shares of a tiny clip, and growth of memory in MB per minute of video."""
    one = ScaleSchedule(1.0)
    pipeline = build_tiny_pipeline()
    pipeline.set_progress_bar_config(disable=True)
    options = tiny_sampling(steps=4, text_scale=one, audio_scale=one)
    speech = np.random.default_rng(0).standard_normal(round(segments * 3.04 * 16_000))
    scene = Scene(
        image=np.full((64, 64, 3), 128, np.uint8),
        tracks=((0.05 * speech).astype(np.float32),),
        fragments=("a person talks",),
    )
    stages: dict[str, float] = {}
    minutes, held = [], []
    for part in pipeline.stream(scene, options):
        for name, seconds in part.timings.items():
            stages[name] = stages.get(name, 0.0) + seconds
        minutes.append((part.segment.start_frame + part.segment.frames) / 25 / 60)
        held.append(resident_mb())
    settled = len(held) // 3  # allocators grow at first
    slope = float(np.polyfit(minutes[settled:], held[settled:], 1)[0])
    total = sum(stages.values())
    return {name: seconds / total for name, seconds in stages.items()}, slope


def segment_flops(workload: Workload, config: dict[str, Any]) -> float:
    """Floating-point operations of one forward pass with one speaker (2 per multiply-add)."""
    d, n, layers = workload.width, workload.tokens, workload.blocks
    noisy = LATENTS * workload.pixels // 256
    dense = 2 * n * (6 * d * d + 2 * d * workload.ffn) + 2 * 512 * 2 * d * d
    attention = 4 * n * n * d + 4 * n * 512 * d
    keys = LATENTS * config["audio_tokens"]
    audio = 4 * noisy * d * d + 4 * keys * config["audio_token_dim"] * d
    audio += 4 * noisy * config["audio_tokens"] * d
    return float(layers * (dense + attention + audio))


@torch.no_grad()
def measure_device() -> list[tuple[str, str]]:
    """One 4-step segment of the real 14B shapes on the CUDA device, random weights, bf16."""
    rows = [
        "seconds per 4-step segment, VAE included",
        "model FLOP utilisation, bf16",
        "peak memory",
    ]
    if not torch.cuda.is_available():
        return [(row, NO_DEVICE) for row in rows]
    config, size = paper_transformer_config(), (60, 104)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = JoyStreamerTransformer3DModel(**config).eval()
    torch.set_default_dtype(torch.float32)
    vae = AutoencoderKLWan(**paper_vae_config()).to("cuda").eval()
    given = inputs_of(model, 1, size)
    latents = torch.randn(1, 16, LATENTS + 3, *size, device="cuda")
    torch.cuda.reset_peak_memory_stats()
    spent = []
    for _ in range(3):
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(4):
            model(**given)
        torch.cuda.synchronize()
        denoised = time.perf_counter()
        vae.decode(latents)
        torch.cuda.synchronize()
        spent.append((denoised - started, time.perf_counter() - started))
    denoising, whole = min(spent)
    workload = Workload(parameters={}, blocks=40, width=5120, ffn=13824, tokens=33_150,
                        pixels=480 * 832, vae_width=96)  # fmt: skip
    utilisation = 4 * segment_flops(workload, config) / denoising / PEAK_FLOPS
    peak = torch.cuda.max_memory_allocated() / 1e9
    return list(zip(rows, (f"{whole:.1f} s", f"{utilisation:.0%}", f"{peak:.1f} GB"), strict=True))


def compare(width: int, rounds: int) -> list[tuple[str, ...]]:
    """Rows of one width: seconds, and time and operations relative to one speaker."""
    forwards = contestants(width)
    times = time_in_turns(forwards, rounds)
    operations = {name: count_operations(forward) for name, forward in forwards.items()}
    base, single = times["plain Wan"][0], times["1 speaker"][0]
    return [
        (
            f"{width}, {WIDTHS[width]} blocks",
            name,
            f"{cpu:.3f}",
            f"{wall:.3f}",
            f"{cpu / base:.3f}",
            f"{cpu / single:.3f}",
            f"{operations[name] / operations['1 speaker']:.3f}",
        )
        for name, (cpu, wall) in times.items()
    ]


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Timed rounds per contestant.")
@click.option("--segments", default=12, show_default=True, help="Segments of the long tiny clip.")
def main(rounds: int, segments: int) -> None:
    """Measure and write a dated report."""
    torch.set_num_threads(1)
    forward = [row for width in WIDTHS for row in compare(width, rounds)]
    header = ("width", "network", "processor s", "wall s", "to plain Wan", "to 1 speaker",
              "operations to 1 speaker")  # fmt: skip
    shares, slope = render_long(segments)
    sections = [
        ("One forward pass at 1,360 tokens", f"{table(header, forward)}\n\n{FORWARD_NOTE}"),
        (
            "A long tiny clip",
            table(("stage", "share"), [(name, f"{share:.1%}") for name, share in shares.items()])
            + f"\n\n{segments} segments at 64x64, 4 steps, no guidance. Memory grows by "
            f"{slope:.2f} MB per minute of video (slope after the first third).",
        ),
        ("14B shapes at 480x832", table(("what", "measured"), measure_device())),
    ]
    click.echo(write_report("generate", "Cost of generation", sections, PACKAGES))


if __name__ == "__main__":
    main()
