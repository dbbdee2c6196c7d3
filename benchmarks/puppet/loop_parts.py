"""What the parts of the segment loop are there for: the same clips with one part taken away.

Each study renders a handful of cases of its own with one student, once as the pipeline does it and once
without the part, and lets the oracles judge both. The network is the same and was trained with the part:
what is shown is what the part does at sampling, not what a network trained without it would do.
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.puppet.casting import PASS_FRAMES, Sketch, cast
from benchmarks.puppet.program import Program, caption
from benchmarks.puppet.timeline import FPS
from benchmarks.puppet.voice import VOICES, Sound, speak
from benchmarks.puppet.wording import STRETCH, programs_of
from eval.motion import difference, luma, seam_scores
from eval.puppet.case import read_puppet_case
from eval.puppet.judge import PIECE, judge_readings
from eval.puppet.mouth import SAMPLE_RATE
from eval.puppet.obedience import HALF, judge_programs
from eval.puppet.readings import Reader
from eval.records import Case
from eval.store.files import write_text
from joystreamer.conditioning.speakers import Box, box_mask
from joystreamer.denoiser import SegmentConditions
from joystreamer.media.audio import read_audio
from joystreamer.options import GenerationOptions
from joystreamer.pipeline import JoyStreamerPipeline
from joystreamer.scene import Scene

CASES: Final = 8
"""Of each study: the fewest that get an interval."""
LONG: Final = 10
"""Passes of a long clip: 30.4 s."""
SEED: Final = 77
FOLDER: Final = "parts"
NEAR_OFFSET: Final = 3.0
"""The paper's index offset for plain talking (Sec. 4.3), read as in place of 10."""

Hide = Callable[[SegmentConditions], SegmentConditions]
Figures = dict[str, float | None]
Values = Mapping[str, Sequence[float | None]]


def _hide_nothing(conditions: SegmentConditions) -> SegmentConditions:
    return conditions


def hide_reference(conditions: SegmentConditions) -> SegmentConditions:
    """Take the pseudo last frame from every segment but the first."""
    if conditions.motion is None:
        return conditions
    nothing: Any = None  # only the loop itself always has one
    return replace(conditions, reference=nothing)


def hide_history(conditions: SegmentConditions) -> SegmentConditions:
    """Take the motion frames away: every segment begins by itself."""
    return replace(conditions, motion=None)


def hide_silence(conditions: SegmentConditions) -> SegmentConditions:
    """Let the whole picture hear the first speaker, instead of masks and a stream of silence."""
    return replace(conditions, audio=conditions.audio[:, :1], masks=None)


class Unaware(JoyStreamerPipeline):
    """The pipeline with something kept from its network."""

    hide: Hide = staticmethod(_hide_nothing)

    def _denoiser(self, conditions: SegmentConditions, options: GenerationOptions) -> Any:
        return super()._denoiser(self.hide(conditions), options)


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """One part of the loop, with and without it.

    Attributes:
        name: Of the clips without the part.
        without: What is different in them.
        group: Name of the cases; studies of the same ones share the clips of the whole loop.
        sketches: The cases.
        figures: What to look at, in order.
        hide: What the network is not told.
        changes: Sampling options that differ.
        one_prompt: Whether everything is asked for at once, in every segment.
        one_speaks: Whether only the first of two puppets has a voice, and a region.
    """

    name: str
    without: str
    group: str
    sketches: tuple[Sketch, ...]
    figures: tuple[str, ...]
    hide: Hide = _hide_nothing
    changes: Mapping[str, Any] = field(default_factory=dict)
    one_prompt: bool = False
    one_speaks: bool = False


def _sketches(
    name: str, programs: Sequence[tuple[Program, ...]], **settings: Any
) -> tuple[Sketch, ...]:
    return tuple(
        Sketch(id=f"{name}-{number}", programs=chain, **settings)
        for number, chain in enumerate(programs)
    )


