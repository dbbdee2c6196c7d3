"""Making one clip from files: read, plan, render, write, report; stopped jobs go on.

Beside `clip.mp4` stand `clip.json` (the run report), `clip.plan.json` and, with regions,
`clip.speakers.png`; while a job runs, `clip.segments/` holds what is finished. The clip appears
under its name only when it is whole. Memory does not grow with length: frames stream to the writer.
"""

import fcntl
import io
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from joystreamer import __version__
from joystreamer.conditioning.planner import Plan, PlannerBackend, PlanRequest, make_plan
from joystreamer.conditioning.speakers import box_mask, draw_preview, make_disjoint, read_mask
from joystreamer.conditioning.tracks import (
    MIX_RATE,
    Sound,
    lay_turns,
    read_parallel,
    read_single,
    split_stereo,
)
from joystreamer.errors import InputError
from joystreamer.job_outputs import (
    check_outputs,
    plan_path,
    preview_path,
    report_path,
    segments_folder,
)
from joystreamer.job_spec import JobSpec
from joystreamer.media.images import read_image
from joystreamer.media.writing import ClipWriter
from joystreamer.options import GenerationOptions
from joystreamer.pipeline import JoyStreamerPipeline, StepCallback
from joystreamer.probes import DriftGuard
from joystreamer.provenance import (
    FULL_ERRORS,
    code_commit,
    digest_array,
    digest_json,
    digest_module,
    full_disk_explained,
    package_versions,
    write_atomically,
    write_json,
)
from joystreamer.resume import MARK, SegmentStore
from joystreamer.scene import Locator, RenderedSegment, Scene


class RegionFinder(Protocol):
    """Finds people by words: the image and one text per speaker to masks (H, W)."""

    def __call__(self, image: NDArray[np.uint8], words: list[str]) -> list[NDArray[np.bool_]]:
        """Masks in the order of the words."""
        ...


