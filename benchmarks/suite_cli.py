"""`python -m benchmarks list`, `check` and `build`."""

from pathlib import Path

import click

from eval.console import FAILED_CASES, print_json, standard_output
from eval.workspace_options import json_option


@click.command(name="list")
@json_option
def list_suites(as_json: bool) -> None:
    """List the suites: cases, balance, what each asks."""
    from rich.table import Table

    from benchmarks.check import named_suites, tag_counts
    from eval.reader import read_suite

    suites = [read_suite(folder) for folder in named_suites()]
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
    """Check suites (names or folders; without any, all that have names).

    Counts, balance of tags, unique prompts, near-duplicates, questions, times, languages, licences;
    prompts of puppet suites against their grammar.
    Every mistake is listed with file and line.
    """
    from benchmarks.check import check_suite, named_suites, suite_folder

    folders = [suite_folder(suite) for suite in suites] or list(named_suites())
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
@click.option("--from", "source", type=click.Path(path_type=Path), default=None,
              help="Folder with your pictures and recordings; puppet suites need none.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True,
              help="Folder of the filled suite.")  # fmt: skip
@click.option("--mapping", type=click.Path(path_type=Path), default=None,
              help="CSV (case, image, audio) or JSON lines; without it files go by the case's id.")  # fmt: skip
@click.option("--licence", default="", help="Licence of your media, kept with every case.")
@json_option
def build(
    suite: Path, source: Path | None, out: Path, mapping: Path | None, licence: str, as_json: bool
) -> None:
    """Fill a suite with your pictures and recordings, and say what is missing or does not fit.

    Named ID.png and ID.wav, or ID.1.wav, ID.2.wav for several speakers (each as long as the clip,
    silent while others talk). A puppet suite is complete: it is written to --out as it is.
    """
    from benchmarks.build import build_suite
    from benchmarks.check import suite_folder
    from benchmarks.puppet.on_demand import puppet_suite_names
    from eval.console import clip_progress
    from joystreamer.errors import InputError

    if str(suite) in puppet_suite_names() and source is None:
        _write_puppets(str(suite), out, as_json=as_json)
        return
    if source is None:
        raise InputError(
            f"{suite} needs media; name the folder with your pictures and recordings by --from"
        )
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


def _write_puppets(name: str, out: Path, *, as_json: bool) -> None:
    """Write a puppet suite to a folder of the user's."""
    from benchmarks.puppet.on_demand import write_puppet_suite
    from eval.reader import read_suite
    from joystreamer.errors import InputError

    if out.exists():
        raise InputError(f"{out} exists; give a new folder to --out")
    suite = read_suite(write_puppet_suite(name, out))
    if as_json:
        print_json({"suite": suite.name, "version": suite.version, "cases": len(suite.cases)})
    else:
        click.echo(f"{len(suite.cases)} cases of {suite.name} {suite.version} are in {out}")
