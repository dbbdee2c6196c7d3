"""Fills workspaces through the store's own functions: systems, cases, clips, posters and scores."""

import dataclasses
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from eval.catalog import MEASURES
from eval.measure import Measure, Outcome
from eval.plan import make_plan, remember
from eval.records import Case, Clip, Speaker, Subject, Suite, System, Tags
from eval.runner import RunReport
from eval.series import Series
from eval.store.registry import add_clip, add_suite, add_system, current_clips
from eval.store.scores import Finished, add_scores, finish_run, start_run
from eval.store.workspace import Workspace

SUBJECTS: tuple[Subject, ...] = ("human", "cartoon", "animal")
LANGUAGES = ("en", "zh")
SPECS = ("sync/clean", "identity/dinov2", "quality/light")
"""Measures whose outcomes are made up; their weights need not be here."""

SYSTEMS = (
    System(name="run1-1000", kind="checkpoint", family="run1", step=1000),
    System(name="run1-2000", kind="checkpoint", family="run1", step=2000),
    System(name="kling", kind="competitor"),
)


def measures(specs: Sequence[str] = SPECS) -> list[Measure]:
    """Return rows of the metric table by `name/variant`."""
    return [measure for measure in MEASURES if measure.spec in specs]


def fill(
    root: Path, *, systems: Sequence[System] = SYSTEMS, cases: int = 12, specs: Sequence[str] = SPECS,
    seed: int = 0, posters: bool = True, nulls: float = 0.05, effect: float = 0.5,
) -> Workspace:  # fmt: skip
    """Make a workspace in which every system answered every case, each a little better than the one before."""
    workspace = Workspace(root)
    add_suite(
        workspace,
        Suite(
            name="talk", version="1", asks="who talks best",
            cases=tuple(
                Case(
                    id=f"case{number:03d}", prompt=f"prompt {number}", speakers=(Speaker(),),
                    tags=Tags(
                        subject=SUBJECTS[number % 3],
                        language=LANGUAGES[number % 2],
                        content=("body",) if number % 2 else ("camera", "object"),
                    ),
                )
                for number in range(cases)
            ),
        ),
    )  # fmt: skip
    with workspace.database.write() as connection:
        for system in systems:
            add_system(connection, system)
            for number in range(cases):
                add_clip(
                    connection,
                    Clip(
                        system=system.name, suite="talk", case=f"case{number:03d}", name=f"case{number:03d}.mp4",
                        digest=hashlib.sha256(f"{system.name} {number}".encode()).hexdigest(),
                        probe={"duration_s": 5.0 if number % 2 else 20.0, "width": 64, "height": 64},
                    ),
                    poster=workspace.posters.add_bytes(poster(number), ".jpg") if posters else "",
                )  # fmt: skip
    score_all(workspace, specs=specs, seed=seed, nulls=nulls, effect=effect)
    return workspace


def poster(number: int) -> bytes:
    """Return a small JPEG whose colour tells the case."""
    picture = Image.new("RGB", (160, 90), (40 + 17 * number % 200, 90, 200 - 13 * number % 150))
    sink = io.BytesIO()
    picture.save(sink, format="JPEG")
    return sink.getvalue()


def score_all(
    workspace: Workspace, *, specs: Sequence[str] = SPECS, seed: int = 0, nulls: float = 0.05,
    version: int | None = None, of_systems: Sequence[str] = (), only: int | None = None,
    effect: float = 0.5,
) -> None:  # fmt: skip
    """Store made-up outcomes of every open unit, as the runner would.

    Args:
        workspace: Where.
        specs: Measures by `name/variant`.
        seed: Of the values.
        nulls: Share of scores without a value.
        version: Another version of the measures' code, so that the specification differs.
        of_systems: Only these systems; empty for all.
        only: Stop after so many clips, as a killed run would.
        effect: By how much each system is better than the one before it, by name.
    """
    chosen = measures(specs)
    if version is not None:
        chosen = [dataclasses.replace(measure, version=version) for measure in chosen]
    digests = {name: "0" * 64 for measure in chosen for name in measure.weights}
    plan = make_plan(workspace, current_clips(workspace, of_systems=of_systems), chosen, digests)
    remember(workspace, plan)
    run = start_run(
        workspace.database, "here:1:0", {"units": len(plan.units), "open": len(plan.open)}
    )
    by_clip: dict[int, list[Finished]] = {}
    names = sorted({unit.clip.clip.system for unit in plan.units})
    report = RunReport(reused=len(plan.known))
    for unit in plan.open:
        clip = unit.clip.clip
        generator = np.random.default_rng(
            [seed, _number(clip.case), names.index(clip.system), len(unit.measure.spec)]
        )
        difficulty = np.random.default_rng(_number(clip.case)).normal()
        outcomes = {}
        for metric in unit.measure.metrics:
            if generator.random() < nulls:
                outcomes[metric.name] = Outcome(
                    reason="no_face", message="no face in 80 % of frames"
                )
                report.nulls["no_face"] += 1
                continue
            step = effect * names.index(clip.system) * (-1 if metric.better == "lower" else 1)
            value = 6 + difficulty + step + 0.4 * generator.normal()
            times = np.arange(5) / 5
            series = {"curve": Series(times_s=times, values=value + np.sin(times), unit="")}
            outcomes[metric.name] = Outcome(value=float(value), series=series if only else {})
        report.scores += len(outcomes)
        report.stage_s[unit.measure.spec] += 0.25
        by_clip.setdefault(unit.clip.id, []).append(Finished(unit.work, outcomes, 0.25))
    for finished in list(by_clip.values())[:only]:
        add_scores(workspace, run, "here:1:0", finished)
        report.clips += 1
    if only is None:
        report.wall_s, report.peak_mb = 12.0, 300.0
        finish_run(workspace.database, run, report.as_json())


def _number(case: str) -> int:
    return int("".join(letter for letter in case if letter.isdigit()))
