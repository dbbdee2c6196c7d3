"""`python -m benchmarks list`, `check` and `build`."""

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


@click.command()
@click.argument("suite", type=click.Path(path_type=Path))
@click.option("--from", "source", type=click.Path(path_type=Path), required=True,
              help="Folder with your pictures and recordings.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True,
              help="Folder of the filled suite.")  # fmt: skip
@click.option("--mapping", type=click.Path(path_type=Path), default=None,
              help="CSV (case, image, audio) or JSON lines; without it files go by the case's id.")  # fmt: skip
@click.option("--licence", default="", help="Licence of your media, kept with every case.")
@json_option
def build(
    suite: Path, source: Path, out: Path, mapping: Path | None, licence: str, as_json: bool
) -> None:
    """Fill a suite with your pictures and recordings, and say what is missing or does not fit.

    Named ID.png and ID.wav, or ID.1.wav, ID.2.wav for several speakers (each as long as the clip,
    silent while others talk).
    """
    from benchmarks.build import build_suite
    from benchmarks.check import suite_folder
    from eval.console import clip_progress

    with clip_progress("looking", quiet=as_json) as tell:
        report = build_suite(
            suite_folder(suite), source, out, mapping=mapping, licence=licence, progress=tell
        )
    if as_json:
        print_json(report.as_json())
    else:
        for heading, lines in (
            ("mistakes", report.problems),
            ("does not fit", report.findings),
            ("missing", report.missing),
            ("not checked", report.not_checked),
            ("left over, no such case", tuple(str(path) for path in report.left_over)),
        ):
            for line in lines:
                click.echo(f"{heading}: {line}")
        click.echo(
            f"{len(report.complete)} of {len(report.suite.cases)} cases are complete; "
            f"{report.suite.name} {report.suite.version} is in {out}"
        )
    if not report.flawless:
        raise SystemExit(FAILED_CASES)
