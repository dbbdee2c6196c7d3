"""What a suite promises about itself: `expectations.toml` beside `suite.toml`.

A suite without the file promises nothing beyond being readable; the general checks still hold.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from eval.fields import Fields, ProblemsFound, read_lines
from eval.text_files import read_toml

EXPECTATIONS_FILE: Final = "expectations.toml"
COUNTED: Final = ("subject", "mode", "language", "content", "speakers", "longer_than")
"""Tables of counts a suite may promise."""

GRAMMARS: Final = ("puppet",)
"""Grammars whose prompts follow from facts of the case; see `benchmarks.puppet.wording`."""

_SECONDS: Final = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectations:
    """Promises of a suite.

    Attributes:
        path: File they were read from, None when there is none.
        cases: Number of cases, None for any.
        unique_prompts: Whether every case must have a prompt of its own.
        grammar: Declared grammar of a procedural suite, one of `GRAMMARS`: its prompts may repeat one
            another, and must be what each case's own facts say. Empty for written prompts.
        shared_words: No two prompts share a run of so many words; 0 allows any.
        shared_characters: The same for Chinese characters.
        questions: Questions a case has at least.
        timed_questions: Questions that name a time, at least.
        counts: Table -> value -> number of cases.
    """

    path: Path | None = None
    cases: int | None = None
    unique_prompts: bool = True
    grammar: str = ""
    shared_words: int = 6
    shared_characters: int = 10
    questions: int = 0
    timed_questions: int = 0
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def place(self, *keys: str) -> str:
        """Return file and line of a promise, for example ('subject', 'human')."""
        if self.path is None:
            return EXPECTATIONS_FILE
        table, wanted = "", keys[-1]
        for number, line in enumerate(read_lines(self.path), start=1):
            text = line.split("#")[0].strip()
            if text.startswith("["):
                table = text.strip("[]")
            name = text.partition("=")[0].strip().strip('"')
            if name == wanted and table == (keys[0] if len(keys) > 1 else ""):
                return f"{self.path}:{number}"
        return str(self.path)


def read_expectations(root: Path, problems: list[str]) -> Expectations:
    """Read the promises of a suite folder; mistakes become sentences in `problems`."""
    path = root / EXPECTATIONS_FILE
    if not path.is_file():
        return Expectations()
    try:
        table = read_toml(path, "see any shipped suite for the form")
    except ProblemsFound as error:
        problems += error.problems
        return Expectations()
    fields = Fields(str(path), table, problems)
    standard = Expectations()
    counts = {name: _counts(name, fields, problems) for name in COUNTED if fields.has(name)}
    read = Expectations(
        path=path,
        cases=fields.integer("cases"),
        unique_prompts=_switch(fields, "unique_prompts"),
        grammar=fields.choice("grammar", GRAMMARS) if fields.has("grammar") else "",
        shared_words=_whole(fields, "shared_words", standard.shared_words),
        shared_characters=_whole(fields, "shared_characters", standard.shared_characters),
        questions=_whole(fields, "questions", standard.questions),
        timed_questions=_whole(fields, "timed_questions", standard.timed_questions),
        counts=counts,
    )
    for name in COUNTED:
        fields.raw(name)
    fields.finish()
    return read


def _whole(fields: Fields, name: str, default: int) -> int:
    value = fields.integer(name, default=default)
    return default if value is None else value


def _switch(fields: Fields, name: str) -> bool:
    value = fields.raw(name)
    if value is not None and not isinstance(value, bool):
        fields.problem(name, value, "true or false")
    return value is not False


def _counts(name: str, fields: Fields, problems: list[str]) -> Mapping[str, int]:
    given: Any = fields.raw(name)
    if not isinstance(given, dict):
        fields.problem(name, given, "a table of value = number of cases")
        return {}
    if name == "longer_than" and (wrong := [key for key in given if not _SECONDS.fullmatch(key)]):
        fields.problem(name, wrong[0], "a number of seconds = number of cases")
        return {}
    inner = Fields(f"{fields.place}: {name}", given, problems)
    return {key: inner.integer(key, default=0) or 0 for key in given}
