"""From a sketch to a case: who is seen, how they sound, what is asked, and the files for it.

Everything follows from the sketch and the seed of its suite. The files are a reference picture (frame 0
of the puppets at rest) and one recording per puppet. Which sketches make a suite is
`benchmarks.puppet.suites`' work.
"""

import hashlib
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.puppet import look
from benchmarks.puppet.facts import puppet_facts
from benchmarks.puppet.look import Identity
from benchmarks.puppet.program import Program
from benchmarks.puppet.render import GROUND, Actor, Scene, actors_side_by_side, render
from benchmarks.puppet.timeline import FPS, perform
from benchmarks.puppet.voice import VOICES, Sound, Voice, speak, take_turns
from benchmarks.puppet.wording import prompt_of, questions_of
from eval.puppet.mouth import SAMPLE_RATE
from eval.records import Case, Content, Speaker, Tags

LICENCE: Final = "Apache-2.0"
"""The project's own: pictures and voices are computed."""
SOURCE: Final = "benchmarks.puppet"

PASS_FRAMES: Final = 76
"""Frames of one pass of the pipeline: durations are whole passes, none is mostly thrown away."""
SIDE: Final = 64
"""Pixels per side of a reference picture."""
START: Final = (0.44, 0.56)
"""Where a puppet that is alone may stand, share of the width."""
TURN_S: Final = 2.4
TALLEST: Final = 0.78
"""Top of the hair above the ground, for scale 1."""

CONTENT: Final[Mapping[str, Content]] = {
    "body": "body",
    "arm": "body",
    "object": "object",
    "camera": "camera",
    "background": "background",
    "face": "expression",
}
"""The content tag that each slot of a program stands for."""

