"""The ablation: the chain trained, its teachers and students examined, every answer kept.

A row is one network, or one combination of networks, and one way of sampling it. Rows are written one by
one as they are finished, so a stopped ablation goes on; the report is made from the rows alone.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from benchmarks.puppet.casting import SIDE
from benchmarks.puppet.chain import (
    AUDIO_TEACHER,
    DECODER,
    TEACHERS,
    TEXT_TEACHER,
    TINY,
    TWIN,
    Arm,
    Chain,
    StageFailed,
    arms,
    closing_rounds,
    student_name,
)
from benchmarks.puppet.codec_gate import measure_ceiling
from benchmarks.puppet.exam import (
    STEPS,
    Exam,
    Field,
    answer_by_steps,
    answer_in_few,
    answer_in_one,
    grade,
    right_answers,
    summarise,
    write_exam,
)
from benchmarks.puppet.fields import (
    another_sound,
    another_text,
    as_it_is,
    avatar_field,
    blank_field,
    guided_field,
    text_field,
)
from benchmarks.puppet.loop_parts import Comparison, Study, run_studies, studies
from eval.store.files import write_text
from joystreamer.guidance import AUDIO_SCALE_THRESHOLD
from joystreamer.options import GenerationOptions
from joystreamer.pipeline import JoyStreamerPipeline
from joystreamer.presets import distilled_sampling
from joystreamer.training.dmd import Guidance
from joystreamer.training.presets import TINY_TAU_SHIFT
from joystreamer.training.stages import load_transformer

PROBE_LEVELS: Final = (980.0, 950.0, 900.0, 850.0, 800.0, 750.0, 700.0, 600.0, 500.0, 300.0)
"""Noise levels of the one-step probe."""
TEXT_TEACHER_SCALE: Final = 2.0
"""Guidance of the text teacher's own row."""
ROWS: Final = "rows"
CEILING: Final = "ceiling.json"
PROBE: Final = "probe.json"
EXAM: Final = "exam"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What an ablation does.

    Attributes:
        chain: Folder of the runs, and how much footage and how many updates they get.
        seeds: Of every arm.
        cycles: Student updates of every arm; 0 for the preset's.
        questions: Size of the exam.
        steps: Of many-step sampling.
        gate: Whether a codec that loses the mouth stops the ablation; off in the short form only.
        studies: Parts of the segment loop to be taken away from the first twin student.
    """

    chain: Chain
    seeds: tuple[int, ...] = (0, 1, 2)
    cycles: int = 0
    questions: int = 64
    steps: int = STEPS
    gate: bool = True
    studies: tuple[Study, ...] = field(default_factory=studies)

    @property
    def folder(self) -> Path:
        """Where everything is."""
        return self.chain.folder


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the report.

    Attributes:
        name: What answered.
        sampling: `N steps`, or `4 steps` of a student.
        seed: Of the training; None for what is trained once.
        figures: Means; see `summarise`.
        answers: The oracles' values of every question.
        seconds: Wall time of answering, per question.
    """

    name: str
    sampling: str
    seed: int | None
    figures: Mapping[str, float]
    answers: Sequence[Mapping[str, Any]] = field(repr=False)
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """What an ablation found.

    Attributes:
        threshold: t_spot of this world.
        rows: Every row, by name and seed.
        parts: What each part of the segment loop is there for.
    """

    threshold: float
    rows: Sequence[Row]
    parts: Sequence[Comparison]


def short_chain(folder: Path, start: str = TINY) -> Chain:
    """Return a chain of two updates a stage on a handful of clips, which proves nothing."""
    return Chain(
        folder=folder,
        start=start,
        clips={"codec": 4, "foundation": 4, "avatar": 4, "student": 4},
        short=("loop.updates=2", "loop.global_batch=2", "loop.micro_batch=2"),
    )


def run_ablation(plan: Plan, say: Callable[[str], None]) -> Findings:
    """Train what is not trained, examine what is not examined.

    Args:
        plan: What to do; the same plan in the same folder goes on.
        say: Told what happens next.

    Raises:
        InputError: The codec loses the mouth.
        StageFailed: A training did not come to its end.
    """
    chain = plan.chain
    for stage in TEACHERS:
        say(f"stage {stage.name}")
        chain.run(stage)
        if stage.name == DECODER:
            _first_gate(plan, say)
    exam = prepare_exam(plan)
    with torch.inference_mode():
        threshold = find_threshold(plan, exam)
        say(f"motion is decided above noise level {threshold:g}")
        for task in _teacher_tasks(plan, threshold):
            _examine(plan, exam, task, say)
    for arm in (*arms(threshold), *closing_rounds()):
        for seed in plan.seeds:
            stage = arm.stage(seed, plan.cycles)
            say(f"stage {stage.name}")
            chain.run(stage)
            with torch.inference_mode():
                for task in _student_tasks(plan, arm, seed):
                    _examine(plan, exam, task, say)
    twin = chain.result(student_name(TWIN, plan.seeds[0]))
    parts = run_studies(plan.folder, twin, student_sampling(), say, plan.studies)
    return Findings(threshold=threshold, rows=read_rows(plan.folder), parts=parts)


