"""Run by torchrun: one process of a group that shares a sequence; reports how it differs from alone.

Each case is run by this process alone first and then by the group. The report of rank 0 goes to the
file named on the command line.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from diffusers import ContextParallelConfig
from torch import Tensor, distributed

from joystreamer.model.audio_attention import AudioAttention
from joystreamer.model.configurations import tiny_transformer_config
from joystreamer.model.transformer import JoyStreamerTransformer3DModel

FRAMES = 3


def make_model() -> JoyStreamerTransformer3DModel:
    torch.manual_seed(0)
    model = JoyStreamerTransformer3DModel(**tiny_transformer_config()).eval()
    for module in model.modules():
        if isinstance(module, AudioAttention):
            torch.nn.init.normal_(module.to_out[0].weight, std=0.1)
    return model


def make_inputs(
    size: int, streams: int, *, clean: bool = True, frames: int = FRAMES
) -> dict[str, Tensor]:
    torch.manual_seed(1)
    inputs = {
        "hidden_states": torch.randn(2, 16, frames, size, size),
        "timestep": torch.tensor([900.0, 300.0]),
        "encoder_hidden_states": torch.randn(2, 16, 32),
        "audio_features": torch.randn(2, streams, frames, 8, 4, 32),
    }
    if clean:
        inputs["reference_latents"] = torch.randn(2, 16, 1, size, size)
        inputs["motion_latents"] = torch.randn(2, 16, 3, size, size)
    if streams > 1:
        labels = torch.arange((size // 2) ** 2).view(size // 2, -1) % streams
        inputs["speaker_masks"] = torch.stack([(labels == s).float() for s in range(streams)])[None]
    return inputs


CASES: dict[str, tuple[dict[str, Any], bool]] = {
    # name: inputs, whether uneven parts are allowed ('ulysses_anything')
    "even, one voice": ({"size": 8, "streams": 1}, False),
    "even, two speakers and silence": ({"size": 8, "streams": 3}, False),
    "padded, two speakers and silence": ({"size": 4, "streams": 3}, False),
    "uneven, two speakers and silence": ({"size": 4, "streams": 3}, True),
    "one process without noisy tokens": ({"size": 8, "streams": 3, "frames": 1}, False),
    "noisy latents alone": ({"size": 8, "streams": 3, "clean": False}, False),
}


class BlocksDoneError(Exception):
    """Ends a forward pass after the last block."""


def run_blocks(model: JoyStreamerTransformer3DModel, inputs: dict[str, Tensor]) -> Tensor:
    """Tokens held here after the last block; what follows gathers them."""

    def stop(_: torch.nn.Module, args: tuple[Tensor, ...]) -> None:
        raise BlocksDoneError(args[0])

    handle = model.norm_out.register_forward_pre_hook(stop)
    try:
        model(**inputs)
    except BlocksDoneError as done:
        return done.args[0]
    finally:
        handle.remove()
    raise AssertionError("the forward pass went on")


def run_uneven(inputs: dict[str, Tensor]) -> dict[str, float]:
    """Differences of this process's tokens; gloo cannot gather parts of unlike size."""
    alone, group = make_model(), make_model()
    group.enable_parallelism(config=ContextParallelConfig(ulysses_degree=2, ulysses_anything=True))
    with torch.no_grad():
        part = run_blocks(group, inputs)
        whole = run_blocks(alone, inputs)  # noisy tokens
    start = 11 if distributed.get_rank() == 1 else 0
    noisy = min(start + part.shape[1], whole.shape[1]) - start
    worst = (part[:, :noisy] - whole[:, start : start + noisy]).abs().max()
    distributed.all_reduce(worst, op=distributed.ReduceOp.MAX)
    return {"output": worst.item(), "tokens here": float(part.shape[1])}


def run_case(inputs: dict[str, Tensor]) -> dict[str, float]:
    """Largest differences of outputs, and of gradients summed over the group."""
    alone, group = make_model(), make_model()
    group.enable_parallelism(config=ContextParallelConfig(ulysses_degree=2))
    seen: list[int] = []
    group.blocks[-1].register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    samples = [model(**inputs).sample for model in (alone, group)]
    worst = 0.0
    for sample in samples:
        sample.square().mean().backward()
    for mine, shared in zip(alone.parameters(), group.parameters(), strict=True):
        if mine.grad is None:
            continue
        total = torch.zeros_like(mine) if shared.grad is None else shared.grad
        distributed.all_reduce(total)
        worst = max(worst, (mine.grad - total).abs().max().item())
    difference = (samples[0] - samples[1]).abs().max().item()
    return {"output": difference, "tokens here": float(seen[0]), "gradient": worst}


def main() -> None:
    distributed.init_process_group("cpu:gloo")  # naming the device keeps sizes on the CPU
    # diffusers divides the rank by the number of accelerators, which is zero on a CPU.
    torch.accelerator.device_count = lambda: 1
    report: dict[str, Any] = {"world size": distributed.get_world_size()}
    for name, (shape, uneven) in CASES.items():
        report[name] = (run_uneven if uneven else run_case)(make_inputs(**shape))
    if distributed.get_rank() == 0:
        Path(sys.argv[1]).write_text(json.dumps(report))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
