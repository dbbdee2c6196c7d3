"""CSV tables of cases: MoChaBench, HunyuanVideo-Avatar, EMTD, and any table by a mapping.

A mapping says which column holds which field: id, prompt, image, audio, language, subject, mode,
duration_s. Known tables are mappings that are already written down.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.importers.imported import (
    Imported,
    Source,
    identifier_of,
    language_of,
    with_unique_ids,
)
from eval.fields import Fields, nearest
from eval.reader import read_case
from eval.records import Case, Speaker, Tags
from eval.store.files import write_text
from eval.text_files import read_csv, read_plain_csv
from joystreamer.errors import InputError
from joystreamer.json_files import is_there

FIELDS: Final = (
    "id", "prompt", "image", "audio", "language", "subject", "mode", "duration_s",
)  # fmt: skip
HUNYUAN_COLUMNS: Final = ("videoid", "image", "audio", "prompt", "fps")
MOCHA_COLUMNS: Final = ("idx_in_category", "category", "context_id", "prompt")
EMTD_COLUMNS: Final = ("URL", "Start Timecode", "End Timecode")
_TIMECODE: Final = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


def _rows(
    path: Path, needed: Sequence[str], found: Imported
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (place, row) of a CSV table; commas or tabs.

    Raises:
        InputError: A needed column is not there.
    """
    columns, rows = read_csv(path, tabs=True)
    for name in needed:
        if name not in columns:
            raise InputError(
                f"{path}:1: no column is called {name!r}{nearest(name, columns)}; "
                f"the columns are: {', '.join(name[:40] for name in columns[:20]) or 'none'}"
            )
    for number, row in rows:
        place = f"{path}:{number}"
        if None in row:
            found.problems.append(
                f"{place}: more cells than columns; quote texts that hold a comma"
            )
            continue
        yield place, {key: value or "" for key, value in row.items()}


def read_mapped(source: Source) -> Imported:
    """Read any table; `source.mapping` says which column holds which field.

    Raises:
        InputError: The mapping names no such field or column.
    """
    for name in source.mapping:
        if name not in FIELDS:
            raise InputError(
                f"no field is called {name!r}{nearest(name, FIELDS)}; fields: {', '.join(FIELDS)}"
            )
    mapping = source.mapping or {name: name for name in ("id", "prompt", "image", "audio")}
    found = Imported()
    for number, (place, row) in enumerate(
        _rows(source.path, tuple(mapping.values()), found), start=1
    ):
        cells = {name: row[column].strip() for name, column in mapping.items()}
        record: dict[str, Any] = {"id": identifier_of(cells.get("id") or f"case-{number:03d}")}
        record["tags"] = {
            name: cells[name] for name in ("subject", "mode", "language") if cells.get(name)
        }
        record["tags"].setdefault("language", language_of(cells.get("prompt", "")))
        if cells.get("duration_s"):
            try:
                record["duration_s"] = float(cells["duration_s"])
            except ValueError:
                fields = Fields(place, {}, found.problems)
                fields.problem("duration_s", cells["duration_s"], "a number of seconds")
        tags = read_case(record, place, source.media, found.problems)
        found.cases.append(_case(cells, tags, place, source, found))
    found.cases = with_unique_ids(found.cases)
    return found


def _case(
    cells: Mapping[str, str], read: Case, place: str, source: Source, found: Imported
) -> Case:
    image = found.file(cells["image"], source.media, place) if cells.get("image") else None
    audio = [
        found.file(name, source.media, place) for name in cells.get("audio", "").split(";") if name
    ]
    return Case(
        id=read.id,
        prompt=cells.get("prompt", ""),
        image=image,
        speakers=tuple(Speaker(audio=file) for file in audio if file is not None),
        tags=read.tags,
        duration_s=read.duration_s,
        image_needed="" if image else cells.get("image", "") or "a reference picture",
        source=place,
        licence=source.licence,
        extra={"speakers": max(1, len(audio))},
    )


