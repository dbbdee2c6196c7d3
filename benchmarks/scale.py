"""What a run over many checkpoints costs: seconds of clip times measured and computed unit costs.

The unit costs say where each comes from; `docs/scale.md` holds the table that this file computes, and a
test holds the two together. Nothing here measures anything.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from eval.records import Suite

FRAMES_PER_SECOND: Final = 25
NEW_FRAMES: Final = 76
"""Frames that one pass of the pipeline adds (paper, Sec. 4.1)."""

LATENT_TOKENS: Final = 30 * 52
"""Tokens of one latent at 480x832: 8x8 pixels per latent value, patches of 2x2."""

PASS_LATENTS: Final = 19 + 1 + 1.25
"""Latents in one pass: noisy, reference, compressed motion."""

PARAMETERS: Final = 14e9
WIDTH: Final = 5120
BLOCKS: Final = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitCosts:
    """Costs per unit of work.

    Attributes:
        peak_flops: Dense bf16 of one H100 (NVIDIA's data sheet).
        utilisation: Share of it that is reached; assumed.
        few_passes: Forward passes per segment of a distilled checkpoint: 4 steps, no guidance.
        many_passes: The same with 40 guided steps of three predictions.
        light_cpu_s: Processor seconds per second of clip for quality/light, drift/colour, motion/flow and
            video/probe with decoding; measured on 3 clips of 720x480.
        sync_cpu_s: The same for sync/clean on one thread at 1280x720; benchmarks/results.
        clip_mb: Megabytes per second of clip; measured on 36 clips of about 1000x528.
        series_mb: Megabytes of per-frame series per second of clip; measured on the same.
        poster_mb: Megabytes per clip of posters; measured on the same.
        rows: Scores per clip with the default measures.
        row_kb: Kilobytes of database per score, indices included; measured with 590 scores.
    """

    peak_flops: float = 989e12
    utilisation: float = 0.4
    few_passes: int = 4
    many_passes: int = 120
    light_cpu_s: float = 0.42
    sync_cpu_s: float = 3.2
    clip_mb: float = 0.25
    series_mb: float = 0.004
    poster_mb: float = 0.061
    rows: int = 31
    row_kb: float = 1.2


def forward_flops() -> float:
    """Return floating-point operations of one forward pass of the 14B network on one segment.

    Two per parameter and token, and 4 x tokens squared x width per block for self-attention.
    """
    tokens = PASS_LATENTS * LATENT_TOKENS
    return 2 * PARAMETERS * tokens + 4 * tokens**2 * WIDTH * BLOCKS


def segments_of(seconds: float) -> int:
    """Return the passes that a sound of so many seconds takes."""
    return math.ceil(round(seconds * FRAMES_PER_SECOND, 6) / NEW_FRAMES)


def plan(suites: Sequence[Suite], checkpoints: int, costs: UnitCosts) -> dict[str, float]:
    """Return what a run costs in all.

    Args:
        suites: Their cases' `duration_s` counts.
        checkpoints: How many systems render them.
        costs: Unit costs.

    Returns:
        clips, clip_hours, segments, gpu_hours_few, gpu_hours_many, light_core_hours, sync_core_hours,
        clip_gb, series_gb, poster_gb, rows, database_gb.
    """
    durations = [case.duration_s or 0.0 for suite in suites for case in suite.cases]
    clips = len(durations) * checkpoints
    seconds = sum(durations) * checkpoints
    segments = sum(map(segments_of, durations)) * checkpoints
    pass_s = forward_flops() / (costs.peak_flops * costs.utilisation)
    return {
        "clips": clips,
        "clip_hours": seconds / 3600,
        "segments": segments,
        "gpu_hours_few": segments * costs.few_passes * pass_s / 3600,
        "gpu_hours_many": segments * costs.many_passes * pass_s / 3600,
        "light_core_hours": seconds * costs.light_cpu_s / 3600,
        "sync_core_hours": seconds * costs.sync_cpu_s / 3600,
        "clip_gb": seconds * costs.clip_mb / 1000,
        "series_gb": seconds * costs.series_mb / 1000,
        "poster_gb": clips * costs.poster_mb / 1000,
        "rows": clips * costs.rows,
        "database_gb": clips * costs.rows * costs.row_kb / 1e6,
    }


LABELS: Final = {
    "clips": "clips",
    "clip_hours": "hours of clip",
    "segments": "segments to render",
    "gpu_hours_few": "H100 hours, 4 steps (computed)",
    "gpu_hours_many": "H100 hours, 40 guided steps (computed)",
    "light_core_hours": "core hours, measures without weights",
    "sync_core_hours": "core hours, lip sync on the CPU",
    "clip_gb": "GB of clips in `media/` (again as much in `runs/`)",
    "series_gb": "GB of per-frame series",
    "poster_gb": "GB of posters",
    "rows": "scores in the database",
    "database_gb": "GB of database",
}


def plan_table(suites: Sequence[Suite], counts: Sequence[int], costs: UnitCosts) -> str:
    """Return the plan for several numbers of checkpoints as a Markdown table."""
    plans = [plan(suites, count, costs) for count in counts]
    heads = ["what", *(f"{count} checkpoint{'s' if count > 1 else ''}" for count in counts)]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for key, label in LABELS.items():
        cells = [_rounded(one[key]) for one in plans]
        lines.append("| " + " | ".join([label, *cells]) + " |")
    return "\n".join(lines)


def _rounded(value: float) -> str:
    """Return a figure with two digits that mean something, counts in full."""
    if value == int(value):
        return f"{int(value):,}"
    digits = max(0, 1 - math.floor(math.log10(abs(value))))
    return f"{round(value, digits):,.{digits}f}"
