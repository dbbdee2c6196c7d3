"""Bundled checkpoints out of a finished chain: one whole pipeline, and an adapter for every student.

The audio teacher is the shared pipeline, with the decoder that was sharpened; students are adapters on it;
the text teacher is a network alone. Every folder keeps the model card that its training wrote.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.checkpoints import ADAPTER_FILE, BUNDLED, SETTINGS_FILE
from benchmarks.puppet.casting import SIDE
from benchmarks.puppet.chain import AUDIO_TEACHER, DECODER, TEXT_TEACHER, Chain
from benchmarks.puppet.exam import STEPS
from eval.store.files import write_text
from joystreamer.errors import InputError
from joystreamer.training.presets import TINY_TAU_SHIFT

BASE: Final = "base"
"""The audio teacher, whose pipeline every student changes."""
CARD: Final = "README.md"
FAMILY: Final = "puppet"
OPTIONS: Final = {"area": SIDE * SIDE, "negative_prompt": ""}


@dataclass(frozen=True, kw_only=True, slots=True)
class Student:
    """A student to be shipped.

    Attributes:
        stage: Of the chain.
        notes: One sentence about it.
    """

    stage: str
    notes: str


SHIPPED: Final[Mapping[str, Student]] = {
    "vanilla": Student(
        stage="vanilla-3-2-seed-0",
        notes="Distilled with Eq. 2: the audio teacher alone, scales 3/2.",
    ),
    "twin": Student(
        stage="twin-3-2-seed-0", notes="Distilled with Eq. 3: a text teacher beside it, scales 3/2."
    ),
    "twin-dynamic": Student(
        stage="dynamic-4-4-seed-0",
        notes="Distilled with Eq. 3 and dynamic guidance, scales 4/4.",
    ),
}
"""The demo's students by the name that they are shipped under."""


def write_bundle(
    chain: Chain, students: Mapping[str, Student] = SHIPPED, target: Path = BUNDLED
) -> None:
    """Copy base, text teacher and students; what is there under the same names is replaced.

    Args:
        chain: With those stages finished.
        students: By the name that they are shipped under.
        target: Folder of the bundled checkpoints.

    Raises:
        InputError: A stage is not finished.
    """
    stages = [DECODER, AUDIO_TEACHER, TEXT_TEACHER, *(each.stage for each in students.values())]
    missing = [name for name in stages if not chain.finished(name)]
    if missing:
        raise InputError(
            f"{', '.join(missing)} are not finished in {chain.folder}; train them first"
        )
    base = _fresh(target / BASE)
    shutil.copytree(chain.result(AUDIO_TEACHER), base, dirs_exist_ok=True)
    shutil.rmtree(base / "vae")
    shutil.copytree(chain.result(DECODER) / "vae", base / "vae")
    write_text(base / "vae" / CARD, _card(chain, DECODER))
    write_text(base / CARD, _card(chain, AUDIO_TEACHER))
    _forget_places(base)
    _settle(
        base, preset="paper", family=FAMILY, options={**OPTIONS, "steps": STEPS, "text_scale": 1.0, "audio_scale": 1.0},
        notes="The audio teacher, by many guided steps.",
    )  # fmt: skip
    teacher = _fresh(target / TEXT_TEACHER)
    shutil.copytree(chain.result(TEXT_TEACHER) / "transformer", teacher / "transformer")
    write_text(teacher / CARD, _card(chain, TEXT_TEACHER))
    _forget_places(teacher)
    for name, student in students.items():
        folder = _fresh(target / name)
        shutil.copy(chain.result(student.stage) / ADAPTER_FILE, folder / ADAPTER_FILE)
        write_text(folder / CARD, _card(chain, student.stage))
        _settle(
            folder, preset="distilled", family=FAMILY, base=BASE, notes=student.notes,
            options={**OPTIONS, "shift": TINY_TAU_SHIFT},
        )  # fmt: skip


def _forget_places(folder: Path) -> None:
    """Take out where things were on the machine of the training, and cards that stand there twice."""
    for path in folder.rglob("*.json"):
        written = json.loads(path.read_text(encoding="utf-8"))
        if written.pop("_name_or_path", None) is not None:
            write_text(path, json.dumps(written, indent=2, sort_keys=True) + "\n")
    for component in ("transformer", "audio_encoder"):
        (folder / component / CARD).unlink(missing_ok=True)


def _settle(folder: Path, **settings: object) -> None:
    write_text(folder / SETTINGS_FILE, json.dumps(settings, indent=1) + "\n")


def _fresh(folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def _card(chain: Chain, stage: str) -> str:
    """A stage's model card, without the place where it was trained."""
    text = (chain.result(stage) / CARD).read_text(encoding="utf-8")
    return text.replace(f"{'/'.join(chain.folder.parts[-2:])}/", "")
