"""`python -m eval ingest`."""

from pathlib import Path

import click

from eval.console import FAILED_CASES, clip_progress, print_json
from eval.workspace_options import database_option, workspace_option


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--suite", "suite_folder", type=click.Path(path_type=Path), default=None,
              help="Suite folder (suite.toml, cases.jsonl) whose cases the clips answer.")  # fmt: skip
@click.option("--system", default=None, help="All clips are of this one system.")
@click.option(
    "--pattern",
    default=None,
    help="File naming, for example '{case}_{system}' or '{system}/{case}@{seed}'.",
)
@click.option(
    "--kind",
    type=click.Choice(["checkpoint", "competitor"]),
    default="checkpoint",
    show_default=True,
)
@click.option("--family", default="", help="Training run that the checkpoints belong to.")
@click.option(
    "--step", type=click.IntRange(min=0), default=None, help="Training step of the checkpoint."
)
@click.option("--notes", default="", help="Free text kept with the systems.")
@click.option("--proxies", is_flag=True, help="Make web proxies now instead of when first needed.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show the match, what is missing and what is left over; store nothing.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@workspace_option
@database_option
def ingest(
    source: Path, suite_folder: Path | None, system: str | None, pattern: str | None, kind: str, family: str,
    step: int | None, notes: str, proxies: bool, dry_run: bool, as_json: bool, root: Path, database: str | None,
) -> None:  # fmt: skip
    """Bring clips into the workspace: a folder, or a manifest (.jsonl, .csv).

    Understood without being told: one folder per system (A/case1.mp4, B/case1.mp4), names like
    case1_A.mp4, or one system (--system). Ingesting again changes only what changed.
    """
    from eval.ingest import describe, match_source, store_matches
    from eval.reader import read_suite
    from eval.records import System
    from eval.store.workspace import Workspace

    suite = read_suite(suite_folder) if suite_folder else None
    template = System(name="template", kind=kind, family=family, step=step, notes=notes)  # type: ignore[arg-type]
    matched = match_source(source, suite=suite, system=system, pattern=pattern, template=template)
    if not as_json:
        click.echo("\n".join(describe(matched)))
    failed = list(matched.problems)
    stored = []
    if not dry_run:
        workspace = click.get_current_context().with_resource(Workspace(root, database))
        with clip_progress("ingesting", quiet=as_json) as tell:
            for count, item in enumerate(
                store_matches(workspace, matched, suite=suite, proxies=proxies)
            ):
                tell(count + 1, len(matched.matches), item.match.path.name)
                stored.append(item)
        failed += [f"{item.match.path}: {item.problem}" for item in stored if item.problem]
        new = sum(item.new for item in stored)
        if not as_json:
            click.echo(
                f"stored {new} new clips, {len(stored) - new} were there already, in {workspace.root}"
            )
            for line in failed[len(matched.problems) :]:
                click.echo(f"cannot be decoded: {line}", err=True)
    if as_json:
        print_json(
            {
                "layout": matched.layout,
                "clips": [
                    {
                        "file": match.path,
                        "system": match.system.name,
                        "case": match.case,
                        "seed": match.seed,
                    }
                    for match in matched.matches
                ],
                "missing": matched.missing,
                "left_over": matched.left_over,
                "ignored": matched.ignored,
                "failed": failed,
                "new": sum(item.new for item in stored),
            }
        )
    if failed:
        raise SystemExit(FAILED_CASES)
