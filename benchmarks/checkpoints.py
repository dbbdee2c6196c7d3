"""Checkpoints that are bundled, and how a checkpoint wants to be sampled.

A folder of a saved pipeline may hold `benchmark.json`: the sampling preset and options it was trained
for, and what it is. Without the file nothing changes. Knows nothing of networks.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from eval.fields import nearest
from joystreamer.errors import InputError

SETTINGS_FILE: Final = "benchmark.json"
PIPELINE_FILE: Final = "model_index.json"
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
        notes: One sentence about it.
    """

    preset: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    family: str = ""
    step: int | None = None
    notes: str = ""


_KINDS: Final[Mapping[str, tuple[type, str]]] = {
    "preset": (str, "text"),
    "options": (dict, "an object"),
    "family": (str, "text"),
    "step": (int, "a whole number"),
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
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is not JSON ({error}); write an object") from error
    if not isinstance(given, dict):
        raise InputError(f"{path} holds a {type(given).__name__}; write a JSON object")
    known = [entry.name for entry in fields(CheckpointSettings)]
    for name, value in given.items():
        if name not in known:
            raise InputError(
                f"{path} has the unknown key {name!r}{nearest(name, known)}; "
                f"known are {', '.join(known)}"
            )
        kind, words = _KINDS[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InputError(f"{path}: {name} is {value!r}; write {words}")
    return CheckpointSettings(**given)


def bundled_checkpoints(root: Path = BUNDLED) -> tuple[str, ...]:
    """Return the names of the checkpoints that are there."""
    return tuple(sorted(path.parent.name for path in root.glob(f"*/{PIPELINE_FILE}")))


def find_checkpoint(name: str, root: Path = BUNDLED) -> str:
    """Return the folder of a bundled checkpoint by name; any other text comes back as it is."""
    inside = root / name
    bundled = name in bundled_checkpoints(root) and not Path(name).exists()
    return str(inside) if bundled else name
