"""`joystreamer generate`: one clip, a conversation, or a file of jobs."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from joystreamer.cli import FAILED_CASES
from joystreamer.commands.planners import open_planner, planner_options
from joystreamer.errors import InputError, JoyStreamerError

_PATH = click.Path(path_type=Path)
_SPEAKER_FIELDS = ("name", "audio", "box", "mask", "words")


@click.command()
@click.option(
    "--model", required=True, help="Folder of a saved pipeline, or tiny (random, instant)."
)
@click.option("--image", type=_PATH, help="Reference picture, any format and size.")
@click.option(
    "--audio", type=_PATH, help="Speech or singing, any format; its length is the clip's."
)
@click.option("--prompt", help='What happens: "A woman talks. Then she lifts a cup."')
@click.option("--out", type=_PATH, help="The clip to write, .mp4.")
@click.option(
    "--speaker",
    "speakers",
    multiple=True,
    metavar='"FIELD=VALUE ..."',
    help='One person among several: "name=anna audio=a.wav box=40,30,300,460". Fields: name, audio, '
    "and one of box (x0,y0,x1,y1 pixels), mask (picture, white is the person), words (found by "
    "--detector). Repeat per person.",
)
@click.option("--stereo", is_flag=True, help="Left channel: first speaker; right: second.")
@click.option("--job", "job_file", type=_PATH, help="All of the above, and turns, as a JSON file.")
@click.option("--batch", type=_PATH, help="One such JSON object per line.")
@click.option("--preset", help="Sampling preset, see joystreamer presets.  [paper, or tiny's own]")
@click.option("--seed", type=int, help="Same seed, same clip.")
@click.option("--size", help="WIDTHxHEIGHT, multiples of 32; by default the image's shape.")
@click.option("--sampler", type=click.Choice(["unipc", "euler", "distilled"]))
@click.option("--steps", type=int, help="Denoising steps per segment.")
@click.option(
    "--text-scale", help="How strictly the prompt is followed; 5, or 5,950:7 (7 above 950)."
)
@click.option("--audio-scale", help="How strictly the speech is; 4, or the paper's 4,950:0.1.")
@click.option("--offset", "reference_offset", type=float, help="Distance of the reference; 10, or 3 "
              "for plain talking.")  # fmt: skip
@click.option("--fragment-rule", type=click.Choice(["spread", "hold", "replan"]))
@click.option("--negative-prompt", help="What to avoid.")
@click.option("--transcript", help="What is said, for the planner.")
@planner_options
@click.option("--detector", help="Open-vocabulary detector: folder or hub name (OWLv2 class).")
@click.option("--threshold", type=float, help="Least score of a found person; 0.2 by default.")
@click.option("--segmenter", help="SAM model that outlines what the detector found.")
@click.option("--relocate", is_flag=True, help="Find the speakers again in every segment.")
@click.option("--probe", help="Drift probe, module:function.")
@click.option(
    "--drift", multiple=True, metavar="NAME=LIMIT", help="Largest drift of a probe value."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--memory", type=int, help="Memory tier: 8, 12, 24, 48 or 80 GB; by default what is free."
)
@click.option("--lora", type=_PATH, help="LoRA file for the high-noise (or only) expert.")
@click.option("--lora-2", type=_PATH, help="LoRA file for the low-noise expert.")
@click.option("--restart", is_flag=True, help="Discard finished segments of a stopped run.")
@click.option(
    "--keep-segments", is_flag=True, help="Keep finished segments after the clip is done."
)
@click.option("--json", "as_json", is_flag=True, help="Print the run reports as JSON.")
def generate(**given: Any) -> None:
    """Make clips: one, a conversation, or a batch.

    A stopped run goes on where it was when the same command is given again, and the result is the
    same to the bit. Beside clip.mp4 stand clip.json (all settings, seeds, versions, digests),
    clip.plan.json (what was said to each segment) and, for several people, clip.speakers.png (who
    is where: look at it).

    \b
    One person:
      joystreamer generate --model my-model --image me.png --audio speech.wav \\
          --prompt "A woman talks. Then she lifts a cup." --out clip.mp4
    Two people, each with a file:
      joystreamer generate --model my-model --image pair.png --prompt "They argue." --out c.mp4 \\
          --speaker "name=anna audio=a.wav box=40,30,300,460" \\
          --speaker "name=ben audio=b.wav mask=ben.png"
    Conversation with several rounds, in a JSON file:
      {"image": "trio.png", "prompt": "They talk.", "out": "c.mp4",
       "speakers": [{"name": "anna", "box": [40, 30, 300, 460]}, {"name": "ben", "words": "man"}],
       "turns": [{"speaker": "anna", "audio": "1.wav"}, {"speaker": "ben", "audio": "2.wav"},
                 {"speaker": "anna", "audio": "3.wav", "start": 9.5}]}
    """  # noqa: D301 - click reads the escape
    jobs = _jobs(given)
    options = _options(given)
    for job in jobs:
        _check_early(job, options, batch=bool(given["batch"]))
    reports, failures = _run_all(jobs, options, given)
    if given["as_json"]:
        click.echo(json.dumps(reports if given["batch"] else reports[0], indent=2))
    if failures:
        click.echo(f"{failures} of {len(jobs)} jobs failed", err=True)
        raise SystemExit(FAILED_CASES)


def _jobs(given: Mapping[str, Any]) -> list[Any]:
    """The jobs asked for, from exactly one of: options, --job, --batch.

    Raises:
        InputError: Several ways at once, or something is missing.
    """
    from joystreamer.job_spec import JobSpec, parse_job, read_job, read_jobs

    single = {name: given[name] for name in ("image", "audio", "prompt", "out") if given[name]}
    single.update({"speakers": given["speakers"]} if given["speakers"] else {})
    ways = [name for name, used in (("options", single), ("--job", given["job_file"]),
                                    ("--batch", given["batch"])) if used]  # fmt: skip
    if len(ways) != 1:
        came = " and ".join(ways) or "nothing"
        raise InputError(
            f"give one clip by --image, --prompt, --out and sound, or --job, or --batch; {came} came"
        )
    if given["batch"]:
        return list(read_jobs(given["batch"]))
    if given["job_file"]:
        return [read_job(given["job_file"])]
    for name in ("image", "prompt", "out"):
        if not given[name]:
            raise InputError(f"--{name} is missing; give it, or a --job file")
    plain: dict[str, Any] = {
        "image": str(given["image"]),
        "prompt": given["prompt"],
        "out": str(given["out"]),
        "stereo": given["stereo"],
        "transcript": given["transcript"],
        "speakers": [parse_speaker(text) for text in given["speakers"]],
    }
    if given["audio"]:
        plain["audio"] = str(given["audio"])
    job: JobSpec = parse_job(plain, Path(), where="the command")
    return [job]


def parse_speaker(text: str) -> dict[str, Any]:
    """Plain values of a --speaker text.

    Raises:
        InputError: Not FIELD=VALUE pairs with known fields.
    """
    from joystreamer.conditioning.speakers import Box

    entry: dict[str, Any] = {}
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise InputError(f"--speaker {text!r} has an open quote; close it") from error
    for part in parts:
        name, sign, value = part.partition("=")
        if not sign or name not in _SPEAKER_FIELDS:
            raise InputError(
                f"--speaker has {part!r}; write FIELD=VALUE with the fields "
                f"{', '.join(_SPEAKER_FIELDS)}"
            )
        entry[name] = value
    if "box" in entry:
        box = Box.parse(entry["box"])
        entry["box"] = [box.x0, box.y0, box.x1, box.y1]
    return entry


def _options(given: Mapping[str, Any]) -> Any:
    """Sampling options: the preset's, changed by what was given."""
    from joystreamer.commands.opening import TINY
    from joystreamer.commands.sizes import parse_size
    from joystreamer.options import GenerationOptions
    from joystreamer.presets import sampling_preset

    name = given["preset"] or (TINY if given["model"] == TINY else "paper")
    names = ("seed", "sampler", "steps", "text_scale", "audio_scale", "reference_offset",
             "fragment_rule", "negative_prompt")  # fmt: skip
    changes = {key: given[key] for key in names if given[key] is not None}
    if given["size"]:
        changes["height"], changes["width"] = parse_size(given["size"])
    return GenerationOptions.from_json({**sampling_preset(name).to_json(), **changes})


