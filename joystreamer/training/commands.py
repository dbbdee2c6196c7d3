"""`joystreamer train` and `joystreamer distill`: thin skins over `runs`.

Heavy imports wait until a command runs, so that `--help` answers at once.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from joystreamer.errors import InputError

_FILE = click.Path(path_type=Path)


def _shared_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of both commands."""
    options = [
        click.option("--preset", "name", required=True, help="See joystreamer train --list."),
        click.option("--model", help="Folder of a pipeline to start from, or tiny."),
        click.option(
            "--with", "replaced", multiple=True, metavar="COMPONENT=FOLDER",
            help="Take a component from elsewhere, such as transformer=runs/stage-1/final/"
            "transformer. Repeatable.",
        ),
        click.option("--manifest", type=_FILE, help="Training clips; the cache is built from them."),
        click.option("--cache", type=_FILE, help="Folder of the cache. [default: OUT/cache]"),
        click.option("--out", type=_FILE, required=True, help="Folder of the run; resumed if begun."),
        click.option(
            "--set", "settings", multiple=True, metavar="SECTION.FIELD=VALUE",
            help="Change one field of the preset. Repeatable.",
        ),
        click.option("--validation", type=_FILE, help="Manifest of clips to render while training."),
        click.option("--scenes", default=4, show_default=True, help="How many of them."),
        click.option(
            "--probe", "probes", multiple=True, metavar="MODULE:FUNCTION",
            help="Measures a rendered clip. Repeatable.",
        ),
        click.option("--stop-on", help="Probe's figure that ends the run when it falls by 5 %."),
        click.option("--tracker", "trackers", multiple=True, help="tensorboard, wandb. Repeatable."),
        click.option("--cache-only", is_flag=True, help="Build the cache and stop."),
        click.option("--dry-run", is_flag=True, help="Print the plan and stop."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def _list_presets(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from joystreamer.training.presets import training_presets

    for name, make in training_presets().items():
        click.echo(f"{name:22} {make().summary}")
    context.exit()


@click.command()
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=_list_presets,
              help="List the presets and stop.")  # fmt: skip
@_shared_options
def train(**given: Any) -> None:
    """Train a stage before distillation; --list names them.

    Stop it whenever you like; the same command goes on from the newest checkpoint.

    \b
    Examples:
      joystreamer train --preset tiny-stage-1 --model tiny --manifest clips.jsonl --out runs/s1
      torchrun --nproc_per_node 8 -m joystreamer.training train --preset paper-stage-1-high \\
          --model models/joystreamer --manifest clips.jsonl --out runs/stage-1-high
    """  # noqa: D301 - click reads the escape
    _run(given, distilling=False)


@click.command()
@_shared_options
@click.option("--text-teacher", type=_FILE, help="Folder of an image-to-video model.")
@click.option("--distilled-high", type=_FILE, help="Distilled high expert, for a low run.")
@click.option(
    "--continue-from",
    type=_FILE,
    help="Run whose student and fake score this one begins with (the vanilla round).",
)
@click.option("--full-parameter", is_flag=True, help="Three networks instead of adapters on one.")
@click.option(
    "--allow-negative-text-teacher", is_flag=True,
    help="Accept scales under which the text teacher repels.",
)  # fmt: skip
@click.option("--text-scale", type=float, help="alpha_t of Eq. 3 and Eq. 2.")
@click.option("--audio-scale", type=float, help="alpha_a at and below the threshold.")
def distill(**given: Any) -> None:
    """Distil a few-step student against audio teacher and text teacher.

    \b
    Examples:
      joystreamer distill --preset paper-distill-high --model models/joystreamer --dry-run --out x
      torchrun --nproc_per_node 8 -m joystreamer.training distill --preset paper-distill-high \\
          --model models/joystreamer --text-teacher models/Wan2.2-I2V-A14B-Diffusers \\
          --manifest clips.jsonl --out runs/distill-high
    """  # noqa: D301 - click reads the escape
    _run(given, distilling=True)


TRAINING_COMMANDS = (train, distill)


def _run(given: dict[str, Any], *, distilling: bool) -> None:
    from joystreamer.training.configuration import change
    from joystreamer.training.presets import training_preset
    from joystreamer.training.runs import RunRequest, plan_run, run_training
    from joystreamer.training.stages import Companions

    preset = training_preset(given["name"])
    if (preset.stage == "distill") != distilling:
        right = "distill" if preset.stage == "distill" else "train"
        raise InputError(f"preset {preset.name} belongs to joystreamer {right}")
    preset = _apply_guidance(preset, given) if distilling else preset
    preset = change(preset, given["settings"])
    if given["validation"] is not None and not preset.loop.validate_every:
        every = preset.loop.checkpoint_every
        preset = replace(preset, loop=replace(preset.loop, validate_every=every))
    if given.get("full_parameter"):
        preset = replace(preset, adapters=None)
    model = given["model"] or ("tiny" if preset.name.startswith("tiny-") else "")
    if not model and not given["dry_run"]:
        raise InputError(f"preset {preset.name} needs a model to start from; name it with --model")
    request = RunRequest(
        preset=preset,
        out=given["out"],
        model=model or "no model yet",
        replaced=_components(given["replaced"]),
        manifest=given["manifest"],
        cache=given["cache"],
        companions=Companions(
            text_teacher=given.get("text_teacher"), distilled_high=given.get("distilled_high")
        ),
        validation=given["validation"],
        scenes=given["scenes"],
        probes=given["probes"],
        continue_from=given.get("continue_from"),
        stop_on=given["stop_on"],
        trackers=given["trackers"],
    )
    if given["dry_run"]:
        click.echo("\n".join(plan_run(request)))
        return
    if given["cache_only"]:
        _build_cache(request)
        return
    click.echo(f"wrote {run_training(request)}")


def _build_cache(request: Any) -> None:
    import torch

    from joystreamer.training.runs import fill_cache, open_model

    if request.manifest is None:
        raise InputError("--cache-only came without clips; name a manifest with --manifest")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    report = fill_cache(request, open_model(request), device)
    click.echo(
        f"{report.added} windows added, {report.known} known, {len(report.refused)} clips refused"
    )


def _apply_guidance(preset: Any, given: dict[str, Any]) -> Any:
    """Set the scales together, so that their check sees both."""
    scales = {
        "text_scale": given["text_scale"],
        "audio_scale": given["audio_scale"],
        "allow_negative_text_teacher": given["allow_negative_text_teacher"] or None,
    }
    chosen = {name: value for name, value in scales.items() if value is not None}
    options = preset.distillation
    guidance = replace(options.guidance, **chosen)
    return replace(preset, distillation=replace(options, guidance=guidance))


def _components(texts: tuple[str, ...]) -> dict[str, Path]:
    found = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not equals:
            raise InputError(f"--with {text!r} came; write component=folder")
        found[name] = Path(folder)
    return found
