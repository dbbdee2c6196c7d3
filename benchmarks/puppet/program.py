"""What a puppet is asked to do: one choice for each of six slots, and the words that ask for it.

A program says what changes during one segment of video; how it looks is `benchmarks.puppet.timeline`'s
work. Some pairs of choices are held out of every training set, so that composing them can be tested.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import combinations, product
from typing import Final, Literal, get_args

import numpy as np

Body = Literal["stand", "walk left", "walk right", "jump"]
Arm = Literal["down", "raise"]
Thing = Literal["none", "ball"]
Camera = Literal["still", "zoom in"]
Background = Literal["day", "night"]
Face = Literal["plain", "blush"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """One choice for each slot; the first of each is 'nothing happens'.

    Attributes:
        body: Stand, walk to a side, or jump.
        arm: Whether the right arm (of the picture) goes up.
        object: Whether a ball appears.
        camera: Whether the camera zooms in.
        background: Whether night falls.
        face: Whether the face turns red.
    """

    body: Body = "stand"
    arm: Arm = "down"
    object: Thing = "none"
    camera: Camera = "still"
    background: Background = "day"
    face: Face = "plain"

    @property
    def active(self) -> dict[str, str]:
        """Slots in which something happens."""
        return {name: value for name, value in slots(self).items() if value != REST[name]}

    @property
    def held_out(self) -> bool:
        """Whether it holds a pair of choices that no training set shows."""
        chosen = set(self.active.items())
        return any(chosen.issuperset(pair) for pair in HELD_OUT)


def slots(program: Program) -> dict[str, str]:
    """Return the choices of a program by slot, in the order of `SLOTS`."""
    return {field.name: getattr(program, field.name) for field in fields(program)}


REST: Final = slots(Program())
SLOTS: Final = tuple(REST)
CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "body": get_args(Body),
    "arm": get_args(Arm),
    "object": get_args(Thing),
    "camera": get_args(Camera),
    "background": get_args(Background),
    "face": get_args(Face),
}

HELD_OUT: Final[tuple[frozenset[tuple[str, str]], ...]] = (
    frozenset({("body", "walk left"), ("object", "ball")}),
    frozenset({("body", "walk right"), ("arm", "raise")}),
    frozenset({("body", "jump"), ("background", "night")}),
    frozenset({("arm", "raise"), ("camera", "zoom in")}),
    frozenset({("object", "ball"), ("face", "blush")}),
)
"""Pairs of choices that are never seen together in training."""

SENTENCES: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("body", "stand"): ("the puppet stands still", "the puppet talks", "the puppet stays in place"),
    ("body", "walk left"): ("the puppet walks to the left", "the puppet goes left"),
    ("body", "walk right"): ("the puppet walks to the right", "the puppet goes right"),
    ("body", "jump"): ("the puppet jumps", "the puppet jumps up and down"),
    ("arm", "raise"): ("raises an arm", "lifts a hand"),
    ("object", "ball"): ("a yellow ball appears", "a ball appears"),
    ("camera", "zoom in"): ("the camera zooms in", "the camera moves closer"),
    ("background", "night"): ("night falls", "the room gets dark"),
    ("face", "blush"): ("the face turns red", "the puppet blushes"),
}
"""Ways to ask for a choice; the first is used in suites, the others only vary training."""

VOCABULARY: Final = " ".join(sentence for ways in SENTENCES.values() for sentence in ways)


def caption(program: Program, draw: np.random.Generator | None = None) -> str:
    """Ask for a program in natural words.

    Args:
        program: What should happen.
        draw: Chooses among wordings and shuffles the clauses after the first; None for the plain form.

    Returns:
        One sentence, such as 'The puppet walks to the left and raises an arm, night falls.'
    """

    def words(slot: str, choice: str) -> str:
        ways = SENTENCES[slot, choice]
        return ways[0] if draw is None else ways[int(draw.integers(len(ways)))]

    text = words("body", program.body)
    if program.arm != REST["arm"]:
        text += f" and {words('arm', program.arm)}"
    others = [
        words(slot, choice)
        for slot, choice in program.active.items()
        if slot not in ("body", "arm")
    ]
    if draw is not None:
        draw.shuffle(others)
    text = ", ".join([text, *others])
    return f"{text[0].upper()}{text[1:]}."


def clauses(program: Program) -> tuple[str, ...]:
    """Return one yes/no question per thing that happens (or 'Does the puppet stand still?')."""
    asked = {
        ("body", "walk left"): "Does the puppet walk to the left?",
        ("body", "walk right"): "Does the puppet walk to the right?",
        ("body", "jump"): "Does the puppet jump?",
        ("arm", "raise"): "Does the puppet raise an arm?",
        ("object", "ball"): "Does a ball appear?",
        ("camera", "zoom in"): "Does the camera zoom in?",
        ("background", "night"): "Does night fall?",
        ("face", "blush"): "Does the face turn red?",
    }
    found = tuple(asked[entry] for entry in program.active.items())
    return found or ("Does the puppet stand still?",)


def every_program(most_active: int = len(SLOTS)) -> Iterator[Program]:
    """Yield every program with at most so many active slots."""
    for chosen in product(*CHOICES.values()):
        program = Program(**dict(zip(SLOTS, chosen, strict=True)))  # type: ignore[arg-type]
        if len(program.active) <= most_active:
            yield program


USUAL: Final = 0.3
"""Chance with which something happens in a slot other than the body."""


def draw_program(
    draw: np.random.Generator, *, stand: float = 0.3, other: float = USUAL, held_out: bool = False
) -> Program:
    """Draw a program; with `held_out`, one that training never shows, else one that it may.

    Args:
        draw: Source of chance.
        stand: Share of programs whose body stands still.
        other: Chance that something happens in each other slot.
        held_out: Which kind.
    """
    while True:
        moves = CHOICES["body"][1:]
        body = "stand" if draw.random() < stand else moves[int(draw.integers(len(moves)))]
        rest = {slot: CHOICES[slot][int(draw.random() < other)] for slot in SLOTS if slot != "body"}
        program = Program(body=body, **rest)  # type: ignore[arg-type]
        if program.held_out == held_out and (program.active or stand > 0):
            return program


def held_out_pairs() -> list[Program]:
    """Return the held-out pairs themselves, nothing else happening, in a fixed order."""
    return [program for program in every_program(2) if program.held_out]


def training_pairs() -> list[Program]:
    """Return every program with at most two active slots that training may show."""
    return [program for program in every_program(2) if not program.held_out]


assert all(len(pair) == 2 for pair in HELD_OUT)
assert not any(a <= b for a, b in combinations(HELD_OUT, 2))
