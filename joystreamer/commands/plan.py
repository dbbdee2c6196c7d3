"""`joystreamer plan`: what will be said to which segment, without rendering anything."""

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from joystreamer.commands.planners import open_planner, planner_options
from joystreamer.conditioning.planner import Plan, PlanRequest, make_plan
from joystreamer.errors import InputError
from joystreamer.media.audio import read_audio
from joystreamer.media.images import read_image
from joystreamer.provenance import write_json
from joystreamer.segments import FragmentRule, Segment, SegmentLayout, plan_segments


@click.command()
@click.option("--prompt", required=True, help='What happens; "A man talks. Then he waves."')
@click.option("--audio", type=click.Path(path_type=Path), help="Sound, for its length.")
@click.option("--seconds", type=float, help="Length, instead of --audio.")
@click.option("--image", type=click.Path(path_type=Path), help="For planners that see.")
@click.option("--transcript", help="What is said, for language models.")
@click.option(
    "--fragment-rule",
    "rule",
    type=click.Choice(["spread", "hold", "replan"]),
    default="spread",
    show_default=True,
    help="spread: evenly over the clip; hold: 3.24 s each, the last one stays; replan: 3.24 s each "
    "without end.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Also write the plan here as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@planner_options
def plan(
    prompt: str,
    audio: Path | None,
    seconds: float | None,
    image: Path | None,
    transcript: str | None,
    rule: FragmentRule,
    seed: int,
    out: Path | None,
    as_json: bool,
    planner: str,
    planner_url: str | None,
    planner_model: str | None,
) -> None:
    """Show how a prompt is laid over a clip.

    One pass of the network renders 76 frames (3.04 s); each pass is told one fragment of the
    prompt, the one at its midpoint.

    \b
    Example:
      joystreamer plan --prompt "A man talks. He lifts a cup. Then he drinks." --seconds 9
    """  # noqa: D301 - click reads the escape
    length = _length(audio, seconds)
    request = PlanRequest(
        prompt=prompt,
        seconds=length,
        rule=rule,
        transcript=transcript,
        image=None if image is None else read_image(image),
    )
    made = make_plan(request, open_planner(planner, planner_url, planner_model))
    segments = plan_segments(length, seed=seed, fragments=len(made.fragments), rule=rule)
    if out is not None:
        write_json(out, made.to_json())
    if as_json:
        rows = [{"segment": s.index, "start_frame": s.start_frame, "frames": s.frames,
                 "fragment": s.fragment, "seed": s.seed} for s in segments]  # fmt: skip
        click.echo(json.dumps({**made.to_json(), "seconds": length, "segments": rows}, indent=2))
    else:
        _print_table(made, segments)


def _length(audio: Path | None, seconds: float | None) -> float:
    if (audio is None) == (seconds is None):
        raise InputError("give the length in exactly one way: --audio or --seconds")
    if seconds is not None:
        if seconds <= 0:
            raise InputError(f"--seconds is {seconds:g}; give a length above 0")
        return seconds
    assert audio is not None
    sound = read_audio(audio)
    if sound is None or not sound.size:
        raise InputError(f"'{audio}' holds no sound; give a file with speech or singing")
    return sound.size / 16_000


def _print_table(made: Plan, segments: tuple[Segment, ...]) -> None:
    fps = SegmentLayout().fps
    table = Table(title=f"{len(segments)} segment(s), planned by {made.backend}")
    for column in ("segment", "seconds", "frames", "fragment"):
        table.add_column(column)
    for segment in segments:
        end = segment.start_frame + segment.frames
        table.add_row(
            str(segment.index),
            f"{segment.start_frame / fps:.2f} - {end / fps:.2f}",
            str(segment.frames),
            f"{segment.fragment}: {made.fragments[segment.fragment]}",
        )
    Console().print(table)
