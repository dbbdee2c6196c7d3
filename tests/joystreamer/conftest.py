"""Small real inputs and a tiny real pipeline for the model's tests."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.joystreamer.made_media import make_portrait, make_speech, write_wav

# Tiny networks are fastest on one thread; several wait for each other on a busy machine. Child
# processes inherit this.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def portrait() -> NDArray[np.uint8]:
    return make_portrait()


@pytest.fixture(scope="session")
def media_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a portrait and three voices of different lengths."""
    folder = tmp_path_factory.mktemp("media")
    Image.fromarray(make_portrait()).save(folder / "face.png")
    for name, seconds, pitch in (("a", 1.0, 120.0), ("b", 0.7, 210.0), ("c", 1.3, 90.0)):
        write_wav(folder / f"{name}.wav", make_speech(seconds, pitch=pitch))
    return folder


@pytest.fixture(scope="session")
def tiny_pipeline():
    """The tiny preset with a voice: its fresh audio layers would be no-ops."""
    import torch

    from joystreamer.presets import build_tiny_pipeline

    torch.set_num_threads(1)

    pipeline = build_tiny_pipeline(0)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(1)
    for expert in (pipeline.transformer, pipeline.transformer_2):
        for name, parameter in expert.named_parameters():
            if "audio" in name:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.data += 0.2 * noise
    return pipeline
