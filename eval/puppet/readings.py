"""What is read off frames: one number per frame for everything that can happen, without judging it.

Frames come in pieces of any length, so that memory does not grow with a clip beyond a few numbers per
frame. Everything is a sum or mean over soft regions: blur of a small codec hardly moves it.
"""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eval.puppet.bodies import HEAD, Body, axis, band, find_people
from eval.puppet.case import Colour, PuppetCase
from eval.puppet.colours import Shares, colour_shares
from eval.puppet.proportions import (
    ARM,
    BALL,
    EYES,
    FACE,
    GROUND,
    HAND,
    MOUTH,
    MOUTH_CLOSED,
    RAISED,
    SLEEVE,
    WINDOW,
    torso_area,
)
from joystreamer.errors import InputError

Floats = NDArray[np.float32]

SIDE: Final = 64
"""Pixels per side at which everything is measured."""
HALO: Final = 2.5 / SIDE
"""How far blur carries a ball's colour beyond its edge, share of the side."""
SOFT: Final = 3.0
"""Pixels over which the edges of a raised arm are looked for."""
GRAIN: Final = 15.0
"""Grey levels of noise that the ball's filter reckons with; keeps it finite where colours are alike."""
CHIN: Final = 0.42
"""Height below which a shirt may be seen beside the face."""
NEAREST: Final = 0.5
"""Share of a part's area whose best pixels decide the identity error: edges are left out."""
WORST: Final = 255.0
"""Grey levels that count where nothing of a person is seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Readings:
    """One number per frame, (T,) or (T, people).

    Attributes:
        x: Middle of the first person in room coordinates, share of the width.
        height: Middle of the first person's head above the ground, shares of its own size.
        arm: Share of a raised arm that is seen: 0 hanging, 1 raised.
        ball: Share of a full ball.
        zoom: Magnification, seen at the floor's edge.
        night: 0 day, 1 night.
        blush: 0 plain, 1 red.
        mouths: Opening of everybody's mouth, 0 closed to 1 fully open, (T, people).
        identity: Distance of the first person's own colours, grey levels; (T, 3): skin, shirt, hair.
        flicker: Second difference outside mouths, grey levels; NaN for the first two frames.
    """

    x: Floats
    height: Floats
    arm: Floats
    ball: Floats
    zoom: Floats
    night: Floats
    blush: Floats
    mouths: Floats
    identity: Floats
    flicker: Floats

    def __len__(self) -> int:
        return len(self.x)


class Reader:
    """Reads a clip's frames in order, piece by piece."""

    def __init__(self, case: PuppetCase) -> None:
        self._case = case
        self._parts: list[Readings] = []
        self._tail: Floats = np.zeros((0, 3, SIDE, SIDE), np.float32)

    def see(self, frames: NDArray[np.uint8]) -> None:
        """Take the next frames.

        Args:
            frames: uint8, (T, 64, 64, 3) RGB, or larger by a whole factor; 25 per second.

        Raises:
            InputError: They have another shape.
        """
        pixels = reduced(frames)
        if not len(pixels):
            return
        joined = np.concatenate([self._tail, pixels])
        self._parts.append(_read(pixels, joined, self._case))
        self._tail = joined[-2:]

    def readings(self) -> Readings:
        """Return everything read so far.

        Raises:
            InputError: No frame came.
        """
        if not self._parts:
            raise InputError("no frames came; a puppet clip has at least one.")
        names = [field.name for field in fields(Readings)]
        return Readings(
            **{
                name: np.concatenate([getattr(part, name) for part in self._parts])
                for name in names
            }
        )


def reduced(frames: NDArray[np.uint8]) -> Floats:
    """Return frames at the measuring size, (T, 3, 64, 64) float32, averaging blocks of larger ones.

    Raises:
        InputError: They are not square with a side that is a multiple of 64.
    """
    if frames.ndim != 4 or frames.shape[1] != frames.shape[2] or frames.shape[3] != 3:
        raise InputError(f"frames of shape {frames.shape} came; give (T, side, side, 3) RGB.")
    factor, rest = divmod(frames.shape[1], SIDE)
    if rest or not factor:
        raise InputError(
            f"frames of {frames.shape[1]} pixels came; give 64 or a multiple, or scale them first."
        )
    planes = np.ascontiguousarray(frames.transpose(0, 3, 1, 2), dtype=np.float32)
    if factor == 1:
        return planes
    blocks = planes.reshape(len(frames), 3, SIDE, factor, SIDE, factor)
    return blocks.mean(axis=(3, 5), dtype=np.float32)


