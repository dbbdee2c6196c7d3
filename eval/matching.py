"""Which file answers which case: read from folders, file names and manifests.

Three layouts are understood without being told:

    one folder per system     systemA/case1.mp4   systemB/case1.mp4
    case and system in names  case1_systemA.mp4   case1_systemB.mp4
    one system                case1.mp4           sub/case2.mp4      (with --system NAME)

A pattern such as `{system}-{case}-{seed}` says it outright. Nothing here opens a media file.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast, get_args

from eval.fields import Fields, read_json_line, read_lines, shown
from eval.records import System, SystemKind
from eval.text_files import read_csv
from joystreamer.errors import InputError

MEDIA_SUFFIXES: Final = frozenset(
    {
        ".3gp",
        ".avi",
        ".gif",
        ".m2v",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".ogv",
        ".ts",
        ".webm",
        ".wmv",
    }
)
LONGEST_NAME: Final = 200
"""Characters of a system's or case's name."""

_PLACEHOLDERS: Final = {
    "case": r"(?P<case>.+?)",
    "system": r"(?P<system>.+?)",
    "seed": r"(?P<seed>\d+)",
}


class Match(NamedTuple):
    """A file and what it answers.

    Attributes:
        path: The media file.
        system: Who made it.
        case: Id of the case.
        seed: Seed, 0 when unknown.
        suite: Suite named by a manifest, '' otherwise.
        borders_s: Times at which segments join, None when unknown.
    """

    path: Path
    system: System
    case: str
    seed: int = 0
    suite: str = ""
    borders_s: tuple[float, ...] | None = None


def match_folder(
    root: Path, *, system: str | None, pattern: str | None, case_ids: frozenset[str]
) -> tuple[list[Match], str, list[Path]]:
    """Match the media files below a folder.

    Returns:
        Matches, the layout in words, and files that are no media.

    Raises:
        InputError: Two files answer the same case, or a pattern fits no file.
    """
    files = sorted(path for path in root.rglob("*") if path.is_file() and not _hidden(path, root))
    media = [path for path in files if path.suffix.lower() in MEDIA_SUFFIXES]
    ignored = [path for path in files if path.suffix.lower() not in MEDIA_SUFFIXES]
    if pattern is not None:
        matches, layout = _by_pattern(root, media, pattern, system), f"names read as {pattern}"
    elif system is not None:
        matches = [
            Match(path, System(name=system), _case_id(path, root, case_ids)) for path in media
        ]
        layout = f"one system, {system}"
    else:
        matches, layout = _by_layout(root, media, case_ids)
    _refuse_odd_names(matches)
    _refuse_twins(matches)
    return matches, layout, ignored


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _by_layout(
    root: Path, media: Sequence[Path], case_ids: frozenset[str]
) -> tuple[list[Match], str]:
    nested = [path for path in media if path.parent != root]
    if nested and len(nested) == len(media):
        return [
            Match(path, System(name=top), _case_id(path, root / top, case_ids))
            for path in media
            for top in [path.relative_to(root).parts[0]]
        ], "one folder per system"
    if not nested and (split := _split_names([path.stem for path in media], case_ids)):
        return [
            Match(path, System(name=name), case)
            for path, (case, name) in zip(media, split, strict=True)
        ], "case and system read from names like case_system"
    name = root.resolve().name
    return [
        Match(path, System(name=name), _case_id(path, root, case_ids)) for path in media
    ], f"one system, {name}"


def _split_names(stems: Sequence[str], case_ids: frozenset[str]) -> list[tuple[str, str]] | None:
    """Split `case_system` names where that reading is borne out; None where it is not.

    It is when at least two systems appear, every name splits, and at least two thirds of the table
    of cases by systems is filled; a reading with several cases wins over one with a single case, and
    then the one that fills the table best.
    """
    if len(stems) < 2 or not all("_" in stem for stem in stems):
        return None
    ways: list[list[tuple[str, str]]] = []
    for cut in ("first", "last"):
        pairs = [stem.split("_", 1) if cut == "first" else stem.rsplit("_", 1) for stem in stems]
        ways.append([(case, name) for case, name in pairs])
    if case_ids:
        known = [_known_prefix(stem, case_ids) for stem in stems]
        ways.insert(0, [pair for pair in known if pair is not None])
    best: tuple[tuple[bool, float], list[tuple[str, str]]] | None = None
    for way in ways:
        names, found = {name for _, name in way}, {case for case, _ in way}
        if len(way) != len(stems) or len(names) < 2 or "" in names or "" in found:
            continue
        filled = len(set(way)) / (len(names) * len(found))
        merit = (len(found) > 1, filled)
        if filled >= 2 / 3 and len(set(way)) == len(stems) and (best is None or merit > best[0]):
            best = (merit, way)
    return best[1] if best else None


def _known_prefix(stem: str, case_ids: frozenset[str]) -> tuple[str, str] | None:
    fits = [case for case in case_ids if stem.startswith(f"{case}_")]
    case = max(fits, key=len, default=None)
    return (case, stem[len(case) + 1 :]) if case else None


def _case_id(path: Path, root: Path, case_ids: frozenset[str]) -> str:
    """Return the case a file answers: its name, or its path below the root joined by dots."""
    joined = ".".join(path.relative_to(root).with_suffix("").parts)
    return path.stem if path.stem in case_ids or joined == path.stem else joined


def _by_pattern(root: Path, media: Sequence[Path], pattern: str, system: str | None) -> list[Match]:
    parts = re.split(r"\{(\w+)\}", pattern)
    unknown = set(parts[1::2]) - set(_PLACEHOLDERS)
    if "case" not in parts[1::2] or unknown or len(set(parts[1::2])) != len(parts[1::2]):
        raise InputError(
            f"pattern {pattern!r} does not fit: it needs {{case}} once, may have {{system}} and {{seed}} once, "
            "and nothing else in braces"
        )
    expression = "".join(
        re.escape(part) if index % 2 == 0 else _PLACEHOLDERS[part]
        for index, part in enumerate(parts)
    )
    found = []
    for path in media:
        name = path.relative_to(root).with_suffix("").as_posix()
        fit = re.fullmatch(expression, name) or re.fullmatch(expression, path.stem)
        if fit is None:
            raise InputError(
                f"file {name!r} does not fit the pattern {pattern!r}; mend the pattern or move the file"
            )
        given = fit.groupdict()
        maker = given.get("system") or system or root.resolve().name
        found.append(
            Match(
                path,
                System(name=maker),
                given["case"].replace("/", "."),
                int(given.get("seed") or 0),
            )
        )
    return found


def _refuse_odd_names(matches: Iterable[Match]) -> None:
    """Refuse names that no table can show or store: file systems allow any bytes but '/' and NUL."""
    for match in matches:
        for what, name in (("system", match.system.name), ("case", match.case)):
            if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
                raise InputError(
                    f"the name of the {what} {shown(name)}, read from {shown(str(match.path), 200)}, is "
                    f"empty, longer than {LONGEST_NAME} characters or holds characters that cannot be "
                    "printed; rename the file or folder, or give --system"
                )
        if match.seed >= 2**31:
            raise InputError(
                f"the seed {shown(match.seed)}, read from {shown(str(match.path), 200)}, is not below "
                "2147483648; rename the file"
            )


def _refuse_twins(matches: Iterable[Match]) -> None:
    answers: dict[tuple[str, str, int], list[Path]] = defaultdict(list)
    for match in matches:
        answers[match.system.name, match.case, match.seed].append(match.path)
    for (system, case, _), paths in answers.items():
        if len(paths) > 1:
            raise InputError(
                f"{paths[0]} and {paths[1]} both answer case {case!r} of system {system!r}; "
                "rename one, or give --pattern with {seed}"
            )


def match_manifest(path: Path) -> tuple[list[Match], str, list[Path], list[str]]:
    """Match by a manifest: JSON lines or CSV with one clip per row.

    Fields: `system`, `case`, `file` (required; the file relative to the manifest's folder), `seed`,
    `suite`, `kind`, `family`, `step`, `notes`, `borders_s` (JSON lines only). Rows with mistakes are
    left out and reported; the others are kept.

    Returns:
        Matches, the layout in words, nothing ignored, and one sentence per mistake.

    Raises:
        InputError: The file is unreadable.
    """
    problems: list[str] = []
    matches: list[Match] = []
    first_line: dict[tuple[str, str, str, int], int] = {}
    kinds: dict[str, str] = {}
    rows = (
        _csv_rows(path, problems) if path.suffix.lower() == ".csv" else _json_rows(path, problems)
    )
    for number, record in rows:
        before = len(problems)
        place = f"{path}:{number}"
        match = _manifest_row(record, place, path.parent, problems)
        if match is None or len(problems) > before:
            continue
        key = (match.system.name, match.suite, match.case, match.seed)
        if key in first_line:
            problems.append(
                f"{place}: system {shown(match.system.name)} answers case {shown(match.case)} on line "
                f"{first_line[key]} already; give another seed or remove one"
            )
            continue
        if kinds.setdefault(match.system.name, match.system.kind) != match.system.kind:
            problems.append(
                f"{place}: field 'kind': system {shown(match.system.name)} is a {kinds[match.system.name]} "
                f"further up and a {match.system.kind} here; make them equal"
            )
            continue
        first_line[key] = number
        matches.append(match)
    return matches, f"manifest {path.name}", [], problems


def _json_rows(path: Path, problems: list[str]) -> list[tuple[int, dict[str, Any]]]:
    rows = []
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            record = read_json_line(f"{path}:{number}", line, problems)
            if record is not None:
                rows.append((number, record))
    return rows


def _csv_rows(path: Path, problems: list[str]) -> list[tuple[int, dict[str, Any]]]:
    columns, found = read_csv(path)
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        problems.append(f"{path}:1: column {twice[0]!r} is there twice; remove one")
        return []
    rows = []
    for number, record in found:
        if None in record:
            problems.append(
                f"{path}:{number}: more cells than columns; quote texts that hold a comma"
            )
            continue
        given: dict[str, Any] = {
            name: cell for name, cell in record.items() if cell not in ("", None)
        }
        for name in ("seed", "step"):
            if re.fullmatch(r"\d{1,18}", str(given.get(name, ""))):
                given[name] = int(given[name])
        rows.append((number, given))
    return rows


def _manifest_row(
    record: dict[str, Any], place: str, root: Path, problems: list[str]
) -> Match | None:
    fields = Fields(place, record, problems)
    system = System(
        name=fields.identifier("system"),
        kind=cast(SystemKind, fields.choice("kind", get_args(SystemKind), default="checkpoint")),
        family=fields.text("family", default=""),
        step=fields.integer("step"),
        notes=fields.text("notes", default=""),
    )
    borders = fields.items("borders_s", _seconds, "a time in seconds")
    match = Match(
        path=_media_file(fields, root) or root,
        system=system,
        case=fields.identifier("case"),
        seed=fields.integer("seed", default=0) or 0,
        suite=fields.identifier("suite", default="")
        if fields.has("suite")
        else fields.text("suite", default=""),
        borders_s=tuple(sorted(borders)) if fields.has("borders_s") else None,
    )
    fields.finish()
    return match


def _media_file(fields: Fields, root: Path) -> Path | None:
    if not fields.has("file"):
        fields.text("file")
        return None
    path = fields.path("file", root)
    if path is not None and path.suffix.lower() not in MEDIA_SUFFIXES:
        fields.problem(
            "file", fields.raw("file"), "a video file (" + " ".join(sorted(MEDIA_SUFFIXES)) + ")"
        )
        return None
    return path


def _seconds(item: Any) -> float | None:
    ok = isinstance(item, int | float) and not isinstance(item, bool) and 0 <= item < 1e6
    return float(item) if ok else None
