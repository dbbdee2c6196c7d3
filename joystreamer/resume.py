"""Finished segments on disk, so that a killed job goes on where it stopped, bit for bit.

A segment is one zip of PNGs (lossless) with the state for the next one, written under a temporary
name and renamed. Pixels as stored are pixels as rendered: history is taken from 8-bit frames.
"""

import hashlib
import io
import json
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from joystreamer.errors import InputError
from joystreamer.provenance import write_atomically, write_json
from joystreamer.scene import RenderedSegment, StreamState
from joystreamer.segments import Segment

MARK = "job.json"
"""File that says whose segments a folder holds."""

_PNG_LEVEL = 1  # noise compresses badly; speed matters more


class SegmentStore:
    """The folder of one job's finished segments.

    Args:
        folder: Made if it is not there.
        fingerprint: Digest of everything that decides the pixels.

    Raises:
        InputError: The folder holds segments of a job with another fingerprint.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        mark = folder / MARK
        known = _read_mark(mark) if mark.is_file() else None
        if known != fingerprint and any(folder.glob("segment_*.zip")):
            raise InputError(
                f"'{folder}' holds finished segments of another job (other inputs, options, weights "
                "or versions, or a mark that is damaged); remove the folder, or restart the job to discard them"
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_json(mark, {"fingerprint": fingerprint})

    def path(self, index: int) -> Path:
        """File of one segment."""
        return self.folder / f"segment_{index:05d}.zip"

    def count(self) -> int:
        """Finished segments from the first one on without a gap."""
        index = 0
        while self.path(index).is_file():
            index += 1
        return index

    def save(self, rendered: RenderedSegment) -> None:
        """Store one segment; afterwards it survives a kill at any moment."""
        state = rendered.state
        parts = {"frames": rendered.frames, "history": state.history}
        if state.anchor is not None:
            parts["anchor"] = state.anchor
        facts = {
            "index": rendered.segment.index,
            "counts": {name: len(frames) for name, frames in parts.items()},
            "digests": {name: _digest(frames) for name, frames in parts.items()},
            "first_values": dict(state.first_values),
            "drifted": list(rendered.drifted),
            "timings": dict(rendered.timings),
        }
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("facts.json", json.dumps(facts))
            for name, frames in parts.items():
                for number, frame in enumerate(frames):
                    archive.writestr(f"{name}/{number:04d}.png", _encode_png(frame))
        write_atomically(self.path(rendered.segment.index), packed.getvalue())

    def load(self, segment: Segment) -> RenderedSegment:
        """A stored segment.

        Raises:
            InputError: The file is damaged.
        """
        path = self.path(segment.index)
        try:
            with zipfile.ZipFile(path) as archive:
                facts: dict[str, Any] = json.loads(archive.read("facts.json"))
                parts = {
                    name: np.stack(
                        [_decode_png(archive.read(f"{name}/{n:04d}.png")) for n in range(count)]
                    )
                    for name, count in facts["counts"].items()
                }
            intact = all(_digest(parts[name]) == known for name, known in facts["digests"].items())
        # A flipped bit may also ask for a password, an unknown compression or a wrong PNG.
        except (
            zipfile.BadZipFile, zlib.error, KeyError, ValueError, OSError, EOFError, RuntimeError,
            TypeError, AttributeError, SyntaxError,
        ) as error:  # fmt: skip
            raise _damaged(path) from error
        if not intact:
            raise _damaged(path)
        state = StreamState(
            next_index=segment.index + 1,
            history=parts["history"],
            anchor=parts.get("anchor"),
            first_values=facts["first_values"],
        )
        return RenderedSegment(
            segment=segment,
            frames=parts["frames"],
            state=state,
            drifted=tuple(facts["drifted"]),
            timings=facts["timings"],
        )

    def discard(self) -> None:
        """Remove the folder and all in it; the mark goes after the segments it stands for."""
        for path in self.folder.glob("segment_*"):
            path.unlink()
        shutil.rmtree(self.folder)


def _read_mark(path: Path) -> str:
    """Fingerprint in a mark; '' when it cannot be read, which fits no job."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["fingerprint"])
    except (ValueError, KeyError, TypeError):
        return ""


def _damaged(path: Path) -> InputError:
    return InputError(f"stored segment '{path}' is damaged; remove it and those after it")


def _digest(frames: NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.ascontiguousarray(frames).tobytes()).hexdigest()


def _encode_png(frame: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()


def _decode_png(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)))
