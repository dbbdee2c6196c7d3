"""Score clips: plan, claim, decode once, measure, store; resumable at every clip.

Any number of processes may run this at once on one store: each claims a clip's open work with leases
before it decodes, and stores all scores of a clip in one transaction. Killing a process loses at most
the clip in flight; running again takes up where it stopped. Single clips fail as data, never the run.
"""

import platform
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from eval.measure import ClipInputs, Measure
from eval.plan import Plan, Unit, make_plan, remember
from eval.processes import Place, choose_device, this_place
from eval.records import Speaker
from eval.store.files import ContentFolder, digest_file
from eval.store.leases import claim, held_by_others, release, renewed, this_worker
from eval.store.registry import StoredClip, current_clips
from eval.store.scores import Finished, add_scores, done, finish_run, start_run
from eval.store.workspace import Workspace
from eval.watching import WatchedClip, nothing, watch_clip
from eval.weights import MISSING, WeightFolder
from joystreamer.errors import InputError
from joystreamer.media import probe

POLL_S: Final = 0.5
"""Seconds between looks at work that other processes hold."""

_LIBRARIES: Final = ("av", "mediapipe", "numpy", "pandas", "scipy", "timm", "torch", "transformers")


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """What to score and how.

    Attributes:
        suite: Only clips of this suite; None for all.
        systems: Only these systems; empty for all.
        force: Compute again what is known.
        device: Torch device; 'auto' takes a CUDA device where there is one.
    """

    suite: str | None = None
    systems: tuple[str, ...] = ()
    force: bool = False
    device: str = "auto"


@dataclass
class RunReport:
    """What a run did, as stored beside its scores and printed with `--json`.

    Attributes:
        clips: Clips this process measured.
        scores: Scores it stored.
        nulls: Null scores by reason.
        reused: Pieces of work that were known already.
        stage_s: Seconds by stage: 'decode' and every measure.
        failures: One sentence per clip that could not be decoded or measure that failed.
        peak_mb: Largest resident memory of this process.
        wall_s: Seconds from start to end.
        rank: Which of the processes this is.
        processes: How many there are.
        versions: Package versions.
        weights: Digest of every weight that was asked for.
    """

    clips: int = 0
    scores: int = 0
    nulls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    reused: int = 0
    stage_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    failures: list[str] = field(default_factory=list)
    peak_mb: float = 0.0
    wall_s: float = 0.0
    rank: int = 0
    processes: int = 1
    versions: dict[str, str] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {**self.__dict__, "nulls": dict(self.nulls), "stage_s": dict(self.stage_s)}


Progress = Callable[[int, int, str], None]
"""Called with clips done, clips in all, and what is at work now."""


def _silent(*_: object) -> None:
    """Report to nobody."""


def score(
    workspace: Workspace,
    measures: Sequence[Measure],
    weights: WeightFolder,
    options: ScoreOptions,
    progress: Progress = _silent,
) -> RunReport:
    """Score every chosen clip with every chosen measure.

    Returns when all of it is stored, also the part that other processes did.

    Args:
        workspace: Where clips are and scores go.
        measures: Rows of the metric table.
        weights: Finds network weights.
        options: What to score and how.
        progress: Told about every clip.

    Raises:
        InputError: There is nothing to score.
    """
    started = time.perf_counter()
    clips = current_clips(workspace, suite=options.suite, of_systems=options.systems)
    if not clips:
        raise InputError(
            f"the workspace {workspace.root} has no such clips; add some with 'python -m eval ingest'"
        )
    names = sorted({name for measure in measures for name in measure.weights})
    digests = weights.digests(names)
    plan = make_plan(workspace, clips, measures, digests, force=options.force)
    remember(workspace, plan)
    if options.device not in ("auto", "cpu"):
        choose_device(options.device)  # refused now rather than at the first clip
    worker = _Worker(workspace, plan, weights, this_place(options.device), options.device)
    worker.run = start_run(
        workspace.database, worker.name, {"units": len(plan.units), "open": len(plan.open)}
    )
    with renewed(workspace.database, worker.name):
        worker.work_off(progress)
    report = worker.report
    report.weights = dict(digests)
    report.wall_s = time.perf_counter() - started
    report.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    finish_run(workspace.database, worker.run, report.as_json())
    return report


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


