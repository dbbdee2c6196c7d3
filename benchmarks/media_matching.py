"""Which pictures and recordings of a folder belong to which case: by name, or by a mapping file.

By name: `ID.png` and `ID.wav`; with several speakers `ID.1.wav`, `ID.2.wav`, in the order of the
prompt. A mapping file says it outright. No media file is opened here.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from eval.fields import Fields, nearest, read_json_line, read_lines
from eval.records import Speaker
from eval.text_files import read_csv
from joystreamer.errors import InputError

IMAGES: Final = frozenset({".avif", ".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
SOUNDS: Final = frozenset({".aac", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav"})


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundMedia:
    """What a folder holds for one case.

    Attributes:
        image: The picture, None when there is none.
        speakers: One per recording, in order.
    """

    image: Path | None = None
    speakers: tuple[Speaker, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchedMedia:
    """How a folder and the cases of a suite fit together.

    Attributes:
        by_case: What was found, by case id; absent when nothing was.
        left_over: Media files that belong to no case.
        problems: One sentence per mistake.
    """

    by_case: Mapping[str, FoundMedia]
    left_over: tuple[Path, ...] = ()
    problems: tuple[str, ...] = field(default=())


def match_by_name(folder: Path, cases: Iterable[str]) -> MatchedMedia:
    """Match the media below a folder to case ids by file name.

    Raises:
        InputError: The folder does not exist.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder} is not a folder; give the one with your pictures and recordings"
        )
    known = sorted(cases, key=len, reverse=True)
    pictures: dict[str, list[Path]] = defaultdict(list)
    voices: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    left_over = []
    for path in _media_files(folder):
        case = next((name for name in known if path.stem == name), None)
        number = ""
        if case is None and path.suffix.lower() in SOUNDS:
            head, _, number = path.stem.rpartition(".")
            case = head if head in known and number.isdecimal() else None
        if case is None:
            left_over.append(path)
        elif path.suffix.lower() in IMAGES:
            pictures[case].append(path)
        else:
            voices[case][number.lstrip("0")].append(path)
    problems = [
        f"{paths[1]}: {paths[0].name} is for case {case!r} already; remove one of them"
        for case, groups in _several(pictures, voices)
        for paths in groups
    ]
    by_case = {
        case: FoundMedia(
            image=pictures[case][0] if case in pictures else None,
            speakers=tuple(
                Speaker(audio=voices[case][number][0])
                for number in sorted(voices[case], key=lambda text: int(text or 0))
            ),
        )
        for case in sorted({*pictures, *voices})
    }
    return MatchedMedia(by_case=by_case, left_over=tuple(left_over), problems=tuple(problems))


def _several(
    pictures: Mapping[str, list[Path]], voices: Mapping[str, Mapping[str, list[Path]]]
) -> Iterator[tuple[str, list[list[Path]]]]:
    for case in sorted({*pictures, *voices}):
        groups = [pictures.get(case, []), *voices.get(case, {}).values()]
        yield case, [group for group in groups if len(group) > 1]


def _media_files(folder: Path) -> Sequence[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix.lower() in IMAGES | SOUNDS and path.name[0] != "."
    )


def match_by_mapping(mapping: Path, folder: Path, cases: Sequence[str]) -> MatchedMedia:
    """Match by a mapping file, its paths relative to `folder`.

    CSV with the columns case, image, audio (several recordings joined by ';'), or JSON lines with
    case, image and either audio or speakers (objects with audio, box, mask, spans).
    """
    problems: list[str] = []
    by_case: dict[str, FoundMedia] = {}
    for place, record in _mapping_rows(mapping, problems):
        fields = Fields(place, record, problems)
        case = fields.identifier("case")
        if case and case not in cases:
            problems.append(
                f"{place}: field 'case': no case is called {case!r}{nearest(case, cases)}; mend the id"
            )
        if case in by_case:
            problems.append(f"{place}: field 'case': {case!r} is mapped twice; keep one row")
        found = FoundMedia(
            image=fields.path("image", folder),
            speakers=tuple(_speakers(fields, folder, problems)),
        )
        fields.finish()
        if case in cases and case not in by_case:
            by_case[case] = found
    return MatchedMedia(by_case=by_case, problems=tuple(problems))


def _mapping_rows(mapping: Path, problems: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    if mapping.suffix.lower() == ".csv":
        for number, row in read_csv(mapping)[1]:
            yield f"{mapping}:{number}", {key or "?": cell for key, cell in row.items() if cell}
        return
    for number, line in enumerate(read_lines(mapping), start=1):
        if line.strip() and (record := read_json_line(f"{mapping}:{number}", line, problems)):
            yield f"{mapping}:{number}", record


def _speakers(fields: Fields, folder: Path, problems: list[str]) -> Iterator[Speaker]:
    if fields.has("speakers"):
        from eval.reader import read_case

        record = {"id": "x", "speakers": fields.raw("speakers")}
        fields.raw("audio")
        yield from read_case(record, fields.place, folder, problems).speakers
        return
    given = fields.raw("audio")
    for name in given.split(";") if isinstance(given, str) else ():
        path = fields.confined("audio", name.strip(), folder)
        if path is not None:
            yield Speaker(audio=path)