def _check_early(job: Any, options: Any, *, batch: bool) -> None:
    """Refuse what can be refused before weights are loaded.

    Files of a batch are opened when their turn comes: one that is unreadable fails alone.
    """
    from joystreamer.job_outputs import check_outputs
    from joystreamer.jobs import check_inputs
    from joystreamer.options import GenerationOptions

    check_outputs(job)
    try:
        GenerationOptions.from_json({**options.to_json(), **job.options})
    except InputError as error:
        raise InputError(f"{job.out}: {error}" if batch else str(error)) from error
    if not batch:
        check_inputs(job)


def _run_all(
    jobs: list[Any], options: Any, given: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], int]:
    """Run the jobs; in a batch, one that fails is named and the others go on."""
    from joystreamer.commands.opening import open_pipeline
    from joystreamer.jobs import run_job

    opened = open_pipeline(
        given["model"],
        options,
        device=given["device"],
        tier=given["memory"],
        loras=(given["lora"], given["lora_2"]),
    )
    options = replace(options, batch_guidance=opened.batch_guidance)
    console = Console(stderr=True)
    for note in opened.notes:
        console.print(note, style="dim")
    tools = _tools(given, opened.notes, jobs)
    reports, failures = [], 0
    for job in jobs:
        try:
            with _StepBar(console, job.out.name) as show:
                reports.append(
                    run_job(
                        opened.pipeline,
                        job,
                        options,
                        replace(tools, on_step=show.on_step, on_segment=show.on_segment),
                        restart=given["restart"],
                        keep_segments=given["keep_segments"],
                    )
                )
        except JoyStreamerError as error:
            if not given["batch"]:
                raise
            failures += 1
            click.echo(f"error: {job.out}: {error}", err=True)
        else:
            click.echo(f"made {job.out}", err=given["as_json"])
    return reports, failures


