"""Sends a finished clip of the studio to compare: a clip of its model on the suite `studio`."""

from __future__ import annotations

import json
import re
from typing import Final

from dashboard.studio.jobs import Job
from eval.ingest import Matched, store_matches
from eval.matching import Match
from eval.records import Case, Speaker, Suite
from eval.store.registry import extend_suite
from eval.store.workspace import Workspace
from joystreamer.errors import InputError

SUITE: Final = "studio"

_LETTERS: Final = 32
"""Of the prompt that a case is named by."""


def case_of(job: Job) -> str:
    """Id of the case that a job answers: jobs with the same picture, speech and prompt share it."""
    words = re.sub(r"[^a-z0-9]+", "-", job.request.prompt.lower())[:_LETTERS].strip("-")
    return f"{words or 'clip'}-{job.request.inputs[:8]}"


def send_to_compare(workspace: Workspace, job: Job) -> str:
    """Store a job's picture, speech, prompt and clip; return the case's id.

    Sending again changes nothing.

    Raises:
        InputError: The clip is not finished, or cannot be decoded.
    """
    if not job.clip.is_file():
        raise InputError("this clip is not finished; wait for it, or go on with the job")
    request = job.request
    case = Case(
        id=case_of(job), prompt=request.prompt, image=job.folder / request.image,
        speakers=(Speaker(audio=job.folder / request.speech),), source="studio",
    )  # fmt: skip
    suite = Suite(
        name=SUITE, version="1", cases=(case,),
        asks="what staff tried by hand; no sample of anything",
    )  # fmt: skip
    extend_suite(workspace, suite)
    model = job.model
    match = Match(job.clip, model.system(), case.id, request.seed, SUITE, _borders(job))
    matched = Matched(matches=(match,), systems={model.name: model.system()}, layout="studio")
    (stored,) = store_matches(workspace, matched)
    if stored.problem:
        raise InputError(f"the clip cannot be decoded: {stored.problem}")
    return case.id


def _borders(job: Job) -> tuple[float, ...] | None:
    """Times in seconds at which its segments join, from its report."""
    try:
        report = json.loads((job.folder / "clip.json").read_text(encoding="utf-8"))
        starts = [entry["start_frame"] / report["fps"] for entry in report["segments"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return tuple(starts[1:])
