"""The chain of tiny trainings, stage by stage, each by the project's own command.

A stage is a row: what it is called, the preset, what it starts from, which footage it sees. Running the
chain means running the commands that the rows spell out; every command resumes by itself, so a chain that
was stopped goes on where it was.
"""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from benchmarks.puppet.footage import Kind, write_footage
from joystreamer.errors import JoyStreamerError

MODEL_FILE: Final = "model_index.json"
DECODER: Final = "decoder"
TEXT_TEACHER: Final = "text-teacher"
AUDIO_TEACHER: Final = "audio-teacher"
VANILLA: Final = "vanilla-3-2"
TWIN: Final = "twin-3-2"
"""The arms that the claims compare: equations 2 and 3 at one pair of scales."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One training.

    Attributes:
        name: Folder of its run.
        preset: Of `joystreamer train` or `distill`.
        footage: Set it sees.
        start: Stage whose result it starts from; '' for the tiny random model.
        text_teacher: Stage whose result is its text teacher.
        student: Stage whose student and fake score it goes on with.
        settings: `--set` of the command.
        scales: Further options of `distill`.
    """

    name: str
    preset: str
    footage: Kind
    start: str = ""
    text_teacher: str = ""
    student: str = ""
    settings: tuple[str, ...] = ()
    scales: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """Stages that must be finished before."""
        return tuple(name for name in (self.start, self.text_teacher, self.student) if name)

    @property
    def distils(self) -> bool:
        """Whether it is a distillation."""
        return self.preset in ("tiny-distill", "tiny-vanilla")


TINY: Final = "tiny"
"""Start of a chain that begins with random weights."""
REFINEMENT: Final[dict[str, tuple[str, ...]]] = {
    "codec": (
        "loop.updates=900", "codec.updates=900", "codec.curriculum=[[0.0,9]]", "codec.frames_per_clip=9",
        "codec.rates.rate=0.001", "loop.global_batch=8", "loop.micro_batch=8",
    ),
    DECODER: ("loop.updates=900", "codec.updates=900"),
}  # fmt: skip
"""What changes in a chain that goes on from another chain's networks."""

TEACHERS: Final = (
    Stage(name="codec", preset="tiny-codec", footage="codec"),
    Stage(name=DECODER, preset="tiny-decoder", footage="codec", start="codec"),
    Stage(name="foundation", preset="tiny-foundation", footage="foundation", start=DECODER),
    Stage(name=TEXT_TEACHER, preset="tiny-text-teacher", footage="foundation", start="foundation"),
    Stage(name="stage-1", preset="tiny-stage-1", footage="avatar", start="foundation"),
    Stage(name=AUDIO_TEACHER, preset="tiny-stage-2", footage="avatar", start="stage-1"),
)
"""What every student needs, in order."""


