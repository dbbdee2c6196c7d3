"""A growing store of named tensors: safetensors shards and an index, safe against kills.

A shard is written under a temporary name, flushed and renamed, and only then entered in the index.
So the index never names what is not there, and a stopped build goes on after the last full shard.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from joystreamer.errors import InputError
from joystreamer.training.batches import Batch

INDEX = "index.jsonl"
CONSTANTS = "constants.safetensors"


def read_index(folder: Path) -> list[dict[str, Any]]:
    """Return the index's entries; a line cut off by a kill is left out."""
    path = folder / INDEX
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [dict(json.loads(line)) for line in lines if line.endswith("}")]
    except (ValueError, TypeError) as error:
        raise _damaged(folder, INDEX) from error


def _damaged(folder: Path, name: str) -> InputError:
    return InputError(
        f"the cache '{folder}' is damaged ({name} is not what was written); remove the folder, and "
        "build it again from the manifest"
    )


class ShardWriter:
    """Adds entries to a store, some at a time.

    Args:
        folder: Of the store.
        per_shard: Entries per shard.
    """

    def __init__(self, folder: Path, per_shard: int) -> None:
        self.folder, self.per_shard = folder, per_shard
        folder.mkdir(parents=True, exist_ok=True)
        entries = read_index(folder)
        if not all({"key", "shard"} <= entry.keys() for entry in entries):
            raise _damaged(folder, INDEX)
        self._rewrite_index(entries)
        self.keys = {entry["key"] for entry in entries}
        kept = {entry["shard"] for entry in entries}
        for path in folder.glob("shard-*.safetensors*"):
            if path.name not in kept:
                path.unlink()
        self.number = 1 + max((int(name[6:14]) for name in kept), default=-1)
        self.waiting: list[tuple[dict[str, Any], Mapping[str, Tensor]]] = []

    def add(self, key: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Add an entry.

        Args:
            key: Its content's digest; an entry with a known key must not be added again.
            tensors: What to store.
            facts: Plain values for the index.
        """
        self.keys.add(key)
        self.waiting.append(({"key": key, **facts}, tensors))
        if len(self.waiting) >= self.per_shard:
            self.flush()

    def flush(self) -> None:
        """Write the entries that wait."""
        if not self.waiting:
            return
        name = f"shard-{self.number:08d}.safetensors"
        partial = self.folder / f"{name}.partial"
        table = {
            f"{entry['key']}/{part}": value.contiguous()
            for entry, tensors in self.waiting
            for part, value in tensors.items()
        }
        save_file(table, partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        partial.replace(self.folder / name)
        with (self.folder / INDEX).open("a") as file:
            for entry, tensors in self.waiting:
                line = {**entry, "shard": name, "digest": digest, "parts": sorted(tensors)}
                file.write(json.dumps(line, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.waiting.clear()
        self.number += 1

    def write_constants(self, tensors: Mapping[str, Tensor]) -> None:
        """Store tensors that all entries share, such as the empty prompt's states."""
        partial = self.folder / f"{CONSTANTS}.partial"
        save_file({name: value.contiguous() for name, value in tensors.items()}, partial)
        partial.replace(self.folder / CONSTANTS)

    def _rewrite_index(self, entries: Sequence[Mapping[str, Any]]) -> None:
        partial = self.folder / f"{INDEX}.partial"
        partial.write_text("".join(json.dumps(e, sort_keys=True) + "\n" for e in entries))
        partial.replace(self.folder / INDEX)


class ShardedClips:
    """Reads a store as training clips; a `ClipSource`.

    Args:
        folder: Of the store.
        parts: Names of the tensors to read; everything that all entries have if empty.

    Raises:
        InputError: The store is empty or lacks a part.
    """

    def __init__(self, folder: Path, parts: Sequence[str] = ()) -> None:
        self.folder = folder
        self.entries = read_index(folder)
        if not self.entries:
            raise InputError(f"'{folder}' holds no cached clip; build the cache from a manifest")
        if not all({"key", "bucket", "shard", "parts"} <= entry.keys() for entry in self.entries):
            raise _damaged(folder, INDEX)
        common = set.intersection(*(set(entry["parts"]) for entry in self.entries))
        missing = sorted(set(parts) - common)
        if missing:
            raise InputError(
                f"'{folder}' lacks {', '.join(missing)} for some clips; it has "
                f"{', '.join(sorted(common))}: build the cache for this stage"
            )
        self.parts = tuple(parts) or tuple(sorted(common))
        self._open: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self.entries)

    def buckets(self) -> list[list[int]]:
        """Indices of clips of one size each."""
        table: dict[str, list[int]] = {}
        for index, entry in enumerate(self.entries):
            table.setdefault(entry["bucket"], []).append(index)
        return [table[name] for name in sorted(table)]

    def read(self, indices: Sequence[int]) -> Batch:
        """Clips of one bucket, stacked; floating point as float32."""
        rows = [self._entry(index) for index in indices]
        return {part: torch.stack([row[part] for row in rows]) for part in self.parts}

    def constants(self) -> Batch:
        """Tensors that all clips share."""
        path = self.folder / CONSTANTS
        if not path.is_file():
            return {}
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return {n: v.float() if v.is_floating_point() else v for n, v in found.items()}

    def iterate(self, part: str) -> Iterator[Tensor]:
        """One part of every clip in order."""
        for index in range(len(self)):
            yield self._entry(index)[part]

    def _entry(self, index: int) -> Batch:
        entry = self.entries[index]
        file = self._open.get(entry["shard"])
        if file is None:
            file = self._open_shard(entry)
            self._open[entry["shard"]] = file
        try:
            row = {part: file.get_tensor(f"{entry['key']}/{part}") for part in self.parts}
        except SafetensorError as error:
            raise _damaged(self.folder, INDEX) from error
        return {
            name: value.float() if value.is_floating_point() else value
            for name, value in row.items()
        }

    def _open_shard(self, entry: Mapping[str, Any]) -> Any:
        """Open a shard for the first time, when it is what was written.

        Raises:
            InputError: It is not.
        """
        path = self.folder / entry["shard"]
        try:
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            # Shards written before there were digests have none.
            if entry.get("digest", digest) == digest:
                return safe_open(path, framework="pt")
        except (OSError, SafetensorError) as error:
            raise _damaged(self.folder, path.name) from error
        raise _damaged(self.folder, path.name)