class _Worker:
    """One process at work on a plan."""

    def __init__(
        self,
        workspace: Workspace,
        plan: Plan,
        weights: WeightFolder,
        place: Place,
        device: str,
    ) -> None:
        self.name = this_worker()
        self.run = 0
        self.report = RunReport(
            reused=len(plan.known), rank=place.rank, processes=place.processes, versions=_versions()
        )
        self._workspace, self._plan, self._weights, self._place = workspace, plan, weights, place
        self._asked_device = device

    @cached_property
    def _device(self) -> str:
        return choose_device(self._asked_device)

    def work_off(self, progress: Progress) -> None:
        """Go round the open clips until everything is stored, by this process or another."""
        by_clip: dict[int, list[Unit]] = defaultdict(list)
        for unit in self._plan.open:
            by_clip[unit.clip.id].append(unit)
        groups = list(by_clip.values())
        # Processes start at different clips, so that they rarely ask for the same lease.
        start = len(groups) * self._place.rank // self._place.processes
        waiting = groups[start:] + groups[:start]
        while waiting:
            damaged = []
            for position, units in enumerate(waiting):
                clip = units[0].clip.clip
                progress(
                    len(groups) - len(waiting) + position,
                    len(groups),
                    f"{clip.system} / {clip.case}",
                )
                try:
                    self._take(units)
                except DamagedOriginal as error:
                    # No score: the content is not what its digest says, and scores belong to digests.
                    self.report.failures.append(f"{clip.system} / {clip.case}: {error}")
                    release(self._workspace.database, [unit.work for unit in units], self.name)
                    damaged.append(units)
            waiting = self._still_open([units for units in waiting if units not in damaged])
        progress(len(groups), len(groups), "")

    def _take(self, units: Sequence[Unit]) -> None:
        """Measure whatever of a clip's open work nobody else holds or has finished."""
        database = self._workspace.database
        won = claim(database, [unit.work for unit in units], self.name)
        # Between the plan and the claim another process may have finished it.
        stored = done(database, won, after=self._plan.after)
        release(database, [work for work in won if work in stored], self.name)
        mine = [unit for unit in units if unit.work in won and unit.work not in stored]
        if mine:
            self._measure(mine)

    def _still_open(self, groups: Sequence[list[Unit]]) -> list[list[Unit]]:
        """Return the groups that nobody has finished; wait a moment when others hold them."""
        database = self._workspace.database
        works = [unit.work for group in groups for unit in group]
        stored = done(database, works, after=self._plan.after)
        rest = [[unit for unit in group if unit.work not in stored] for group in groups]
        left = [group for group in rest if group]
        if left and held_by_others(
            database, (unit.work for group in left for unit in group), self.name
        ):
            time.sleep(POLL_S)
        return left

    def _measure(self, units: Sequence[Unit]) -> None:
        """Show one clip to its measures and store what they say."""
        clip = units[0].clip
        name = f"{clip.clip.system} / {clip.clip.case}"
        absent = {
            unit.measure.spec: weight
            for unit in units
            for weight in unit.measure.weights
            if self._plan.digests[weight] == MISSING
        }
        able = [unit.measure for unit in units if unit.measure.spec not in absent]
        watched = WatchedClip({}, 0.0, 0)
        problem = clip.clip.problem
        if able and not problem:
            inputs = self._inputs(
                clip, needs_device=any("torch" in able_one.libraries for able_one in able)
            )
            watched = watch_clip(inputs, able)
        finished = []
        for unit in units:
            spec = unit.measure.spec
            if problem:
                outcomes, seconds = nothing(unit.measure, "decode_error", problem), 0.0
            elif spec in absent:
                said = f"weights {absent[spec]!r} are not on this machine; see 'python -m eval weights list'"
                outcomes, seconds = nothing(unit.measure, "weights_missing", said), 0.0
            else:
                outcomes, seconds = (
                    dict(watched.by_measure[spec].outcomes),
                    watched.by_measure[spec].seconds,
                )
            finished.append(Finished(unit.work, outcomes, seconds))
        add_scores(self._workspace, self.run, self.name, finished)
        self._note(name, watched, finished, problem)

    def _note(
        self, name: str, watched: WatchedClip, finished: Sequence[Finished], problem: str
    ) -> None:
        report = self.report
        report.clips += 1
        report.stage_s["decode"] += watched.decode_s
        for spec, result in watched.by_measure.items():
            report.stage_s[spec] += result.seconds
        if problem:
            report.failures.append(f"{name}: {problem}")
        for item in finished:
            for metric, outcome in item.outcomes.items():
                report.scores += 1
                if outcome.reason is not None:
                    report.nulls[outcome.reason] += 1
                if outcome.reason == "backend_error" or (
                    outcome.reason == "decode_error" and not problem
                ):
                    report.failures.append(f"{name}: {metric}: {outcome.message}")

    def _inputs(self, clip: StoredClip, *, needs_device: bool) -> ClipInputs:
        media = self._workspace.media
        path = _stored(media, clip.clip.digest)
        case = self._plan.cases.get((clip.clip.suite, clip.clip.case))
        record = case.record if case else {}
        return ClipInputs(
            path=path,
            probe=probe(path),
            weights=self._weights,
            device=self._device if needs_device else "cpu",
            reference=media.find(case.image) if case and case.image else None,
            speech=media.find(case.speech) if case and case.speech else None,
            prompt=str(record.get("prompt", "")),
            questions=tuple(record.get("questions", ())),
            extra=record.get("extra", {}),
            speakers=tuple(_speaker(media, entry) for entry in record.get("speakers", ())),
            borders_s=clip.clip.borders_s,
        )


class DamagedOriginal(InputError):
    """A stored original is gone, or no longer what its digest says."""


def _stored(media: ContentFolder, digest: str) -> Path:
    path = media.find(digest)
    if path is None:
        raise DamagedOriginal(f"the clip {digest[:12]}… is gone from {media.root}; ingest it again")
    if digest_file(path) != digest:
        raise DamagedOriginal(
            f"the clip {digest[:12]}… is damaged in {media.root}; ingest it again"
        )
    return path


def _speaker(media: ContentFolder, record: Mapping[str, Any]) -> Speaker:
    box = record.get("box")
    return Speaker(
        audio=media.find(record["audio"]) if record.get("audio") else None,
        mask=media.find(record["mask"]) if record.get("mask") else None,
        box=(box[0], box[1], box[2], box[3]) if box else None,
        spans=tuple((start, end) for start, end in record.get("spans", ())),
    )