def _read(pixels: Floats, joined: Floats, case: PuppetCase) -> Readings:
    shares = colour_shares(pixels, case)
    bodies, zoom = find_people(shares, case)
    first, who = bodies[0], case.people[0]
    blush = _blush(shares, case, first, zoom)
    windows = [
        _mouth_window(body, person.scale, zoom)
        for body, person in zip(bodies, case.people, strict=True)
    ]
    mouths = [
        _mouth(shares, case, place, window, zoom, blush if place == 0 else np.zeros_like(blush))
        for place, window in enumerate(windows)
    ]
    room_y = (first.y - 0.5) / zoom + 0.5
    return Readings(
        x=(first.x - 0.5) / zoom + 0.5,
        height=(GROUND - room_y) / np.float32(who.scale),
        arm=_arm(shares, case, first, zoom),
        ball=_ball(shares, case, zoom),
        zoom=zoom,
        night=_along(shares.wall, np.asarray(case.wall), np.asarray(case.palette["night"])),
        blush=blush,
        mouths=np.stack(mouths, axis=1),
        identity=_identity(shares, case, first, zoom, blush),
        flicker=_flicker(joined, np.max(windows, axis=0), len(pixels)),
    )


def _along(colours: Floats, start: NDArray[np.int_], end: NDArray[np.int_]) -> Floats:
    """Return how far colours (T, 3) have come on the way from one colour to another, (T,)."""
    way = (end - start).astype(np.float32)
    return (colours - start.astype(np.float32)) @ way / np.float32(way @ way)


def _oval(
    body: Body, zoom: Floats, scale: float, offset: float, wide: float, high: float
) -> Floats:
    """Return each pixel's distance from a point of a person's middle line, in half-axes, (T, N, N).

    Args:
        body: Where the head is.
        zoom: Magnification.
        scale: Size of the person.
        offset: How far the point lies below the middle of the head, for scale 1.
        wide: Half width for scale 1.
        high: Half height for scale 1.
    """
    places, size = axis(SIDE), zoom * np.float32(scale)
    dx = (places[None] - body.x[:, None]) / (size * np.float32(wide))[:, None]
    dy = (places[None] - (body.y + size * np.float32(offset))[:, None]) / (size * np.float32(high))[
        :, None
    ]
    return np.sqrt(np.square(dx)[:, None, :] + np.square(dy)[:, :, None])


def _mouth_window(body: Body, scale: float, zoom: Floats) -> Floats:
    """Return the weight with which a pixel belongs to the mouth's surroundings, (T, N, N)."""
    away = _oval(body, zoom, scale, HEAD.height - MOUTH[0], MOUTH[1], MOUTH[2])
    chin = (axis(SIDE)[None] - body.y[:, None]) / (zoom * np.float32(scale))[:, None]
    above = np.clip((HEAD.height - CHIN - chin) * SIDE / 2 + 0.5, 0, 1)
    return np.clip((1.45 - away) / 0.35, 0, 1) * above[..., None]


def _mouth(
    shares: Shares, case: PuppetCase, place: int, window: Floats, zoom: Floats, blush: Floats
) -> Floats:
    """Return the opening of a mouth: magenta in excess of the face around it, as an area."""
    person = case.people[place]
    mouth, skin, red = (
        _excess(colour) for colour in (case.palette["mouth"], person.skin, case.palette["red face"])
    )
    around = skin + np.clip(blush, 0, 1) * (red - skin)
    planes = shares.pixels
    seen = (planes[:, 0] + planes[:, 2]) / 2 - planes[:, 1] - around[:, None, None]
    total = (window * seen).sum(axis=(1, 2)) / (mouth - around)
    size = np.float32(person.scale) * zoom * SIDE
    high = total / (np.pi * np.float32(MOUTH[1]) * size) / size  # half height for scale 1
    # A mouth thinner than a pixel is drawn fainter, so a closed one covers less than it should.
    closed = MOUTH_CLOSED * np.minimum(1, MOUTH_CLOSED * size)
    opening = (high - closed) / (MOUTH[2] - closed)
    return opening.astype(np.float32)


