"""`python -m benchmarks ablation`."""

import json
from pathlib import Path

import click


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path("runs") / "ablation",
              show_default=True, help="Where everything goes; the same folder goes on.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True,
              help="Seeds of every student.")  # fmt: skip
@click.option("--cycles", type=click.IntRange(min=0), default=0,
              help="Student updates; by default the preset's.")  # fmt: skip
@click.option("--questions", type=click.IntRange(min=2), default=64, show_default=True,
              help="Size of the exam, half of it unseen combinations.")  # fmt: skip
@click.option("--start", type=str, default="tiny", show_default=True, metavar="FOLDER",
              help="Pipeline whose networks the chain goes on from, such as an earlier chain's bundled 'base'; "
              "'tiny' begins with random weights.")  # fmt: skip
@click.option("--short", is_flag=True,
              help="Two updates a stage and no gates: shows that everything runs, proves nothing.")  # fmt: skip
@click.option("--bundle", type=click.Path(path_type=Path), default=None,
              help="Also copy the demo's checkpoints to this folder.")  # fmt: skip
def ablation(
    folder: Path,
    seeds: int,
    cycles: int,
    questions: int,
    start: str,
    short: bool,
    bundle: Path | None,
) -> None:
    """Train the tiny chain, distil every arm, examine all of it: the paper's Fig. 10 as numbers.

    Hours on two cores; stop it whenever you like, the same command goes on. Every stage is an ordinary
    `joystreamer train` or `distill`, printed before it runs.
    """
    from benchmarks.puppet.ablation import CEILING, Plan, run_ablation, short_chain
    from benchmarks.puppet.ablation_report import write_page
    from benchmarks.puppet.bundle import write_bundle
    from benchmarks.puppet.chain import Chain
    from benchmarks.puppet.exam import STEPS
    from benchmarks.puppet.loop_parts import studies

    chain = short_chain(folder, start) if short else Chain(folder=folder, start=start)
    plan = Plan(
        chain=chain, seeds=tuple(range(seeds)), cycles=cycles, questions=questions,
        steps=2 if short else STEPS, gate=not short,
        studies=studies(1, 2) if short else studies(),
    )  # fmt: skip
    found = run_ablation(plan, lambda words: click.echo(words, err=True))
    ceiling = json.loads((folder / CEILING).read_text())
    click.echo(f"report: {write_page(folder, found, ceiling)}")
    if bundle is not None:
        write_bundle(chain, target=bundle)
        click.echo(f"checkpoints: {bundle}")
