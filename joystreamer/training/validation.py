"""Validation by samples: fixed scenes and seeds, rendered as a user would, measured by probes.

Probes are given from outside (`--probe module:function`): text alignment, motion amplitude, sync,
gain, whatever the caller can measure. Their means are logged beside the loss, and a run may stop
when one falls.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joystreamer.conditioning.audio import SAMPLE_RATE, prepare_track
from joystreamer.errors import InputError
from joystreamer.media.audio import read_audio
from joystreamer.media.resampling import resample_frames
from joystreamer.media.video import iter_frames
from joystreamer.media.writing import write_clip
from joystreamer.options import GenerationOptions
from joystreamer.probes import Probe, ProbeClip
from joystreamer.training.manifest import ClipRecord

COMPANIONS = ("text_encoder", "audio_encoder", "vae")
"""Components that wait on the CPU while the transformer trains."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationScene:
    """One clip to be rendered again and again.

    Attributes:
        name: Of its files.
        image: Reference, uint8 (H, W, 3).
        track: 16 kHz mono sound.
        prompt: What shall happen.
    """

    name: str
    image: NDArray[np.uint8]
    track: NDArray[np.float32]
    prompt: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StopRule:
    """Ends a run when a measured figure falls too far; made for the closing vanilla round.

    Attributes:
        figure: Name of a probe's value.
        floor: Smallest share of its first value that is accepted.
    """

    figure: str
    floor: float = 0.95

    def broken(self, first: Mapping[str, float], now: Mapping[str, float]) -> bool:
        """Whether the figure fell below its floor.

        Raises:
            InputError: No probe gives the figure.
        """
        if self.figure not in now:
            raise InputError(
                f"the stop rule watches {self.figure!r}, which no probe gives; they give "
                f"{', '.join(sorted(now)) or 'nothing'}"
            )
        return now[self.figure] < self.floor * first[self.figure]


def read_scenes(records: Sequence[ClipRecord], count: int) -> list[ValidationScene]:
    """Take reference, sound and prompt of the first clips of a manifest."""
    scenes = []
    for record in records[:count]:
        frame = next(iter(resample_frames(iter_frames(record.video), 25)))
        sound = read_audio(record.audio or record.video, sample_rate=SAMPLE_RATE)
        if sound is None:
            raise InputError(f"validation clip {record.id} has no sound; choose clips that speak")
        scenes.append(
            ValidationScene(
                name=record.id,
                image=frame.rgb.copy(),
                track=prepare_track(sound),
                prompt=record.caption,
            )
        )
    return scenes


class SampleValidation:
    """Renders the scenes with the networks as they are and measures the clips.

    Args:
        pipeline: Holds the networks being trained, or merged copies made by `refresh`.
        scenes: What to render.
        probes: What to measure.
        options: Sampling; its seed is the same every time.
        folder: Where clips are written, one folder per validation.
        refresh: Called before rendering, to put the current weights into the pipeline.
        around: Context of the rendering: the loop's precision, since masters are in float32.
        stop_rule: When to stop the run.
    """

    def __init__(
        self,
        pipeline: Any,
        scenes: Sequence[ValidationScene],
        probes: Sequence[Probe],
        options: GenerationOptions,
        folder: Path,
        refresh: Callable[[], None] = lambda: None,
        around: Callable[[], AbstractContextManager[Any]] = nullcontext,
        stop_rule: StopRule | None = None,
    ) -> None:
        self.pipeline, self.scenes, self.probes = pipeline, list(scenes), list(probes)
        self.options, self.folder = options, folder
        self.refresh, self.around = refresh, around
        self.stop_rule = stop_rule
        self.first: Mapping[str, float] | None = None
        self.stop = False

    def __call__(self, update: int) -> Mapping[str, float]:
        """Render, write, measure; return the mean of every figure over the scenes."""
        self.refresh()
        device = next(self.pipeline.transformer.parameters()).device
        helpers = [getattr(self.pipeline, name) for name in COMPANIONS]
        homes = [next(helper.parameters()).device for helper in helpers]
        for helper in helpers:
            helper.to(device)
        try:
            with self.around():
                return self._measure(update)
        finally:
            for helper, home in zip(helpers, homes, strict=True):
                helper.to(home)

    def _measure(self, update: int) -> Mapping[str, float]:
        folder = self.folder / f"update-{update:08d}"
        folder.mkdir(parents=True, exist_ok=True)
        rows: list[Mapping[str, float]] = []
        for scene in self.scenes:
            clip = self._render(scene)
            write_clip(
                folder / f"{scene.name}.mp4",
                clip.frames,
                clip.fps,
                audio=clip.audio,
                sample_rate=clip.sample_rate,
            )
            row: dict[str, float] = {}
            for probe in self.probes:
                row.update(probe(clip))
            rows.append(row)
        names = sorted({name for row in rows for name in row})
        means = {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
        self._remember_first(means)
        if self.stop_rule is not None and self.first is not None:
            self.stop = self.stop or self.stop_rule.broken(self.first, means)
        return means

    def _remember_first(self, means: Mapping[str, float]) -> None:
        """Keep the first figures, also across restarts of the run."""
        path = self.folder / "first.json"
        if self.first is None and path.is_file():
            self.first = json.loads(path.read_text())
        if self.first is None:
            self.first = means
            path.write_text(json.dumps(dict(means), indent=1, sort_keys=True))

    def _render(self, scene: ValidationScene) -> ProbeClip:
        rendered = self.pipeline(
            scene.image, scene.track, [scene.prompt], options=self.options, output_type="np"
        )
        frames = np.rint(np.asarray(rendered.frames) * 255).astype(np.uint8)
        return ProbeClip(
            frames=frames, fps=float(rendered.fps), reference=frames[0], audio=scene.track
        )