def _tools(given: Mapping[str, Any], notes: tuple[str, ...], jobs: list[Any]) -> Any:
    """Planner, finder and guard as asked for."""
    from joystreamer.conditioning.detector import THRESHOLD
    from joystreamer.conditioning.finder import FoundByWords
    from joystreamer.jobs import Tools
    from joystreamer.probes import DriftGuard, load_probe

    find = None
    if given["detector"]:
        find = FoundByWords(given["detector"], given["segmenter"], given["threshold"] or THRESHOLD)
    if given["relocate"]:
        if find is None or len(jobs) != 1:
            raise InputError("--relocate needs --detector and a single job; give both")
        words = [speaker.words or "person" for speaker in jobs[0].speakers]
    guard = None
    if given["drift"] and not given["probe"]:
        raise InputError("--drift needs --probe module:function; give both")
    if given["probe"]:
        guard = DriftGuard(probe=load_probe(given["probe"]), limits=_limits(given["drift"]))
    planner = open_planner(given["planner"], given["planner_url"], given["planner_model"])
    return Tools(
        planner=planner,
        find=find,
        locate=find.locator(words) if find is not None and given["relocate"] else None,
        guard=guard,
        notes=notes,
    )


def _limits(pairs: tuple[str, ...]) -> dict[str, float]:
    limits = {}
    for pair in pairs:
        name, _, number = pair.partition("=")
        try:
            limits[name] = float(number)
        except ValueError as error:
            raise InputError(f"--drift {pair!r} came; write NAME=LIMIT such as hue=0.1") from error
    return limits


class _StepBar:
    """A bar over the steps of one clip."""

    def __init__(self, console: Console, name: str) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task(name, total=None)
        self._steps = 0
        self._rendered = 0

    def __enter__(self) -> "_StepBar":
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def on_step(self, _pipeline: Any, _step: int, _timestep: float, _tensors: Any) -> None:
        """One step more."""
        self._steps += 1
        self._bar.update(self._task, completed=self._steps)

    def on_segment(self, finished: int, total: int, _part: Any) -> None:
        """A segment is done: the length of the whole is known."""
        self._rendered += 1  # resumed segments are not
        left = self._steps / self._rendered * (total - finished)
        self._bar.update(self._task, total=self._steps + round(left), completed=self._steps)
