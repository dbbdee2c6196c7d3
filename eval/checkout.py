"""Make sure that `eval`, `benchmarks` and `dashboard` are this checkout's and nobody else's.

The names are common; a distribution that ships one of them would silently take its place.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

ROOT: Final = Path(__file__).resolve().parent.parent
"""The checkout."""

PACKAGES: Final = ("joystreamer", "eval", "benchmarks", "dashboard")


def strangers(root: Path = ROOT) -> list[tuple[str, str]]:
    """Return (name, where it is found instead) for packages that do not resolve inside the checkout."""
    found = []
    for name in PACKAGES:
        spec = find_spec(name)
        origin = spec.origin if spec else None
        if origin is None or not Path(origin).resolve().is_relative_to(root):
            found.append((name, origin or "nowhere"))
    return found


def refuse_strangers() -> None:
    """Exit with one sentence when a package resolves outside the checkout."""
    for name, where in strangers():
        click.echo(
            f"error: package {name!r} resolves to {where}, not into the checkout {ROOT}; "
            "run from the checkout's folder, after 'make setup'",
            err=True,
        )
        raise SystemExit(2)
