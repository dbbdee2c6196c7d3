"""Questions that every checkpoint of the puppet world is asked, and their grading.

An exam is an ordinary set of windows in which a puppet stands and talks while the caption asks for
something: references, sound and text come from it, nothing that is seen gives the answer away. Half of
the questions pair choices that no training set shows. Networks answer in batches of latents, by many
steps of any velocity field or by the few steps of a student; the oracles judge the decoded frames.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.puppet.facts import puppet_facts
from benchmarks.puppet.footage import CRF, MANIFEST, START, WINDOW
from benchmarks.puppet.look import WALLS, draw_identity, pick
from benchmarks.puppet.program import Program, caption, draw_program
from benchmarks.puppet.render import Actor, Scene, mouth_boxes, render
from benchmarks.puppet.timeline import FPS, perform
from benchmarks.puppet.voice import VOICES, speak
from eval.puppet.judge import judge
from eval.puppet.mouth import SAMPLE_RATE, mouth_opening
from eval.store.files import write_text
from joystreamer.guidance import velocity_to_clean
from joystreamer.media.audio import read_audio
from joystreamer.media.writing import write_clip
from joystreamer.samplers import make_scheduler, sample_distilled, sample_flow
from joystreamer.segments import SegmentLayout
from joystreamer.training.batches import Batch
from joystreamer.training.data import encode_frames
from joystreamer.training.manifest import ClipRecord, read_manifest
from joystreamer.training.shards import ShardedClips

FACTS: Final = "facts.json"
HELD_OUT: Final = 0.5
"""Share of moving questions that pair choices no training set shows."""
STAND: Final = 0.25
"""Share of questions that ask for nothing but talking."""
BATCH: Final = 8
STEPS: Final = 16
"""Of many-step sampling."""
LAYOUT: Final = SegmentLayout()

Field = Callable[[Tensor, Tensor, Batch], Tensor]
"""Velocity at (samples, levels (batch,)) under the conditions of a batch of questions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One question.

    Attributes:
        program: What is asked.
        facts: What the oracles know.
        voice: Sound from the first judged frame on.
    """

    program: Program
    facts: Mapping[str, Any]
    voice: NDArray[np.float32]


def draw_question(
    index: int, seed: int = 0, *, obeyed: bool = False
) -> tuple[Program, Scene, NDArray[np.float32]]:
    """Return what question `index` asks, a scene and its sound.

    Args:
        index: Number of the question.
        seed: Of the exam.
        obeyed: Whether the scene shows the right answer; otherwise the puppet stands.
    """
    draw = np.random.default_rng([seed, 7919, index])
    chance = draw.random()
    program = Program()
    if chance >= STAND:
        held_out = bool(draw.random() < HELD_OUT)
        program = draw_program(draw, other=0.25, held_out=held_out)
    sound = speak(VOICES[int(draw.integers(len(VOICES)))], WINDOW / FPS, draw, pauses=0.2)
    shown = program if obeyed else Program()
    poses = perform([shown], [WINDOW], x=float(draw.uniform(*START)))
    actor = Actor(identity=draw_identity(draw), poses=poses, mouth=mouth_opening(sound, WINDOW))
    return program, Scene(actors=(actor,), wall=pick(WALLS, draw)), sound


def write_exam(folder: Path, questions: int, seed: int = 0) -> Path:
    """Write an exam's windows, manifest and facts; return the manifest, written last."""
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    lines, facts = [], {}
    for index in range(questions):
        program, scene, sound = draw_question(index, seed)
        name = f"clips/{seed}-{index:05d}.mp4"
        if not (folder / name).is_file():
            write_clip(
                folder / name, iter(render(scene)), FPS,
                audio=sound, sample_rate=SAMPLE_RATE, crf=CRF,
            )  # fmt: skip
        key = f"exam-{index:05d}"
        facts[key] = puppet_facts(scene, [program])
        lines.append(
            json.dumps(
                {
                    "video": name,
                    "caption": caption(program),
                    "id": key,
                    "tags": program.active,
                    "regions": mouth_boxes(scene.actors[0]),
                }
            )
        )
    write_text(folder / FACTS, json.dumps(facts, sort_keys=True))
    write_text(folder / MANIFEST, "".join(f"{line}\n" for line in lines))
    return folder / MANIFEST


