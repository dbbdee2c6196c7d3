"""`python -m eval score` and `python -m eval metrics`."""

from pathlib import Path
from typing import Any

import click

from eval.console import FAILED_CASES, clip_progress, print_json, standard_output
from eval.workspace_options import database_option, suite_option, workspace_option


@click.command()
@click.option(
    "--measure",
    "-m",
    "names",
    multiple=True,
    help="Family or family/variant; repeatable. Default: all default ones.",
)
@click.option("--system", "systems", multiple=True, help="Only this system; repeatable.")
@suite_option
@click.option("--force", is_flag=True, help="Compute again what is known.")
@click.option(
    "--explain",
    "only_explain",
    is_flag=True,
    help="Say what would be computed and why; compute nothing.",
)
@click.option(
    "--device", default="auto", show_default=True, help="Torch device: auto, cpu, cuda, cuda:1."
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes on this machine.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the run report as JSON.")
@workspace_option
@database_option
def score(
    names: tuple[str, ...], systems: tuple[str, ...], suite: str | None, force: bool, only_explain: bool,
    device: str, processes: int, as_json: bool, root: Path, database: str | None,
) -> None:  # fmt: skip
    """Score every clip with every metric whose weights are at hand.

    What was scored stays scored: run it again after a crash, a new clip or a new metric, and only the
    difference is computed. Several machines may run it on one PostgreSQL and one shared folder; on
    this machine --processes N (or torchrun / accelerate launch) shares the work out.
    """
    from eval.catalog import default_measures, find_measures
    from eval.plan import explain, make_plan
    from eval.processes import launched, run_in_processes, this_place
    from eval.runner import ScoreOptions
    from eval.runner import score as run_score
    from eval.store.registry import current_clips
    from eval.store.workspace import Workspace
    from eval.weights import WeightFolder

    measures = (
        tuple(measure for name in names for measure in find_measures(name)) or default_measures()
    )
    workspace = click.get_current_context().with_resource(Workspace(root, database))
    weights = WeightFolder()
    if only_explain:
        needed = sorted({name for measure in measures for name in measure.weights})
        clips = current_clips(workspace, suite=suite, of_systems=systems)
        plan = make_plan(workspace, clips, measures, weights.digests(needed), force=force)
        for line in explain(workspace, plan):
            click.echo(line)
        click.echo(f"{len(plan.open)} of {len(plan.units)} to compute, {len(plan.known)} known")
        return
    if processes > 1 and not launched():
        arguments = _arguments(names, systems, suite, force, device, as_json, root, database)
        raise SystemExit(run_in_processes(processes, arguments))
    place = this_place(device)
    options = ScoreOptions(suite=suite, systems=systems, force=force, device=device)
    with clip_progress("scoring", quiet=as_json or place.rank > 0) as tell:
        report = run_score(workspace, measures, weights, options, tell)
    if as_json:
        print_json(report.as_json())
    else:
        click.echo(_summary(report))
        for line in report.failures:
            click.echo(f"failed: {line}", err=True)
    if report.failures:
        raise SystemExit(FAILED_CASES)


def _arguments(
    names: tuple[str, ...], systems: tuple[str, ...], suite: str | None, force: bool, device: str,
    as_json: bool, root: Path, database: str | None,
) -> list[str]:  # fmt: skip
    given = ["score", "--workspace", str(root), "--device", device]
    given += [part for name in names for part in ("--measure", name)]
    given += [part for name in systems for part in ("--system", name)]
    given += ["--suite", suite] if suite else []
    given += ["--force"] if force else []
    given += ["--json"] if as_json else []
    return given + (["--database", database] if database else [])


def _summary(report: Any) -> str:
    who = f"process {report.rank + 1} of {report.processes}: " if report.processes > 1 else ""
    nulls = ", ".join(f"{count} {reason}" for reason, count in sorted(report.nulls.items()))
    stages = ", ".join(
        f"{name} {seconds:.1f} s"
        for name, seconds in sorted(report.stage_s.items(), key=lambda item: -item[1])[:5]
    )
    return (
        f"{who}{report.clips} clips, {report.scores} scores ({sum(report.nulls.values())} null{': ' + nulls if nulls else ''}), "
        f"{report.reused} pieces of work known before; {report.wall_s:.1f} s, {report.peak_mb:.0f} MB"
        + (f" ({stages})" if stages else "")
    )


@click.command(name="metrics")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_metrics(as_json: bool) -> None:
    """List every metric: unit, direction, needs and source."""
    from rich.table import Table

    from eval.catalog import MEASURES

    if as_json:
        print_json(
            [
                {
                    "metric": metric.name,
                    "variant": measure.variant,
                    "unit": metric.unit,
                    "better": metric.better,
                    "default": measure.default,
                    "weights": measure.weights,
                    "inputs": sorted(measure.inputs),
                    "unverified": measure.unverified,
                    "summary": metric.summary,
                    "source": measure.source,
                }
                for measure in MEASURES
                for metric in measure.metrics
            ]
        )
        return
    table = Table(title="Metrics", show_lines=False)
    for heading in ("metric", "variant", "unit", "better", "needs", "what it says"):
        table.add_column(heading, overflow="fold")
    arrows = {"higher": "↑ higher", "lower": "↓ lower", "neither": "· descriptive"}
    for measure in MEASURES:
        for metric in measure.metrics:
            variant = (
                measure.variant
                + ("" if measure.default else " (on request)")
                + (" unverified" if measure.unverified else "")
            )
            table.add_row(
                metric.name,
                variant,
                metric.unit,
                arrows[metric.better],
                ", ".join(measure.weights),
                metric.summary,
            )
    standard_output().print(table)
