"""`python -m eval`: thin commands over the functions of this package.

Each command lives in a file of its own (`*_cli.py`) and imports what it runs only when it runs, so
that help and tab completion are instant.
"""

import click

from eval.console import FriendlyGroup
from eval.ingest_cli import ingest
from eval.ratings.cli import ratings
from eval.results_cli import compare, leaderboard, report
from eval.score_cli import list_metrics, score
from eval.sets_cli import sets
from eval.weights_cli import weights


@click.group(cls=FriendlyGroup, context_settings={"max_content_width": 110})
def main() -> None:
    """Turn clips into scores, and scores into leaderboards.

    \b
    From a folder of clips to a leaderboard:
        python -m eval ingest CLIPS     clips of checkpoints and competitors, matched to cases
        python -m eval score            every metric whose weights are at hand; resumable
        python -m eval leaderboard      who leads, by how much, how surely
        python -m eval report           the same as a page, with plots and thumbnails

    Exit codes: 0 all well, 1 some clips failed (the rest is done), 2 something given does not fit.
    """  # noqa: D301  # \b keeps click from rewrapping the list


for command in (ingest, score, leaderboard, compare, report, list_metrics, sets, weights, ratings):
    main.add_command(command)