def student_sampling() -> GenerationOptions:
    """Return how tiny students are sampled."""
    return distilled_sampling(area=SIDE * SIDE, negative_prompt="", shift=TINY_TAU_SHIFT)


def _first_gate(plan: Plan, say: Callable[[str], None]) -> None:
    path = plan.folder / CEILING
    if not path.is_file():
        vae = open_result(plan.chain, DECODER).vae
        ceiling = measure_ceiling(vae)
        say(f"decoded truth: {ceiling.as_json()}")
        if plan.gate:
            ceiling.require()
        write_text(path, json.dumps(ceiling.as_json(), indent=1))


def open_result(chain: Chain, stage: str) -> Any:
    """Load a stage's pipeline, ready to answer; the text teacher is a network in the foundation's."""
    lone = stage == TEXT_TEACHER
    pipeline = JoyStreamerPipeline.from_pretrained(chain.result("foundation" if lone else stage))
    if lone:
        folder = chain.result(stage) / "transformer"
        pipeline.register_modules(transformer=load_transformer(folder, torch.float32))
    for part in (pipeline.transformer, pipeline.vae):
        part.requires_grad_(False)
        part.eval()
    return pipeline


def prepare_exam(plan: Plan) -> Exam:
    """Write the exam and encode it with the audio teacher's encoders."""
    chain = plan.chain
    teachers = chain.result(AUDIO_TEACHER), chain.result(TEXT_TEACHER)
    return encode_exam(plan.folder / EXAM, plan.questions, *teachers)


def encode_exam(folder: Path, questions: int, model: Path, text_teacher: Path) -> Exam:
    """Write an exam and encode it, by the project's own command.

    Args:
        folder: Where; what is there is kept.
        questions: How many.
        model: Pipeline whose encoders are used.
        text_teacher: Folder of the text teacher's `transformer`.

    Raises:
        StageFailed: The command failed; its own message was printed.
    """
    manifest = write_exam(folder, questions)
    cache = folder / "cache"
    words = [
        "distill", "--preset", "tiny-distill", "--model", str(model),
        "--text-teacher", str(text_teacher), "--manifest", str(manifest),
        "--cache", str(cache), "--out", str(folder / "run"), "--cache-only",
    ]  # fmt: skip
    command = [sys.executable, "-m", "joystreamer.training", *words]
    if subprocess.run(command, check=False).returncode:
        raise StageFailed("the exam was not encoded; the same command goes on with it")
    return Exam(folder, cache)


def find_threshold(plan: Plan, exam: Exam) -> float:
    """Measure t_spot: the noise level above which the text has yet to decide the motion.

    A blank text teacher predicts the clean latents from the noised right answer in one step. Where
    half of the programs that survive the codec can be told from its prediction, half are decided.

    Returns:
        The level, between two probed ones by linear interpolation.
    """
    path = plan.folder / PROBE
    if not path.is_file():
        teacher = open_result(plan.chain, TEXT_TEACHER)
        truths = right_answers(teacher.vae, exam)
        blank = blank_field(teacher.transformer, exam.clips.constants()["empty_text"])
        shares = {"0": summarise(grade(teacher.vae, exam, torch.stack(truths)))["program"]}
        mouths = {}
        for level in PROBE_LEVELS:
            found = summarise(grade(teacher.vae, exam, answer_in_one(blank, exam, truths, level)))
            shares[f"{level:g}"], mouths[f"{level:g}"] = found["program"], found["sync_standing"]
        write_text(path, json.dumps({"program": shares, "sync_standing": mouths}, indent=1))
    shares = json.loads(path.read_text())["program"]
    return threshold_of({float(level): share for level, share in shares.items()})


