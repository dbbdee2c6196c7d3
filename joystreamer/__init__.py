"""JoyStreamer: one reference image, speech and a text prompt become a long avatar video.

Names are loaded on first use, so that light users of this package (the media reader, the error
types, the evaluation harness) never pay for importing the networks.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "JoyStreamerPipeline": "joystreamer.pipeline",
    "JoyStreamerTransformer3DModel": "joystreamer.model.transformer",
}

__all__ = ["JoyStreamerPipeline", "JoyStreamerTransformer3DModel", "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name from its home on first use."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'joystreamer' has no attribute {name!r}")