SegmentHook = Callable[[int, int, RenderedSegment], None]
"""Called with (segments finished, segments in all, the segment)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """What a job may use besides the pipeline.

    Attributes:
        planner: Language model for the plan; None splits by rules.
        find: Finds people by words; None refuses words.
        locate: Finds the regions again in each segment; None keeps the first.
        guard: Acts on measured drift; None is off.
        on_step: Progress within a segment, diffusers' `callback_on_step_end`.
        on_segment: Progress.
        notes: Facts for the report, such as the memory plan.
    """

    planner: PlannerBackend | None = None
    find: RegionFinder | None = None
    locate: Locator | None = None
    guard: DriftGuard | None = None
    on_step: StepCallback | None = None
    on_segment: SegmentHook | None = None
    notes: tuple[str, ...] = ()


def run_job(
    pipeline: JoyStreamerPipeline,
    job: JobSpec,
    options: GenerationOptions,
    tools: Tools | None = None,
    *,
    restart: bool = False,
    keep_segments: bool = False,
) -> dict[str, Any]:
    """Make one clip, or finish one that was stopped.

    Args:
        pipeline: A `JoyStreamerPipeline`.
        job: What to make.
        options: Sampling options; the job's own changes are laid over them.
        tools: Planner, finder, guard and progress.
        restart: Discard finished segments of an earlier run.
        keep_segments: Leave them in place after the clip is written.

    Returns:
        The run report, as written beside the clip.

    Raises:
        InputError: Something does not fit, or there is no room left; no half clip remains.
    """
    tools = tools or Tools()
    plain = {**options.to_json(), **job.options}
    options = GenerationOptions.from_json(plain)
    check_outputs(job)
    folder = segments_folder(job.out)
    with full_disk_explained(job.out), _alone(job.out, folder):
        if restart:
            _discard(folder)
        scene, sound, plan = prepare_scene(job, options, tools, folder)
        height, width = pipeline.clip_size(scene.image, options)
        facts = _describe(pipeline, scene, sound, options, tools.guard)
        store = SegmentStore(folder, digest_json(facts))
        write_json(folder / "plan.json", plan.to_json())
        started = time.time()
        rendered = _render(pipeline, scene, options, tools, store)
        with ClipWriter(
            job.out, pipeline.layout.fps, audio=sound.mix, sample_rate=MIX_RATE
        ) as writer:
            entries = []
            for part, resumed in rendered:
                for frame in part.frames:
                    writer.write(frame)
                entries.append(_entry(part, resumed))
        report = {
            "clip": job.out.name,
            "size": [width, height],
            "fps": pipeline.layout.fps,
            "frames": sum(entry["frames"] for entry in entries),
            "seconds": sound.seconds,
            **facts,
            "plan": plan.to_json(),
            "segments": entries,
            "commit": code_commit(),
            "device": _device_name(pipeline),
            "notes": list(tools.notes),
            "wall_seconds": round(time.time() - started, 3),
        }
        write_json(plan_path(job.out), plan.to_json())
        write_json(report_path(job.out), report)
        if not keep_segments:
            store.discard()
    return report


def prepare_scene(
    job: JobSpec, options: GenerationOptions, tools: Tools, folder: Path
) -> tuple[Scene, Sound, Plan]:
    """Read everything a job names.

    A plan stored by an earlier, stopped run is used again, since a language model would answer
    differently the second time.

    Raises:
        InputError: A file is unreadable, or regions do not fit the image.
    """
    image = read_image(job.image)
    sound = _read_sound(job)
    stored = folder / "plan.json"
    if stored.is_file():
        plan = _read_plan(stored)
    else:
        request = PlanRequest(
            prompt=job.prompt,
            seconds=sound.seconds,
            rule=options.fragment_rule,
            transcript=job.transcript,
            image=image,
        )
        plan = make_plan(request, tools.planner)
    regions = find_regions(job, image, tools.find)
    if regions is not None:
        names = [speaker.name for speaker in job.speakers]
        preview = draw_preview(image, regions, names)
        write_atomically(preview_path(job.out), _png(preview))
    scene = Scene(
        image=image,
        tracks=sound.tracks,
        fragments=plan.fragments,
        regions=regions,
        locate=tools.locate,
    )
    return scene, sound, plan


def _read_plan(path: Path) -> Plan:
    try:
        return Plan.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"the stored plan '{path}' is damaged; remove it, and the finished segments beside it "
            "unless the same plan can be made again"
        ) from error


def check_inputs(job: JobSpec) -> None:
    """Refuse pictures, sound, boxes and masks that do not fit, before any weights are loaded.

    Raises:
        InputError: In one sentence.
    """
    height, width = read_image(job.image).shape[:2]
    for speaker in job.speakers:
        if speaker.box is not None:
            box_mask(speaker.box, height, width)
        elif speaker.mask is not None:
            read_mask(speaker.mask, height, width)
    _read_sound(job)


def find_regions(
    job: JobSpec, image: NDArray[np.uint8], find: RegionFinder | None
) -> NDArray[np.bool_] | None:
    """Disjoint regions (speakers, H, W) of a job; None when nobody was placed.

    Raises:
        InputError: Someone among several has no place, or a place does not fit the image.
    """
    height, width = image.shape[:2]
    placed = [speaker.box or speaker.mask or speaker.words for speaker in job.speakers]
    if not any(placed) and len(placed) < 2:
        return None
    masks: list[NDArray[np.bool_] | None] = []
    for speaker in job.speakers:
        if speaker.box is not None:
            masks.append(box_mask(speaker.box, height, width))
        elif speaker.mask is not None:
            masks.append(read_mask(speaker.mask, height, width))
        else:
            masks.append(None)
    wanted = [speaker.words or "person" for speaker, mask in zip(job.speakers, masks, strict=True)
              if mask is None]  # fmt: skip
    if wanted:
        if find is None:
            nameless = next(
                s.name for s, mask in zip(job.speakers, masks, strict=True) if mask is None
            )
            raise InputError(
                f"speaker {nameless} has neither box nor mask; give one, or name a detector that "
                "finds people by words"
            )
        found = iter(find(image, wanted))
        masks = [next(found) if mask is None else mask for mask in masks]
    return make_disjoint([mask for mask in masks if mask is not None])


def _render(
    pipeline: JoyStreamerPipeline,
    scene: Scene,
    options: GenerationOptions,
    tools: Tools,
    store: SegmentStore,
) -> Iterator[tuple[RenderedSegment, bool]]:
    """All segments in order, each with whether it came from the store."""
    segments = pipeline.plan(scene, options)
    state, finished = None, min(store.count(), len(segments))
    for segment in segments[:finished]:
        part = store.load(segment)
        state = part.state
        yield part, True
    if finished == len(segments):
        return
    stream = pipeline.stream(
        scene, options, state=state, guard=tools.guard, callback_on_step_end=tools.on_step
    )
    with closing(stream):
        for part in stream:
            store.save(part)
            if tools.on_segment is not None:
                tools.on_segment(part.segment.index + 1, len(segments), part)
            yield part, False


def _read_sound(job: JobSpec) -> Sound:
    if job.turns:
        return lay_turns(job.turns, speakers=len(job.speakers))
    if job.audio is not None:
        return split_stereo(job.audio) if job.stereo else read_single(job.audio)
    return read_parallel([speaker.audio for speaker in job.speakers if speaker.audio is not None])


def _describe(
    pipeline: JoyStreamerPipeline,
    scene: Scene,
    sound: Sound,
    options: GenerationOptions,
    guard: DriftGuard | None,
) -> dict[str, Any]:
    """Everything that decides the pixels, as plain values; its digest is the job's fingerprint."""
    networks = {
        name: part
        for name, part in sorted(pipeline.components.items())
        if isinstance(part, torch.nn.Module)
    }
    return {
        "joystreamer": __version__,
        "versions": package_versions(),
        "options": options.to_json(),
        "seed": options.seed,
        "fragments": list(scene.fragments),
        "inputs": {
            "image": digest_array(scene.image),
            "tracks": [digest_array(track) for track in scene.tracks],
            "mix": digest_array(sound.mix),
            "regions": None if scene.regions is None else digest_array(scene.regions),
        },
        "weights": {name: digest_module(part) for name, part in networks.items()},
        "dtypes": {name: str(part.dtype) for name, part in networks.items()},
        "relocated": scene.locate is not None,
        "drift_guard": None
        if guard is None
        else {"probe": getattr(guard.probe, "__qualname__", "?"), "limits": dict(guard.limits)},
    }


