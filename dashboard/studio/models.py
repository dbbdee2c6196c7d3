"""Which models the studio offers: the workspace's `studio.toml`, and the random one that is always there.

Staff choose by name, so that no page can be made to open any other folder of the machine.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eval.records import System
from joystreamer.errors import InputError

FILE: Final = "studio.toml"

EXAMPLE: Final = """[[model]]
name = "student-2000"            # its clips stand under this name
path = "/models/student-2000"    # a folder of save_pretrained, training or convert
family = "student"               # optional: the training run
step = 2000                      # optional
preset = "distilled"             # optional: see joystreamer presets
"""
"""What a workspace's file looks like."""

_TEXTS: Final = ("name", "path", "family", "preset", "device")
_NUMBERS: Final = ("step", "memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Something that makes clips.

    Attributes:
        name: Of the system its clips are stored under.
        path: Folder of a saved pipeline, or `tiny` for the random one.
        family: Training run, '' for none.
        step: Training step.
        preset: Sampling preset, '' for the command's default.
        device: As `joystreamer generate --device`.
        memory: Memory tier in GB; None chooses from what is free.
    """

    name: str
    path: str
    family: str = ""
    step: int | None = None
    preset: str = ""
    device: str = "auto"
    memory: int | None = None

    def system(self) -> System:
        """The system under which its clips are compared."""
        return System(
            name=self.name, kind="checkpoint", family=self.family, step=self.step,
            notes="made in the studio",
        )  # fmt: skip

    def options(self) -> list[str]:
        """Its part of a `joystreamer generate` command."""
        found = ["--model", self.path, "--device", self.device]
        found += ["--preset", self.preset] if self.preset else []
        return found + (["--memory", str(self.memory)] if self.memory is not None else [])


TINY: Final = Model(name="tiny (random)", path="tiny", device="cpu")
"""Made on the spot from random numbers: its clips are noise of the right size, length and sound."""


def read_models(root: Path) -> tuple[Model, ...]:
    """The models that a workspace lists, then the random one.

    Raises:
        InputError: The file does not fit.
    """
    path = root / FILE
    if not path.is_file():
        return (TINY,)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{FILE} of the workspace cannot be read ({error}); expected [[model]] tables"
        ) from error
    listed = content.get("model", [])
    if set(content) - {"model"} or not isinstance(listed, list):
        raise InputError(f"{FILE} of the workspace holds something else than [[model]] tables")
    models = tuple(_read_model(entry, number) for number, entry in enumerate(listed, start=1))
    names = [model.name for model in (*models, TINY)]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise InputError(f"{FILE} lists two models called {double!r}; name each differently")
    return (*models, TINY)


def _read_model(entry: Any, number: int) -> Model:
    where = f"{FILE}, model {number}"
    if not isinstance(entry, dict):
        raise InputError(f"{where} is no table; write [[model]]")
    for key, value in entry.items():
        if key not in (*_TEXTS, *_NUMBERS):
            raise InputError(
                f"{where} has the unknown key {key!r}; known are {', '.join((*_TEXTS, *_NUMBERS))}"
            )
        wanted = str if key in _TEXTS else int
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise InputError(f"{where}: {key} is {value!r}; expected a {wanted.__name__}")
    for key in ("name", "path"):
        if not entry.get(key):
            raise InputError(f"{where} has no {key}; give one")
    return Model(**entry)
