"""Ground truth for tests of the oracles: scenes, their sound and what their cases say."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmarks.puppet import look, timeline
from benchmarks.puppet.facts import PALETTE
from benchmarks.puppet.look import Identity
from benchmarks.puppet.program import Program, slots
from benchmarks.puppet.render import Actor, Scene, actors_side_by_side, render
from benchmarks.puppet.timeline import perform
from benchmarks.puppet.voice import VOICES, silence, speak
from eval.puppet.case import Person, puppet_extra
from eval.puppet.mouth import mouth_opening
from joystreamer.media import iter_frames, write_clip

FRAMES = 89
CHANGES = {"walk": timeline.WALK, "jump": timeline.JUMP, "zoom": timeline.ZOOM}
EDGES = (timeline.LEFT_EDGE, timeline.RIGHT_EDGE)


def identities() -> list[Identity]:
    """Every skin, shirt and hair, each in several company; 20 of the 60."""
    return [
        Identity(
            skin=look.SKINS[index % 4],
            shirt=look.SHIRTS[index % 5],
            hair=look.HAIRS[index % 3],
        )
        for index in range(20)
    ]


def voice(seed: int = 0, frames: int = FRAMES) -> NDArray[np.float32]:
    """Somebody speaking for so many frames."""
    return speak(VOICES[seed % 4], frames / 25, np.random.default_rng(seed))


def extra(
    who: Sequence[Identity],
    programs: Sequence[Program],
    *,
    wall: int = 0,
    x: float = 0.5,
    starts_s: Sequence[float] = (0.0,),
) -> dict[str, Any]:
    """What the case of such a scene says."""
    places = [(x, 1.0)] if len(who) == 1 else actors_side_by_side(who)
    return puppet_extra(
        [
            Person(skin=one.skin, shirt=one.shirt, hair=one.hair, x=place, scale=scale)
            for one, (place, scale) in zip(who, places, strict=True)
        ],
        [slots(program) for program in programs],
        wall=look.WALLS[wall],
        palette=PALETTE,
        changes=CHANGES,
        edges=EDGES,
        starts_s=starts_s,
    )


def scene(
    who: Sequence[Identity],
    programs: Sequence[Program],
    sounds: Sequence[NDArray[np.float32]],
    *,
    wall: int = 0,
    x: float = 0.5,
    lengths: Sequence[int] = (FRAMES,),
    amplitude: float = 1.0,
) -> Scene:
    """The scene as it should be."""
    places = [(x, 1.0)] if len(who) == 1 else actors_side_by_side(who)
    frames = sum(lengths)
    actors = []
    for index, (one, (place, scale)) in enumerate(zip(who, places, strict=True)):
        plays = programs if index == 0 else [Program()] * len(lengths)
        actors.append(
            Actor(
                identity=one,
                poses=perform(plays, lengths, x=place, amplitude=amplitude),
                mouth=mouth_opening(sounds[index], frames),
                scale=scale,
            )
        )
    return Scene(actors=tuple(actors), wall=look.WALLS[wall])


def truth(who: Identity, program: Program, sound: NDArray[np.float32], **given: Any) -> Any:
    """Frames of one puppet, (T, 64, 64, 3) uint8."""
    side = given.pop("side", 64)
    return render(scene([who], [program], [sound], **given), side)


def degraded(frames: NDArray[np.uint8], folder: Path, seed: int = 0) -> NDArray[np.uint8]:
    """Frames as a small codec leaves them: blurred by one pixel, grainy, through H.264."""
    noise = np.random.default_rng(seed).normal(0, 6, frames.shape)
    soft = gaussian_filter(frames.astype(np.float32), (0, 1.0, 1.0, 0))
    worse = np.clip(np.rint(soft + noise), 0, 255).astype(np.uint8)
    path = folder / "degraded.mp4"
    write_clip(path, list(worse), 25)
    return np.stack([frame.rgb for frame in iter_frames(path)])


__all__ = ["VOICES", "silence"]
