"""Train the narrow sync network of `sync/puppet` on puppets with known boxes.

    python -m benchmarks.puppet.sync_training --out puppet_syncnet.safetensors

Contrastive, as SyncNet was trained, in the form of a classification: which of the sound windows belongs
to five frames, and which frames to a sound window? The right one stands against its neighbours in time
and against other clips. Deterministic by seed on one thread; takes some minutes of one core.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import save
from torch import nn

from benchmarks.puppet.sync_clips import (
    WEAKEST,
    Frames,
    degrade,
    draw_clip,
    known_boxes,
    make_talking_clip,
)
from eval.backends.face_crops import cut_out
from eval.backends.puppet_syncnet import NarrowSyncNet
from eval.face_tracks import Boxes, centre_and_half, smooth, square_around
from eval.mfcc import FULL_SCALE, mfcc
from eval.puppet.faces import CROP_PX
from eval.store.files import write_bytes
from eval.sync.networks import VIDEO_WINDOW, count_sound_windows, sound_windows

Floats = NDArray[np.float32]

SIDES: Final = (64, 64, 64, 96)
"""Sizes at which clips are drawn; generated ones have 64 pixels."""
CODED: Final = 0.5
"""Share of clips that go through H.264."""
CRF: Final = (14, 34)
BLUR: Final = (0.0, 1.2)
"""Standard deviation, in pixels of a 64-pixel picture."""
GRAIN: Final = (0.0, 6.0)
HISS: Final = (-1.0, 3.0)
"""Standard deviation of hiss, as a power of ten, in steps of 16-bit sound."""
CLEAN: Final = 0.3
"""Share of clips without hiss, and of clips without blur and grain."""
JITTER: Final = 0.06
"""Standard deviation of place and size of the box, in halves of the head's size."""
CLIP_SHARE: Final = 0.5
"""Weight of the loss over whole stretches, which is what the offset is read from."""
CLIP_SCALE: Final = 8.0
"""How sharply mean distances decide in that loss."""


REPORT: Final = 30
"""Steps from one printed loss to the next."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How the network is trained.

    Attributes:
        clips: Clips to draw.
        steps: Optimiser steps.
        batch: Clips per step.
        length: Video windows of each of them, consecutive.
        reach: Windows by which sound may be shifted to either side.
        rate: Highest learning rate, reached after a tenth of the steps, falling to 0 as a cosine.
        decay: Weight decay.
        seed: Of clips, batches and first weights.
    """

    clips: int = 160
    steps: int = 300
    batch: int = 8
    length: int = 20
    reach: int = 3
    rate: float = 3e-3
    decay: float = 1e-3
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """One clip, ready to be cut.

    Attributes:
        frames: (T, side, side, 3), RGB.
        boxes: (T, 3), half size and middle of the head in pixels, smoothed as the measure does.
        sound: (windows, 20, 13).
    """

    frames: Frames
    boxes: Boxes
    sound: Floats


def make_lesson(seed: int, index: int) -> Lesson:
    """Draw the clip with this number, and spoil it as generated clips may be spoilt."""
    draw = np.random.default_rng([seed, index])
    clip = make_talking_clip(draw, gain=float(draw.uniform(WEAKEST, 1.1)))
    side = SIDES[int(draw.integers(len(SIDES)))]
    spoilt = draw.random() >= CLEAN
    frames = degrade(
        draw_clip(clip, side),
        draw,
        blur=float(draw.uniform(*BLUR)) * side / 64 if spoilt else 0.0,
        grain=float(draw.uniform(*GRAIN)) if spoilt else 0.0,
        crf=int(draw.integers(*CRF)) if draw.random() < CODED else None,
    )
    sound = clip.sound * np.float32(FULL_SCALE)
    if draw.random() >= CLEAN:
        sound = sound + draw.normal(0, 10 ** draw.uniform(*HISS), sound.shape)
    rows = mfcc(sound)
    return Lesson(
        frames=frames,
        boxes=smooth(centre_and_half(known_boxes(clip) * side)),
        sound=sound_windows(rows, 0, count_sound_windows(len(rows))),
    )


def cut_stretch(lesson: Lesson, recipe: Recipe, draw: np.random.Generator) -> tuple[Frames, Floats]:
    """Cut a stretch of crops and the sound around it.

    Returns:
        Crops (length + 4, 40, 40, 3) in BGR, and sound windows (length + 2 reach, 20, 13): number i +
        reach belongs to video window i.
    """
    last = min(len(lesson.frames) - VIDEO_WINDOW + 1, len(lesson.sound)) - recipe.length
    start = int(draw.integers(recipe.reach, last - recipe.reach + 1))
    height, width = lesson.frames.shape[1:3]
    half, x, y = lesson.boxes[start : start + recipe.length + VIDEO_WINDOW - 1].T
    shift = draw.normal(0, JITTER, 3)  # the same for all frames: a tracked box hardly trembles
    tremble = draw.normal(0, JITTER / 6, (len(half), 3))
    size, right, down = (shift + tremble).T
    crops = []
    for place in range(len(half)):
        square = square_around(
            float(half[place] * (1 + size[place])),
            float(x[place] + half[place] * right[place]),
            float(y[place] + half[place] * down[place]),
            height,
            width,
        )
        crops.append(cut_out(lesson.frames[start + place], square, CROP_PX)[..., ::-1])
    sound = lesson.sound[start - recipe.reach : start + recipe.length + recipe.reach]
    return np.stack(crops), sound


