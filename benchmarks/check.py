"""Hold a suite to what it promises: counts, balance, prompts, questions, languages, media, licences.

Every mistake is one sentence that begins with file and line; all of them are listed at once. No media
file is opened here: `benchmarks.build` looks into those.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.expectations import Expectations, read_expectations
from benchmarks.likeness import han_characters, shared_runs, words
from benchmarks.timed_clauses import is_timed, named_seconds
from eval.fields import ProblemsFound, read_json_line, read_lines, shown
from eval.reader import CASES_FILE, SUITE_FILE, read_case, read_suite
from eval.records import Case

SUITES: Final = Path(__file__).resolve().parent / "suites"
"""Folder of the suites that are shipped."""


class NumberedCase(NamedTuple):
    """A case and where it stands.

    Attributes:
        place: File and line.
        line: Line alone.
        case: What was read.
    """

    place: str
    line: int
    case: Case


def shipped_suites(root: Path = SUITES) -> tuple[Path, ...]:
    """Return the folders of the shipped suites, by name."""
    return tuple(sorted(path.parent for path in root.glob(f"*/{SUITE_FILE}")))


def suite_folder(name: str | Path) -> Path:
    """Return the folder of a suite given by path, or by the name of a shipped one.

    Puppet suites are written into the user's cache when they are first asked for.
    """
    from benchmarks.puppet.on_demand import puppet_suite_folder, puppet_suite_names

    if str(name) in puppet_suite_names():
        return puppet_suite_folder(str(name))
    return SUITES / name if (SUITES / name / SUITE_FILE).is_file() else Path(name)


def named_suites() -> tuple[Path, ...]:
    """Return the folders of all suites that have names: shipped ones, then puppet suites."""
    from benchmarks.puppet.on_demand import puppet_suite_names

    return (*shipped_suites(), *map(suite_folder, puppet_suite_names()))


def numbered_cases(root: Path) -> tuple[NumberedCase, ...]:
    """Return the readable cases of a suite folder with their places."""
    path = root / CASES_FILE
    found = []
    for line, text in enumerate(read_lines(path), start=1):
        record = read_json_line(str(path), text, []) if text.strip() else None
        if record is not None:
            place = f"{path}:{line}"
            found.append(NumberedCase(place, line, read_case(record, place, root, [])))
    return tuple(found)


def check_suite(root: Path) -> list[str]:
    """Return every mistake of a suite folder, in one sentence each; none when it keeps its promises.

    Args:
        root: Folder with `suite.toml`, `cases.jsonl` and, where a suite promises more than being
            readable, `expectations.toml`.

    Raises:
        InputError: The folder is no suite or a file is unreadable.
    """
    problems: list[str] = []
    licence = ""
    try:
        licence = read_suite(root).licence
    except ProblemsFound as error:
        problems += error.problems
        licence = _licence_of(root)
    promises = read_expectations(root, problems)
    cases = numbered_cases(root)
    if not licence:
        problems.append(
            f"{root / SUITE_FILE}: field 'licence' is missing; say under which licence its texts are"
        )
    problems += _case_problems(cases, promises)
    problems += _grammar(cases) if promises.grammar else _likeness(cases, promises)
    problems += _counts(cases, promises)
    return problems


def _licence_of(root: Path) -> str:
    """Return the licence of a suite whose cases cannot all be read."""
    lines = read_lines(root / SUITE_FILE)
    return next((line for line in lines if line.replace(" ", "").startswith("licence=")), "")


def _case_problems(cases: tuple[NumberedCase, ...], promises: Expectations) -> Iterator[str]:
    for place, _, case in cases:
        for look in (_media, _language, _times):
            for sentence in look(case):
                yield f"{place}: {sentence}"
        for sentence in _questions(case, promises):
            yield f"{place}: {sentence}"


def _media(case: Case) -> Iterator[str]:
    audio = any(speaker.audio for speaker in case.speakers)
    if case.image is None and not case.image_needed:
        yield "neither 'image' nor 'image_needed' is given; say what the image must show"
    if not audio and case.duration_s is None:
        yield "neither audio nor 'duration_s' is given; say how long the audio must be"
    if (audio or case.image is not None) and not case.licence:
        yield "field 'licence' is missing; media that are shipped need one"


def _language(case: Case) -> Iterator[str]:
    for name, text in (
        ("prompt", case.prompt),
        *((f"questions[{number}]", text) for number, text in enumerate(case.questions)),
    ):
        han = len(han_characters(text))
        latin = sum(map(len, words(text)))
        if case.tags.language == "zh" and han <= latin and text:
            yield f"field '{name}': language is zh, yet {shown(text, 40)} is not Chinese; mend tag or text"
        if case.tags.language == "en" and han:
            yield f"field '{name}': language is en, yet {shown(text, 40)} holds Chinese; mend tag or text"


def _times(case: Case) -> Iterator[str]:
    if case.duration_s is None:
        return
    texts = (
        ("prompt", case.prompt),
        *((f"questions[{n}]", q) for n, q in enumerate(case.questions)),
    )
    for name, text in texts:  # fmt: skip
        late = [second for second in named_seconds(text) if second > case.duration_s]
        if late:
            yield (
                f"field '{name}': names second {late[-1]:g}, but duration_s is {case.duration_s:g}; "
                "ask for it earlier or lengthen the case"
            )


def _questions(case: Case, promises: Expectations) -> Iterator[str]:
    count, timed = len(case.questions), sum(map(is_timed, case.questions))
    if count < promises.questions:
        yield f"field 'questions': got {count}, expected at least {promises.questions}; one per clause"
    if timed < promises.timed_questions:
        yield (
            f"field 'questions': {timed} say when, expected at least {promises.timed_questions}; "
            "name the second or the phase"
        )
    for number, question in enumerate(case.questions):
        if not question.rstrip().endswith(("?", "？")):
            yield f"field 'questions[{number}]': {shown(question, 40)} is no question; end it with a question mark"
    for question, times in Counter(case.questions).items():
        if times > 1:
            yield f"field 'questions': {shown(question, 40)} is asked {times} times; keep one"


def _grammar(cases: tuple[NumberedCase, ...]) -> Iterator[str]:
    """Hold the prompts of a procedural suite to its grammar, in place of the rules for written ones."""
    from benchmarks.puppet.wording import grammar_problems

    for place, _, case in cases:
        for sentence in grammar_problems(case):
            yield f"{place}: {sentence}"


def _likeness(cases: tuple[NumberedCase, ...], promises: Expectations) -> Iterator[str]:
    seen: dict[str, int] = {}
    same: set[tuple[int, int]] = set()
    for place, line, case in cases:
        text = " ".join(case.prompt.lower().split())
        if not promises.unique_prompts:
            continue
        if not text:
            yield f"{place}: field 'prompt' is empty; say what should be seen"
        elif text in seen:
            same.add((line, seen[text]))
            yield f"{place}: field 'prompt' is the same as on line {seen[text]}; write another"
        else:
            seen[text] = line
    for shared in shared_runs(
        [case.prompt for _, _, case in cases],
        word_count=promises.shared_words,
        character_count=promises.shared_characters,
    ):
        later, earlier = cases[shared.later], cases[shared.earlier]
        if (later.line, earlier.line) not in same:
            yield (
                f"{later.place}: field 'prompt' shares {shown(shared.run)} with line {earlier.line}; "
                "write it anew rather than by a template"
            )


def _speaker_count(case: Case) -> str:
    given = case.extra.get("speakers")
    return str(given if isinstance(given, int) else max(1, len(case.speakers)))


_COUNTED_BY: Final[Mapping[str, Callable[[Case], str]]] = {
    "subject": lambda case: case.tags.subject,
    "mode": lambda case: case.tags.mode,
    "language": lambda case: case.tags.language,
    "content": lambda case: case.tags.content[0] if case.tags.content else "none",
    "speakers": _speaker_count,
}


def tag_counts(cases: tuple[Case, ...]) -> dict[str, dict[str, int]]:
    """Return how many cases carry each value, by table (content: by the first tag)."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for case in cases:
        for table, value in _COUNTED_BY.items():
            counts[table][value(case)] += 1
    return {table: dict(counter.most_common()) for table, counter in counts.items()}


def _counts(cases: tuple[NumberedCase, ...], promises: Expectations) -> Iterator[str]:
    plain = tuple(case for _, _, case in cases)
    if promises.cases is not None and len(plain) != promises.cases:
        yield f"{promises.place('cases')}: {promises.cases} cases are promised, there are {len(plain)}"
    found = tag_counts(plain)
    for table, promised in promises.counts.items():
        there: Mapping[str, int] = found.get(table, {})
        if table == "longer_than":
            there = {
                key: sum((case.duration_s or 0) > float(key) for case in plain) for key in promised
            }
        for value in sorted({*promised, *there}):
            wanted, got = promised.get(value, 0), there.get(value, 0)
            if wanted != got:
                yield (
                    f"{promises.place(table, value)}: {table} {value}: "
                    f"{wanted} cases are promised, there are {got}"
                )
