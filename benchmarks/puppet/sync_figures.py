"""Try `sync/puppet` on puppets that its network was not trained on, as `make demo` would.

    python -m benchmarks.puppet.sync_figures [--clips 48]

Every clip is written as H.264 and AAC and scored by the ordinary measure: in step, blurred and grainy,
with a mouth that is late or early, and with the sound of another clip.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click
import numpy as np
from rich.progress import track

from benchmarks.puppet.sync_clips import (
    Frames,
    TalkingClip,
    degrade,
    draw_clip,
    extra_of,
    make_talking_clip,
)
from benchmarks.puppet.timeline import FPS
from benchmarks.puppet.voice import Sound
from eval.catalog import find_measure
from eval.measure import ClipInputs, Outcome
from eval.puppet.mouth import SAMPLE_RATE
from eval.watching import watch_clip
from eval.weights import WeightFolder
from joystreamer.media import probe, write_clip

MEASURE: Final = "sync/puppet"
FIRST: Final = 1_000_000
"""Number of the first clip: far from every number of training."""
DELAYS: Final = (-6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6)
BLUR: Final = 1.0
"""Standard deviation in pixels of 64."""
GRAIN: Final = 5.0
KINDS: Final = ("in step", "blurred", "delayed", "other sound")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One scored clip.

    Attributes:
        kind: One of `KINDS`.
        delay: Frames by which the mouth was made late.
        outcomes: What the measure says, by metric.
    """

    kind: str
    delay: int
    outcomes: Mapping[str, Outcome]

    def value(self, name: str) -> float | None:
        """Return the value of `sync.<name>`."""
        return self.outcomes[f"sync.{name}"].value


def score_frames(
    folder: Path, frames: Frames, sound: Sound | None, extra: Mapping[str, Any]
) -> Mapping[str, Outcome]:
    """Write a clip and return what `sync/puppet` says of it.

    Args:
        folder: Where the clip is written.
        frames: (T, height, width, 3).
        sound: At 16 kHz; None writes no sound.
        extra: Of its case.
    """
    path = folder / "clip.mp4"
    write_clip(path, list(frames), FPS, audio=sound, sample_rate=SAMPLE_RATE)
    inputs = ClipInputs(path=path, probe=probe(path), weights=WeightFolder(), extra=extra)
    return watch_clip(inputs, [find_measure(MEASURE)]).by_measure[MEASURE].outcomes


def run_trials(clips: int, seed: int = 0) -> Iterator[Trial]:
    """Yield four trials for every clip: one of each kind.

    Args:
        clips: How many.
        seed: Of all of them.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        other = _held_out(seed, clips).sound
        for index in range(clips):
            clip = _held_out(seed, index)
            extra, frames = extra_of(clip), draw_clip(clip)
            draw = np.random.default_rng([seed, index])
            soft = degrade(frames, draw, blur=BLUR, grain=GRAIN)
            delay = DELAYS[index % len(DELAYS)]
            late = _held_out(seed, index, delay)
            shown = {
                "in step": (frames, clip.sound, extra, 0),
                "blurred": (soft, clip.sound, extra, 0),
                "delayed": (draw_clip(late), late.sound, extra_of(late), delay),
                "other sound": (frames, other, extra, 0),
            }
            for kind, (pictures, sound, facts, moved) in shown.items():
                outcomes = score_frames(folder, pictures, sound, facts)
                yield Trial(kind=kind, delay=moved, outcomes=outcomes)
            other = clip.sound


def _held_out(seed: int, index: int, delay: int = 0) -> TalkingClip:
    return make_talking_clip(np.random.default_rng([seed, FIRST + index]), delay=delay)


def describe(trials: list[Trial]) -> str:
    """Return a table in Markdown: one row per kind."""
    lines = [
        "| clips | number | Sync-C, mean (least to most) | Sync-D, mean | offset right | at most one off |",
        "|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        mine = [trial for trial in trials if trial.kind == kind]
        known = [trial for trial in mine if trial.value("confidence") is not None]
        levels = np.array([trial.value("confidence") for trial in known], float)
        away = np.array([(trial.value("offset") or 0.0) - trial.delay for trial in known])
        distance = np.mean([trial.value("distance") or np.nan for trial in known])
        offsets = "- | -"
        if kind != "other sound":
            offsets = f"{np.mean(away == 0):.0%} | {np.mean(np.abs(away) <= 1):.0%}"
        span = f"{levels.mean():.2f} ({levels.min():.2f} to {levels.max():.2f})"
        lines.append(
            f"| {kind} | {len(known)} of {len(mine)} | {span} | {distance:.2f} | {offsets} |"
        )
    return "\n".join(lines)


@click.command(help=__doc__.split("\n\n")[0] if __doc__ else None)
@click.option("--clips", default=48, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True)
def main(clips: int, seed: int) -> None:
    """Score all trials and print the table."""
    total = clips * len(KINDS)
    click.echo(describe(list(track(run_trials(clips, seed), "score", total=total))))


if __name__ == "__main__":
    main()
