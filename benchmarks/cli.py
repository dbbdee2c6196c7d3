"""`python -m benchmarks`: thin commands over the functions of this package.

Each command lives in a `*_cli.py` file and imports what it runs only when it runs.
"""

import click

from benchmarks.ablation_cli import ablation
from benchmarks.demo_cli import demo
from benchmarks.exchange_cli import export_list, import_list
from benchmarks.mochabench_cli import mochabench
from benchmarks.perf_cli import perf
from benchmarks.run_cli import list_adapters, run
from benchmarks.suite_cli import build, check, list_suites
from eval.console import FriendlyGroup


@click.group(cls=FriendlyGroup, context_settings={"max_content_width": 110})
def main() -> None:
    """Ask the questions: suites of cases, competitors that answer them, runs over both.

    \b
    From nothing to a leaderboard:
        python -m benchmarks demo                bundled tiny checkpoints, minutes on a laptop
        python -m benchmarks list                what is shipped
        python -m benchmarks check SUITE         does a suite keep its promises
        python -m benchmarks build SUITE         fill it with your pictures and recordings
        python -m benchmarks import FORM LIST    or take the inputs of another project
        python -m benchmarks ablation            train and compare the tiny students, hours
        python -m benchmarks run SUITE           checkpoints and competitors over every case, scored

    Exit codes: 0 all well, 1 some cases failed (the rest is done), 2 something given does not fit.
    """  # noqa: D301  # \b keeps click from rewrapping the list


for command in (
    list_suites,
    check,
    build,
    import_list,
    export_list,
    list_adapters,
    run,
    demo,
    ablation,
    mochabench,
    perf,
):
    main.add_command(command)
