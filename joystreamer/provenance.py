"""What a result was made from: digests of weights and inputs, versions, commit; atomic files.

Knows nothing of clips. The digests decide whether a stopped job may go on.
"""

import errno
import hashlib
import json
import os
import platform
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from joystreamer.errors import InputError

if TYPE_CHECKING:
    from torch import nn

PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "numpy", "pillow", "av")
"""Packages whose version can change a result."""

FULL_DIGEST_BYTES = 4 * 2**30
"""Above this a network's digest reads a fixed sample of each tensor: 57 GB would take minutes."""

_SAMPLE = 4096
FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says when a disk, a quota or a file is full."""


def digest_module(module: "nn.Module") -> str:
    """SHA-256 of a network's weights: names, shapes, dtypes and bytes.

    Returns:
        Hexadecimal digits; with the prefix `sampled:` above 4 GiB, where 4,096 evenly spaced values
        of each tensor stand for all.
    """
    import torch  # only here, so that light commands start at once

    tensors = module.state_dict()
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    whole = total <= FULL_DIGEST_BYTES
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        flat = tensor.detach().reshape(-1)
        if not whole:
            flat = flat[:: max(1, flat.numel() // _SAMPLE)]
        digest.update(flat.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest() if whole else f"sampled:{digest.hexdigest()}"


def digest_array(array: NDArray[Any]) -> str:
    """SHA-256 of an array's type, shape and bytes."""
    digest = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def digest_json(plain: Mapping[str, Any]) -> str:
    """SHA-256 of plain values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def code_commit() -> str | None:
    """Commit of the checkout that this file is in; None when installed from a wheel."""
    git = Path(__file__).resolve().parent.parent / ".git"
    try:
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        loose = git / name
        if loose.is_file():
            return loose.read_text().strip()
        for line in (git / "packed-refs").read_text().splitlines():
            if line.endswith(f" {name}"):
                return line.split()[0]
    except OSError:
        return None
    return None


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that its name never stands for half of it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, plain: Mapping[str, Any]) -> None:
    """Write plain values as readable JSON, atomically."""
    text = json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode())


@contextmanager
def full_disk_explained(path: Path) -> Iterator[None]:
    """Turn a full disk (or quota, or file size limit) while writing into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL_ERRORS:
            raise
        raise InputError(
            f"there is no room left while writing '{path}' ({os.strerror(error.errno)}); free space "
            "or choose another folder, then run the same command again: what is finished is kept"
        ) from error
