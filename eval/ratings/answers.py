"""What an annotator may say, and what it means once the sides are known.

Answers name a side of the screen; outcomes name a system. Only this file turns one into the other.
"""

from __future__ import annotations

from typing import Final, Literal

from eval.fields import nearest, shown
from eval.ratings.outcomes import BAD, GOOD, SAME
from joystreamer.errors import InputError

Side = Literal["left", "right"]

CANT_JUDGE: Final = "cant_judge"
"""The row does not apply (a prompt without text, a clip without a face); not the same as Same."""

THREE_STEPS: Final = ("left", "same", "right")
FIVE_STEPS: Final = ("left_much", "left", "same", "right", "right_much")
"""The optional strength scale; collapses to three steps for every result."""

FLAG_REASONS: Final = ("broken_file", "no_sound", "wrong_case", "unsafe", "other")
"""Closed list of what may be wrong with a pair."""

OUTCOME_NAMES: Final = {GOOD: "good", SAME: "same", BAD: "bad"}
OUTCOME_OF_NAME: Final = {name: outcome for outcome, name in OUTCOME_NAMES.items()}


def other_side(side: str) -> Side:
    """The opposite side of the screen."""
    return "right" if side == "left" else "left"


def collapse(answer: str) -> str:
    """A five-step answer as left, same, right; the rest unchanged."""
    return answer.removesuffix("_much")


def unblind(answer: str, first_side: str) -> int | None:
    """Outcome for the first system of the pair: +1 Good, 0 Same, -1 Bad, None for can't judge.

    Args:
        answer: left, same, right (with or without `_much`) or cant_judge.
        first_side: Side on which the first system was shown.

    Raises:
        InputError: The answer or the side is none of these.
    """
    if first_side not in ("left", "right"):
        raise InputError(f"side {shown(first_side)} does not exist; expected 'left' or 'right'")
    if answer == CANT_JUDGE:
        return None
    side = collapse(answer)
    if side not in THREE_STEPS:
        raise InputError(unknown_answer(answer, five_steps=True))
    if side == "same":
        return SAME
    return GOOD if side == first_side else BAD


def blind(outcome: int, first_side: str) -> str:
    """The three-step answer that stands for an outcome, given where the first system is shown."""
    if outcome == SAME:
        return "same"
    return first_side if outcome == GOOD else other_side(first_side)


def allowed_answers(*, five_steps: bool) -> tuple[str, ...]:
    """Every answer of a scale, can't judge last."""
    return (*(FIVE_STEPS if five_steps else THREE_STEPS), CANT_JUDGE)


def unknown_answer(answer: object, *, five_steps: bool) -> str:
    """One sentence about an answer that is not on the scale."""
    allowed = allowed_answers(five_steps=five_steps)
    near = nearest(answer, allowed) if isinstance(answer, str) else ""
    return f"answer {shown(answer)} is not on the scale{near}; expected one of {', '.join(allowed)}"
