"""The files a job leaves, and the promise that none of them replaces a file of somebody else's.

Knows names and first braces, no media. A report or plan of an earlier run may be replaced; a job
file that happens to be called like a report, a recording or a folder with other things may not.
"""

import json
import os
import re
from pathlib import Path

from joystreamer.errors import InputError
from joystreamer.job_spec import JobSpec

_STORED = re.compile(r"lock|job\.json|plan\.json|segment_\d{5}\.zip|\..+\.part")
"""Names in the folder of finished segments."""

_REPORT_KEYS = {".json": {"clip", "segments"}, ".plan.json": {"fragments", "backend"}}
"""Keys by which a report and a plan of an earlier run are known."""


def segments_folder(out: Path) -> Path:
    """Where finished segments of a clip are kept while a job runs."""
    return out.with_suffix(".segments")


def preview_path(out: Path) -> Path:
    """The picture that shows who is where."""
    return out.with_suffix(".speakers.png")


def report_path(out: Path) -> Path:
    """The run report."""
    return out.with_suffix(".json")


def plan_path(out: Path) -> Path:
    """What was told to each segment."""
    return out.with_suffix(".plan.json")


def check_outputs(job: JobSpec) -> None:
    """Refuse a job whose files cannot be written, or would replace what is not ours.

    Raises:
        InputError: Not `.mp4`; no such folder, or one that cannot be written; a file the job reads would be overwritten; a file
            or folder in the way was not made by an earlier run.
    """
    out = job.out
    if out.suffix.lower() != ".mp4":
        raise InputError(f"'{out}' does not end in .mp4; clips are written as MP4")
    if not out.parent.is_dir():
        raise InputError(f"the folder of '{out}' does not exist; make it first")
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise InputError(f"the folder of '{out}' cannot be written; choose another")
    if out.is_dir():
        raise InputError(f"'{out}' is a folder; choose another name for the clip")
    made = {path.resolve() for path in (out, report_path(out), plan_path(out), preview_path(out))}
    for source in _sources(job):
        if source.resolve() in made:
            raise InputError(
                f"the job reads '{source}' and would overwrite it; choose another name for the clip"
            )
    for suffix, keys in _REPORT_KEYS.items():
        path = out.with_suffix(suffix)
        if path.exists() and not _has_keys(path, keys):
            raise InputError(
                f"'{path}' is in the way of what is written beside the clip and was not made by an "
                "earlier run; move it, or choose another name for the clip"
            )
    folder = segments_folder(out)
    others = [] if not folder.exists() else [path.name for path in folder.iterdir()]
    strange = sorted(name for name in others if not _STORED.fullmatch(name))
    if strange:
        raise InputError(
            f"'{folder}', where finished segments go, holds '{strange[0]}'; move it, or choose "
            "another name for the clip"
        )


def _sources(job: JobSpec) -> list[Path]:
    """Every file the job reads."""
    named = [job.image, job.audio, *(turn.audio for turn in job.turns)]
    for speaker in job.speakers:
        named += [speaker.audio, speaker.mask]
    return [path for path in named if path is not None]


def _has_keys(path: Path, keys: set[str]) -> bool:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return False
    return isinstance(plain, dict) and keys <= plain.keys()