class Exam:
    """An exam with its windows encoded.

    Args:
        folder: Written by `write_exam`.
        cache: Its windows, encoded with the networks under examination.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self.clips = ShardedClips(cache)
        records = {record.id: record for record in read_manifest(folder / MANIFEST)}
        facts = json.loads((folder / FACTS).read_text())
        self.questions = [
            _question(records[entry["clip"]], facts[entry["clip"]]) for entry in self.clips.entries
        ]

    def batches(self) -> list[Batch]:
        """Return every question's conditions, a few at a time, without history."""
        count = len(self.clips)
        spans = [range(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]
        return [self.clips.read(list(span)) for span in spans]


def _question(record: ClipRecord, facts: Mapping[str, Any]) -> Question:
    sound = read_audio(record.audio or record.video, sample_rate=SAMPLE_RATE)
    assert sound is not None
    program = Program(**facts["puppet"]["programs"][0])
    start = LAYOUT.motion_frames * SAMPLE_RATE // FPS
    return Question(program=program, facts=facts, voice=sound[start:])


@torch.no_grad()
def answer_by_steps(
    field: Field, exam: Exam, *, steps: int = STEPS, shift: float = 3.0, seed: int = 0
) -> Tensor:
    """Integrate a velocity field from noise for every question: latents (N, 16, 19, H, W)."""
    answers = []
    for number, batch in enumerate(exam.batches()):
        noise = _noise(batch, seed + number)
        answers.append(
            sample_flow(
                lambda sample, level, batch=batch: field(
                    sample, torch.full((len(sample),), level), batch
                ).float(),
                noise,
                make_scheduler("euler", shift),
                steps,
            )
        )
    return torch.cat(answers)


@torch.no_grad()
def answer_in_few(field: Field, exam: Exam, *, shift: float, seed: int = 0) -> Tensor:
    """Sample a student in its four stochastic steps: latents (N, 16, 19, H, W)."""
    answers = []
    for number, batch in enumerate(exam.batches()):
        generator = torch.Generator().manual_seed(seed + number)
        answers.append(
            sample_distilled(
                lambda sample, level, batch=batch: field(
                    sample, torch.full((len(sample),), level), batch
                ).float(),
                _noise(batch, seed + number),
                generator,
                shift=shift,
            )
        )
    return torch.cat(answers)


@torch.no_grad()
def answer_in_one(
    field: Field, exam: Exam, truths: Sequence[Tensor], level: float, seed: int = 0
) -> Tensor:
    """Predict the clean latents from the noised truth in one step: what is still open at a level.

    Args:
        field: Velocity field.
        exam: Questions.
        truths: Latents of the right answer of each question (16, 19, H, W); see `right_answers`.
        level: Noise level, 0-1000.
        seed: Of the noise.
    """
    answers, start = [], 0
    for number, batch in enumerate(exam.batches()):
        truth = torch.stack(list(truths[start : start + len(batch["latents"])]))
        start += len(truth)
        sigma = level / 1000
        noised = (1 - sigma) * truth + sigma * _noise(batch, seed + number)
        levels = torch.full((len(truth),), level)
        answers.append(velocity_to_clean(field(noised, levels, batch).float(), noised, level))
    return torch.cat(answers)


@torch.no_grad()
def right_answers(vae: Any, exam: Exam, seed: int = 0) -> list[Tensor]:
    """Encode the obeyed scene of every question: normalised latents (16, 19, H, W) each."""
    found = []
    for entry in exam.clips.entries:
        _, scene, _ = draw_question(int(entry["clip"].rsplit("-", 1)[1]), seed, obeyed=True)
        # Behind one frame, as a first segment is behind its reference.
        frames = render(scene)[LAYOUT.motion_frames - 1 :][: LAYOUT.usable_frames + 1]
        pixels = torch.from_numpy(frames.copy()).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        found.append(encode_frames(vae, pixels)[0, :, 1:])
    return found


def _noise(batch: Batch, seed: int) -> Tensor:
    return torch.randn(batch["latents"].shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def decode(vae: Any, lead: Tensor, latents: Tensor) -> NDArray[np.uint8]:
    """Decode latents as a first segment is: behind the reference, which is dropped again.

    Args:
        vae: Codec, its latents' mean and spread in its configuration.
        lead: Reference latents (B, 16, 1, H, W).
        latents: (B, 16, 19, H, W).

    Returns:
        (B, 76, side, side, 3) uint8.
    """
    whole = torch.cat([lead, latents], dim=2)
    mean, spread = (
        torch.tensor(values).view(1, -1, 1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    pixels = vae.decode(whole * spread + mean, return_dict=False)[0][:, :, 1:]
    bright = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    frames: NDArray[np.uint8] = bright.permute(0, 2, 3, 4, 1).numpy()
    return frames


def grade(vae: Any, exam: Exam, answers: Tensor) -> list[dict[str, Any]]:
    """Judge every answer: the oracles' values by name, and which kind of question it was."""
    rows: list[dict[str, Any]] = []
    start = 0
    for batch in exam.batches():
        part = answers[start : start + len(batch["reference"])]
        frames = decode(vae, batch["reference"], part)
        for offset, shown in enumerate(frames):
            question = exam.questions[start + offset]
            found: dict[str, Any] = dict(judge(shown, [question.voice], question.facts))
            found["moving"] = bool(question.program.active)
            found["held_out"] = question.program.held_out
            rows.append(found)
        start += len(part)
    return rows


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return mean figures: programs over moving and held-out questions, sync standing and moving."""

    def mean(name: str, keep: Callable[[Mapping[str, Any]], bool]) -> float:
        values = [row[name] for row in rows if keep(row) and row[name] is not None]
        return float(np.mean(values)) if values else float("nan")

    moving, standing = (lambda row: row["moving"]), (lambda row: not row["moving"])
    return {
        "program": mean("program", moving),
        "held_out": mean("program", lambda row: row["held_out"]),
        "slots": mean("slots", moving),
        "response": mean("response", moving),
        "sync_standing": mean("mouth_correlation", standing),
        "sync_moving": mean("mouth_correlation", moving),
        "gain": mean("mouth_gain", standing),
        "identity_error": mean("identity_error", lambda _: True),
        "flicker": mean("flicker", lambda _: True),
    }
