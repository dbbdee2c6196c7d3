"""Fill a suite with the user's pictures and recordings, look at each of them, and say what is missing.

The result is a suite folder of its own: same cases, media inside, a version that names the media, and
`build.json` with what was seen of every file.
"""

import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from benchmarks.expectations import EXPECTATIONS_FILE
from benchmarks.media_checks import (
    FaceFinder,
    LookedAt,
    MediaLimits,
    look_at_image,
    look_at_sound,
    open_face_finder,
)
from benchmarks.media_matching import (
    FoundMedia,
    MatchedMedia,
    match_by_mapping,
    match_by_name,
)
from benchmarks.suite_writer import write_suite
from eval.reader import read_suite
from eval.records import Case, Suite
from eval.store.files import write_text
from joystreamer.errors import InputError

REPORT_FILE: Final = "build.json"
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildReport:
    """What became of a suite.

    Attributes:
        suite: The suite with its media.
        complete: Ids of cases that have all they need.
        missing: One sentence per thing that is missing.
        findings: One sentence per file that does not fit; it is used all the same.
        left_over: Media files that belong to no case.
        problems: Mistakes in names or in the mapping.
        not_checked: What was not looked at and why, one sentence each.
        files: What was seen of every file, by case.
    """

    suite: Suite
    complete: tuple[str, ...]
    missing: tuple[str, ...]
    findings: tuple[str, ...]
    left_over: tuple[Path, ...]
    problems: tuple[str, ...]
    not_checked: tuple[str, ...]
    files: dict[str, tuple[LookedAt, ...]]

    @property
    def flawless(self) -> bool:
        """Whether every case is complete and every file fits."""
        return not (self.missing or self.findings or self.problems)

    def as_json(self) -> dict[str, Any]:
        """Return plain data; files by their names."""
        return {
            "suite": self.suite.name,
            "version": self.suite.version,
            "complete": self.complete,
            "missing": self.missing,
            "findings": self.findings,
            "left_over": [str(path) for path in self.left_over],
            "problems": self.problems,
            "not_checked": self.not_checked,
            "files": {
                case: [{**asdict(look), "path": look.path.name} for look in looks]
                for case, looks in self.files.items()
            },
        }


def _silent(*_: object) -> None:
    """Report to nobody."""


def build_suite(
    root: Path,
    source: Path,
    out: Path,
    *,
    mapping: Path | None = None,
    licence: str = "",
    limits: MediaLimits | None = None,
    progress: Progress = _silent,
) -> BuildReport:
    """Fill a suite from a folder of pictures and recordings.

    Args:
        root: Suite folder to fill.
        source: Folder with the media.
        out: Folder of the filled suite.
        mapping: CSV or JSON lines that say which file belongs to which case; None to go by names.
        licence: Licence of the media, kept with every case that has some.
        limits: What pictures and recordings must keep.
        progress: Told about every case.

    Raises:
        InputError: The suite or the folder cannot be read, or `out` is the suite itself.
    """
    if out.resolve() == root.resolve():
        raise InputError(f"{out} is the suite itself; give another folder to --out")
    limits = limits or MediaLimits()
    suite = read_suite(root)
    ids = [case.id for case in suite.cases]
    matched = (
        match_by_mapping(mapping, source, ids)
        if mapping is not None
        else match_by_name(source, ids)
    )
    files: dict[str, tuple[LookedAt, ...]] = {}
    cases: list[Case] = []
    with open_face_finder() as faces:
        for number, case in enumerate(suite.cases):
            progress(number, len(suite.cases), case.id)
            found = matched.by_case.get(case.id, FoundMedia())
            looks = tuple(_look(case, found, limits, faces))
            files[case.id] = looks
            cases.append(_filled(case, found, looks, licence))
        problem = faces.problem
    filled = replace(suite, cases=tuple(cases), version=_version(suite, files))
    report = _report(filled, matched, files, limits, problem)
    write_suite(filled, out)
    if (root / EXPECTATIONS_FILE).is_file():
        shutil.copyfile(root / EXPECTATIONS_FILE, out / EXPECTATIONS_FILE)
    write_text(out / REPORT_FILE, _json(report.as_json()))
    return report


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _look(
    case: Case, found: FoundMedia, limits: MediaLimits, faces: FaceFinder
) -> Iterator[LookedAt]:
    if found.image is not None:
        yield look_at_image(found.image, case, limits, faces)
    for speaker in found.speakers:
        if speaker.audio is not None:
            yield look_at_sound(speaker.audio, case, limits)