def threshold_of(shares: Mapping[float, float]) -> float:
    """Return the highest level at which half of the share at level 0 is reached, interpolated.

    Where nothing is recognised even in decoded truth, nothing can be measured: the paper's own level.
    """
    half = shares[0.0] / 2
    if half == 0:
        return AUDIO_SCALE_THRESHOLD
    levels = sorted(shares)
    for low, high in zip(reversed(levels[:-1]), reversed(levels[1:]), strict=True):
        if shares[low] >= half > shares[high]:
            part = (shares[low] - half) / (shares[low] - shares[high])
            return round(low + part * (high - low), 1)
    return levels[-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Task:
    """An examination to be held: whose, and how the answers come about."""

    name: str
    sampling: str
    seed: int | None
    stage: str
    answer: Callable[[Any, Exam], Tensor]

    @property
    def file(self) -> str:
        return "-".join([self.name, self.sampling.replace(" ", "-"), str(self.seed)]) + ".json"


def _teacher_tasks(plan: Plan, threshold: float) -> Iterator[_Task]:
    """Rows of the teachers and of their combined fields, by many steps."""
    many = f"{plan.steps} steps"

    def by_steps(make: Callable[[Any, Tensor], Field]) -> Callable[[Any, Exam], Tensor]:
        def answer(pipeline: Any, exam: Exam) -> Tensor:
            negative = exam.clips.constants()["negative_text"]
            return answer_by_steps(make(pipeline.transformer, negative), exam, steps=plan.steps)

        return answer

    yield _Task(
        name=TEXT_TEACHER, sampling=many, seed=None, stage=TEXT_TEACHER,
        answer=by_steps(lambda network, away: text_field(network, away, TEXT_TEACHER_SCALE)),
    )  # fmt: skip
    yield _Task(
        name=AUDIO_TEACHER, sampling=many, seed=None, stage=AUDIO_TEACHER,
        answer=by_steps(lambda network, _: avatar_field(network)),
    )  # fmt: skip
    teacher = open_result(plan.chain, TEXT_TEACHER).transformer
    for arm in arms(threshold):
        yield _Task(
            name=f"field-{arm.name}", sampling=many, seed=None, stage=AUDIO_TEACHER,
            answer=by_steps(
                lambda network, away, arm=arm: guided_field(  # type: ignore[misc]
                    network, teacher, away, guidance_of(arm)
                )
            ),
        )  # fmt: skip


def guidance_of(arm: Arm) -> Guidance:
    """Return an arm's real score."""
    named: dict[str, Any] = {} if arm.threshold is None else {"threshold": arm.threshold}
    return Guidance(
        equation="twin" if arm.equation == "twin" else "vanilla",
        text_scale=arm.text_scale,
        audio_scale=arm.audio_scale,
        dynamic="never" if arm.threshold is None else "tau",
        **named,
    )


def _student_tasks(plan: Plan, arm: Arm, seed: int) -> Iterator[_Task]:
    """Rows of one student in its four steps; the first seed's also with another text and sound."""
    controls = {"": as_it_is}
    if seed == plan.seeds[0]:
        controls |= {"+another-text": another_text, "+another-sound": another_sound}
    for suffix, told in controls.items():

        def answer(pipeline: Any, exam: Exam, told: Any = told) -> Tensor:
            field_ = avatar_field(pipeline.transformer, told)
            return answer_in_few(field_, exam, shift=TINY_TAU_SHIFT)

        yield _Task(
            name=arm.name + suffix, sampling="4 steps", seed=seed,
            stage=arm.stage(seed, plan.cycles).name, answer=answer,
        )  # fmt: skip


def _examine(plan: Plan, exam: Exam, task: _Task, say: Callable[[str], None]) -> None:
    path = plan.folder / ROWS / task.file
    if path.is_file():
        return
    pipeline = open_result(plan.chain, task.stage)
    start = time.perf_counter()
    answers = task.answer(pipeline, exam)
    seconds = (time.perf_counter() - start) / len(exam.questions)
    graded = grade(pipeline.vae, exam, answers)
    row = Row(
        name=task.name, sampling=task.sampling, seed=task.seed, figures=summarise(graded),
        answers=graded, seconds=round(seconds, 4),
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(asdict(row)))
    shown = ", ".join(f"{name} {value:.2f}" for name, value in row.figures.items())
    say(f"{task.name}, {task.sampling}: {shown}")


def read_rows(folder: Path) -> list[Row]:
    """Return the finished rows of an ablation's folder by name and seed."""
    found = [Row(**json.loads(path.read_text())) for path in (folder / ROWS).glob("*.json")]
    return sorted(found, key=lambda row: (row.name, row.seed or 0))