def _excess(colour: Colour) -> np.float32:
    """Return how magenta a colour is: (red + blue) / 2 - green."""
    return np.float32((colour[0] + colour[2]) / 2 - colour[1])


def _arm(shares: Shares, case: PuppetCase, body: Body, zoom: Floats) -> Floats:
    """Return how much of a raised arm is seen: (T,), 0 hanging, 1 raised.

    What is seen is projected on what a raised arm adds to the wall: sleeve and glove, softly, so that
    a smudge counts nearly as much as the sharp arm it came from.
    """
    person, places = case.people[0], axis(SIDE)
    size = (np.float32(person.scale) * zoom)[:, None]
    across = (places[None] - body.x[:, None]) / size
    height = np.float32(HEAD.height) - (places[None] - body.y[:, None]) / size
    pixels = size[..., None] * SIDE
    sleeve = _soft_line(across, height, SLEEVE, ARM, pixels)
    glove = _soft_line(across, height, (RAISED, RAISED), HAND, pixels)
    wall = shares.wall[..., None, None]
    shirt, orange = (
        np.asarray(colour, np.float32)[None, :, None, None] - wall
        for colour in (person.shirt, case.palette["glove"])
    )
    added = shirt * (sleeve * (1 - glove))[:, None] + orange * glove[:, None]
    added *= _outside_window(zoom)[:, None]
    power = np.square(added).sum(axis=(1, 2, 3))
    return ((shares.pixels - wall) * added).sum(axis=(1, 2, 3)) / np.maximum(power, 1)


def _soft_line(
    x: Floats,
    y: Floats,
    ends: tuple[tuple[float, float], tuple[float, float]],
    half: float,
    pixels: Floats,
) -> Floats:
    """Return how much of each pixel a line covers, its edges `SOFT` pixels wide, (T, N, N).

    Args:
        x: Columns in the line's own measure, (T, N).
        y: Rows in the same.
        ends: Its two ends, round; twice the same for a disc.
        half: Half its width.
        pixels: Pixels per unit, (T, 1, 1).
    """
    (x0, y0), (x1, y1) = ends
    dx, dy = np.float32(x1 - x0), np.float32(y1 - y0)
    px, py = (x - np.float32(x0))[:, None, :], (y - np.float32(y0))[:, :, None]
    along = np.clip((px * dx + py * dy) / max(dx * dx + dy * dy, 1e-8), 0, 1)
    away = np.hypot(px - along * dx, py - along * dy) - np.float32(half)
    return np.clip(0.5 - away * pixels / np.float32(SOFT), 0, 1)


def _outside_window(zoom: Floats) -> NDArray[np.bool_]:
    """Return the pixels in which no window shines, (T, N, N): it looks much like a raised arm."""
    places, pixel = axis(SIDE), np.float32(1 / SIDE)
    left, top, right, bottom = (_zoomed(place, zoom)[:, None] for place in WINDOW)
    beside = (places < left - pixel) | (places > right + pixel)
    above = (places < top - pixel) | (places > bottom + pixel)
    return beside[:, None, :] | above[:, :, None]


def _zoomed(place: float, zoom: Floats) -> Floats:
    """Return where a place of the room is seen, share of the side, (T,)."""
    return (np.float32(place) - 0.5) * zoom + 0.5


def _ball(shares: Shares, case: PuppetCase, zoom: Floats) -> Floats:
    """Return how much of a full ball is seen: (T,), 0 none, 1 all of it.

    A sum over its disc and what blur carries out of it, so that a smudge counts as much as the sharp
    ball it came from. Each pixel counts by a matched filter: the ball's colour 1, the wall 0, and a head
    that may be near nearly nothing.
    """
    person, wall = case.people[0], shares.wall
    yellow = np.asarray(case.palette["ball"], np.float32) - wall  # (T, 3)
    head = np.asarray((person.skin, person.hair, case.palette["red face"]), np.float32)
    others = head[None] - wall[:, None]  # (T, 3 colours, 3)
    spread = np.matmul(others.transpose(0, 2, 1), others) + np.float32(GRAIN**2) * np.eye(3)
    along = np.linalg.solve(spread, yellow[..., None])[..., 0].astype(np.float32)
    along /= (along * yellow).sum(axis=1, keepdims=True)
    flat = shares.pixels.reshape(len(wall), 3, -1)
    share = np.matmul(along[:, None], flat)[:, 0] - (along * wall).sum(axis=1)[:, None]
    places, radius = axis(SIDE), (zoom * np.float32(BALL[2]))[:, None]
    dx = places[None] - _zoomed(BALL[0], zoom)[:, None]
    dy = places[None] - _zoomed(BALL[1], zoom)[:, None]
    away = np.hypot(dx[:, None, :], dy[:, :, None]).reshape(len(wall), -1)
    near = np.clip((radius + np.float32(HALO) - away) * SIDE + 0.5, 0, 1)
    full = np.clip((radius - away) * SIDE + 0.5, 0, 1).sum(axis=1)
    return ((near * share).sum(axis=1) / full).astype(np.float32)


