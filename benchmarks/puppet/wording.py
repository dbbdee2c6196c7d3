"""What a puppet case says: prompt and questions follow from its programs, and can be held to them.

The grammar is declared: `expectations.toml` of a puppet suite says `grammar = "puppet"`. Its prompts may
then repeat one another, which a hand-written suite's may not, and each must be exactly what its own
programs say, which no hand-written prompt is.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from benchmarks.puppet.program import SENTENCES, Program, caption, clauses
from eval.fields import ProblemsFound, shown
from eval.puppet.case import read_puppet_case
from eval.records import Case

GRAMMAR: Final = "puppet"
NUMBERS: Final = {2: "two", 3: "three"}
STRETCH: Final = " | "
"""Between what is asked of one stretch and of the next: cuts a prompt by hand, see docs/generate.md."""


def prompt_of(programs: Sequence[Program], people: int = 1) -> str:
    """Return the prompt of a chain of programs.

    Args:
        programs: One per stretch.
        people: Puppets in the picture; of several, the left one does what is asked.

    Returns:
        For example 'The puppet jumps. | The puppet stands still, night falls.'
    """
    return STRETCH.join(_ask(program, people) for program in programs)


def _ask(program: Program, people: int) -> str:
    if people == 1:
        return caption(program)
    parts = [f"{NUMBERS[people]} puppets talk"]
    for slot, choice in program.active.items():
        words = SENTENCES[slot, choice][0]
        if slot == "arm":
            words = f"the left puppet {words}"
        parts.append(words.replace("the puppet", "the left puppet"))
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def questions_of(programs: Sequence[Program], people: int = 1) -> tuple[str, ...]:
    """Return the yes/no questions of a chain of programs, each once."""
    asked = dict.fromkeys(
        question for program in programs if program.active for question in clauses(program)
    )
    found = tuple(asked) or clauses(Program())
    if people == 1:
        return found
    if not asked:
        return (f"Do {NUMBERS[people]} puppets talk in turns?",)
    return tuple(question.replace("the puppet", "the left puppet") for question in found)


def programs_of(case: Case) -> tuple[Program, ...]:
    """Return the programs that a case carries; none for a case that is no puppet case.

    Raises:
        ProblemsFound: What it carries does not fit.
    """
    facts = read_puppet_case(case.extra, f"case {case.id!r}")
    return () if facts is None else tuple(_program(choices) for choices in facts.programs)


def _program(choices: Any) -> Program:
    return Program(**choices)


def grammar_problems(case: Case) -> Iterator[str]:
    """Say where the words of a case are not what its programs say."""
    try:
        programs = programs_of(case)
    except ProblemsFound as error:
        yield from error.problems
        return
    if not programs:
        yield (
            f"field 'extra': {GRAMMAR!r} is missing; a suite of the {GRAMMAR} grammar carries the "
            "programs of every case"
        )
        return
    people = len(case.speakers)
    wanted = prompt_of(programs, people)
    if case.prompt != wanted:
        yield f"field 'prompt': got {shown(case.prompt)}, its programs say {shown(wanted)}"
    if tuple(case.questions) != questions_of(programs, people):
        yield (
            f"field 'questions': got {shown(list(case.questions))}, its programs ask "
            f"{shown(list(questions_of(programs, people)))}"
        )
