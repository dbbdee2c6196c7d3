"""Draws a scene: puppets, room, mouths. Any size; a 64-pixel frame takes well below a millisecond."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.puppet import look
from benchmarks.puppet.drawing import Canvas
from benchmarks.puppet.look import Colour, Identity
from benchmarks.puppet.timeline import Poses

Floats = NDArray[np.float32]
Box = tuple[float, float, float, float]

GROUND: Final = 0.93
HEAD_HEIGHT: Final = 0.57
HEAD_WIDE, HEAD_HIGH = 0.165, 0.175
MOUTH_HEIGHT: Final = 0.5
MOUTH_WIDE: Final = 0.095
"""Half the width of a mouth."""
MOUTH_HIGH: Final = 0.07
"""Half the height of a mouth that is fully open."""
MOUTH_CLOSED: Final = 0.006
ARM: Final = 0.042
"""Half the width of an arm."""
HAND: Final = 0.075
"""Radius of a hand: more than one latent of the codec wide, so that a raised one is kept at night too."""
BALL: Final = (0.16, 0.17, 0.12)
"""x, y and radius of a ball that has fully appeared."""
CHUNK: Final = 16
"""Frames painted at a time: temporaries stay in the processor's cache."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """One puppet of a scene.

    Attributes:
        identity: Colours.
        poses: Where everything of it is.
        mouth: Opening per frame, 0 to 1.
        scale: Size; 1 when alone.
    """

    identity: Identity
    poses: Poses
    mouth: Floats
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """Everything in a picture.

    Attributes:
        actors: At least one; camera, ball and night are the first one's.
        wall: Colour of the room by day.
    """

    actors: tuple[Actor, ...]
    wall: Colour

    @property
    def frames(self) -> int:
        """Length."""
        return len(self.actors[0].mouth)


def render(scene: Scene, side: int = 64) -> NDArray[np.uint8]:
    """Return every frame of a scene, (T, side, side, 3) uint8."""
    return np.concatenate(list(stream(scene, side)))


def stream(scene: Scene, side: int = 64) -> Iterator[NDArray[np.uint8]]:
    """Yield a scene's frames in chunks (t, side, side, 3) uint8, at constant memory."""
    for start in range(0, scene.frames, CHUNK):
        yield _paint(scene, slice(start, min(start + CHUNK, scene.frames)), side)


def mouth_boxes(actor: Actor) -> list[Box]:
    """Return a box (left, top, right, bottom) around an actor's open mouth in every frame."""
    poses, scale = actor.poses, actor.scale
    y = GROUND - scale * (MOUTH_HEIGHT + poses.lift)
    reach_x, reach_y = scale * (MOUTH_WIDE + 0.025), scale * (MOUTH_HIGH + 0.025)
    edges = [
        ((poses.x - reach_x) - 0.5) * poses.zoom + 0.5,
        ((y - reach_y) - 0.5) * poses.zoom + 0.5,
        ((poses.x + reach_x) - 0.5) * poses.zoom + 0.5,
        ((y + reach_y) - 0.5) * poses.zoom + 0.5,
    ]
    return [tuple(round(float(v), 4) for v in row) for row in np.clip(edges, 0, 1).T]  # type: ignore[misc]


def head_boxes(actor: Actor) -> list[Box]:
    """Return a box around an actor's head in every frame."""
    poses, scale = actor.poses, actor.scale
    y = GROUND - scale * (HEAD_HEIGHT + poses.lift)
    edges = [
        ((poses.x - scale * HEAD_WIDE) - 0.5) * poses.zoom + 0.5,
        ((y - scale * HEAD_HIGH) - 0.5) * poses.zoom + 0.5,
        ((poses.x + scale * HEAD_WIDE) - 0.5) * poses.zoom + 0.5,
        ((y + scale * HEAD_HIGH) - 0.5) * poses.zoom + 0.5,
    ]
    return [tuple(round(float(v), 4) for v in row) for row in np.clip(edges, 0, 1).T]  # type: ignore[misc]


