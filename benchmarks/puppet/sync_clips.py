"""Clips of a talking puppet for the sync network: what it is trained on and what it is tried on.

Everything that a generated clip may look like is in them: all puppets and programs, one to three people
of whom one talks, blur, grain, H.264, mouths that open less than they should. The mouth can be delayed.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.puppet.facts import puppet_facts
from benchmarks.puppet.look import WALLS, draw_identity, pick
from benchmarks.puppet.program import Program, draw_program
from benchmarks.puppet.render import GROUND, Actor, Scene, actors_side_by_side, render
from benchmarks.puppet.timeline import FPS, perform
from benchmarks.puppet.voice import VOICES, Sound, silence, speak
from eval.face_tracks import Boxes
from eval.puppet.bodies import HEAD
from eval.puppet.faces import head_boxes
from eval.puppet.mouth import mouth_opening
from joystreamer.media import iter_frames, write_clip

Frames = NDArray[np.uint8]

FRAMES: Final = 89
"""The length of everything that puppets are trained on."""
SEVERAL: Final = 0.2
"""Share of clips with two or three people."""
COMPOSED: Final = 0.3
"""Share of clips whose program is one of those that generators are not shown."""
WEAKEST: Final = 0.7
"""Least gain of a mouth that opens less than its voice asks."""
START: Final = (0.42, 0.58)


@dataclass(frozen=True, kw_only=True, slots=True)
class TalkingClip:
    """One clip, before it is drawn.

    Attributes:
        scene: What is seen.
        sound: What is heard.
        speaker: Place of the one who talks, among the scene's actors.
        program: What the first one does.
    """

    scene: Scene
    sound: Sound
    speaker: int
    program: Program


def make_talking_clip(
    draw: np.random.Generator,
    *,
    frames: int = FRAMES,
    delay: int = 0,
    gain: float = 1.0,
    program: Program | None = None,
) -> TalkingClip:
    """Draw a clip.

    Args:
        draw: Source of chance.
        frames: Its length.
        delay: Frames by which the mouth comes late (negative: early).
        gain: How far the mouth opens, relative to what its voice asks.
        program: What one puppet does; None draws program and number of people.
    """
    count = 1 if program is not None or draw.random() >= SEVERAL else int(draw.integers(2, 4))
    if program is None:
        program = draw_program(draw, held_out=draw.random() < COMPOSED) if count == 1 else Program()
    identities = [draw_identity(draw) for _ in range(count)]
    places = actors_side_by_side(identities)
    if count == 1:
        places = [(float(draw.uniform(*START)), 1.0)]
    speaker = int(draw.integers(count))
    spoken = _voice(draw, frames + 2 * abs(delay))
    skipped = abs(delay) * (spoken.size // (frames + 2 * abs(delay)))
    sound = spoken[skipped : spoken.size - skipped] if delay else spoken
    actors = []
    for place, (identity, (x, scale)) in enumerate(zip(identities, places, strict=True)):
        if place == speaker:
            opening = mouth_opening(spoken, frames + 2 * abs(delay))
            opening = gain * opening[abs(delay) - delay :][:frames]
        else:
            other = _voice(draw, frames) if draw.random() < 0.5 else silence(1.0)
            opening = mouth_opening(other, frames)
        poses = perform([program], [frames], x=x)
        actors.append(Actor(identity=identity, poses=poses, mouth=opening, scale=scale))
    scene = Scene(actors=tuple(actors), wall=pick(WALLS, draw))
    return TalkingClip(scene=scene, sound=sound, speaker=speaker, program=program)


def extra_of(clip: TalkingClip) -> dict[str, Any]:
    """Return what the case of such a clip says of it: its `Case.extra`."""
    return puppet_facts(clip.scene, [clip.program])


def known_boxes(clip: TalkingClip) -> Boxes:
    """Return the box around the speaker's head in every frame, shares of the picture, (T, 4)."""
    actor = clip.scene.actors[clip.speaker]
    # The picture is magnified about its middle as the first actor's poses say.
    zoom = clip.scene.actors[0].poses.zoom
    y = GROUND - actor.scale * (HEAD.height + actor.poses.lift)
    x, y = ((place - 0.5) * zoom + 0.5 for place in (actor.poses.x, y))
    return head_boxes(x, y, actor.scale * zoom)


def draw_clip(clip: TalkingClip, side: int = 64) -> Frames:
    """Return the frames, (T, side, side, 3)."""
    return render(clip.scene, side)


def degrade(
    frames: Frames, draw: np.random.Generator, *, blur: float, grain: float, crf: int | None = None
) -> Frames:
    """Return frames as a generator or codec would leave them.

    Args:
        frames: (T, side, side, 3).
        draw: Source of the grain.
        blur: Standard deviation in pixels; 0 leaves edges sharp.
        grain: Standard deviation in grey levels.
        crf: Quality of an H.264 copy, higher is worse; None makes none.
    """
    worse = np.stack([cv2.GaussianBlur(one, (0, 0), blur) for one in frames]) if blur else frames
    if grain:
        noise = draw.normal(0, grain, worse.shape).astype(np.float32)
        worse = np.clip(np.rint(worse + noise), 0, 255).astype(np.uint8)
    if crf is None:
        return np.ascontiguousarray(worse)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "copy.mp4"
        write_clip(path, list(worse), FPS, crf=crf)
        return np.stack([frame.rgb for frame in iter_frames(path)])


def _voice(draw: np.random.Generator, frames: int) -> Sound:
    voice = VOICES[int(draw.integers(len(VOICES)))]
    return speak(voice, frames / FPS, draw, pauses=float(draw.uniform(0.1, 0.4)))
