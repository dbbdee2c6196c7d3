"""The world's own answer to a puppet case: every program carried out, every mouth on its voice.

As a system, `truth` is the ceiling of a leaderboard. It is drawn from the case's facts and recordings
alone, by the code that drew the training sets.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.puppet.casting import SIDE
from benchmarks.puppet.look import Identity
from benchmarks.puppet.program import Program
from benchmarks.puppet.render import Actor, Scene, stream
from benchmarks.puppet.timeline import FPS, perform
from benchmarks.puppet.wording import programs_of
from benchmarks.sound_mix import voices
from eval.fields import ProblemsFound
from eval.puppet.case import read_puppet_case
from eval.puppet.mouth import SAMPLE_RATE, mouth_opening
from eval.records import Case, System
from joystreamer.errors import InputError, JoyStreamerError
from joystreamer.media import read_audio, write_clip
from joystreamer.provenance import write_json

TRUTH: Final = "truth"
"""Name of the system."""


def scene_of(case: Case) -> tuple[Scene, NDArray[np.float32]]:
    """Return what a puppet case should look like, and the sum of its voices at 16 kHz.

    Raises:
        InputError: It is no puppet case, or a recording is missing.
    """
    facts = read_puppet_case(case.extra, f"case {case.id!r}")
    if facts is None:
        raise InputError(f"case {case.id!r} is no puppet case; 'truth' draws only those")
    sounds = [_heard(path) for path in voices(case)]
    frames = math.ceil(max(sound.size for sound in sounds) * FPS / SAMPLE_RATE - 1e-6)
    starts = [round(start * FPS) for start in facts.starts_s]
    lengths = [end - start for start, end in zip(starts, [*starts[1:], frames], strict=True)]
    actors = []
    for number, (person, sound) in enumerate(zip(facts.people, sounds, strict=True)):
        programs = programs_of(case) if number == 0 else (Program(),) * len(lengths)
        actors.append(
            Actor(
                identity=Identity(skin=person.skin, shirt=person.shirt, hair=person.hair),
                poses=perform(programs, lengths, x=person.x),
                mouth=mouth_opening(sound, frames),
                scale=person.scale,
            )
        )
    total = np.zeros(max(sound.size for sound in sounds), np.float32)
    for sound in sounds:
        total[: sound.size] += sound
    return Scene(actors=tuple(actors), wall=facts.wall), np.clip(total, -1, 1)


def _heard(path: Path) -> NDArray[np.float32]:
    sound = read_audio(path, sample_rate=SAMPLE_RATE)
    if sound is None:
        raise InputError(f"{path} holds no sound; write the suite again")
    return sound


class TruthRenderer:
    """Draws what should be seen; keeps to the form of `benchmarks.renderers.Renderer`."""

    def __init__(self, side: int = SIDE) -> None:
        self._side = side
        self.system = System(
            name=TRUTH,
            kind="competitor",
            notes="The puppet world's own drawing of every case: the ceiling, no model.",
        )
        self.settings: Mapping[str, Any] = {"model": TRUTH, "side": side}

    def render(self, case: Case, out: Path, seed: int) -> str:  # noqa: ARG002  # nothing is drawn by lot
        """Draw the clip, then its report."""
        for orphan in out.parent.glob(f".{out.stem}.{'[0-9a-f]' * 12}.part.mp4"):
            orphan.unlink(missing_ok=True)  # of a process that was killed at this clip
        try:
            scene, sound = scene_of(case)
            frames = (frame for chunk in stream(scene, self._side) for frame in chunk)
            write_clip(out, frames, FPS, audio=sound, sample_rate=SAMPLE_RATE)
        except ProblemsFound as error:
            return "; ".join(error.problems)
        except JoyStreamerError as error:
            return str(error)
        write_json(out.with_suffix(".json"), {"clip": out.name, "fps": FPS, "segments": []})
        return ""

    def close(self) -> None:
        """Nothing is held."""
