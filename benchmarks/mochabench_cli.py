"""`python -m benchmarks mochabench`."""

from pathlib import Path

import click

from eval.console import standard_output
from eval.workspace_options import database_option


@click.command()
@click.option("--human", type=click.Path(path_type=Path), default=None,
              help="mochabench_viescore_human_vs_gpt.csv: people against the model judge.")  # fmt: skip
@click.option("--sync", type=click.Path(path_type=Path), default=None,
              help="mochabench_sync_scores_reference.csv: published SyncNet per clip.")  # fmt: skip
@click.option("--workspace", "-w", "root", type=click.Path(path_type=Path), default=None,
              help="Workspace with the clips; without it only the benchmark's own numbers are shown.")  # fmt: skip
@click.option("--suite", default="mochabench", show_default=True, help="Suite of its own clips.")
@click.option("--compared", default="mocha-compare", show_default=True,
              help="Suite of the clips by four systems.")  # fmt: skip
@database_option
def mochabench(
    human: Path | None, sync: Path | None, root: Path | None, suite: str, compared: str, database: str | None
) -> None:  # fmt: skip
    """Show MoChaBench's people, judge and SyncNet beside each other, and beside our scores."""
    from benchmarks.mochabench import (
        agreement,
        beside_published,
        human_against_judge,
        human_beside_metrics,
        human_judge_table,
        published_sync,
        system_means,
    )
    from eval.catalog import MEASURES
    from eval.store.scores import score_table
    from eval.store.workspace import Workspace
    from joystreamer.errors import InputError

    if human is None and sync is None:
        raise InputError("nothing is to be shown; give --human FILE, --sync FILE or both")
    scores = None
    if root is not None:
        with Workspace(root, database) as workspace:
            scores = score_table(workspace)
    if human is not None:
        table = human_judge_table(human)
        _show(
            "People against the model judge (95 % intervals over items)", human_against_judge(table)
        )
        _show("Mean scores by system, 1 to 4", system_means(table))
        if scores is not None:
            better = {metric.name for measure in MEASURES for metric in measure.metrics
                      if metric.better != "neither"}  # fmt: skip
            chosen = scores[(scores["suite"] == compared) & scores["metric"].isin(better)]
            own = human_beside_metrics(table, chosen)
            _show("Our metrics beside people: few clips, no claim", own)
    if sync is not None:
        published = published_sync(sync)
        faces = published["sync.confidence"].notna().sum()
        click.echo(
            f"published: {len(published)} clips, a face in {faces}, "
            f"confidence {published['sync.confidence'].mean():.3f}, "
            f"distance {published['sync.distance'].mean():.3f}"
        )
        if scores is not None:
            pairs = beside_published(scores[scores["suite"] == suite], published)
            _show("Our SyncNet beside the published", agreement(pairs))
            _show("Clip by clip", pairs)


def _show(title: str, frame: "object") -> None:
    """Print a table."""
    from typing import cast

    import pandas as pd
    from rich.table import Table

    def shown(cell: object) -> str:
        return f"{cell:.3f}" if isinstance(cell, float) else str(cell)

    data = cast(pd.DataFrame, frame)
    table = Table(title=title)
    for column in data.columns:
        table.add_column(str(column), overflow="fold")
    for row in data.itertuples(index=False):
        table.add_row(*("-" if pd.isna(cell) else shown(cell) for cell in row))
    standard_output().print(table)