def _entry(part: RenderedSegment, resumed: bool) -> dict[str, Any]:
    return {
        "index": part.segment.index,
        "start_frame": part.segment.start_frame,
        "frames": len(part.frames),
        "fragment": part.segment.fragment,
        "seed": part.segment.seed,
        "resumed": resumed,
        "drifted": list(part.drifted),
        "timings": {name: round(seconds, 4) for name, seconds in part.timings.items()},
    }


def _device_name(pipeline: JoyStreamerPipeline) -> str:
    device = pipeline._execution_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


@contextmanager
def _alone(out: Path, folder: Path) -> Iterator[None]:
    """Hold the job for this process; what a killed process left of the clip is removed.

    Raises:
        InputError: Another process is at work on the same clip, or its folder cannot be made.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        if error.errno in FULL_ERRORS:
            raise
        raise InputError(
            f"'{folder}', where finished segments go, cannot be made ({os.strerror(error.errno or 0)}); "
            "choose another folder for the clip"
        ) from error
    lock = folder / "lock"
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"another process is making '{out}'; wait for it, or choose another name"
            ) from error
        _remove_parts(out)
        try:
            yield
        finally:
            if folder.is_dir() and not any(folder.glob("segment_*.zip")):
                shutil.rmtree(folder)


def _remove_parts(out: Path) -> None:
    """Remove what a killed process had begun of the clip and of the papers beside it."""
    papers = (report_path(out), plan_path(out), preview_path(out))
    names = "|".join(re.escape(path.name) for path in papers)
    part = re.compile(
        rf"\.{re.escape(out.stem)}\.[0-9a-f]{{12}}\.part\.mp4|\.(?:{names})\.[0-9a-f]{{12}}\.part"
    )
    for path in out.parent.iterdir():
        if part.fullmatch(path.name):
            path.unlink()


def _discard(folder: Path) -> None:
    # The mark goes last: segments without it would be taken for those of the next job.
    for path in sorted(folder.iterdir(), key=lambda path: path.name == MARK):
        if path.name != "lock":
            path.unlink()


def _png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
