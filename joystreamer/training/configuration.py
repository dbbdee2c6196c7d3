"""Changing single fields of nested, frozen configurations by name, and writing them out.

Every stage is a `TrainingPreset`; `section.field=value` on the command line changes one field, and
an unknown name is refused with the nearest known one.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from joystreamer.errors import InputError, brief
from joystreamer.json_files import is_finite
from joystreamer.training.codec import CodecOptions
from joystreamer.training.data import CacheOptions
from joystreamer.training.distillation import DistillationOptions
from joystreamer.training.loop import LoopOptions
from joystreamer.training.lora import AdapterOptions
from joystreamer.training.pretraining import PretrainingOptions
from joystreamer.training.task import Rates

Stage = Literal["codec", "foundation", "text-teacher", "stage-1", "stage-2", "distill"]
Which = Literal["single", "high", "low", "joint"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingPreset:
    """Everything that decides a training run apart from its data and starting weights.

    Attributes:
        name: As on the command line.
        summary: One line for the list of presets.
        stage: Which task.
        expert: Which expert trains: `single` for a one-network model, `joint` for both.
        loop: Lengths and sizes.
        cache: What is stored for each clip.
        codec: For stage `codec`.
        pretraining: For the flow-matching stages.
        distillation: For stage `distill`.
        adapters: LoRA on one shared base; None trains every parameter of separate networks.
        student: Rates of the student.
        fake: Rates of the fake score.
        learns_text: Whether the small text encoder trains along.
        learns_speech: Whether the small speech encoder trains along.
        checkpointing: Recompute activations in the backward pass.
        park_idle: Keep idle experts on the CPU (joint mode).
        of_the_paper: Fields whose values the paper states; all others are ours.
    """

    name: str
    summary: str
    stage: Stage
    expert: Which
    loop: LoopOptions
    cache: CacheOptions
    codec: CodecOptions | None = None
    pretraining: PretrainingOptions | None = None
    distillation: DistillationOptions | None = None
    adapters: AdapterOptions | None = None
    student: Rates = field(default_factory=lambda: Rates(rate=1e-5, betas=(0.0, 0.999)))
    fake: Rates = field(default_factory=lambda: Rates(rate=1e-5, betas=(0.0, 0.999)))
    learns_text: bool = False
    learns_speech: bool = False
    checkpointing: bool = False
    park_idle: bool = False
    of_the_paper: tuple[str, ...] = ()


def change(preset: TrainingPreset, assignments: Sequence[str]) -> TrainingPreset:
    """Return a preset with fields changed.

    Args:
        preset: Where to start.
        assignments: Texts such as `loop.updates=2000` or `distillation.guidance.text_scale=4`;
            values are JSON, and anything that is not JSON is a text.

    Raises:
        InputError: A name is unknown, or a value does not fit.
    """
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"setting {brief(text)} came; write section.field=value")
        preset = _assign(preset, name.split("."), _parse(value), name)
    return preset


def describe(preset: TrainingPreset) -> dict[str, Any]:
    """Return the resolved configuration as plain values."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(preset)))
    return plain


def _parse(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # no JSON, or none that Python can hold: a text
        return value


def _assign(part: Any, path: list[str], value: Any, whole: str) -> Any:
    """Return a copy of a dataclass with the field at the end of the path replaced."""
    known = [entry.name for entry in fields(part)]
    if path[0] not in known:
        near = get_close_matches(path[0], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        raise InputError(f"unknown setting {brief(whole)}: {brief(path[0])}; {hint}")
    present = getattr(part, path[0])
    if len(path) > 1:
        if not is_dataclass(present):
            raise InputError(
                f"setting {brief(whole)}: this preset has no section {path[0]!r}; see its dry run"
            )
        return replace(part, **{path[0]: _assign(present, path[1:], value, whole)})
    wanted = get_type_hints(type(part))[path[0]]
    return replace(part, **{path[0]: _fitting(present, value, wanted, whole)})


def _fitting(present: Any, value: Any, wanted: Any, whole: str) -> Any:
    """Bring a value to the declared type of the field it goes into."""
    if is_dataclass(present):
        raise InputError(f"setting {brief(whole)} names a section; set one of its fields")
    try:
        return _as_declared(value, wanted)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"setting {brief(whole)} came with {brief(value)}; a value like {present!r} is needed"
        ) from error


def _as_declared(value: Any, wanted: Any) -> Any:
    """A JSON value as the type that a field declares.

    Raises:
        TypeError: It is of another type.
        ValueError: It is none of the words, no finite number, or a list of another length.
    """
    if get_origin(wanted) in (Union, UnionType):
        return _as_one_of(value, get_args(wanted))
    if get_origin(wanted) is Literal:
        if value not in get_args(wanted):
            raise ValueError("another word")
        return value
    if get_origin(wanted) is tuple:
        return _as_tuple(value, get_args(wanted))
    if wanted is float and is_finite(value):
        return float(value)
    if type(value) is not wanted or wanted is float:
        raise TypeError("another type")
    return value


def _as_one_of(value: Any, kinds: tuple[Any, ...]) -> Any:
    for kind in kinds:
        try:
            return _as_declared(value, kind)
        except (TypeError, ValueError):
            continue
    raise TypeError("none of the types")


def _as_tuple(value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError("no list")
    if kinds[-1] is Ellipsis:
        return tuple(_as_declared(item, kinds[0]) for item in value)
    return tuple(_as_declared(item, kind) for item, kind in zip(value, kinds, strict=True))