def studies(cases: int = CASES, passes: int = LONG) -> tuple[Study, ...]:
    """Return all studies; those of the same cases share the clips of the whole loop.

    Args:
        cases: Of each study.
        passes: Of a long clip.
    """
    rest = Program()
    moves = (
        Program(body="walk left"), Program(body="walk right"), Program(body="jump"),
        Program(arm="raise"), Program(object="ball"), Program(camera="zoom in"),
        Program(background="night"), Program(face="blush"),
    )  # fmt: skip
    moving = _sketches("move", [(move,) for move in moves[:cases]])
    standing = _sketches("talk", [(rest,)] * cases, passes=passes)
    pairs = zip(moves[:cases], moves[3:] + moves[:3], strict=False)
    acting = _sketches(
        "act", [(rest, move, rest, other, rest) for move, other in pairs], passes=max(5, passes)
    )
    together = _sketches("pair", [(rest,)] * cases, passes=2, people=2)
    looks = ("identity_error", "drift", "seam", "flicker", "mouth_correlation")
    return (
        Study(
            name="near-reference", group="move", without="index offset 3 in place of 10", sketches=moving,
            figures=("response", "program", "mouth_correlation", "identity_error"),
            changes={"reference_offset": NEAR_OFFSET},
        ),
        Study(name="no-last-frame", group="talk", without="no pseudo last frame after the first segment",
              sketches=standing, figures=looks, hide=hide_reference),
        Study(name="no-motion-frames", group="talk", without="no motion frames", sketches=standing,
              figures=looks, hide=hide_history),
        Study(
            name="one-prompt", group="act", without="one prompt for the whole clip in place of five fragments",
            sketches=acting, figures=("program", "response", "repeated"), one_prompt=True,
        ),
        Study(
            name="no-silence", group="pair", without="no masks and no silence: both puppets hear the one voice",
            sketches=together, figures=("leakage", "mouth_correlation"), hide=hide_silence,
            one_speaks=True,
        ),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What a study came to.

    Attributes:
        study: What was compared.
        whole: The oracles' values of each case by name, with every part of the loop.
        without: The same without the part.
    """

    study: Study
    whole: Values
    without: Values


def run_studies(
    folder: Path,
    model: Path,
    options: GenerationOptions,
    say: Callable[[str], None],
    chosen: Sequence[Study] | None = None,
) -> list[Comparison]:
    """Render and judge what is not done yet.

    Args:
        folder: Where results are kept, one file per way of rendering.
        model: Folder of a student's pipeline.
        options: Sampling of the student.
        say: Told what happens next.
        chosen: Studies; all by default.
    """
    opened: list[Unaware] = []

    def values(name: str, study: Study, *, whole: bool) -> Values:
        path = folder / FOLDER / f"{name}.json"
        if not path.is_file():
            say(f"{study.group}: {'the whole loop' if whole else study.without}")
            if not opened:
                opened.append(Unaware(**JoyStreamerPipeline.from_pretrained(model).components))
            found = render_study(opened[0], study, options, whole=whole)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(found))
        read: Values = json.loads(path.read_text(encoding="utf-8"))
        return read

    return [
        Comparison(
            study=study,
            whole=values(study.group, study, whole=True),
            without=values(study.name, study, whole=False),
        )
        for study in (studies() if chosen is None else chosen)
    ]


def render_study(
    pipeline: Unaware, study: Study, options: GenerationOptions, *, whole: bool
) -> Values:
    """Render a study's cases and judge them: values by figure, one per case."""
    pipeline.set_progress_bar_config(disable=True)
    pipeline.hide = _hide_nothing if whole else study.hide
    options = options if whole else replace(options, **study.changes)
    answers = []
    with tempfile.TemporaryDirectory() as media:
        for number, sketch in enumerate(study.sketches):
            case = cast(sketch, Path(media), SEED)
            sounds = _voices(case, study, number)
            scene = _scene(case, sounds, study, one_prompt=study.one_prompt and not whole)
            parts = pipeline.stream(scene, replace(options, seed=number))
            frames = np.concatenate([part.frames for part in parts])
            heard = [*sounds, *[None] * (len(case.speakers) - len(sounds))]
            answers.append(judge_clip(frames, heard, case.extra))
    return {name: [answer[name] for answer in answers] for name in answers[0]}


def _voices(case: Case, study: Study, number: int) -> list[Sound]:
    """Everybody's recording, or one voice for the first of two, who speaks throughout."""
    if study.one_speaks:
        draw = np.random.default_rng([SEED, number])
        return [speak(VOICES[number % len(VOICES)], case.duration_s or 0.0, draw)]
    sounds = (read_audio(who.audio, sample_rate=SAMPLE_RATE) for who in case.speakers if who.audio)
    return [sound for sound in sounds if sound is not None]


def _scene(case: Case, sounds: Sequence[Sound], study: Study, *, one_prompt: bool) -> Scene:
    assert case.image is not None
    with Image.open(case.image) as picture:
        image = np.asarray(picture.convert("RGB"))
    fragments = tuple(case.prompt.split(STRETCH))
    if one_prompt:
        asked = {
            slot: choice for program in programs_of(case) for slot, choice in program.active.items()
        }
        fragments = (caption(Program(**asked)),)  # type: ignore[arg-type]
    regions = None
    if study.one_speaks:
        assert case.speakers[0].box is not None
        height, width = image.shape[:2]
        left, top, right, bottom = case.speakers[0].box
        box = Box(left * width, top * height, right * width, bottom * height)
        regions = box_mask(box, height, width)[None]
    return Scene(image=image, tracks=tuple(sounds), fragments=fragments, regions=regions)


def judge_clip(
    frames: NDArray[np.uint8], voices: Sequence[Sound | None], extra: Mapping[str, Any]
) -> Figures:
    """Return the oracles' values of a clip, its mean seam and what it did again.

    Args:
        frames: uint8 (T, 64, 64, 3) at 25 fps.
        voices: Everybody's clean speech; None is silent.
        extra: The case's facts.

    Returns:
        The oracles by name; `seam`, the mean jump at segment borders in robust standard deviations of
        the jumps inside; `repeated`, the share of stretches asking for nothing in which something
        happened all the same.
    """
    case = read_puppet_case(extra)
    assert case is not None
    reader = Reader(case)
    for start in range(0, len(frames), PIECE):
        reader.see(frames[start : start + PIECE])
    readings = reader.readings()
    found: Figures = {
        name: verdict.value for name, verdict in judge_readings(readings, voices, case).items()
    }
    quiet = [stretch for stretch in judge_programs(readings, case) if not stretch.responses]
    busy = [max(stretch.others.values()) >= HALF for stretch in quiet]
    return {**found, "seam": _seam(frames), "repeated": float(np.mean(busy)) if busy else None}


def _seam(frames: NDArray[np.uint8]) -> float | None:
    bright = luma(frames)
    jumps = np.array([difference(one, other) for one, other in pairwise(bright)])
    borders = [start / FPS for start in range(PASS_FRAMES, len(frames), PASS_FRAMES)]
    seams = seam_scores(np.arange(1, len(frames)) / FPS, jumps, borders)
    return float(np.mean([seam.score for seam in seams])) if seams else None
