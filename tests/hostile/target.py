"""A target: a reader, the inputs it meets, and the limits it must keep; and a series of trials."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from tests.hostile.damage import damage_bytes
from tests.hostile.trial import Outcome, attempt
from tests.hostile.watch import Sandbox

MOST_MIB: Final = 1536.0
"""Memory that one input may cost: a picture of the largest size that is read takes 400 MB as RGB."""

MOST_SECONDS: Final = 30.0
"""Seconds that one input may cost on a busy core."""

Seen = Callable[[Any, Outcome], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A reader under attack.

    Attributes:
        name: In reports.
        kind: Group of reports: documents, options, pictures, sound, clips, weights, names, pages.
        read: The reader: an input and the sandbox it is laid out in.
        draws: Hypothesis strategy of inputs; or
        makes: function of a seeded generator.
        place: Lays the input out before the watch begins; what it returns goes to `read`.
        confined: Whether it promises to read nothing outside its folder.
        damaged: How often each drawn input, of bytes, is also tried with damage.
        share: How often it is chosen among the targets of its kind.
        seconds: Limit of one trial.
        mib: Limit of memory of one trial.
    """

    name: str
    kind: str
    read: Callable[[Any, Sandbox], object]
    draws: Callable[[Sandbox], st.SearchStrategy[Any]] | None = None
    makes: Callable[[random.Random, Sandbox], Any] | None = None
    place: Callable[[Any, Sandbox], Any] = field(default=lambda value, _: value)
    confined: bool = True
    damaged: int = 0
    share: float = 1.0
    seconds: float = MOST_SECONDS
    mib: float = MOST_MIB


def run_series(target: Target, sandbox: Sandbox, *, seed: int, count: int, seen: Seen) -> None:
    """Let a target meet `count` inputs from a seed; `seen` is told each and what came of it."""

    def trial(value: Any) -> None:
        laid = target.place(value, sandbox)
        outcome = attempt(
            lambda: target.read(laid, sandbox), sandbox,
            confined=target.confined, seconds=target.seconds,
        )  # fmt: skip
        if outcome.good and outcome.peak_mib > target.mib:
            outcome = Outcome(
                result="memory", detail=f"{outcome.peak_mib:.0f} MiB", seconds=outcome.seconds,
                peak_mib=outcome.peak_mib,
            )  # fmt: skip
        seen(value, outcome)

    if target.draws is None:
        for value in made_inputs(target, sandbox, seed, count):
            trial(value)
        return

    draws = -(-count // (1 + target.damaged))

    def family(value: Any) -> None:
        trial(value)
        for number in range(target.damaged):
            trial(damage_bytes(value, random.Random(f"{seed}/{number}/{len(value)}")))

    quiet = settings(
        max_examples=draws, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    seeded(seed)(quiet(given(target.draws(sandbox))(family)))()


def made_inputs(target: Target, sandbox: Sandbox, seed: int, count: int) -> Iterator[Any]:
    """Inputs of a target with a generator function, each from its own seed."""
    assert target.makes is not None
    for number in range(count):
        yield target.makes(random.Random(f"{target.name}/{seed}/{number}"), sandbox)
