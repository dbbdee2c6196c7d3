"""The demo: bundled checkpoints on `puppet-demo`, from rendering to a page, on a processor.

Strings together what other commands do one by one: `run`, `eval leaderboard`, `eval report`, and a strip
of frames. Stopped at any point, it goes on where it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.check import suite_folder
from benchmarks.checkpoints import BUNDLED, bundled_checkpoints
from benchmarks.puppet.strip import StripCase, write_strip
from benchmarks.puppet.truth import TRUTH
from benchmarks.run import RUNS
from eval.catalog import default_measures
from eval.reader import read_suite
from eval.records import Suite
from joystreamer.errors import InputError

SUITE: Final = "puppet-demo"
DEMO_SYSTEMS: Final = ("vanilla", "twin", "twin-dynamic")
"""Bundled checkpoints that the demo compares, worst expected first; the first is the baseline."""
PUPPET_SYNC: Final = "sync/puppet"
STRIP_CASES: Final = ("unseen-walk-left+ball", "night", "stand-1")
"""Cases of the strip: a pair no training set shows, a background, somebody who merely talks."""
STRIP_FILE: Final = Path("reports") / "strip.png"
REPORT_FILE: Final = Path("reports") / "report.html"


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoPlan:
    """What a demo does.

    Attributes:
        workspace: Folder of records and media.
        models: NAME=FOLDER of every checkpoint.
        cases: Ids; empty for all.
        processes: For rendering and scoring.
        measures: Measures to score with; empty for all default ones and lip sync of puppets.
    """

    workspace: Path
    models: tuple[str, ...]
    cases: tuple[str, ...] = ()
    processes: int = 1
    measures: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the systems, the world's own drawing last."""
        return (*(system_name(model) for model in self.models), TRUTH)


def system_name(model: str) -> str:
    """Return the name of a system given as NAME=FOLDER or as a folder alone."""
    name, _, folder = model.rpartition("=")
    return name or Path(folder).name


def demo_models(root: Path = BUNDLED, names: Sequence[str] = DEMO_SYSTEMS) -> tuple[str, ...]:
    """Return the demo's checkpoints as NAME=FOLDER.

    Raises:
        InputError: One of them is not there.
    """
    there = bundled_checkpoints(root)
    missing = [name for name in names if name not in there]
    if missing:
        raise InputError(
            f"the demo's checkpoints {', '.join(missing)} are not in {root}; take a checkout that "
            "has them, or name others with --model FOLDER"
        )
    return tuple(f"{name}={root / name}" for name in names)


def demo_measures() -> tuple[str, ...]:
    """Return what the demo scores with: every default measure, and lip sync by the puppets' network."""
    return (*(measure.spec for measure in default_measures()), PUPPET_SYNC)


def run_arguments(plan: DemoPlan) -> list[str]:
    """Return the arguments of `python -m benchmarks` that render, ingest and score the demo."""
    arguments = ["run", SUITE, "--workspace", str(plan.workspace), "--device", "cpu"]
    arguments += [part for model in (*plan.models, TRUTH) for part in ("--model", model)]
    arguments += [part for case in plan.cases for part in ("--case", case)]
    measures = plan.measures or demo_measures()
    arguments += [part for name in measures for part in ("--measure", name)]
    return [*arguments, "--processes", str(plan.processes)]


def board_arguments(plan: DemoPlan) -> list[str]:
    """Return the options of `python -m eval leaderboard` and `report` that show the demo alone."""
    arguments = ["--workspace", str(plan.workspace), "--suite", SUITE]
    arguments += ["--baseline", plan.names[0], "--published", "none"]
    return arguments + [part for name in plan.names for part in ("--system", name)]


def write_demo_strip(plan: DemoPlan, target: Path) -> Path:
    """Write the strip: the world's own drawing first, then every checkpoint.

    Args:
        plan: Whose clips are looked at.
        target: The PNG.

    Raises:
        InputError: No case of the plan has a clip.
    """
    suite = read_suite(suite_folder(SUITE))
    folder = plan.workspace / RUNS / f"{suite.name}@{suite.version}"
    rows = (TRUTH, *plan.names[:-1])
    groups = [
        StripCase(
            title=prompt,
            clips=tuple(
                path if (path := folder / name / f"{case}.mp4").is_file() else None for name in rows
            ),
        )
        for case, prompt in _shown(suite, plan.cases)
    ]
    return write_strip(target, rows, groups)


def _shown(suite: Suite, chosen: Sequence[str]) -> list[tuple[str, str]]:
    """Return id and prompt of the strip's cases; of a shortened demo its own first ones."""
    prompts = {case.id: case.prompt for case in suite.cases}
    wanted = [name for name in STRIP_CASES if not chosen or name in chosen]
    names = wanted or list(chosen)[: len(STRIP_CASES)]
    return [(name, prompts[name]) for name in names]
