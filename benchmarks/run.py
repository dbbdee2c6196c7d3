"""Render every case of a suite by several systems, and bring the clips into a workspace.

Any number of processes may render at once: each takes a case with a lease in the workspace's database
and writes its clip whole or not at all, so killing one loses at most the clip at hand. A case that fails
is kept as a record with its reason and stored as a clip that cannot be decoded, so that it is counted.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.build import missing_media
from benchmarks.renderers import Renderer, settings_digest
from eval.ingest import Matched, Stored, store_matches
from eval.matching import Match
from eval.records import Case, Suite
from eval.runner import POLL_S
from eval.store.files import write_text
from eval.store.leases import Work, claim, release, renewed, this_worker
from eval.store.workspace import Workspace
from joystreamer.errors import InputError

RUNS: Final = "runs"
SETTINGS_FILE: Final = "settings.json"
Progress = Callable[[int, int, str], None]


def _silent(*_: object) -> None:
    """Report to nobody."""


@dataclass(frozen=True, slots=True)
class Task:
    """One clip to make.

    Attributes:
        renderer: By whom.
        case: Of what.
        out: Where it goes.
        work: Name of its lease.
    """

    renderer: Renderer
    case: Case
    out: Path
    work: Work

    @property
    def failure(self) -> Path:
        """File that says why it failed."""
        return self.out.with_suffix(".failed.json")

    @property
    def settled(self) -> bool:
        """Whether it is made or has failed.

        A clip counts with its report, which every renderer writes last: one whose renderer was killed
        in between is made again.
        """
        made = self.out.is_file() and self.out.with_suffix(".json").is_file()
        return made or self.failure.is_file()


@dataclass
class RenderReport:
    """What one process rendered.

    Attributes:
        made: Clips this process made.
        failed: One sentence per case that this process saw fail.
        seconds: Seconds by system, of the clips this process made.
    """

    made: int = 0
    failed: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def complete_cases(suite: Suite, only: Sequence[str] = (), limit: int = 0) -> tuple[Case, ...]:
    """Return the cases that have picture and recordings, of those asked for.

    Args:
        suite: Cases to choose from.
        only: Ids; empty for all.
        limit: At most so many; 0 for all.

    Raises:
        InputError: An id is unknown, or no case is complete.
    """
    known = {case.id: case for case in suite.cases}
    for name in only:
        if name not in known:
            raise InputError(f"suite {suite.name} has no case {name!r}; see its cases.jsonl")
    asked = [known[name] for name in only] if only else list(suite.cases)
    whole = [case for case in asked if not any(missing_media(case))]
    if not whole:
        raise InputError(
            f"no case of {suite.name} has its picture and recordings; "
            "fill it with 'python -m benchmarks build'"
        )
    return tuple(whole[:limit] if limit else whole)


def make_tasks(
    workspace: Workspace,
    suite: Suite,
    cases: Sequence[Case],
    renderers: Sequence[Renderer],
    *,
    seed: int = 0,
    retry_failed: bool = False,
) -> list[Task]:
    """Lay cases against renderers; each system gets a folder with its settings.

    Raises:
        InputError: Two renderers share a name, or a system was run with other settings before.
    """
    names = [renderer.system.name for renderer in renderers]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two systems are called {name!r}; name one with --model NAME=PATH")
    tasks = []
    for renderer in renderers:
        folder = run_folder(workspace, suite, renderer.system.name)
        settings = {**renderer.settings, "seed": seed}
        _keep_settings(folder / SETTINGS_FILE, settings, renderer.system.name)
        digest = settings_digest(settings)
        for case in cases:
            content = settings_digest(
                {"run": str(folder.name), "suite": suite.version, "id": case.id}
            )
            work = Work(f"render-{content}", digest)
            task = Task(renderer, case, folder / f"{case.id}.mp4", work)
            if retry_failed:
                task.failure.unlink(missing_ok=True)
            tasks.append(task)
    return tasks


def run_folder(workspace: Workspace, suite: Suite, system: str) -> Path:
    """Return the folder of a system's clips; made when new."""
    folder = workspace.root / RUNS / f"{suite.name}@{suite.version}" / system
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _keep_settings(path: Path, settings: dict[str, Any], name: str) -> None:
    text = json.dumps(settings, sort_keys=True, ensure_ascii=False, indent=1, default=str) + "\n"
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        now = json.loads(text)
        changed = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
        if changed:
            raise InputError(
                f"{name} was run here with another {' and '.join(changed)}; give it another name, "
                f"or remove {path.parent}"
            )
        return
    write_text(path, text)