def read_hunyuan(source: Source) -> Imported:
    """Read HunyuanVideo-Avatar's table: videoid, image, audio, prompt, fps."""
    mapping = {"id": "videoid", "image": "image", "audio": "audio", "prompt": "prompt"}
    return read_mapped(
        Source(
            path=source.path, media=source.media, scratch=source.scratch, mapping=mapping,
            licence=source.licence,
        )
    )  # fmt: skip


def mocha_id(category: str, context: str) -> str:
    """Return the case id of a MoChaBench item: category and context joined by a dot.

    So `eval ingest` finds clips kept in one folder per category.
    """
    return f"{category}.{context}"


def read_mochabench(source: Source) -> Imported:
    """Read MoChaBench's table of prompts.

    The benchmark generates from text and speech alone, without reference pictures: first frames and
    speech are taken from the media folder where it has them, under the category's name.
    """
    found = Imported()
    for _, row in _rows(source.path, MOCHA_COLUMNS[1:], found):
        category, context = row["category"].strip(), row["context_id"].strip()
        prompt = row["prompt"].strip().strip('"').strip()
        image = _first_of(source.media, category, context, ("png", "jpg"))
        audio = _first_of(source.media, category, f"{context}_speech", ("wav",))
        found.cases.append(
            Case(
                id=identifier_of(mocha_id(category, context)),
                prompt=prompt,
                image=image,
                speakers=(Speaker(audio=audio),) if audio else (),
                tags=_mocha_tags(category, prompt),
                image_needed="" if image else "first frame; the benchmark itself gives none",
                source=f"MoChaBench, {category}",
                licence=source.licence,
                extra={"category": category, "context": context},
            )
        )
    return found


def _first_of(media: Path, category: str, name: str, suffixes: Sequence[str]) -> Path | None:
    for suffix in suffixes:
        for folder in ("", "images/mocha_first_frames", "audio/mocha_speeches"):
            path = media / folder / category / f"{name}.{suffix}"
            if is_there(path):
                return path
    return None


def _mocha_tags(category: str, prompt: str) -> Tags:
    content: dict[str, Any] = {
        "1p_camera_movement": ("camera",),
        "1p_emotion": ("expression",),
        "1p_mediumshot_actioncontrol": ("body",),
    }
    language = "zh" if category == "1p_generalize_chinese" else "en"
    singing = re.search(r"\bsing(s|ing)?\b", prompt.lower()) is not None
    return Tags(
        mode="singing" if singing else "speaking",
        content=content.get(category, ()),
        language=language,
    )


def read_prompts(source: Source) -> Imported:
    """Read one prompt per CSV row, without a header; ids are 01, 02, ... as in lists of clips."""
    found = Imported()
    rows = [row for row in read_plain_csv(source.path) if any(row)]
    for number, row in enumerate(rows, start=1):
        place = f"{source.path}:{number}"
        if len(row) != 1:
            found.problems.append(f"{place}: {len(row)} cells, expected one; quote the prompt")
            continue
        prompt = row[0].strip()
        found.cases.append(
            Case(
                id=f"{number:02d}",
                prompt=prompt,
                tags=Tags(language=language_of(prompt)),
                image_needed="a reference picture",
                source=place,
                licence=source.licence,
            )
        )
    return found


def write_prompts(cases: Sequence[Case], out: Path, _options: Mapping[str, str]) -> Sequence[Path]:
    """Write one prompt per row, in the order of the suite."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([case.prompt] for case in cases)
    write_text(out / "prompts.csv", text.getvalue())
    return [out / "prompts.csv"]


def read_emtd(source: Source) -> Imported:
    """Read EMTD's list of clips: address and time span; the media are not part of it."""
    found = Imported()
    for number, (place, row) in enumerate(_rows(source.path, EMTD_COLUMNS, found), start=1):
        start, end = (timecode_s(row[name]) for name in EMTD_COLUMNS[1:])
        if start is None or end is None or end <= start:
            found.problems.append(f"{place}: expected two times like 00:01:02.500, first to last")
            continue
        found.cases.append(
            Case(
                id=f"emtd-{number:03d}",
                prompt="A person is speaking.",
                duration_s=round(end - start, 3),
                image_needed=f"first picture of {row['URL']} at {row[EMTD_COLUMNS[1]]}",
                source=row["URL"],
                licence=source.licence,
                extra={"url": row["URL"], "start_s": start, "end_s": end},
            )
        )
    return found


