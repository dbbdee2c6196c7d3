"""Whether what was asked happened: from readings to responses, from responses to slots and programs.

A response is measured change over asked change: 1 is full, 0 static, negative the other way. A slot is
right when its asked change is more than half done, or when an unasked one is less than half begun.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eval.puppet.case import CHOICES, SLOTS, PuppetCase
from eval.puppet.mouth import FPS
from eval.puppet.readings import Readings

Floats = NDArray[np.float32]

LEAST_FRAMES: Final = 70
"""Frames of a stretch below which its program cannot be finished."""
BEGINNING: Final = 5
"""Frames that say how a stretch begins."""
END: Final = 8
"""Frames that say how a stretch ends."""
SMOOTH: Final = 5
"""Frames averaged before an extreme is taken, so that noise of single frames does not count."""
HALF: Final = 0.5
"""Response at which a change counts as having happened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """How one program was obeyed.

    Attributes:
        asked: Choice by slot.
        responses: Measured over asked change of every slot that asks for something.
        others: Largest unasked response of every slot ('body': walking or jumping unasked).
        right: Whether each slot is as asked.
    """

    asked: Mapping[str, str]
    responses: Mapping[str, float]
    others: Mapping[str, float]
    right: Mapping[str, bool]

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "asked": dict(self.asked),
            "responses": {slot: round(value, 4) for slot, value in self.responses.items()},
            "unasked": {slot: round(value, 4) for slot, value in self.others.items()},
            "right": dict(self.right),
        }


def judge_programs(readings: Readings, case: PuppetCase) -> list[Stretch]:
    """Return how every stretch of a clip was obeyed; empty when one is too short to tell."""
    borders = [round(start * FPS) for start in case.starts_s] + [len(readings)]
    if any(last - first < LEAST_FRAMES for first, last in pairwise(borders)):
        return []
    found, already = [], set[str]()
    for program, room, (first, last) in zip(
        case.programs, case.rooms(), pairwise(borders), strict=True
    ):
        found.append(_stretch(readings, case, program, room, slice(first, last), already))
        already |= {slot for slot in SLOTS[1:] if program[slot] != CHOICES[slot][0]}
    return found


def _stretch(
    readings: Readings,
    case: PuppetCase,
    program: Mapping[str, str],
    room: float,
    part: slice,
    already: set[str],
) -> Stretch:
    responses: dict[str, float] = {}
    others: dict[str, float] = {}
    moved = (_since_beginning(readings.x[part])) / np.float32(case.changes["walk"])
    lifted = _since_beginning(readings.height[part]) / np.float32(case.changes["jump"])
    body = program["body"]
    if body == "jump":
        responses["body"] = float(lifted.max())
        others["body"] = float(np.abs(moved).max())
    elif body == "stand":
        others["body"] = float(max(np.abs(moved).max(), np.abs(lifted).max()))
    else:
        asked = room / case.changes["walk"]
        responses["body"] = float(moved[-END:].mean()) / asked
        others["body"] = float(np.abs(lifted).max())
    levels = {
        "arm": readings.arm[part],
        "object": readings.ball[part],
        "camera": (readings.zoom[part] - 1) / np.float32(case.changes["zoom"]),
        "background": readings.night[part],
        "face": readings.blush[part],
    }
    for slot, level in levels.items():
        if program[slot] != CHOICES[slot][0]:
            # A hand may leave the picture with a walking puppet: what counts is that it was raised.
            smooth = _smooth(level)
            responses[slot] = float(smooth.max() if slot == "arm" else level[-END:].mean())
        else:
            start = float(level[:BEGINNING].mean()) if slot in already else 0.0
            others[slot] = float(np.abs(_smooth(level) - start).max())
    right = {
        slot: responses.get(slot, 1.0) > HALF and others.get(slot, 0.0) < HALF for slot in SLOTS
    }
    return Stretch(asked=dict(program), responses=responses, others=others, right=right)


def _since_beginning(values: Floats) -> Floats:
    return _smooth(values) - np.float32(np.median(values[:BEGINNING]))


def _smooth(values: Floats) -> Floats:
    """Return means over `SMOOTH` neighbours; ends repeat."""
    padded = np.pad(values, SMOOTH // 2, mode="edge")
    sums = np.convolve(padded, np.ones(SMOOTH, np.float32) / SMOOTH, mode="valid")
    return sums.astype(np.float32)
