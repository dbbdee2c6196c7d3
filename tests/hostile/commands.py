"""The commands of `python tests/hostile`: attack, worker, guided.

attack runs every target in processes of its own and writes the report; worker is one such process;
guided lets atheris find inputs by coverage.
"""

import click

# What a command runs is imported when it runs: coverage is only seen in modules that are imported
# after atheris has taken hold.


@click.group()
def main() -> None:
    """Feed hostile input to every reader of the project."""


@main.command()
@click.option("--inputs", default=12_000, show_default=True, help="How many, over all targets.")
@click.option("--seed", default=20_261_122, show_default=True)
@click.option(
    "--media", default=None, help="Folder of real media (images, audio, videos) to damage too."
)
@click.option("--report", default=None, help="Markdown file to write.")
@click.option("--only", default="", help="Only targets whose kind or name holds this.")
@click.option("--guided-s", default=0, help="Also run atheris for this many seconds per target.")
def attack(
    inputs: int, seed: int, media: str | None, report: str | None, only: str, guided_s: int
) -> None:
    """Run the attack; exit 1 when anything was found."""
    from tests.hostile.attack import run_attack

    raise SystemExit(
        run_attack(
            inputs=inputs, seed=seed, media=media, report=report, only=only, guided_s=guided_s
        )
    )


@main.command()
@click.argument("group")
@click.argument("seed", type=int)
@click.argument("folder")
@click.argument("plan", nargs=-1)
def worker(group: str, seed: int, folder: str, plan: tuple[str, ...]) -> None:
    """Run series of one group, each written NAME=COUNT, and print a JSON line per trial."""
    from tests.hostile.worker import run_worker

    pairs = (text.rpartition("=") for text in plan)
    run_worker(group, [(name, int(count)) for name, _, count in pairs], seed, folder)


@main.command()
@click.argument("name")
@click.argument("seconds", type=int)
@click.argument("folder")
def guided(name: str, seconds: int, folder: str) -> None:
    """Let atheris look for inputs of one reader by coverage."""
    from tests.hostile.guided import run_guided

    run_guided(name, seconds, folder)
