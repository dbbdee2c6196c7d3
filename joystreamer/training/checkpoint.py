"""Checkpoints of a training run: complete or absent, and few enough for the disk.

A checkpoint is a folder `step-00001200` of safetensors and one JSON file. It is written under a
temporary name, flushed and renamed, so a kill at any moment leaves the former ones whole. A list of
digests is written last: what a failing disk did to a file is noticed before it is trained on. Only
what trains is stored; frozen bases come back from where they came from.
"""

import hashlib
import json
import os
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from joystreamer.errors import InputError
from joystreamer.training.parallel import assign, whole

FORMAT = 1
DIGESTS = "digests.json"
"""SHA-256 of every other file of a checkpoint; those written before there were digests have none."""
_PREFIX = "step-"
_PARTIAL = ".partial-"


def checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoints of a run, oldest first."""
    found = [path for path in folder.glob(f"{_PREFIX}*") if (path / "state.json").is_file()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(_PREFIX)))


def flatten_optimiser(
    optimiser: torch.optim.Optimizer, names: Mapping[int, str]
) -> dict[str, Tensor]:
    """Return the optimiser's state as named whole tensors: `exp_avg/blocks.0...`.

    Args:
        optimiser: Any whose per-parameter state is tensors.
        names: Name of each parameter by `id`.
    """
    flat = {}
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            for key, value in optimiser.state.get(parameter, {}).items():
                flat[f"{key}/{names[id(parameter)]}"] = whole(torch.as_tensor(value)).contiguous()
    return flat


def restore_optimiser(
    optimiser: torch.optim.Optimizer, names: Mapping[int, str], flat: Mapping[str, Tensor]
) -> None:
    """Undo `flatten_optimiser`, sharding the state like its parameters."""
    keys = sorted({name.split("/", 1)[0] for name in flat})
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            state: dict[str, Tensor] = {}
            for key in keys:
                value = flat.get(f"{key}/{names[id(parameter)]}")
                if value is None:
                    continue
                if value.ndim == 0:
                    state[key] = value.clone()
                else:
                    state[key] = torch.empty_like(parameter, dtype=value.dtype)
                    assign(state[key], value)
            if state:
                optimiser.state[parameter] = state


def random_state() -> dict[str, Any]:
    """Return this process's global random states as plain values and tensors."""
    version, numbers, gauss = random.getstate()
    state: dict[str, Any] = {
        "python": [version, list(numbers), gauss],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Take up states from `random_state`."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


class CheckpointFolder:
    """Writes, rotates and reads the checkpoints of one run.

    Args:
        folder: The run's folder.
        keep: How many of the newest to keep.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def latest(self) -> Path | None:
        """Return the newest complete checkpoint, or None."""
        found = checkpoints(self.folder)
        return found[-1] if found else None

    def write(
        self,
        step: int,
        tensors: Mapping[str, Mapping[str, Tensor]],
        state: Mapping[str, Any],
        accelerator: Any,
    ) -> Path:
        """Write a checkpoint; every process calls it together.

        Args:
            step: Number of finished updates.
            tensors: Files by name, each a table of whole tensors; only the main process's count.
            state: Plain values for `state.json`.
            accelerator: For waiting on each other.
        """
        final = self.folder / f"{_PREFIX}{step:08d}"
        partial = self.folder / f"{_PARTIAL}{step:08d}"
        if accelerator.is_main_process:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        accelerator.wait_for_everyone()
        own = random_state()
        rank = accelerator.process_index
        rng: dict[str, Tensor] = {name: own[name] for name in own if name != "python"}
        _save(rng, partial / f"random-{rank:05d}.safetensors")
        _write_text(partial / f"random-{rank:05d}.json", json.dumps(own["python"]))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            for name, table in tensors.items():
                _save(table, partial / f"{name}.safetensors")
            described = {"format": FORMAT, "step": step, "processes": accelerator.num_processes}
            text = json.dumps({**described, **state}, indent=1, sort_keys=True)
            _write_text(partial / "state.json", text)
            _write_text(partial / DIGESTS, json.dumps(_digests(partial), indent=1))
            if final.exists():
                shutil.rmtree(final)
            partial.rename(final)
            _flush_folder(self.folder)
            self._rotate()
        accelerator.wait_for_everyone()
        return final

    def read(self, path: Path, rank: int) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """Read a checkpoint and take up this process's random state.

        Raises:
            InputError: Another version of this program wrote it, it is damaged, or no checkpoint.
        """
        if not (path / "state.json").is_file():
            raise InputError(
                f"{path} holds no state.json; give a folder such as {_PREFIX}00001200 of a run"
            )
        _require_whole(path)
        state: dict[str, Any] = json.loads((path / "state.json").read_text())
        if state.get("format") != FORMAT:
            raise InputError(
                f"{path} has checkpoint format {state.get('format')}; this version reads {FORMAT}"
            )
        tensors = {
            file.stem: load_file(file)
            for file in sorted(path.glob("*.safetensors"))
            if not file.stem.startswith("random-")
        }
        stored = path / f"random-{rank:05d}.safetensors"
        if stored.is_file():
            python = json.loads(stored.with_suffix(".json").read_text())
            restore_random_state({**load_file(stored), "python": python})
        return tensors, state

    def _rotate(self) -> None:
        for path in checkpoints(self.folder)[: -self.keep]:
            shutil.rmtree(path)
        for path in self.folder.glob(f"{_PARTIAL}*"):
            shutil.rmtree(path)


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a checkpoint but the list itself."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name != DIGESTS:
            with path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _require_whole(folder: Path) -> None:
    """Refuse a checkpoint that is not what was written.

    Raises:
        InputError: Names the file.
    """
    listed = folder / DIGESTS
    if not listed.is_file():
        return
    try:
        known = json.loads(listed.read_text(encoding="utf-8"))
    except ValueError:  # not JSON, or no text
        known = {}
    found = _digests(folder)
    wrong = sorted(name for name in {*known, *found} if known.get(name) != found.get(name))
    if wrong:
        raise InputError(
            f"checkpoint '{folder}' is damaged ({wrong[0]} is not what was written); remove the "
            "folder and run the same command again: it goes on from the checkpoint before"
        )


def _save(table: Mapping[str, Tensor], path: Path) -> None:
    save_file({name: value.detach().cpu().contiguous() for name, value in table.items()}, path)
    with path.open("rb") as written:
        os.fsync(written.fileno())


def _write_text(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
