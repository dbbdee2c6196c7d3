"""The puppet suites: a demo of 24 cases, and twins of the hand-written suites that need no media.

A twin has its original's ids, subjects, modes, contents and numbers of speakers. Two things differ and
are declared in its `expectations.toml`: puppets are told in English only, and clips are shorter (3.04 s,
and 6.08 s where the original asks for more than 20 s), so that 180 of them are rendered in minutes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from benchmarks.expectations import Expectations, read_expectations
from benchmarks.puppet.casting import Sketch
from benchmarks.puppet.program import (
    Arm,
    Background,
    Body,
    Camera,
    Face,
    Program,
    Thing,
    held_out_pairs,
)
from benchmarks.puppet.wording import GRAMMAR
from eval.reader import read_suite
from eval.records import DIMENSIONS, Case, Tags

VERSION: Final = "1.1"
SEED: Final = 20
LONG_ORIGINAL_S: Final = 20.0
"""A case whose original is longer has two passes, else one."""
ORIGINALS: Final = Path(__file__).resolve().parent.parent / "suites"

DOLL: Final = Tags(subject="doll")
HUMAN: Final = Tags(subject="human")
CARTOON: Final = Tags(subject="cartoon")


@dataclass(frozen=True, kw_only=True, slots=True)
class SuiteSketch:
    """A suite before its media are made.

    Attributes:
        name: Unique.
        asks: What a good result means.
        dimensions: What people rate.
        sketches: Its cases.
        promises: Text of its `expectations.toml`.
    """

    name: str
    asks: str
    dimensions: tuple[str, ...]
    sketches: tuple[Sketch, ...]
    promises: str


def demo() -> SuiteSketch:
    """Sketch the demo: every slot, every held-out pair, two clips of 30 s, two dialogues."""
    return SuiteSketch(
        name="puppet-demo",
        asks="Does the puppet do what it is told while its mouth follows the voice?",
        dimensions=DIMENSIONS,
        sketches=(*_single_things(), *_together(), *_long(), *_dialogues()),
        promises=_promises(
            24,
            {
                "language": {"en": 24},
                "speakers": {"1": 22, "2": 1, "3": 1},
                "mode": {"speaking": 19, "speech": 3, "singing": 2},
                "longer_than": {"30": 2, "5": 7},
            },
        ),
    )


def _single_things() -> Iterator[Sketch]:
    yield Sketch(id="stand-1", tags=DOLL)
    yield Sketch(id="stand-2", tags=replace(DOLL, mode="speech"), passes=2)
    yield Sketch(id="stand-3", tags=replace(HUMAN, mode="singing"))
    for name, tags, program in (
        ("walk-left", HUMAN, Program(body="walk left")),
        ("walk-right", DOLL, Program(body="walk right")),
        ("jump", CARTOON, Program(body="jump")),
        ("raise-arm", HUMAN, Program(arm="raise")),
        ("ball", Tags(subject="animal"), Program(object="ball")),
        ("zoom", DOLL, Program(camera="zoom in")),
        ("night", HUMAN, Program(background="night")),
        ("blush", CARTOON, Program(face="blush")),
    ):
        yield Sketch(id=name, programs=(program,), tags=tags)


def _together() -> Iterator[Sketch]:
    for program in held_out_pairs():
        name = "+".join(value.replace(" ", "-") for value in program.active.values())
        yield Sketch(id=f"unseen-{name}", programs=(program,), tags=HUMAN)
    yield Sketch(
        id="three-things",
        programs=(Program(body="walk left", camera="zoom in", face="blush"),),
        tags=replace(DOLL, mode="singing"),
    )
    yield Sketch(
        id="then-arm",
        programs=(Program(body="walk left"), Program(arm="raise")),
        passes=2,
        tags=HUMAN,
    )
    yield Sketch(
        id="then-night",
        programs=(Program(object="ball"), Program(background="night")),
        passes=2,
        tags=CARTOON,
    )
    yield Sketch(id="jump-and-ball", programs=(Program(body="jump", object="ball"),), tags=DOLL)


def _long() -> Iterator[Sketch]:
    """Ten passes with five things to do, the most a plan holds; each may be asked for twice."""
    rest = Program()
    for number, programs in enumerate(
        (
            (rest, Program(arm="raise"), rest, Program(object="ball"), rest),
            (rest, Program(background="night"), rest, Program(face="blush"), rest),
        ),
        start=1,
    ):
        yield Sketch(
            id=f"long-{number}", programs=programs, passes=10,
            tags=replace(HUMAN, mode="speech"),
        )  # fmt: skip


def _dialogues() -> Iterator[Sketch]:
    yield Sketch(id="two-talk", people=2, passes=2, tags=HUMAN)
    yield Sketch(id="three-talk", people=3, passes=3, tags=DOLL)


def gsb_twin() -> SuiteSketch:
    """Sketch the twin of `gsb-96`: what is asked has exactly the content tags of the original."""
    return _twin(
        "gsb-96",
        "Does the puppet do what the prompt says while mouth and picture stay good?",
        _obey,
    )


def talk_twin() -> SuiteSketch:
    """Sketch the twin of `talk-90`: puppets that merely talk or sing."""
    return _twin(
        "talk-90",
        "Does a puppet that merely talks or sings keep mouth, face and picture right?",
        lambda *_: (Program(),),
    )


def _twin(
    original: str, asks: str, programs: Callable[[Case, int, int], tuple[Program, ...]]
) -> SuiteSketch:
    suite = read_suite(ORIGINALS / original)
    counts: dict[str, int] = {}
    sketches = []
    for case in suite.cases:
        content = case.tags.content[0] if case.tags.content else ""
        number = counts[content] = counts.get(content, -1) + 1
        passes = 2 if (case.duration_s or 0) > LONG_ORIGINAL_S else 1
        sketches.append(
            Sketch(
                id=case.id,
                programs=programs(case, number, passes),
                passes=passes,
                people=int(case.extra.get("speakers", 1)),
                tags=replace(case.tags, language="en"),
            )
        )
    return SuiteSketch(
        name=f"puppet-{original}",
        asks=asks,
        dimensions=suite.dimensions,
        sketches=tuple(sketches),
        promises=_twin_promises(
            read_expectations(ORIGINALS / original, []), sum(s.passes > 1 for s in sketches)
        ),
    )


def _obey(case: Case, number: int, passes: int) -> tuple[Program, ...]:
    """Return programs whose active slots are the case's content tags.

    In a clip of two passes the thing is asked for in one of them, in turns the first and the second,
    so that it also counts when it happens.
    """
    several = int(case.extra.get("speakers", 1)) > 1
    slots = {
        name: value for tag in case.tags.content for name, value in _slot(tag, number, several)
    }
    program = Program(
        body=cast(Body, slots.get("body", "stand")),
        arm=cast(Arm, slots.get("arm", "down")),
        object=cast(Thing, slots.get("object", "none")),
        camera=cast(Camera, slots.get("camera", "still")),
        background=cast(Background, slots.get("background", "day")),
        face=cast(Face, slots.get("face", "plain")),
    )
    if passes == 1:
        return (program,)
    return (program, Program()) if number % 2 else (Program(), program)


def _slot(tag: str, number: int, several: bool) -> tuple[tuple[str, str], ...]:
    """Return the slots and choices that stand for a content tag, the case's number varying them."""
    if tag != "body":
        return {
            "expression": (("face", "blush"),),
            "object": (("object", "ball"),),
            "camera": (("camera", "zoom in"),),
            "background": (("background", "night"),),
        }[tag]
    if several:  # side by side there is no room to walk
        return ((("body", "jump"),), (("arm", "raise"),))[number % 2]
    return (
        (("body", "walk left"),),
        (("arm", "raise"),),
        (("body", "jump"),),
        (("body", "walk right"),),
        (("body", "walk left"), ("arm", "raise")),
        (("body", "walk right"), ("arm", "raise")),
    )[number % 6]


def _twin_promises(original: Expectations, long: int) -> str:
    counts = {name: dict(values) for name, values in original.counts.items()}
    counts["language"] = {"en": sum(counts["language"].values())}
    counts["longer_than"] = {"5": long}
    return _promises(original.cases or 0, counts)


def _promises(cases: int, counts: Mapping[str, Mapping[str, int]]) -> str:
    lines = [
        f'grammar = "{GRAMMAR}"  # every prompt is what its programs say, so prompts may repeat',
        f"cases = {cases}",
        "questions = 1",
    ]
    for table, values in counts.items():
        lines += ["", f"[{table}]", *(f'"{value}" = {count}' for value, count in values.items())]
    return "\n".join(lines) + "\n"


PUPPET_SUITES: Final[Mapping[str, Callable[[], SuiteSketch]]] = {
    "puppet-demo": demo,
    "puppet-gsb-96": gsb_twin,
    "puppet-talk-90": talk_twin,
}
"""The suites by name."""
