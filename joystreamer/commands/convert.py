"""`joystreamer convert`: Wan's weights to ours and back, and LoRA files between forms."""

import shutil
from pathlib import Path

import click
from rich.progress import Progress

_DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


@click.command()
@click.argument("source")
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "form",
    default="joystreamer",
    show_default=True,
    help="joystreamer: the two experts' folders; pipeline: a complete folder for generate; "
    "original: Wan's own names; lora-peft, lora-kohya, lora-comfy: LoRA files.",
)
@click.option(
    "--dtype", type=click.Choice(list(_DTYPES)), help="Of the weights written; as stored."
)
@click.option("--max-shard-size", default="5GB", show_default=True, help="Largest weight file.")
@click.option("--speech", help="For pipeline: folder or repository of a wav2vec2 model.")
@click.option(
    "--companions",
    help="For pipeline: folder with tokenizer, text_encoder and vae, if SOURCE lacks them.",
)
def convert(
    source: str,
    target: Path,
    form: str,
    dtype: str | None,
    max_shard_size: str,
    speech: str | None,
    companions: str | None,
) -> None:
    """Convert SOURCE into TARGET, which must not exist yet.

    SOURCE is a Wan2.2 folder in diffusers' or the original layout, one expert, or a LoRA file.
    Every tensor's name and shape is checked; pickles are refused. What Wan lacks (motion history,
    audio layers) starts as a no-op, so a fresh conversion still renders what Wan renders.

    \b
    Examples:
      joystreamer convert Wan2.2-T2V-A14B-Diffusers my-model --to pipeline --speech wav2vec2
      joystreamer convert my-lora.safetensors for-comfy.safetensors --to lora-comfy
    """  # noqa: D301 - click reads the escape
    import torch

    from joystreamer.model.conversion import convert_checkpoint

    kind = None if dtype is None else getattr(torch, _DTYPES[dtype])
    if form == "pipeline":
        _write_pipeline(source, target, kind, max_shard_size, speech, companions)
        click.echo(f"made {target}")
        return
    with Progress(transient=True) as progress:
        tasks: dict[str, object] = {}

        def report(component: str, read: int, total: int) -> None:
            if component not in tasks:
                tasks[component] = progress.add_task(component, total=total)
            progress.update(tasks[component], completed=read)  # type: ignore[arg-type]

        made = convert_checkpoint(
            source, target, to=form, dtype=kind, max_shard_size=max_shard_size, progress=report
        )
    for path in made:
        click.echo(f"made {path}")


def _write_pipeline(
    source: str,
    target: Path,
    dtype: object,
    max_shard_size: str,
    speech: str | None,
    companions: str | None,
) -> None:
    """A complete pipeline folder that appears when it is whole."""
    import torch

    from joystreamer.errors import InputError
    from joystreamer.loading import SPEECH
    from joystreamer.pipeline import JoyStreamerPipeline

    if target.exists():
        raise InputError(f"'{target}' exists already; name another target or remove it")
    pipeline = JoyStreamerPipeline.from_wan(
        source, speech=speech or SPEECH, companions=companions, dtype=dtype or torch.bfloat16
    )
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        pipeline.save_pretrained(partial, max_shard_size=max_shard_size)
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