def _filled(case: Case, found: FoundMedia, looks: Sequence[LookedAt], licence: str) -> Case:
    """Return a case with the media that can be used."""
    broken = {look.path for look in looks if look.unreadable}
    speakers = tuple(speaker for speaker in found.speakers if speaker.audio not in broken)
    return replace(
        case,
        image=None if found.image in broken else found.image or case.image,
        speakers=speakers or case.speakers,
        licence=licence or case.licence or ("as supplied by the user" if looks else ""),
    )


def _version(suite: Suite, files: dict[str, tuple[LookedAt, ...]]) -> str:
    """Return the suite's version with a mark of its media, so that two fillings never mix."""
    digests = "".join(look.digest for case in sorted(files) for look in files[case])
    return f"{suite.version}+{hashlib.sha256(digests.encode()).hexdigest()[:8]}"


def voices_needed(case: Case) -> int:
    """Return how many people a case needs recordings of."""
    said = case.extra.get("speakers")
    return said if isinstance(said, int) else max(1, len(case.speakers))


def missing_media(case: Case) -> Iterator[str]:
    """Say what a case lacks before it can be rendered."""
    if case.image is None:
        yield f"{case.id}: no picture; needed: {case.image_needed or 'a reference picture'}"
    voices = sum(speaker.audio is not None for speaker in case.speakers)
    needed = voices_needed(case)
    if voices < needed:
        length = f"{case.duration_s:g} s: " if case.duration_s else ""
        kind = case.extra.get("speech", "speech")
        yield f"{case.id}: {voices} of {needed} recordings; needed: {length}{kind}"


def _report(
    suite: Suite,
    matched: MatchedMedia,
    files: dict[str, tuple[LookedAt, ...]],
    limits: MediaLimits,
    face_problem: str,
) -> BuildReport:
    missing = {case.id: tuple(missing_media(case)) for case in suite.cases}
    findings = [
        f"{case}: {look.path.name}: {finding}"
        for case, looks in files.items()
        for look in looks
        for finding in look.findings
    ]
    unchecked = sum(
        look.face.startswith("not checked") and case.tags.subject == "human"
        for case in suite.cases
        for look in files[case.id]
    )
    return BuildReport(
        suite=suite,
        complete=tuple(case for case, lacks in missing.items() if not lacks),
        missing=tuple(sentence for lacks in missing.values() for sentence in lacks),
        findings=(*findings, *duplicates(files, limits)),
        left_over=matched.left_over,
        problems=matched.problems,
        not_checked=(f"faces of {unchecked} pictures: {face_problem}",)
        if unchecked and face_problem
        else (),
        files=files,
    )


def duplicates(files: dict[str, tuple[LookedAt, ...]], limits: MediaLimits) -> Iterable[str]:
    """Say which files are the same, or pictures that look the same, in two cases."""
    by_digest: dict[str, list[tuple[str, LookedAt]]] = defaultdict(list)
    for case, looks in files.items():
        for look in looks:
            by_digest[look.digest].append((case, look))
    for twins in by_digest.values():
        for case, look in twins[1:]:
            yield f"{case}: {look.path.name}: the same file as for {twins[0][0]}"
    pictures = [
        (case, look) for case, looks in files.items() for look in looks if look.face and look.look
    ]
    for (first, one), (second, other) in combinations(pictures, 2):
        if one.digest != other.digest and (one.look ^ other.look).bit_count() <= limits.hash_bits:
            yield f"{second}: {other.path.name}: looks the same as {one.path.name} of {first}"
