"""What a puppet case says of itself: who is seen, what was asked, which colours mean what.

A suite writes it with `puppet_extra` into `Case.extra`, the oracles read it with `read_puppet_case`:
one place for both. Knows no frames and nothing of how puppets are drawn.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeGuard

from eval.fields import Fields, ProblemsFound

KEY: Final = "puppet"
"""Name of these facts in `Case.extra`."""
VERSION: Final = 2

Colour = tuple[int, int, int]

CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "body": ("stand", "walk left", "walk right", "jump"),
    "arm": ("down", "raise"),
    "object": ("none", "ball"),
    "camera": ("still", "zoom in"),
    "background": ("day", "night"),
    "face": ("plain", "blush"),
}
"""Choices by slot; the first of each means that nothing happens."""
SLOTS: Final = tuple(CHOICES)
COLOURS: Final = ("mouth", "glove", "ball", "red face", "night", "floor", "window")
CHANGES: Final = ("walk", "jump", "zoom")
LEAST_ROOM: Final = 0.05
"""Share of the picture that a walk must be able to cover, else nobody can tell whether it was done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """One puppet.

    Attributes:
        skin: Of the face.
        shirt: Of torso and arms.
        hair: Of the cap of hair.
        x: Middle of the body at the start, share of the width.
        scale: Size; 1 when alone.
    """

    skin: Colour
    shirt: Colour
    hair: Colour
    x: float = 0.5
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PuppetCase:
    """Everything the oracles know of a case.

    Attributes:
        people: In the order of the case's speakers; programs and drift are the first one's.
        programs: Choice by slot, one mapping per stretch, played in order.
        starts_s: Second at which each stretch starts; the first is 0.
        wall: Colour of the room by day.
        palette: The colours of `COLOURS`, the same in every scene.
        changes: Distance of a walk and height of a jump as shares of the picture, growth of a zoom.
        edges: Leftmost and rightmost place that a walk ends at, shares of the width.
    """

    people: tuple[Person, ...]
    programs: tuple[Mapping[str, str], ...]
    starts_s: tuple[float, ...]
    wall: Colour
    palette: Mapping[str, Colour]
    changes: Mapping[str, float]
    edges: tuple[float, float]

    def rooms(self) -> tuple[float, ...]:
        """Return the asked displacement of each stretch as a share of the width, left negative."""
        x, found = self.people[0].x, []
        for program in self.programs:
            way = {"walk left": -1, "walk right": 1}.get(program["body"], 0)
            end = min(max(x + way * self.changes["walk"], self.edges[0]), self.edges[1])
            found.append(end - x if way else 0.0)
            x += found[-1]
        return tuple(found)


def puppet_extra(
    people: Sequence[Person],
    programs: Sequence[Mapping[str, str]],
    *,
    wall: Colour,
    palette: Mapping[str, Colour],
    changes: Mapping[str, float],
    edges: tuple[float, float],
    starts_s: Sequence[float] = (0.0,),
) -> dict[str, Any]:
    """Return what a suite puts into `Case.extra`, checked by reading it again.

    Args:
        people: In the order of the case's speakers.
        programs: Choice by slot, one per stretch.
        wall: Colour of the room by day.
        palette: The colours of `COLOURS`.
        changes: The sizes of `CHANGES`.
        edges: Leftmost and rightmost end of a walk.
        starts_s: Second at which each stretch starts.

    Raises:
        ProblemsFound: Something does not fit; one sentence per mistake.
    """
    facts = {
        "version": VERSION,
        "people": [
            {
                "skin": list(person.skin),
                "shirt": list(person.shirt),
                "hair": list(person.hair),
                "x": round(person.x, 4),
                "scale": round(person.scale, 4),
            }
            for person in people
        ],
        "programs": [dict(program) for program in programs],
        "starts_s": [float(start) for start in starts_s],
        "wall": list(wall),
        "palette": {name: list(colour) for name, colour in palette.items()},
        "changes": {name: float(size) for name, size in changes.items()},
        "edges": list(edges),
    }
    extra = {KEY: facts}
    read_puppet_case(extra)
    return extra


