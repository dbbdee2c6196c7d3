"""What every rating command shares: the campaign's name and the workspace it lies in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from eval.workspace_options import database_option, workspace_option

if TYPE_CHECKING:
    from eval.store.workspace import Workspace

A_FILE: Final = click.Path(path_type=Path, dir_okay=False)
name_argument = click.argument("name")


def on_workspace(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where the records are."""
    return workspace_option(database_option(command))


def open_workspace(root: Path, database: str | None) -> Workspace:
    """Open the workspace of a command."""
    from eval.store.workspace import Workspace

    return Workspace(root, database)