def stretch_loss(seen: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
    """Return how badly frames and sound find each other.

    Args:
        seen: (clips, length, d).
        heard: (clips, length + 2 reach, d).

    Returns:
        Mean cross-entropy in nats of finding the sound of frames, the frames of a sound, and the shift
        of a whole stretch.
    """
    clips, length = seen.shape[:2]
    reach = (heard.shape[1] - length) // 2
    away = _distances(seen.flatten(0, 1), heard.flatten(0, 1))
    index = torch.arange(clips * length)
    right = index // length * heard.shape[1] + index % length + reach
    loss = nn.functional.cross_entropy(-away, right)
    loss = loss + nn.functional.cross_entropy(-away[:, right].T, index)
    own = away.view(clips, length, clips, -1).diagonal(dim1=0, dim2=2)  # (length, sounds, clips)
    curve = torch.stack(
        [own.diagonal(shift, dim1=0, dim2=1).mean(dim=-1) for shift in range(2 * reach + 1)],
        dim=-1,
    )
    middle = torch.full((clips,), reach)
    return loss / 2 + CLIP_SHARE * nn.functional.cross_entropy(-CLIP_SCALE * curve, middle)


def _distances(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    squares = one.square().sum(1)[:, None] + other.square().sum(1) - 2 * one @ other.T
    return squares.clamp(min=1e-4).sqrt()


def train(recipe: Recipe, lessons: list[Lesson], bar: Progress) -> NarrowSyncNet:
    """Train a network from fresh weights.

    Args:
        recipe: How.
        lessons: What it sees.
        bar: Shows progress.
    """
    torch.manual_seed(recipe.seed)
    draw = np.random.default_rng([recipe.seed, recipe.clips])
    network = NarrowSyncNet().train()
    network.netcnnaud.to(memory_format=torch.channels_last)  # faster on a processor
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    task = bar.add_task("train", total=recipe.steps)
    running = 0.0
    for step in range(recipe.steps):
        share = step / recipe.steps
        fall = 0.5 + 0.5 * math.cos(math.pi * share)
        optimiser.param_groups[0]["lr"] = (
            recipe.rate * min(1.0, (step + 1) * 10 / recipe.steps) * fall
        )
        chosen = draw.choice(len(lessons), recipe.batch, replace=False)
        cuts = [cut_stretch(lessons[index], recipe, draw) for index in chosen]
        loss = _loss_of(network, cuts)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        now = loss.item()
        running = now if step == 0 else 0.95 * running + 0.05 * now
        bar.update(task, advance=1, description=f"train, loss {running:.2f}")
        if (step + 1) % REPORT == 0:
            bar.console.print(f"step {step + 1} of {recipe.steps}: loss {running:.3f}")
    return network.eval()


def _loss_of(network: NarrowSyncNet, cuts: list[tuple[Frames, Floats]]) -> torch.Tensor:
    crops = torch.from_numpy(np.stack([crop for crop, _ in cuts]))
    windows = crops.unfold(1, VIDEO_WINDOW, 1)  # (clips, length, side, side, 3, 5)
    sound = torch.from_numpy(np.stack([rows for _, rows in cuts]))
    heard = network.forward_aud(sound.flatten(0, 1).transpose(1, 2)[:, None])
    seen = _see_flat(network, windows.flatten(0, 1).permute(0, 4, 3, 1, 2).float())
    clips = len(cuts)
    return stretch_loss(
        seen.reshape(clips, -1, seen.shape[1]), heard.reshape(clips, -1, heard.shape[1])
    )


def _see_flat(network: NarrowSyncNet, windows: torch.Tensor) -> torch.Tensor:
    """Do what `forward_lip` does with two-dimensional layers, which are faster on a processor.

    Args:
        network: In training mode.
        windows: (n, 5, 3, side, side).
    """
    flow = windows.transpose(1, 2).flatten(1, 2).contiguous(memory_format=torch.channels_last)
    for layer in network.netcnnlip:
        if isinstance(layer, nn.Conv3d):
            kernel = layer.weight.flatten(1, 2)  # moments become channels
            padding = tuple(int(side) for side in layer.padding[1:])
            flow = nn.functional.conv2d(flow, kernel, layer.bias, layer.stride[1:], padding=padding)
        elif isinstance(layer, nn.MaxPool3d):
            reach: Any = layer.kernel_size
            step: Any = layer.stride
            flow = nn.functional.max_pool2d(flow, reach[1:], step[1:])
        else:
            flow = layer(flow[:, :, None])[:, :, 0]
    embedded: torch.Tensor = network.netfclip(flow.flatten(1))
    return embedded


def packed(network: NarrowSyncNet, recipe: Recipe) -> bytes:
    """Return the weights as safetensors: kernels in 16 bits, statistics, which may be large, in 32."""
    state = {
        name: (part.half() if part.ndim > 1 else part).contiguous()
        for name, part in network.state_dict().items()
    }
    note = f"python -m benchmarks.puppet.sync_training --seed {recipe.seed} --steps {recipe.steps}"
    return save(state, metadata={"made by": f"{note} --clips {recipe.clips}"})


@click.command(help=__doc__.split("\n\n")[0] if __doc__ else None)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--clips", default=Recipe().clips, show_default=True, type=click.IntRange(12))
@click.option("--steps", default=Recipe().steps, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=Recipe().seed, show_default=True)
def main(out: Path, clips: int, steps: int, seed: int) -> None:
    """Draw the clips, train, write the weights."""
    torch.set_num_threads(1)
    recipe = Recipe(clips=clips, steps=steps, seed=seed)
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("draw", total=clips)
        lessons = []
        for index in range(clips):
            lessons.append(make_lesson(seed, index))
            bar.advance(task)
        network = train(recipe, lessons, bar)
    write_bytes(out, packed(network, recipe))
    click.echo(f"{out}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