def read_puppet_case(extra: Mapping[str, Any], place: str = "puppet case") -> PuppetCase | None:
    """Read the facts of a puppet case, strictly; None when the case has none.

    Args:
        extra: `Case.extra`.
        place: Where it stands, for sentences about mistakes.

    Raises:
        ProblemsFound: One sentence per mistake.
    """
    given = extra.get(KEY)
    if given is None:
        return None
    problems: list[str] = []
    if not isinstance(given, Mapping):
        raise ProblemsFound([f"{place}: field {KEY!r}: got {given!r}, expected an object"])
    fields = Fields(place, given, problems)
    version = fields.integer("version")
    if version != VERSION:
        fields.problem("version", version, str(VERSION), "write the suite again")
    people = _people(fields)
    programs = _programs(fields)
    starts = fields.items("starts_s", _number, "seconds") or (0.0,)
    wall = _colour(fields, "wall")
    palette_fields = _table(fields, "palette")
    palette = {name: _colour(palette_fields, name) for name in COLOURS}
    palette_fields.finish()
    change_fields = _table(fields, "changes")
    changes = {name: _size(change_fields, name) for name in CHANGES}
    change_fields.finish()
    edges = fields.items("edges", _number, "two shares of the width")
    fields.finish()
    if len(edges) != 2 or not 0 <= edges[0] < edges[1] <= 1:
        fields.problem("edges", list(edges), "[left, right] with 0 <= left < right <= 1")
        edges = (0.0, 1.0)
    if len(starts) != len(programs) or starts[0] != 0 or any(b <= a for a, b in pairwise(starts)):
        fields.problem(
            "starts_s", list(starts), f"{len(programs)} rising seconds from 0 on, one per program"
        )
    if problems:
        raise ProblemsFound(problems)
    case = PuppetCase(
        people=people,
        programs=programs,
        starts_s=starts,
        wall=wall,
        palette=palette,
        changes=changes,
        edges=(edges[0], edges[1]),
    )
    _check_room(case, fields)
    if problems:
        raise ProblemsFound(problems)
    return case


def _people(fields: Fields) -> tuple[Person, ...]:
    people = []
    for index, given in enumerate(_objects(fields, "people")):
        inner = Fields(f"{fields.place}: person {index + 1}", given, fields.problems)
        x = inner.number("x", default=0.5, low=0, high=1)
        scale = inner.number("scale", default=1.0, low=0.1, high=2)
        people.append(
            Person(
                skin=_colour(inner, "skin"),
                shirt=_colour(inner, "shirt"),
                hair=_colour(inner, "hair"),
                x=0.5 if x is None else x,
                scale=1.0 if scale is None else scale,
            )
        )
        inner.finish()
    return tuple(people)


def _programs(fields: Fields) -> tuple[dict[str, str], ...]:
    programs = []
    for index, given in enumerate(_objects(fields, "programs")):
        inner = Fields(f"{fields.place}: program {index + 1}", given, fields.problems)
        programs.append({slot: inner.choice(slot, options) for slot, options in CHOICES.items()})
        inner.finish()
    return tuple(programs)


def _check_room(case: PuppetCase, fields: Fields) -> None:
    for index, (program, room) in enumerate(zip(case.programs, case.rooms(), strict=True)):
        way = {"walk left": -1, "walk right": 1}.get(program["body"], 0)
        if way and room * way < LEAST_ROOM:
            fields.problem(
                f"programs[{index}].body",
                program["body"],
                f"a walk with room for at least {LEAST_ROOM:g} of the width",
                "let the puppet start further away from that side",
            )


def _objects(fields: Fields, name: str) -> tuple[Mapping[str, Any], ...]:
    found = fields.items(name, lambda item: item if isinstance(item, Mapping) else None, "objects")
    if not found:
        fields.problem(name, fields.raw(name), "a list of at least one object")
    return found


def _table(fields: Fields, name: str) -> Fields:
    given = fields.raw(name)
    if not isinstance(given, Mapping):
        fields.problem(name, given, "an object")
        given = {}
    return Fields(f"{fields.place}: {name}", given, fields.problems)


def _colour(fields: Fields, name: str) -> Colour:
    value = fields.raw(name)
    if _is_colour(value):
        return (value[0], value[1], value[2])
    fields.problem(name, value, "[red, green, blue], whole numbers from 0 to 255")
    return (0, 0, 0)


def _is_colour(value: object) -> TypeGuard[Sequence[int]]:
    return (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(type(part) is int and 0 <= part <= 255 for part in value)
    )


def _size(fields: Fields, name: str) -> float:
    size = fields.number(name, low=0.01, high=2)
    if size is None:
        fields.problem(name, None, "a number", "say how large the change is")
        return 1.0
    return size


def _number(item: object) -> float | None:
    fits = isinstance(item, int | float) and not isinstance(item, bool) and math.isfinite(item)
    return float(item) if fits else None  # type: ignore[arg-type]
