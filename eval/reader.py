"""Read suites and single cases from their folders, strictly.

A suite is a folder with `suite.toml` and `cases.jsonl`, one case per line; its paths are relative to
the folder and confined to it. All mistakes of a folder are reported at once.
"""

from pathlib import Path
from typing import Any, Final, cast, get_args

from eval.fields import Fields, ProblemsFound, is_encodable, read_json_line, read_lines, shown
from eval.records import DIMENSIONS, Case, Content, Mode, Speaker, Subject, Suite, Tags
from eval.text_files import read_toml
from joystreamer.errors import InputError

SUITE_FILE: Final = "suite.toml"
CASES_FILE: Final = "cases.jsonl"


def read_suite(root: Path) -> Suite:
    """Read a suite folder.

    Args:
        root: Folder with `suite.toml` and `cases.jsonl`.

    Raises:
        ProblemsFound: One sentence per mistake in either file.
        InputError: The folder or a file is missing or unreadable.
    """
    header = root / SUITE_FILE
    if not header.is_file():
        raise InputError(
            f"{root} is not a suite: {SUITE_FILE} is missing; a suite folder holds {SUITE_FILE} and {CASES_FILE}"
        )
    problems: list[str] = []
    table = read_toml(header, "see any shipped suite for the form")
    fields = Fields(str(header), table, problems)
    name = fields.identifier("name")
    version = fields.text("version")
    asks = fields.text("asks")
    dimensions = fields.items(
        "dimensions",
        lambda item: item if item in DIMENSIONS else None,
        "one of " + ", ".join(DIMENSIONS),
    )
    metrics = fields.items("metrics", _text, "a measure such as 'sync' or 'sync/mocha'")
    licence = fields.text("licence", default="")
    fields.finish()
    cases = read_cases(root / CASES_FILE, root, problems)
    if problems:
        raise ProblemsFound(problems)
    return Suite(
        name=name, version=version, asks=asks, cases=cases, dimensions=dimensions or DIMENSIONS,
        metrics=metrics, licence=licence, root=root,
    )  # fmt: skip


def read_cases(path: Path, root: Path, problems: list[str]) -> tuple[Case, ...]:
    """Read a list of cases, one JSON object per line; blank lines are allowed.

    Args:
        path: The file.
        root: Folder that confines the paths of the cases.
        problems: Receives one sentence per mistake.
    """
    cases: list[Case] = []
    first_line: dict[str, int] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        record = read_json_line(place, line, problems)
        if record is None:
            continue
        case = read_case(record, place, root, problems)
        if case.id in first_line:
            problems.append(
                f"{place}: field 'id': {shown(case.id)} is taken by line {first_line[case.id]}; give each case its own"
            )
        elif case.id:
            first_line[case.id] = number
            cases.append(case)
    if not cases and not problems:
        problems.append(f"{path}: no cases; write one JSON object per line")
    return tuple(cases)


def read_case(record: dict[str, Any], place: str, root: Path, problems: list[str]) -> Case:
    """Read one case; every mistake becomes a sentence in `problems`."""
    fields = Fields(place, record, problems)
    case = Case(
        id=fields.identifier("id"),
        prompt=fields.text("prompt", default=""),
        image=fields.path("image", root),
        speakers=_speakers(fields, root, problems),
        tags=_tags(fields, problems),
        duration_s=fields.number("duration_s", low=0.04, high=36_000.0),
        questions=fields.items("questions", _text, "a yes/no question"),
        image_needed=fields.text("image_needed", default=""),
        source=fields.text("source", default=""),
        licence=fields.text("licence", default=""),
        extra=_table(fields, "extra"),
    )
    fields.finish()
    return case


def _speakers(fields: Fields, root: Path, problems: list[str]) -> tuple[Speaker, ...]:
    given = fields.raw("speakers")
    audio = fields.path("audio", root)
    if given is None:
        return (Speaker(audio=audio),) if audio is not None else ()
    if audio is not None:
        problems.append(
            f"{fields.place}: fields 'audio' and 'speakers' exclude each other; move the audio into speakers"
        )
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        fields.problem("speakers", given, "a list of objects with audio, box, mask, spans")
        return ()
    return tuple(
        _speaker(Fields(f"{fields.place}: speaker {index + 1}", item, problems), root)
        for index, item in enumerate(given)
    )


def _speaker(fields: Fields, root: Path) -> Speaker:
    box = fields.raw("box")
    if box is not None and not _is_box(box):
        fields.problem(
            "box",
            box,
            "[left, top, right, bottom] as fractions of the image with left < right and top < bottom",
        )
        box = None
    spans = fields.items("spans", _span, "[start, end] in seconds with 0 <= start < end")
    speaker = Speaker(
        audio=fields.path("audio", root),
        box=cast(tuple[float, float, float, float], tuple(float(side) for side in box))
        if box
        else None,
        mask=fields.path("mask", root),
        spans=spans,
    )
    fields.finish()
    return speaker


def _tags(fields: Fields, problems: list[str]) -> Tags:
    given = fields.raw("tags")
    if given is None:
        return Tags()
    if not isinstance(given, dict):
        fields.problem("tags", given, "an object with subject, mode, content, language")
        return Tags()
    inner = Fields(f"{fields.place}: tags", given, problems)
    contents = get_args(Content)
    tags = Tags(
        subject=cast(Subject, inner.choice("subject", get_args(Subject), default="human")),
        mode=cast(Mode, inner.choice("mode", get_args(Mode), default="speaking")),
        content=inner.items(
            "content",
            lambda item: item if item in contents else None,
            "one of " + ", ".join(contents),
        ),
        language=inner.identifier("language", default="en"),
    )
    inner.finish()
    return tags


def _table(fields: Fields, name: str) -> dict[str, Any]:
    value = fields.raw(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        fields.problem(name, value, "an object")
        return {}
    return value


def _text(item: Any) -> str | None:
    return item if isinstance(item, str) and item.strip() and is_encodable(item) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _is_box(box: Any) -> bool:
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(side) for side in box):
        return False
    left, top, right, bottom = box
    return bool(0 <= left < right <= 1 and 0 <= top < bottom <= 1)


def _span(item: Any) -> tuple[float, float] | None:
    if not isinstance(item, list) or len(item) != 2 or not all(_is_number(end) for end in item):
        return None
    start, end = item
    return (float(start), float(end)) if 0 <= start < end else None