def timecode_s(text: str) -> float | None:
    """Return the seconds of a timecode such as 00:01:02.500, None when it is none."""
    fit = _TIMECODE.fullmatch(text.strip())
    return int(fit[1]) * 3600 + int(fit[2]) * 60 + float(fit[3]) if fit else None


def timecode(seconds: float) -> str:
    """Return seconds as 00:01:02.500."""
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def table_text(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a CSV table as text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _place(path: Path | None) -> str:
    return str(path.resolve()) if path else ""


def _sounds(case: Case) -> str:
    return ";".join(_place(speaker.audio) for speaker in case.speakers if speaker.audio)


def write_table(cases: Sequence[Case], out: Path, options: Mapping[str, str]) -> Sequence[Path]:
    """Write `cases.csv`; options rename columns (field=column)."""
    names = {name: options.get(name, name) for name in FIELDS}
    rows = [
        {
            names["id"]: case.id, names["prompt"]: case.prompt, names["image"]: _place(case.image),
            names["audio"]: _sounds(case), names["language"]: case.tags.language,
            names["subject"]: case.tags.subject, names["mode"]: case.tags.mode,
            names["duration_s"]: case.duration_s,
        }
        for case in cases
    ]  # fmt: skip
    write_text(out / "cases.csv", table_text(tuple(names.values()), rows))
    return [out / "cases.csv"]


def write_hunyuan(cases: Sequence[Case], out: Path, options: Mapping[str, str]) -> Sequence[Path]:
    """Write HunyuanVideo-Avatar's table; option `fps`, 25 by default."""
    rows = [
        {
            "videoid": case.id, "image": _place(case.image), "audio": _sounds(case),
            "prompt": case.prompt, "fps": options.get("fps", "25"),
        }
        for case in cases
    ]  # fmt: skip
    write_text(out / "test.csv", table_text(HUNYUAN_COLUMNS, rows))
    return [out / "test.csv"]


def write_mochabench(
    cases: Sequence[Case], out: Path, _options: Mapping[str, str]
) -> Sequence[Path]:
    """Write MoChaBench's table of prompts; cases from elsewhere go under the category 'other'."""
    counts: dict[str, int] = {}
    rows = []
    for case in cases:
        category = str(case.extra.get("category", "other"))
        counts[category] = counts.get(category, 0) + 1
        rows.append(
            {
                "idx_in_category": counts[category], "category": category,
                "context_id": case.extra.get("context", case.id), "prompt": f'"{case.prompt}"',
            }
        )  # fmt: skip
    write_text(out / "benchmark.csv", table_text(MOCHA_COLUMNS, rows))
    return [out / "benchmark.csv"]


def write_emtd(cases: Sequence[Case], out: Path, _options: Mapping[str, str]) -> Sequence[Path]:
    """Write EMTD's list.

    Raises:
        InputError: A case does not come from an address with a time span.
    """
    rows = []
    for case in cases:
        if "url" not in case.extra:
            raise InputError(f"case {case.id!r} has no address; only cases from an EMTD list fit")
        times = (timecode(case.extra["start_s"]), timecode(case.extra["end_s"]))
        rows.append(dict(zip(EMTD_COLUMNS, (case.extra["url"], *times), strict=True)))
    write_text(out / "emtd.csv", table_text(EMTD_COLUMNS, rows))
    return [out / "emtd.csv"]
