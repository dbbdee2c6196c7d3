"""`python -m eval leaderboard | compare | report`: what the scores say."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eval.console import print_json, standard_output
from eval.workspace_options import database_option, json_option, workspace_option

if TYPE_CHECKING:
    import pandas as pd

    from eval.measure import Metric
    from eval.store.workspace import Workspace

_FILTERS = ("systems", "suites", "metrics", "subject", "mode", "content", "language", "length")
_TAGS = ("subject", "mode", "content", "language", "length")


def _filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that narrow the scores down."""
    options = (
        click.option("--system", "systems", multiple=True, help="Only this system; repeatable."),
        click.option("--suite", "suites", multiple=True, help="Only this suite; repeatable."),
        click.option("--metric", "metrics", multiple=True, help="family, family.name or family.name/variant; repeatable. Default: all but descriptive video.* facts."),
        click.option("--subject", multiple=True, help="Only human, animal, cartoon or doll; repeatable."),
        click.option("--mode", multiple=True, help="Only speaking, speech or singing; repeatable."),
        click.option("--content", multiple=True, help="Only cases with this content; repeatable."),
        click.option("--language", multiple=True, help="Only this language; repeatable."),
        click.option("--length", multiple=True, help="Only 'up to 10 s' or 'over 10 s'."),
        click.option("--snapshot", type=click.IntRange(min=0), default=None, help="Only scores up to this number (printed with every board)."),
        click.option("--published", "sources", multiple=True, default=("joystreamer",), show_default=True, help="Also show this source of published rows, set apart; repeatable; 'none' for none."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def read_scores(
    workspace: "Workspace", given: Mapping[str, Any], snapshot: int | None
) -> "pd.DataFrame":
    """Return the chosen scores of a workspace, then the chosen published rows.

    Raises:
        InputError: There are no scores, or none is left by the filters.
    """
    import pandas as pd

    from eval.leaderboard import select_scores
    from eval.published import published_scores
    from eval.store.scores import score_table
    from joystreamer.errors import InputError

    table = score_table(workspace, up_to=snapshot)
    if table.empty:
        raise InputError(
            f"the workspace {workspace.root} has no scores; run 'python -m eval score' first"
        )
    chosen = select_scores(table, **{name: given[name] for name in _FILTERS})
    if not given["metrics"]:
        chosen = without_file_facts(chosen)
    sources = [name for name in given.get("sources", ()) if name != "none"]
    if not sources:
        return chosen
    return pd.concat([chosen, published_scores(sources)], ignore_index=True)


def metric_facts() -> "dict[str, Metric]":
    """Return the facts of every metric by name, in the order of the table."""
    from eval.catalog import MEASURES

    return {metric.name: metric for measure in MEASURES for metric in measure.metrics}


def without_file_facts(scores: "pd.DataFrame") -> "pd.DataFrame":
    """Leave out the descriptive `video.*` rows (size, rate, loudness): facts of files, not results."""
    facts = {
        name
        for name, metric in metric_facts().items()
        if name.startswith("video.") and metric.better == "neither"
    }
    kept = scores[~scores["metric"].isin(facts)]
    return scores if kept[kept["kind"] != "published"].empty else kept.reset_index(drop=True)


@click.command()
@_filter_options
@click.option(
    "--baseline", default=None, help="System the others are held against; default: the first row."
)
@click.option(
    "--by",
    "tags",
    multiple=True,
    type=click.Choice(_TAGS),
    help="Also break means down by this tag; repeatable.",
)
@click.option(
    "--csv",
    "csv_path",
    type=click.Path(path_type=Path),
    default=None,
    help="Also write the table as CSV.",
)
@click.option(
    "--parquet",
    "parquet_path",
    type=click.Path(path_type=Path),
    default=None,
    help="Also write it as Parquet.",
)
@click.option(
    "--latex",
    "latex_path",
    type=click.Path(path_type=Path),
    default=None,
    help="Also write it as a booktabs table.",
)
@json_option
@workspace_option
@database_option
def leaderboard(
    baseline: str | None, tags: tuple[str, ...], csv_path: Path | None, parquet_path: Path | None, latex_path: Path | None,
    as_json: bool, root: Path, database: str | None, snapshot: int | None, **given: Any,
) -> None:  # fmt: skip
    """Who leads, by how much and how surely: means, n, coverage, intervals, paired differences.

    Intervals come from n = 8 cases on; below, the paired differences themselves are shown. Systems are
    compared case by case on the cases both have, with Holm's correction over the board.
    """
    from eval.leaderboard import build_board
    from eval.report import render_leaderboard, to_latex, write_csv, write_parquet
    from eval.store.files import write_text
    from eval.store.scores import snapshot as newest
    from eval.store.scores import spec_descriptions
    from eval.store.workspace import Workspace

    workspace = click.get_current_context().with_resource(Workspace(root, database))
    scores = read_scores(workspace, given, snapshot)
    board = build_board(
        scores,
        metric_facts(),
        baseline=baseline,
        descriptions=spec_descriptions(workspace.database),
        tags=tags,
    )
    pinned = newest(workspace.database) if snapshot is None else snapshot
    for path, write in ((csv_path, write_csv), (parquet_path, write_parquet)):
        if path is not None:
            write(path, board)
    if latex_path is not None:
        write_text(latex_path, to_latex(board))
    if as_json:
        print_json({"snapshot": pinned, **board.to_json()})
    else:
        render_leaderboard(board, standard_output(), tags=tags)
        click.echo(f"pinned by --snapshot {pinned}")


@click.command()
@click.argument("first")
@click.argument("second")
@_filter_options
@json_option
@workspace_option
@database_option
def compare(
    first: str, second: str, as_json: bool, root: Path, database: str | None, snapshot: int | None,
    **given: Any,
) -> None:  # fmt: skip
    """What got better and what got worse from SECOND to FIRST, case by case.

    Differences are FIRST minus SECOND on the cases both have; worst losses first, then the cases that
    broke or were mended.
    """
    from eval.leaderboard import compare as compare_systems
    from eval.report import render_comparison
    from eval.store.scores import spec_descriptions
    from eval.store.workspace import Workspace

    workspace = click.get_current_context().with_resource(Workspace(root, database))
    scores = read_scores(workspace, given, snapshot)
    descriptions = spec_descriptions(workspace.database)
    comparison = compare_systems(scores, first, second, metric_facts(), descriptions=descriptions)
    if as_json:
        print_json(comparison.to_json())
    else:
        render_comparison(comparison, standard_output())


@click.command()
@_filter_options
@click.option(
    "--baseline", default=None, help="System the others are held against; default: the first row."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help="File; default: reports/report.html in the workspace.",
)
@click.option("--title", default=None, help="Heading of the page; default: the workspace's name.")
@workspace_option
@database_option
def report(
    baseline: str | None, out: Path | None, title: str | None, root: Path, database: str | None, snapshot: int | None,
    **given: Any,
) -> None:  # fmt: skip
    """Write one self-contained HTML page: tables, plots, thumbnails, provenance; opens without a server."""
    from eval.leaderboard import build_board
    from eval.report import write_report
    from eval.store.scores import spec_descriptions
    from eval.store.workspace import Workspace

    workspace = click.get_current_context().with_resource(Workspace(root, database))
    scores = read_scores(workspace, given, snapshot)
    board = build_board(
        scores,
        metric_facts(),
        baseline=baseline,
        descriptions=spec_descriptions(workspace.database),
    )
    target = out or workspace.reports / "report.html"
    write_report(target, board, title=title or workspace.root.name, thumbnails=_posters(workspace))
    click.echo(f"wrote {target}")


def _posters(workspace: "Workspace") -> dict[tuple[str, str], bytes]:
    """Return one JPEG per system and case, the first seed's."""
    from eval.store.registry import current_clips

    found: dict[tuple[str, str], bytes] = {}
    for stored in current_clips(workspace):
        path = workspace.posters.find(stored.poster) if stored.poster else None
        if path is not None:
            found.setdefault((stored.clip.system, stored.clip.case), path.read_bytes())
    return found