def _blush(shares: Shares, case: PuppetCase, body: Body, zoom: Floats) -> Floats:
    """Return how red the first person's face is, over the face without eyes and mouth."""
    scale = case.people[0].scale
    face = _oval(body, zoom, scale, HEAD.height - FACE[0], FACE[1], FACE[2]) < 0.8
    mouth = _oval(body, zoom, scale, HEAD.height - MOUTH[0], MOUTH[1], MOUTH[2]) < 1.5
    eyes = _oval(body, zoom, scale, HEAD.height - EYES[0], EYES[1] + 1.5 * EYES[2], 1.6 * EYES[2])
    weight = (face & ~mouth & (eyes > 1)).astype(np.float32)
    total = np.maximum(weight.sum(axis=(1, 2)), 1)
    flat = shares.pixels.reshape(len(total), 3, -1)
    mean = np.matmul(flat, weight.reshape(len(total), -1, 1))[..., 0] / total[:, None]
    return _along(mean, np.asarray(case.people[0].skin), np.asarray(case.palette["red face"]))


def _identity(shares: Shares, case: PuppetCase, body: Body, zoom: Floats, blush: Floats) -> Floats:
    """Return the distance of the best pixels of each part from its own colour, (T, 3)."""
    person, count = case.people[0], len(body.x)
    skin, red = (np.asarray(c, np.float32) for c in (person.skin, case.palette["red face"]))
    face = skin + np.clip(blush, 0, 1)[:, None] * (red - skin)
    own = np.empty((count, 3, 3), np.float32)
    own[:, 0], own[:, 1], own[:, 2] = face, person.shirt, person.hair
    flat = shares.pixels.reshape(count, 3, -1)
    squares = np.square(flat).sum(axis=1)[:, None] - 2 * np.matmul(own, flat)
    squares += np.square(own).sum(axis=2)[..., None]
    size = np.float32(person.scale) * zoom
    near = band(axis(SIDE), body.x, 0.2 * size, 2 / SIDE)[:, None] > 0.5
    background = shares.of["wall"] + shares.of["floor"] > 0.5
    below = body.y + np.float32(HEAD.height - 0.43) * size  # chin
    rows = axis(SIDE)[None] > below[:, None]
    excluded = [background | ~near | rows[..., None], background | ~near | ~rows[..., None]]
    found = []
    areas = (HEAD.face, torso_area(), HEAD.hair)
    for part, (area, barred) in enumerate(zip(areas, (0, 1, 0), strict=True)):
        away = np.where(excluded[barred].reshape(count, -1), 3 * WORST**2, squares[:, part])
        pixels = max(4, round(NEAREST * area * person.scale**2 * SIDE**2))
        best = np.partition(away, pixels, axis=1)[:, :pixels]
        found.append(np.sqrt(np.maximum(best, 0) / 3).mean(axis=1))
    return np.stack(found, axis=1).astype(np.float32)


def _flicker(joined: Floats, mouth: Floats, count: int) -> Floats:
    """Return half the mean absolute second difference outside mouths, (T,)."""
    found = np.full(count, np.nan, np.float32)
    if len(joined) < 3:
        return found
    second = np.abs(joined[2:] - 2 * joined[1:-1] + joined[:-2]).mean(axis=1) / 2
    outside = mouth[-len(second) :] < 0.01
    total = np.maximum(outside.sum(axis=(1, 2)), 1)
    found[-len(second) :] = np.where(outside, second, 0).sum(axis=(1, 2)) / total
    return found
