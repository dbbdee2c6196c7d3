"""Write a suite as a folder that `eval.reader` reads back: header, cases, media inside it.

Media are copied (or hard-linked where the disk allows) under `media/`, named by case, so that a suite
can be moved as one folder. Nothing here judges a suite.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from eval.reader import CASES_FILE, SUITE_FILE
from eval.records import DIMENSIONS, Case, Speaker, Suite, Tags
from eval.store.files import write_text, written_atomically


def write_suite(suite: Suite, out: Path) -> Path:
    """Write a suite folder; files of an earlier one of the same names are replaced.

    Args:
        suite: Its cases' paths may lie anywhere; they are copied.
        out: Folder, made when new.

    Returns:
        The folder.

    Raises:
        InputError: The folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps(case_record(case, out), ensure_ascii=False, sort_keys=False)
        for case in suite.cases
    ]
    write_text(out / CASES_FILE, "".join(f"{line}\n" for line in lines))
    write_text(out / SUITE_FILE, header(suite))  # last: a folder without it is no suite
    return out


def header(suite: Suite) -> str:
    """Return the text of `suite.toml`."""
    lines = [
        f"{name} = {json.dumps(value, ensure_ascii=False)}"  # JSON strings are TOML basic strings
        for name, value in (("name", suite.name), ("version", suite.version), ("asks", suite.asks))
    ]
    if suite.dimensions != DIMENSIONS:
        lines.append(f"dimensions = {json.dumps(list(suite.dimensions))}")
    if suite.metrics:
        lines.append(f"metrics = {json.dumps(list(suite.metrics))}")
    if suite.licence:
        lines.append(f"licence = {json.dumps(suite.licence, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def case_record(case: Case, out: Path) -> dict[str, Any]:
    """Return the JSON object of a case, its media copied into `out`.

    Fields that hold their default are left out.
    """
    record: dict[str, Any] = {"id": case.id, "prompt": case.prompt}
    if case.image is not None:
        record["image"] = copy_inside(case.image, out, f"{case.id}{case.image.suffix.lower()}")
    speakers = [
        _speaker_record(case, speaker, number, out)
        for number, speaker in enumerate(case.speakers, start=1)
    ]
    if any(speakers):
        record["speakers"] = speakers
    record["tags"] = _tags_record(case.tags)
    standard = Case(id="")
    for name in (
        "duration_s",
        "questions",
        "image_needed",
        "source",
        "licence",
        "extra",
    ):
        value = getattr(case, name)
        if value != getattr(standard, name):
            record[name] = dict(value) if isinstance(value, Mapping) else value
    return record


def _tags_record(tags: Tags) -> dict[str, Any]:
    return {field.name: getattr(tags, field.name) for field in fields(tags)}


def _speaker_record(case: Case, speaker: Speaker, number: int, out: Path) -> dict[str, Any]:
    name = case.id if len(case.speakers) == 1 else f"{case.id}.{number}"
    record: dict[str, Any] = {}
    if speaker.audio is not None:
        record["audio"] = copy_inside(
            speaker.audio, out, f"{name}.voice{speaker.audio.suffix.lower()}"
        )
    if speaker.mask is not None:
        record["mask"] = copy_inside(speaker.mask, out, f"{name}.mask{speaker.mask.suffix.lower()}")
    if speaker.box is not None:
        record["box"] = list(speaker.box)
    if speaker.spans:
        record["spans"] = [list(span) for span in speaker.spans]
    return record


def copy_inside(source: Path, out: Path, name: str) -> str:
    """Bring a file under `out/media`; return its path relative to `out`."""
    target = copy_to(source, out / "media" / name)
    return target.relative_to(out).as_posix()


def copy_to(source: Path, target: Path) -> Path:
    """Link a file to a place, or copy it where links cannot be; return the place."""
    if target.exists() and target.samefile(source):
        return target
    with written_atomically(target) as temporary:
        try:
            os.link(source.resolve(), temporary)
        except OSError:
            shutil.copyfile(source, temporary)
    return target