def student_name(arm: str, seed: int) -> str:
    """Return the stage of an arm's student."""
    return f"{arm}-seed-{seed}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One way to distil a student; compared with the others at the same number of updates.

    Attributes:
        name: Of the arm.
        equation: `twin` (Eq. 3) or `vanilla` (Eq. 2).
        text_scale: alpha_t.
        audio_scale: alpha_a at and below the threshold.
        threshold: t_spot above which alpha_a is 0.1; None for a constant scale.
        after: Arm whose student and fake score it goes on with; '' for one that starts anew.
        settings: `--set` of its own.
    """

    name: str
    equation: str
    text_scale: float
    audio_scale: float
    threshold: float | None = None
    after: str = ""
    settings: tuple[str, ...] = ()

    def stage(self, seed: int, cycles: int = 0) -> Stage:
        """Return this arm's training with a seed; `cycles` student updates if not the preset's."""
        settings = [
            f"loop.seed={seed}",
            f"distillation.seed={seed}",
            f"distillation.guidance.equation={self.equation}",
            f"distillation.guidance.dynamic={'never' if self.threshold is None else 'tau'}",
        ]
        if self.threshold is not None:
            settings.append(f"distillation.guidance.threshold={self.threshold:g}")
        if cycles and not self.after:
            settings.append(f"loop.updates={20 + 3 * cycles}")
        return Stage(
            name=student_name(self.name, seed),
            preset="tiny-vanilla" if self.after else "tiny-distill",
            footage="student",
            start=AUDIO_TEACHER,
            text_teacher=TEXT_TEACHER if self.equation == "twin" else "",
            student=student_name(self.after, seed) if self.after else "",
            settings=(*settings, *self.settings),
            scales=(
                "--text-scale",
                f"{self.text_scale:g}",
                "--audio-scale",
                f"{self.audio_scale:g}",
            ),
        )


def arms(threshold: float) -> tuple[Arm, ...]:
    """Return the arms of the ablation at this world's own t_spot; the paper's last."""
    return (
        Arm(name=VANILLA, equation="vanilla", text_scale=3, audio_scale=2),
        Arm(name=TWIN, equation="twin", text_scale=3, audio_scale=2),
        Arm(name="static-4-4", equation="twin", text_scale=4, audio_scale=4),
        Arm(name="dynamic-4-4", equation="twin", text_scale=4, audio_scale=4, threshold=threshold),
        Arm(name="paper-5-4", equation="twin", text_scale=5, audio_scale=4, threshold=950),
    )


def closing_rounds() -> tuple[Arm, ...]:
    """Return what the twin students go through afterwards: the paper's short vanilla round, and a long one."""
    short = Arm(
        name="twin-then-vanilla", equation="vanilla", text_scale=3, audio_scale=2, after=TWIN
    )
    full_rate = ("student.rate=0.0008", "fake.rate=0.0016", "loop.updates=90")
    return short, replace(short, name="twin-then-long-vanilla", settings=full_rate)


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """A folder of runs.

    Attributes:
        folder: Where everything goes.
        start: Pipeline that the first stage goes on from; `tiny` for random weights.
        clips: Clips of each set.
        short: Settings that every stage gets in the short form.
        settings: Settings of single stages, on top.
    """

    folder: Path
    start: str = TINY
    clips: dict[Kind, int] = field(
        default_factory=lambda: {"codec": 400, "foundation": 1216, "avatar": 500, "student": 200}
    )
    short: tuple[str, ...] = ()
    settings: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def result(self, name: str) -> Path:
        """Folder of a stage's result."""
        return self.folder / name / "final"

    def finished(self, name: str) -> bool:
        """Whether a stage has its result; it is written whole or not at all."""
        final = self.result(name)
        return (final / MODEL_FILE).is_file() or (final / "transformer" / "config.json").is_file()

    def cache(self, stage: Stage) -> Path:
        """Folder of a stage's encoded footage; students share theirs.

        A text teacher's conditions are two more encodings of every clip, most of the time that a cache
        takes; students need few clips, since they learn from no pixel of them.
        """
        return self.folder / ("cache-students" if stage.distils else f"cache-{stage.name}")

    def command(self, stage: Stage) -> list[str]:
        """Return the command of a stage as a user would type it."""
        words = ["joystreamer", "distill" if stage.distils else "train", "--preset", stage.preset]
        words += ["--model", str(self.result(stage.start)) if stage.start else self.start]
        if stage.text_teacher:
            words += ["--text-teacher", str(self.result(stage.text_teacher))]
        if stage.student:
            words += ["--continue-from", str(self.folder / stage.student)]
        words += [
            "--manifest", str(self.folder / "footage" / stage.footage / "manifest.jsonl"),
            "--cache", str(self.cache(stage)), "--out", str(self.folder / stage.name),
        ]  # fmt: skip
        refined = REFINEMENT.get(stage.name, ()) if self.start != TINY else ()
        own = self.settings.get(stage.name, ())
        for setting in (*stage.settings, *refined, *self.short, *own):
            words += ["--set", setting]
        return [*words, *stage.scales]

    def run(self, stage: Stage) -> None:
        """Run a stage to its end; nothing happens when it is finished.

        Raises:
            StageFailed: The command failed; its own message was printed.
        """
        if self.finished(stage.name):
            return
        missing = [name for name in stage.needs if not self.finished(name)]
        if missing:
            raise StageFailed(f"{stage.name} needs {', '.join(missing)} first")
        footage = self.folder / "footage" / stage.footage
        if not (footage / "manifest.jsonl").is_file():
            write_footage(footage, stage.footage, self.clips[stage.footage])
        words = self.command(stage)
        print(f"$ {shlex.join(words)}", flush=True)  # noqa: T201 - the record of what was run
        command = [sys.executable, "-m", "joystreamer.training", *words[1:]]
        if subprocess.run(command, check=False).returncode:
            raise StageFailed(f"{stage.name} stopped; the same command goes on with it")


class StageFailed(JoyStreamerError):
    """A stage of the chain did not come to its end."""


def run_all(chain: Chain, stages: Sequence[Stage]) -> None:
    """Run stages in the order given."""
    for stage in stages:
        chain.run(stage)
