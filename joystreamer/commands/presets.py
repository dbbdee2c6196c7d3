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
    for column in ("name", "sampler", "steps", "shift", "text", "audio", "offset", "pixels"):
        table.add_column(column, no_wrap=True)
    for key, options in all_options.items():
        offset = options["reference_offset"]
        table.add_row(
            key,
            options["sampler"],
            str(SAMPLING[key]().calls),
            f"{options['shift']:g}",
            options["text_scale"],
            options["audio_scale"],
            "model's" if offset is None else f"{offset:g}",
            str(options["area"]),
        )
    console = Console()
    console.print(table)
    for key, make in SAMPLING.items():
        console.print(f"{key}: {(make.__doc__ or '').splitlines()[0]}", highlight=False)
    console.print("text and audio: guidance scales; offset: of the reference in time, 10 in ours")
