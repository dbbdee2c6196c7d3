"""From programs to poses: where everything is in every frame. Knows no pixels.

A scene is a chain of programs, each over one stretch of frames; what has changed stays changed (a raised
arm stays up), and a walk goes on from where the last one ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.puppet.program import Program

Floats = NDArray[np.float32]

FPS: Final = 25
WALK: Final = 0.22
"""Distance of a walk, as a share of the picture."""
JUMP: Final = 0.12
ZOOM: Final = 0.3
"""Growth of everything when the camera has zoomed in."""
LEFT_EDGE, RIGHT_EDGE = 0.2, 0.8
HOPS: Final = 2
STRIDES: Final = 3

STARTS: Final = 8
"""Frame of a stretch at which its program begins."""
LASTS: Final = {"body": 60, "arm": 24, "object": 24, "camera": 56, "background": 44, "face": 32}
"""Frames until the change of a slot is complete."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Poses:
    """Everything that moves, one number per frame.

    Attributes:
        x: Middle of the body, share of the width.
        lift: Height above the ground, share of the height.
        stride: Swing of the legs, -1 to 1.
        arm: 0 down, 1 up.
        ball: Size of the ball, 0 to 1.
        zoom: Magnification, 1 and above.
        night: 0 day, 1 night.
        blush: 0 plain, 1 red.
    """

    x: Floats
    lift: Floats
    stride: Floats
    arm: Floats
    ball: Floats
    zoom: Floats
    night: Floats
    blush: Floats


def perform(
    programs: Sequence[Program], frames: Sequence[int], *, x: float = 0.5, amplitude: float = 1.0
) -> Poses:
    """Play programs one after the other.

    Args:
        programs: What happens in each stretch.
        frames: Length of each stretch.
        x: Where the puppet starts.
        amplitude: Strength of every change; 0 freezes the scene.
    """
    state = dict.fromkeys(("arm", "ball", "zoom", "night", "blush"), 0.0)
    parts: list[dict[str, Floats]] = []
    for program, count in zip(programs, frames, strict=True):
        part = _stretch(program, count, x, state, amplitude)
        parts.append(part)
        x = float(part["x"][-1])
        state = {name: float(part[name][-1]) for name in state}
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    joined["zoom"] = 1 + ZOOM * joined["zoom"]
    return Poses(**joined)


def _stretch(
    program: Program, count: int, x: float, state: dict[str, float], amplitude: float
) -> dict[str, Floats]:
    still = np.zeros(count, np.float32)

    def reach(slot: str, before: float, target: float) -> Floats:
        return (before + (target - before) * _ease(count, LASTS[slot])).astype(np.float32)

    part = {
        "arm": reach("arm", state["arm"], amplitude if program.arm == "raise" else state["arm"]),
        "ball": reach(
            "object", state["ball"], amplitude if program.object == "ball" else state["ball"]
        ),
        "zoom": reach(
            "camera", state["zoom"], amplitude if program.camera == "zoom in" else state["zoom"]
        ),
        "night": reach(
            "background",
            state["night"],
            min(1.0, amplitude) if program.background == "night" else state["night"],
        ),
        "blush": reach(
            "face",
            state["blush"],
            min(1.0, amplitude) if program.face == "blush" else state["blush"],
        ),
        "x": still + np.float32(x),
        "lift": still,
        "stride": still,
    }
    done = _linear(count, LASTS["body"])
    if program.body in ("walk left", "walk right"):
        way = -1 if program.body == "walk left" else 1
        end = float(np.clip(x + way * WALK * amplitude, LEFT_EDGE, RIGHT_EDGE))
        part["x"] = (x + (end - x) * done).astype(np.float32)
        walking = (done > 0) & (done < 1)
        swing = np.sin(2 * np.pi * STRIDES * done) * walking * min(1.0, amplitude)
        part["stride"] = swing.astype(np.float32)
    if program.body == "jump":
        part["lift"] = (JUMP * amplitude * np.sin(np.pi * HOPS * done) ** 2).astype(np.float32)
    return part


def _linear(count: int, lasts: int) -> Floats:
    """0 before a change begins, 1 when it is complete."""
    return np.clip((np.arange(count, dtype=np.float32) - STARTS) / lasts, 0, 1)


def _ease(count: int, lasts: int) -> Floats:
    """Like `_linear`, beginning and ending softly."""
    done = _linear(count, lasts)
    return done * done * (3 - 2 * done)
