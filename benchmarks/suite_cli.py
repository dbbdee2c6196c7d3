"""`python -m benchmarks list` and `check`."""

from pathlib import Path

import click

from eval.console import FAILED_CASES, print_json, standard_output
from eval.workspace_options import json_option


@click.command(name="list")
@json_option
def list_suites(as_json: bool) -> None:
    """List the shipped suites: cases, balance, what each asks."""
    from rich.table import Table

    from benchmarks.check import shipped_suites, tag_counts
    from eval.reader import read_suite

    suites = [read_suite(folder) for folder in shipped_suites()]
    if as_json:
        print_json(
            [
                {
                    "name": suite.name,
                    "version": suite.version,
                    "folder": str(suite.root),
                    "asks": suite.asks,
                    "cases": len(suite.cases),
                    "media": _media(suite.cases),
                    "counts": tag_counts(suite.cases),
                }
                for suite in suites
            ]
        )
        return
    table = Table(title="Suites", show_lines=True)
    for heading in ("suite", "cases", "media", "balance", "what a good result means"):
        table.add_column(heading, overflow="fold")
    for suite in suites:
        counts = tag_counts(suite.cases)
        balance = "\n".join(
            f"{name}: " + ", ".join(f"{value} {count}" for value, count in values.items())
            for name, values in counts.items()
            if len(values) > 1
        )
        table.add_row(
            f"{suite.name} {suite.version}", str(len(suite.cases)), _media(suite.cases), balance,
            suite.asks,
        )  # fmt: skip
    standard_output().print(table)


def _media(cases: tuple[object, ...]) -> str:
    complete = sum(
        getattr(case, "image", None) is not None
        and any(speaker.audio for speaker in getattr(case, "speakers", ()))
        for case in cases
    )
    if complete == len(cases):
        return "complete"
    return "yours: python -m benchmarks build" if not complete else f"{complete} complete"


@click.command()
@click.argument("suites", nargs=-1, type=click.Path(path_type=Path))
@json_option
def check(suites: tuple[Path, ...], as_json: bool) -> None:
    """Check suites (names of shipped ones, or folders; without any, all shipped ones).

    Counts, balance of tags, unique prompts, near-duplicates, questions, times, languages, licences.
    Every mistake is listed with file and line.
    """
    from benchmarks.check import check_suite, shipped_suites, suite_folder

    folders = [suite_folder(suite) for suite in suites] or list(shipped_suites())
    found = {str(folder): check_suite(folder) for folder in folders}
    if as_json:
        print_json(found)
    else:
        for folder, problems in found.items():
            for problem in problems:
                click.echo(problem)
            click.echo(
                f"{Path(folder).name}: {f'{len(problems)} mistakes' if problems else 'well'}"
            )
    if any(found.values()):
        raise SystemExit(FAILED_CASES)