def _paint(scene: Scene, part: slice, side: int) -> NDArray[np.uint8]:
    room = _cut(scene.actors[0].poses, part)
    canvas = Canvas(len(room.x), side, room.zoom)
    canvas.fill(_mix(scene.wall, look.NIGHT, room.night))
    canvas.box(0.70, 0.10, 0.92, 0.34, look.WINDOW)
    canvas.box(-1.0, 0.88, 2.0, 2.0, look.FLOOR)
    for actor in scene.actors:
        _puppet(canvas, actor.identity, _cut(actor.poses, part), actor.mouth[part], actor.scale)
    x, y, radius = BALL
    canvas.ellipse(x, y, radius * room.ball, radius * room.ball, look.BALL)
    return canvas.finished()


def _puppet(canvas: Canvas, who: Identity, poses: Poses, mouth: Floats, scale: float) -> None:
    x, lift = poses.x, poses.lift

    def across(offset: float | Floats) -> Floats:
        return x + np.float32(scale) * np.asarray(offset, np.float32)

    def up(height: float | Floats) -> Floats:
        return GROUND - np.float32(scale) * (np.asarray(height, np.float32) + lift)

    swing = 0.07 * poses.stride
    for way in (-1, 1):
        foot = across(way * (0.055 + swing))
        canvas.stroke(across(way * 0.055), up(0.17), foot, up(0.025), 0.032 * scale, look.TROUSERS)
        canvas.ellipse(foot, up(0.018), 0.045 * scale, 0.022 * scale, look.SHOES)
    canvas.ellipse(across(0.0), up(0.285), 0.125 * scale, 0.145 * scale, who.shirt)
    for way, raised in ((-1, np.zeros_like(poses.arm)), (1, poses.arm)):
        angle = raised * np.float32(2.2)  # radians from hanging down, outwards and up
        hand_x = across(way * (0.105 + 0.05 + 0.15 * np.sin(angle)))
        hand_y = up(0.37 - 0.17 * np.cos(angle))
        canvas.stroke(across(way * 0.105), up(0.37), hand_x, hand_y, ARM * scale, who.shirt)
        canvas.ellipse(hand_x, hand_y, HAND * scale, HAND * scale, look.GLOVE)
    head = (HEAD_WIDE * scale, HEAD_HIGH * scale)
    canvas.ellipse(across(0.0), up(HEAD_HEIGHT + 0.03), head[0], head[1], who.hair)
    face = _mix(who.skin, look.RED_FACE, poses.blush)
    canvas.ellipse(across(0.0), up(HEAD_HEIGHT - 0.015), 0.15 * scale, 0.145 * scale, face)
    for way in (-1, 1):
        eye = across(way * 0.06)
        canvas.ellipse(eye, up(HEAD_HEIGHT + 0.035), 0.036 * scale, 0.036 * scale, look.EYES)
        canvas.ellipse(eye, up(HEAD_HEIGHT + 0.035), 0.016 * scale, 0.016 * scale, look.PUPILS)
    opening = MOUTH_CLOSED + (MOUTH_HIGH - MOUTH_CLOSED) * mouth
    canvas.ellipse(across(0.0), up(MOUTH_HEIGHT), MOUTH_WIDE * scale, opening * scale, look.MOUTH)


def _mix(first: Colour, second: Colour, share: Floats) -> Floats:
    """Blend two colours, one share per frame: (T, 3)."""
    a, b = (np.asarray(colour, np.float32) for colour in (first, second))
    return a + share[:, None] * (b - a)


def _cut(poses: Poses, part: slice) -> Poses:
    names = Poses.__dataclass_fields__
    return Poses(**{name: getattr(poses, name)[part] for name in names})


def actors_side_by_side(identities: Sequence[Identity]) -> list[tuple[float, float]]:
    """Return place (share of the width) and scale of each of one to three puppets."""
    count = len(identities)
    scale = {1: 1.0, 2: 0.8, 3: 0.62}[count]
    return [((index + 0.5) / count, scale) for index in range(count)]