def render_all(
    workspace: Workspace,
    tasks: Sequence[Task],
    *,
    seed: int = 0,
    rank: int = 0,
    processes: int = 1,
    progress: Progress = _silent,
) -> RenderReport:
    """Render what is not settled yet; return when all of it is, also what other processes took.

    Args:
        workspace: Its database holds the leases.
        tasks: From `make_tasks`; the same in every process.
        seed: Given to every renderer.
        rank: Which of the processes this is.
        processes: How many there are.
        progress: Told about every clip.
    """
    report = RenderReport()
    worker = this_worker()
    start = len(tasks) * rank // processes
    waiting = [*tasks[start:], *tasks[:start]]
    last: Renderer | None = None
    with renewed(workspace.database, worker):
        while waiting := [task for task in waiting if not task.settled]:
            took = 0
            for task in waiting:
                if task.settled or not claim(workspace.database, [task.work], worker):
                    continue
                try:
                    if not task.settled:
                        if last is not None and last is not task.renderer:
                            last.close()
                        last = task.renderer
                        done = sum(one.settled for one in tasks)
                        progress(done, len(tasks), f"{task.renderer.system.name} / {task.case.id}")
                        _render(task, seed, report)
                        took += 1
                finally:
                    release(workspace.database, [task.work], worker)
            if not took:
                time.sleep(POLL_S)
    if last is not None:
        last.close()
    progress(len(tasks), len(tasks), "")
    return report


def _render(task: Task, seed: int, report: RenderReport) -> None:
    started = time.monotonic()
    task.out.unlink(missing_ok=True)  # without its report, see Task.settled
    reason = task.renderer.render(task.case, task.out, seed)
    name = task.renderer.system.name
    if reason or not task.out.is_file():
        reason = reason or "the renderer left no clip"
        record = {"system": name, "case": task.case.id, "seed": seed, "reason": reason}
        write_text(task.failure, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
        report.failed.append(f"{name} / {task.case.id}: {reason}")
        return
    report.made += 1
    report.seconds[name] = report.seconds.get(name, 0.0) + time.monotonic() - started


def failures(tasks: Sequence[Task]) -> list[str]:
    """Return one sentence per failed case, whoever saw it fail."""
    sentences = []
    for task in tasks:
        if task.failure.is_file() and not task.out.is_file():
            reason = json.loads(task.failure.read_text(encoding="utf-8"))["reason"]
            sentences.append(f"{task.renderer.system.name} / {task.case.id}: {reason}")
    return sentences


@contextmanager
def alone(workspace: Workspace, doing: str) -> Iterator[None]:
    """Wait until no other process does the same on this workspace, then keep others waiting."""
    work = Work(f"{doing}-{settings_digest({'doing': doing})}", "alone")
    worker = this_worker()
    while not claim(workspace.database, [work], worker):
        time.sleep(POLL_S)
    try:
        with renewed(workspace.database, worker):
            yield
    finally:
        release(workspace.database, [work], worker)


def ingest_run(
    workspace: Workspace, suite: Suite, tasks: Sequence[Task], *, seed: int = 0
) -> list[Stored]:
    """Bring settled tasks into the workspace: clips, and records of failure as undecodable clips.

    One process at a time: a suite's rows are replaced as a whole.
    """
    matches = tuple(
        Match(
            task.out if task.out.is_file() else task.failure,
            task.renderer.system,
            task.case.id,
            seed,
            suite.name,
            segment_borders(task.out),
        )
        for task in tasks
        if task.settled
    )
    systems = {task.renderer.system.name: task.renderer.system for task in tasks}
    matched = Matched(matches=matches, systems=systems, layout="a run")
    with alone(workspace, "ingest"):
        return list(store_matches(workspace, matched, suite=suite))


def segment_borders(clip: Path) -> tuple[float, ...] | None:
    """Return the times at which segments of a clip join, from its report; None when unknown."""
    path = clip.with_suffix(".json")
    if not clip.is_file() or not path.is_file():
        return None
    report = json.loads(path.read_text(encoding="utf-8"))
    segments, fps = report.get("segments"), report.get("fps")
    if not isinstance(segments, list) or not fps:
        return None
    return tuple(entry["start_frame"] / fps for entry in segments[1:])
