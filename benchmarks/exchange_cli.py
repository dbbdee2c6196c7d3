"""`python -m benchmarks import` and `export`."""

from pathlib import Path

import click

from eval.console import FAILED_CASES
from joystreamer.errors import InputError


def pairs(given: tuple[str, ...], option: str) -> dict[str, str]:
    """Return NAME=VALUE options as a table.

    Raises:
        InputError: One is not of that form.
    """
    pairs = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name or not value:
            raise InputError(f"{option} {text!r} came; write NAME=VALUE such as prompt=Text")
        pairs[name] = value
    return pairs


@click.command(name="import")
@click.argument("form")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Suite folder to write."
)
@click.option("--media", type=click.Path(path_type=Path), default=None,
              help="Folder that paths in the list are relative to; by default the list's own.")  # fmt: skip
@click.option("--name", default=None, help="Name of the suite; by default the folder's.")
@click.option("--map", "mapping", multiple=True, metavar="FIELD=COLUMN",
              help="For csv: which column holds id, prompt, image, audio, language, ...")  # fmt: skip
@click.option("--licence", default="", help="Licence of the media.")
def import_list(
    form: str, source: Path, out: Path, media: Path | None, name: str | None,
    mapping: tuple[str, ...], licence: str,
) -> None:  # fmt: skip
    """Read what other projects use as input into a suite folder.

    FORM is mochabench, prompts, multitalk, infinitetalk, longcat, omniavatar, hallo3, echomimicv3,
    hunyuan, emtd, folder or csv.
    """
    from benchmarks.importers.forms import import_suite
    from benchmarks.importers.imported import Source

    place = Source(
        path=source,
        media=media or (source if source.is_dir() else source.parent),
        scratch=out / "media",
        mapping=pairs(mapping, "--map"),
        licence=licence,
    )
    suite, found = import_suite(form, place, out, name=name or out.name)
    for line in found.problems:
        click.echo(f"mistake: {line}", err=True)
    for line in found.absent:
        click.echo(f"not there: {line}", err=True)
    click.echo(f"{len(suite.cases)} cases of {suite.name} are in {out}")
    if found.problems:
        raise SystemExit(FAILED_CASES)


@click.command(name="export")
@click.argument("suite", type=click.Path(path_type=Path))
@click.argument("form")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@click.option("--set", "options", multiple=True, metavar="NAME=VALUE",
              help="Options of the form, for example fps=25 or prompt=Text.")  # fmt: skip
def export_list(suite: Path, form: str, out: Path, options: tuple[str, ...]) -> None:
    """Write a suite as another project's input files."""
    from benchmarks.check import suite_folder
    from benchmarks.importers.forms import export_suite

    written = export_suite(suite_folder(suite), form, out, pairs(options, "--set"))
    click.echo(f"wrote {len(written)} files to {out}")
