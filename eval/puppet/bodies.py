"""Where a puppet's head is in every frame, and how close the camera is.

Every frame is searched anew, so that a puppet that jumps at a seam is not lost: the place where a head
of the person's own face and hair sits above a torso of its own shirt. Coordinates are shares of the
side; pixel centres lie at (i + 0.5) / N.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eval.puppet.case import PuppetCase
from eval.puppet.colours import Shares
from eval.puppet.proportions import (
    FLOOR,
    GROUND,
    HAIR,
    HAND,
    HANGING,
    TORSO,
    measure_head,
)

Floats = NDArray[np.float32]

HEAD: Final = measure_head()
REACH: Final = 0.35
"""Share of the width within which a person is looked for around its start, when there are several."""
PULL: Final = 0.6
"""How much nearness to the start counts when several people look alike, in heads per width."""
GROWN: Final = 1.12
"""Size of the searching box: half way between no zoom and a full one."""
FLOOR_ROWS: Final = 0.8
"""Share of the height below which the floor's edge can be."""
LEGS: Final = 0.17
"""Half the width within which legs hide the floor's edge."""
WITH_HANDS: Final = HANGING[0] + HAND
"""The same for hanging hands, which come down to it when the camera is near."""
MARGIN: Final = 1.25
"""Size of the box in which the middle of a head is measured, in heads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """One person's place, one number per frame.

    Attributes:
        x: Middle of the head as seen, share of the width.
        y: Middle of the head as seen, share of the height.
        area: Area of hair, face and mouth as seen, share of the picture.
    """

    x: Floats
    y: Floats
    area: Floats


def axis(side: int) -> Floats:
    """Return the pixel centres of one side, (N,)."""
    return ((np.arange(side) + 0.5) / side).astype(np.float32)


def band(values: Floats, middle: Floats, half: Floats | float, soft: float) -> Floats:
    """Return weights (T, N): 1 within `half` of the middle, falling to 0 over `soft`."""
    away = np.abs(values[None] - middle[:, None])
    limit = np.broadcast_to(np.asarray(half, np.float32), middle.shape)[:, None]
    return np.clip((limit + soft / 2 - away) / soft, 0, 1)


def find_people(shares: Shares, case: PuppetCase) -> tuple[list[Body], Floats]:
    """Find everybody and measure the camera.

    Args:
        shares: Colours of some frames.
        case: Who is there.

    Returns:
        One body per person, and the magnification seen at the floor, (T,).
    """
    rough = [_search(shares, case, place) for place in range(len(case.people))]
    zoom = _floor_zoom(shares, case, rough)
    bodies = [_refine(shares, case, place, x, y, zoom) for place, (x, y) in enumerate(rough)]
    return bodies, zoom


def head_map(shares: Shares, place: int) -> Floats:
    """Return the share of hair, face and mouth in every pixel, (T, N, N)."""
    return shares.of[f"face {place}"] + shares.of[f"hair {place}"] + shares.of["mouth"]


def _search(shares: Shares, case: PuppetCase, place: int) -> tuple[Floats, Floats]:
    """Return the best pixel for the middle of a head in every frame."""
    person, side = case.people[place], shares.pixels.shape[2]
    scale = person.scale * GROWN
    head = _boxed(head_map(shares, place), HAIR[1] * scale, HAIR[2] * scale)
    torso = _boxed(shares.of[f"shirt {place}"], TORSO[1] * scale, TORSO[2] * scale)
    below = round((HEAD.height - TORSO[0]) * scale * side)
    score = head.copy()
    score[:, : side - below] += torso[:, below:]
    places = axis(side)
    middle = np.float32(GROUND - person.scale * (HEAD.height + case.changes["jump"] / 2))
    high = np.abs(places - middle) < 0.2 * person.scale + 0.06
    away = np.abs(places - np.float32(person.x))
    wide = away < REACH if len(case.people) > 1 else away < 1
    pull = PULL * HEAD.area * scale**2 if len(case.people) > 1 else 0.0
    score = score - np.float32(pull) * away[None, None]
    score[:, ~high] = -1
    score[:, :, ~wide] = -1
    best = score.reshape(len(score), -1).argmax(axis=1)
    return places[best % side], places[best // side]


def _boxed(values: Floats, half_wide: float, half_high: float) -> Floats:
    """Return the mean over the picture of what lies in a box around every pixel, (T, N, N)."""
    side = values.shape[1]
    sums = np.zeros((len(values), side + 1, side + 1), np.float32)
    np.cumsum(values, axis=1, out=sums[:, 1:, 1:])
    np.cumsum(sums[:, 1:, 1:], axis=2, out=sums[:, 1:, 1:])
    edges = []
    for half in (half_high, half_wide):
        reach = round(half * side)
        edges.append(
            (
                np.clip(np.arange(side) - reach, 0, side),
                np.clip(np.arange(side) + reach + 1, 0, side),
            )
        )
    (top, bottom), (left, right) = edges
    rows = sums[:, bottom] - sums[:, top]
    found: Floats = (rows[:, :, right] - rows[:, :, left]) / side**2
    return found


def _refine(
    shares: Shares, case: PuppetCase, place: int, x: Floats, y: Floats, zoom: Floats
) -> Body:
    """Return the centroid of the head around a rough place, and its area."""
    scale, side = case.people[place].scale, shares.pixels.shape[2]
    values, places = head_map(shares, place), axis(side)
    area = np.zeros_like(x)
    for _ in range(3):
        across = band(places, x, MARGIN * HAIR[1] * scale * zoom, 2 / side)
        down = band(places, y, MARGIN * HAIR[2] * scale * zoom, 2 / side)
        columns = np.matmul(down[:, None], values)[:, 0] * across
        rows = np.matmul(values, across[..., None])[..., 0] * down
        total = np.maximum(columns.sum(axis=1), 1e-3)
        seen = total > 0.2 * HEAD.area * scale**2 * side**2
        x = np.where(seen, columns @ places / total, x)
        y = np.where(seen, rows @ places / total, y)
        area = total / side**2
    return Body(x=x, y=y, area=area.astype(np.float32))


def _floor_zoom(shares: Shares, case: PuppetCase, rough: list[tuple[Floats, Floats]]) -> Floats:
    """Return the magnification by the row at which the floor begins, beside everybody's legs."""
    side = shares.pixels.shape[2]
    places = axis(side)
    free = np.ones((len(shares.pixels), side), np.float32)
    for half in (LEGS, WITH_HANDS):
        beside = np.ones_like(free)
        for person, (x, _) in zip(case.people, rough, strict=True):
            beside *= 1 - band(places, x, half * person.scale * GROWN, 2 / side)
        enough = beside.sum(axis=1) >= 4
        free[enough] = beside[enough]
    wall = shares.wall[:, :, None, None]
    way = np.asarray(case.palette["floor"], np.float32)[None, :, None, None] - wall
    low = shares.pixels[:, :, places > FLOOR_ROWS]
    floor = ((low - wall) * way).sum(axis=1) / np.square(way).sum(axis=1)
    high = (np.clip(floor, -0.2, 1.2).sum(axis=1) * free).sum(axis=1) / free.sum(axis=1) / side
    zoom = (0.5 - high) / (FLOOR - 0.5)
    return np.clip(zoom, 0.8, 1.6).astype(np.float32)
