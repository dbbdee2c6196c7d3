"""Checkpoints that are bundled, and how a checkpoint wants to be sampled.

A folder of a saved pipeline may hold `benchmark.json`: the sampling preset and options it was trained
for, and what it is. Without the file nothing changes. A folder may also hold an adapter alone, and name
the pipeline beside it that the adapter changes, so that several students share one base. Knows nothing
of networks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from eval.fields import nearest
from joystreamer.errors import InputError, brief
from joystreamer.json_files import read_object

SETTINGS_FILE: Final = "benchmark.json"
PIPELINE_FILE: Final = "model_index.json"
ADAPTER_FILE: Final = "transformer-lora.safetensors"
"""What distillation calls a student's adapter."""
BUNDLED: Final = Path(__file__).resolve().parent / "puppet" / "checkpoints"
"""Folder of the checkpoints that are shipped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointSettings:
    """What `benchmark.json` says.

    Attributes:
        preset: Sampling preset; '' for the caller's own choice.
        options: Sampling options on top of it, as in `joystreamer generate`.
        family: Groups the checkpoints of one training run on leaderboards.
        step: Training step.
        base: Name of the folder beside this one whose pipeline this folder's adapter changes; '' for
            a whole pipeline.
        notes: One sentence about it.
    """

    preset: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    family: str = ""
    step: int | None = None
    base: str = ""
    notes: str = ""


_MARKS: Final = (PIPELINE_FILE, ADAPTER_FILE)
_KINDS: Final[Mapping[str, tuple[type, str]]] = {
    "preset": (str, "text"),
    "options": (dict, "an object"),
    "family": (str, "text"),
    "step": (int, "a whole number"),
    "base": (str, "the name of a folder beside this one"),
    "notes": (str, "text"),
}


def read_settings(model: Path) -> CheckpointSettings:
    """Read `benchmark.json` of a checkpoint's folder; without the file nothing is prescribed.

    Raises:
        InputError: It is no JSON object, or holds something unknown or of another kind.
    """
    path = model / SETTINGS_FILE
    if not path.is_file():
        return CheckpointSettings()
    given = read_object(path)
    known = [entry.name for entry in fields(CheckpointSettings)]
    for name, value in given.items():
        if name not in known:
            raise InputError(
                f"{path} has the unknown key {brief(name)}{nearest(name, known)}; "
                f"known are {', '.join(known)}"
            )
        kind, words = _KINDS[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InputError(f"{path}: {name} is {brief(value)}; write {words}")
    settings = CheckpointSettings(**given)
    if settings.base and Path(settings.base).name != settings.base:
        raise InputError(
            f"{path}: base is {settings.base!r}; write the name of a folder beside this one"
        )
    return settings


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointFiles:
    """Where a checkpoint's weights are.

    Attributes:
        pipeline: Folder of the saved pipeline.
        adapter: LoRA file on top of it; None for a whole pipeline.
    """

    pipeline: Path
    adapter: Path | None = None


def checkpoint_files(model: Path) -> CheckpointFiles:
    """Return where a checkpoint's weights are.

    Raises:
        InputError: Pipeline or adapter is missing, or `benchmark.json` does not fit.
    """
    base = read_settings(model).base
    files = CheckpointFiles(
        pipeline=model.parent / base if base else model,
        adapter=model / ADAPTER_FILE if base else None,
    )
    if not (files.pipeline / PIPELINE_FILE).is_file():
        raise InputError(
            f"{files.pipeline} is no saved pipeline ({PIPELINE_FILE} is missing); give its folder, "
            "or 'tiny'"
        )
    if files.adapter is not None and not files.adapter.is_file():
        raise InputError(f"{files.adapter} is missing; {model} is an adapter for {files.pipeline}")
    return files


def bundled_checkpoints(root: Path = BUNDLED) -> tuple[str, ...]:
    """Return the names of the checkpoints that are there."""
    found = {path.parent.name for name in _MARKS for path in root.glob(f"*/{name}")}
    return tuple(sorted(found))


def find_checkpoint(name: str, root: Path = BUNDLED) -> str:
    """Return the folder of a bundled checkpoint by name; any other text comes back as it is."""
    inside = root / name
    bundled = name in bundled_checkpoints(root) and not Path(name).exists()
    return str(inside) if bundled else name
