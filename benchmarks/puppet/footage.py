"""Training footage of puppets: clips with sound, captions and mouth boxes, as an ordinary manifest.

Two sets, after the paper's account of where text control is lost. The foundation set moves in every way,
its mouths unrelated to its sound. The avatar set talks in step with its sound and stands as good as still,
whatever its captions ask for. A third set shows a codec both: motion, and mouths that never rest. A
fourth asks a student for motion: nothing moves in it, for distillation learns from what teachers say of the
student's own clips and takes from footage only references, sound, history and captions.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from benchmarks.puppet.look import WALLS, draw_identity, pick
from benchmarks.puppet.program import USUAL, Program, caption, draw_program
from benchmarks.puppet.render import Actor, Scene, actors_side_by_side, mouth_boxes, stream
from benchmarks.puppet.timeline import FPS, perform
from benchmarks.puppet.voice import VOICES, Sound, silence, speak
from eval.puppet.mouth import SAMPLE_RATE, mouth_opening
from eval.store.files import write_text
from joystreamer.media.writing import write_clip

Kind = Literal["codec", "foundation", "avatar", "student"]
KINDS: Final = get_args(Kind)
Progress = Callable[[int, int], None]

WINDOW: Final = 89
"""Frames of a clip: nine of history and eighty of video."""
CRF: Final = 8
"""Quality of stored footage: coding artefacts are not what is to be learned."""
MANIFEST: Final = "manifest.jsonl"

SEVERAL: Final = 0.15
"""Share of clips with two or three puppets; in the avatar set all of them move to the one sound."""
MISLED: Final = 0.4
"""Share of avatar clips whose caption asks for motion that hardly happens."""
OBEYING: Final = 0.01
"""Share of avatar clips that do what their caption asks."""
TREMOR: Final = 0.08
"""Most of a motion that a misled clip shows."""
SILENT_MOUTHS: Final = 0.5
"""Share of foundation clips whose mouths stay closed; the others follow an unrelated voice."""
BUSY: Final = 0.5
"""Chance of every change in a codec's footage: what it rarely sees, such as a hand at night, it swallows."""
START: Final = (0.42, 0.58)
WORDS: Final = {1: "the puppet", 2: "two puppets", 3: "three puppets"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Footage:
    """One clip of a training set, before it is drawn.

    Attributes:
        scene: What is seen.
        sound: What is heard.
        caption: What is said to happen.
        tags: Program and kind, for the cache's index.
    """

    scene: Scene
    sound: Sound
    caption: str
    tags: dict[str, str]


def _silent(*_: object) -> None:
    """Report to nobody."""


def make_footage(kind: Kind, index: int, seed: int = 0) -> Footage:
    """Make the clip with this number of a set; the same for the same numbers, anywhere.

    Args:
        kind: Which set.
        index: Number of the clip.
        seed: Of the set.
    """
    draw = np.random.default_rng([seed, KINDS.index(kind), index])
    count = 1 if draw.random() >= SEVERAL else int(draw.integers(2, 4))
    other = BUSY if kind == "codec" else USUAL
    program = draw_program(draw, other=other) if count == 1 else Program()
    asked, amplitude = program, float(draw.uniform(0.85, 1.15))
    if kind == "avatar" and count == 1:
        chance = draw.random()
        if chance >= OBEYING:
            amplitude = float(draw.uniform(0, TREMOR)) if chance < OBEYING + MISLED else 0.0
        if amplitude == 0.0:
            asked = Program()
    if kind == "student":
        amplitude = 0.0
    sound = _sound(draw)
    opening = mouth_opening(sound, WINDOW)
    if kind == "foundation":
        closed = draw.random() < SILENT_MOUTHS
        opening = mouth_opening(silence(1.0) if closed else _sound(draw), WINDOW)
    start = float(draw.uniform(*START))
    identities = [draw_identity(draw) for _ in range(count)]
    actors = tuple(
        Actor(
            identity=identity,
            poses=perform([program], [WINDOW], x=start if count == 1 else x, amplitude=amplitude),
            mouth=opening,
            scale=scale,
        )
        for identity, (x, scale) in zip(identities, actors_side_by_side(identities), strict=True)
    )
    text = caption(asked, draw) if count == 1 else f"{WORDS[count].capitalize()} talk."
    tags = {"set": kind, "people": str(count), **asked.active}
    scene = Scene(actors=actors, wall=pick(WALLS, draw))
    return Footage(scene=scene, sound=sound, caption=text, tags=tags)


def write_footage(
    folder: Path,
    kind: Kind,
    clips: int,
    *,
    seed: int = 0,
    side: int = 64,
    progress: Progress = _silent,
) -> Path:
    """Write a training set; clips that are there already are kept, so a stopped run goes on.

    Args:
        folder: Where; made when new.
        kind: Which set.
        clips: How many.
        seed: Of the set.
        side: Pixels per side.
        progress: Told after every clip.

    Returns:
        The manifest, written last.
    """
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    lines = []
    for index in range(clips):
        footage = make_footage(kind, index, seed)
        name = f"clips/{kind}-{seed}-{side}-{index:05d}.mp4"
        if not (folder / name).is_file():
            write_clip(
                folder / name, _frames(footage.scene, side), FPS,
                audio=footage.sound, sample_rate=SAMPLE_RATE, crf=CRF,
            )  # fmt: skip
        record = {
            "video": name,
            "caption": footage.caption,
            "id": f"{kind}-{index:05d}",
            "tags": footage.tags,
            "regions": mouth_boxes(footage.scene.actors[0]),
        }
        lines.append(json.dumps(record, ensure_ascii=False))
        progress(index + 1, clips)
    write_text(folder / MANIFEST, "".join(f"{line}\n" for line in lines))
    return folder / MANIFEST


def _frames(scene: Scene, side: int) -> Iterator[NDArray[np.uint8]]:
    for chunk in stream(scene, side):
        yield from chunk


def _sound(draw: np.random.Generator) -> Sound:
    voice = VOICES[int(draw.integers(len(VOICES)))]
    return speak(voice, WINDOW / FPS, draw, pauses=float(draw.uniform(0.1, 0.4)))
