"""The list of training clips: one JSON object per line, checked before anything is computed.

The same form serves real 25 fps footage and rendered worlds. Knows files and fields, no networks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from joystreamer.errors import InputError, brief
from joystreamer.json_files import is_finite, is_there, parse_object, read_text

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipRecord:
    """One clip of a manifest.

    Attributes:
        video: Video file; a relative path is taken from the manifest's folder.
        caption: What happens in the clip.
        audio: Sound file if it is not the video's own.
        id: Name used in reports; the line number if absent.
        tags: Free labels, kept in the cache's index.
        regions: Boxes (left, top, right, bottom) as shares of width and height, one for the whole
            clip or one per 25 fps frame, that a codec is told to reproduce with care (a mouth).
    """

    video: Path
    caption: str
    audio: Path | None = None
    id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    regions: tuple[Box, ...] = ()


def read_manifest(path: Path) -> list[ClipRecord]:
    """Read and check a manifest.

    Raises:
        InputError: Names file, line and field: what came, what fits.
    """
    if not is_there(path):
        raise InputError(f"'{path}' does not exist; give a manifest of one JSON object per line")
    records = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            records.append(_read_line(line, f"{path} line {number}", path.parent, number))
    if not records:
        raise InputError(f"'{path}' lists no clip; write one JSON object per line")
    return records


def _read_line(line: str, where: str, folder: Path, number: int) -> ClipRecord:
    plain = parse_object(line, where, "write one JSON object per line")
    known = [entry.name for entry in fields(ClipRecord)]
    for name in plain:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
            raise InputError(f"{where}: unknown field {brief(name)}{hint}")
    for name in ("video", "caption"):
        if not isinstance(plain.get(name), str) or not plain[name].strip():
            raise InputError(f"{where}: field {name!r} is missing or empty; give a text")
    audio, tags = plain.get("audio"), plain.get("tags") or {}
    if not isinstance(tags, dict):
        raise InputError(f"{where}: tags is a {type(tags).__name__}; write an object of labels")
    return ClipRecord(
        video=_existing(plain["video"], folder, f"{where}: video"),
        caption=plain["caption"],
        audio=None if audio is None else _existing(audio, folder, f"{where}: audio"),
        id=str(plain.get("id") or number)[:200],
        tags={str(k): str(v) for k, v in tags.items()},
        regions=_boxes(plain.get("regions") or [], where),
    )


def _existing(name: Any, folder: Path, what: str) -> Path:
    path = folder / str(name)
    if not is_there(path):
        raise InputError(f"{what} '{path}' does not exist; paths are relative to the manifest")
    return path


def _boxes(given: Any, where: str) -> tuple[Box, ...]:
    boxes = []
    for box in given if isinstance(given, list) else [given]:
        good = isinstance(box, list) and len(box) == 4 and all(map(is_finite, box))
        if not good or not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1):
            raise InputError(
                f"{where}: region {brief(box)} came; give [left, top, right, bottom] as shares of the "
                "picture, 0 to 1, left < right and top < bottom"
            )
        boxes.append((float(box[0]), float(box[1]), float(box[2]), float(box[3])))
    return tuple(boxes)
