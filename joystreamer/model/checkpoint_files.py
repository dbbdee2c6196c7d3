"""Weight files on disk: which files a folder's weights are in, their names, shapes and contents.

Pickles are refused, since opening one can run code. What is written appears whole or not at all.
Knows nothing of what the weights mean.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from joystreamer.errors import InputError, JoyStreamerError, MissingWeights, brief
from joystreamer.json_files import is_there

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensor:
    """A tensor in a file: where it is and its shape."""

    file: Path
    key: str
    shape: tuple[int, ...]


def find_weight_files(path: Path) -> list[Path]:
    """Safetensors files of a model, from a single file, a folder, or a folder's index.

    Args:
        path: A `.safetensors` file, or a folder with one or several and perhaps an index
            (`*.safetensors.index.json`).

    Returns:
        The files, sorted by name.

    Raises:
        InputError: The weights are pickles, or the index is damaged.
        MissingWeights: There are no weights, or the index names files that are not there.
    """
    if path.is_file():
        _refuse_pickle(path)
        return [path]
    if not path.is_dir():
        raise MissingWeights(
            f"no weights at {path}: no such file or folder; give the folder with the .safetensors "
            "files"
        )
    indices = sorted(path.glob("*.safetensors.index.json"))
    if indices:
        return _files_of_index(indices[0])
    files = sorted(path.glob("*.safetensors"))
    if files:
        return files
    for file in sorted(path.iterdir()):
        _refuse_pickle(file)
    raise MissingWeights(
        f"no weights in {path}: it holds no .safetensors file; give the folder of one transformer "
        "(transformer, transformer_2, high_noise_model or low_noise_model)"
    )


def _refuse_pickle(file: Path) -> None:
    if file.suffix in PICKLES:
        raise InputError(
            f"{file} is a pickle, and opening one can run code; only .safetensors are read; ask its "
            "author for safetensors or convert it in a sandbox"
        )
    if file.suffix == ".gguf" and is_there(file):
        raise InputError(
            f"{file} is a GGUF file; only .safetensors are read; use the unquantised checkpoint"
        )


def _files_of_index(index: Path) -> list[Path]:
    try:
        names = set(json.loads(index.read_text())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{index} is not a safetensors index ({error}); it must be JSON with a 'weight_map'; "
            "download it again"
        ) from error
    files = []
    for name in sorted(map(str, names)):
        file = index.parent / name
        if file.parent != index.parent:
            raise InputError(
                f"{index} names {brief(name)}, which is outside its folder; every file must lie beside "
                "the index; download the checkpoint again"
            )
        _refuse_pickle(file)
        if not is_there(file):
            raise MissingWeights(
                f"{str(file)[-200:]} is missing, although {index.name} lists it; download the rest of the "
                "checkpoint"
            )
        files.append(file)
    return files


def read_headers(files: Sequence[Path]) -> dict[str, StoredTensor]:
    """Names and shapes of all tensors in some files.

    Args:
        files: Safetensors files.

    Raises:
        InputError: A file is damaged, or a name occurs twice.
    """
    found: dict[str, StoredTensor] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                names = opened.keys()
                shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in names}
        except (SafetensorError, OSError) as error:
            raise _unreadable(file, error) from error
        for name, shape in shapes.items():
            if name in found:
                raise InputError(
                    f"tensor {name!r} is in both {found[name].file.name} and {file.name}; one model "
                    "must hold it once; remove the stray file"
                )
            found[name] = StoredTensor(file=file, key=name, shape=shape)
    return found


def read_metadata(file: Path) -> dict[str, str]:
    """Header metadata of a safetensors file, empty if it has none.

    Raises:
        InputError: The file is damaged.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> InputError:
    return InputError(
        f"{file} cannot be read as safetensors ({error}); it is cut short or of another format; "
        "download it again"
    )


def read_tensors(
    stored: dict[str, StoredTensor], device: str = "cpu"
) -> Iterator[tuple[str, torch.Tensor]]:
    """Read tensors file by file, opening every file once.

    Args:
        stored: New name -> where the tensor is.
        device: Where to put them.

    Yields:
        New name and tensor, in the order of the files.
    """
    by_file: dict[Path, list[tuple[str, str]]] = {}
    for name, tensor in stored.items():
        by_file.setdefault(tensor.file, []).append((name, tensor.key))
    for file, names in by_file.items():
        with safe_open(file, framework="pt", device=device) as opened:
            for name, key in names:
                yield name, opened.get_tensor(key)


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Give a temporary place beside a target, and move it there once all is on the disk.

    Args:
        target: File or folder to appear.

    Yields:
        Where to write it: a path that does not exist yet, in the same folder, of the same suffix.

    Raises:
        InputError: The place cannot be written, or the disk is full.
    """
    partial = target.with_name(f".partial-{target.name}")
    _remove(partial)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        for file in (partial, *partial.rglob("*")):
            if file.is_file():
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
        partial.replace(target)
    except JoyStreamerError:
        raise
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{target} cannot be written ({error}); make room or choose another place"
        ) from error
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