SKINS: Final[Mapping[str, tuple[look.Colour, ...]]] = {
    "human": look.SKINS[:2],
    "animal": look.SKINS[1:2],
    "cartoon": look.SKINS[2:3],
    "doll": look.SKINS[3:4],
}
"""A subject is told from another by the colour of the skin: a label, no more."""
PAUSES: Final = {"speaking": 0.25, "speech": 0.4, "singing": 0.05}
"""Chance of a pause after a syllable, by mode."""
SINGING_RATE: Final = 1.9
"""Syllables per second of somebody who sings, at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sketch:
    """What decides a case, besides chance.

    Attributes:
        id: Of the case.
        programs: One per stretch.
        passes: Passes of 76 frames (3.04 s) in all; shared out evenly among the stretches.
        people: Puppets, 1 to 3; several speak in turns.
        tags: Subject, mode, language; content as `content_of` the programs, in an order of its own.
    """

    id: str
    programs: tuple[Program, ...] = (Program(),)
    passes: int = 1
    people: int = 1
    tags: Tags = field(default_factory=lambda: Tags(subject="doll"))

    @property
    def frames(self) -> tuple[int, ...]:
        """Frames of each stretch."""
        share = self.passes // len(self.programs)
        return (share * PASS_FRAMES,) * len(self.programs)

    @property
    def starts_s(self) -> tuple[float, ...]:
        """Second at which each stretch starts."""
        starts = [0, *accumulate(self.frames)][:-1]
        return tuple(round(start / FPS, 3) for start in starts)

    @property
    def seconds(self) -> float:
        """Length."""
        return round(sum(self.frames) / FPS, 3)


def content_of(programs: Sequence[Program]) -> tuple[Content, ...]:
    """Return the content tags of what happens, each once, in order of appearance."""
    return tuple(dict.fromkeys(CONTENT[slot] for program in programs for slot in program.active))


def cast(sketch: Sketch, media: Path, seed: int) -> Case:
    """Make a case: draw its puppets and voices, write picture and recordings.

    Args:
        sketch: What is asked.
        media: Folder for the files; the whole folder is taken or left, so files are written plainly.
        seed: Of the suite.
    """
    assert not sketch.tags.content or {*sketch.tags.content} == {*content_of(sketch.programs)}
    draw = np.random.default_rng([seed, int.from_bytes(_digest(sketch.id)[:8], "big")])
    colours = [
        Identity(
            skin=look.pick(SKINS[sketch.tags.subject], draw),
            shirt=shirt,
            hair=look.pick(look.HAIRS, draw),
        )
        for shirt in _shirts(sketch.people, draw)
    ]
    wall = look.pick(look.WALLS, draw)
    places = actors_side_by_side(colours)
    if sketch.people == 1:
        places = [(round(float(draw.uniform(*START)), 3), places[0][1])]
    rest = _at_rest(colours, places, wall)
    image = media / f"{sketch.id}.png"
    Image.fromarray(render(rest, SIDE)[0]).save(image, "PNG")
    sounds, spans = _voices(sketch, draw)
    speakers = []
    for number, (sound, turns, (x, scale)) in enumerate(zip(sounds, spans, places, strict=True)):
        name = sketch.id if sketch.people == 1 else f"{sketch.id}.{number + 1}"
        audio = media / f"{name}.voice.wav"
        _write_wave(audio, sound)
        box = None if sketch.people == 1 else _box(x, scale, sketch.people)
        speakers.append(Speaker(audio=audio, box=box, spans=tuple(turns)))
    return Case(
        id=sketch.id,
        prompt=prompt_of(sketch.programs, sketch.people),
        image=image,
        speakers=tuple(speakers),
        tags=replace(sketch.tags, content=sketch.tags.content or content_of(sketch.programs)),
        duration_s=sketch.seconds,
        questions=questions_of(sketch.programs, sketch.people),
        source=SOURCE,
        licence=LICENCE,
        extra=puppet_facts(rest, sketch.programs, sketch.starts_s),
    )


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _shirts(people: int, draw: np.random.Generator) -> list[look.Colour]:
    """Draw a shirt for each; people in one picture wear different ones."""
    order = draw.permutation(len(look.SHIRTS))[:people]
    return [look.SHIRTS[int(index)] for index in order]


def _voices(
    sketch: Sketch, draw: np.random.Generator
) -> tuple[list[Sound], list[list[tuple[float, float]]]]:
    order = draw.permutation(len(VOICES))[: sketch.people]
    voices = [VOICES[int(index)] for index in order]
    if sketch.tags.mode == "singing":
        voices = [_singing(voice) for voice in voices]
    if sketch.people > 1:
        turns = max(sketch.people, round(sketch.seconds / TURN_S))
        return take_turns(voices, sketch.seconds, draw, turn_s=sketch.seconds / turns)
    sound = speak(voices[0], sketch.seconds, draw, pauses=PAUSES[sketch.tags.mode])
    return [sound], [[]]


def _singing(voice: Voice) -> Voice:
    return replace(voice, rate=min(voice.rate, SINGING_RATE))


def _box(x: float, scale: float, people: int) -> tuple[float, float, float, float]:
    """Return where a puppet and its arms are: its share of the width, from its hair to the ground."""
    half = 0.5 / people
    left, right = max(0.0, x - half), min(1.0, x + half)
    return (round(left, 4), round(GROUND - scale * TALLEST, 4), round(right, 4), GROUND)


def _at_rest(
    colours: Sequence[Identity], places: Sequence[tuple[float, float]], wall: look.Colour
) -> Scene:
    """Return one frame in which nothing has happened yet."""
    actors = tuple(
        Actor(
            identity=who,
            poses=perform([Program()], [1], x=x),
            mouth=np.zeros(1, np.float32),
            scale=scale,
        )
        for who, (x, scale) in zip(colours, places, strict=True)
    )
    return Scene(actors=actors, wall=wall)


def _write_wave(target: Path, sound: Sound) -> None:
    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.rint(sound * 32767).astype("<i2").tobytes())
