"""`joystreamer presets`: what the named sets of sampling options hold."""

import json

import click
from rich.console import Console
from rich.table import Table


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def presets(name: str | None, as_json: bool) -> None:
    """List sampling presets, or show one in full.

    \b
    Examples:
      joystreamer presets
      joystreamer presets distilled
    """  # noqa: D301 - click reads the escape
    from joystreamer.presets import SAMPLING, sampling_preset

    if name is not None:
        click.echo(json.dumps(sampling_preset(name).to_json(), indent=2))
        return
    all_options = {key: make().to_json() for key, make in SAMPLING.items()}
    if as_json:
        click.echo(json.dumps(all_options, indent=2))
        return
    table = Table(title="sampling presets (generate --preset NAME)")
    columns = ("sampler", "steps", "shift", "text_scale", "audio_scale", "reference_offset", "area")
    table.add_column("name")
    for column in columns:
        table.add_column(column)
    for key, options in all_options.items():
        shown = {**options, "steps": SAMPLING[key]().calls}
        shown["reference_offset"] = shown["reference_offset"] or "model's (10)"
        table.add_row(key, *(str(shown[column]) for column in columns))
    table.caption = " | ".join(
        f"{key}: {(make.__doc__ or '').splitlines()[0].rstrip('.')}"
        for key, make in SAMPLING.items()
    )
    Console().print(table)
