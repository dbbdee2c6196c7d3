"""Options that every command on a workspace shares."""

from pathlib import Path
from typing import Final

import click

WORKSPACE_VARIABLE: Final = "JOYSTREAMER_WORKSPACE"
"""Environment variable with the workspace folder."""

workspace_option = click.option(
    "--workspace",
    "-w",
    "root",
    type=click.Path(path_type=Path),
    default="workspace",
    show_default=True,
    envvar=WORKSPACE_VARIABLE,
    help="Folder with records and media; made when it is new.",
)
database_option = click.option(
    "--database", default=None, help="PostgreSQL URL; by default a SQLite file in the workspace."
)
suite_option = click.option("--suite", default=None, help="Only clips of this suite.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
