"""onnxruntime sessions, opened once per process."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from joystreamer.errors import MissingExtra


@lru_cache(maxsize=4)
def load_session(path: Path) -> Any:
    """Return a session on the GPU where onnxruntime has one, else on the CPU.

    Raises:
        MissingExtra: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra(
            "onnxruntime is not installed: run `pip install joystreamer[onnx]`"
        ) from error
    known = onnxruntime.get_available_providers()
    wanted = [each for each in ("CUDAExecutionProvider", "CPUExecutionProvider") if each in known]
    return onnxruntime.InferenceSession(str(path), providers=wanted)
