"""`python -m eval sets fid | fvd`: distances between two folders of clips, with their numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.status import Status

from joystreamer.errors import JoyStreamerError

if TYPE_CHECKING:
    from eval.set_distance import Features

CLIPS: Final = frozenset({".mp4", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg"})
_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group("sets")
def sets() -> None:
    """Distances between two sets of clips (FID, FVD); optional, they need hundreds of items."""


@sets.command("fid")
@click.argument("first", type=_FOLDER)
@click.argument("second", type=_FOLDER)
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
def fid(first: Path, second: Path, device: str) -> None:
    """Print the FID over all frames of two folders of clips."""
    _run("FID", "inception-fid", first, second, device)


@sets.command("fvd")
@click.argument("first", type=_FOLDER)
@click.argument("second", type=_FOLDER)
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
def fvd(first: Path, second: Path, device: str) -> None:
    """Print the FVD over pieces of 16 frames, input in [-1, 1]."""
    _run("FVD", "i3d-fvd", first, second, device)


def clips_in(folder: Path) -> list[Path]:
    """Return the clips of a folder and its subfolders in order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in CLIPS)


def _run(name: str, weights: str, first: Path, second: Path, device: str) -> None:
    from eval.set_distance import set_distance

    try:
        network = _open(weights, device)
        with Status("", console=Console(stderr=True)) as status:
            found = set_distance(
                clips_in(first),
                clips_in(second),
                network,
                progress=lambda path: status.update(str(path)),
            )
    except JoyStreamerError as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"{name} {found}")


def _open(weights: str, device: str) -> "Features":
    from eval.backends.set_features import I3DFeatures, InceptionFeatures
    from eval.weights import WeightFolder

    path = WeightFolder().find(weights)
    if weights == "inception-fid":
        return InceptionFeatures(path, device)
    return I3DFeatures(path, device)
