"""Small real clips and the shortest way from a clip to its outcomes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from eval.measure import CannotMeasure, ClipInputs, Measure, Outcome
from eval.weights import WeightFolder
from joystreamer.media import Frame, iter_frames, probe, resample_frames, write_clip

Score = Callable[..., Mapping[str, Outcome]]
Feed = Callable[..., Mapping[str, Outcome]]
MakeClip = Callable[..., Path]


def outcomes(
    measure: Measure, frames: Sequence[Frame], inputs: ClipInputs
) -> Mapping[str, Outcome]:
    """What the runner does with one measure and one clip."""
    try:
        observer = measure.start(inputs)
        for frame in frames:
            observer.see(frame)
        return observer.finish()
    except CannotMeasure as caught:
        failed = Outcome(reason=caught.reason, message=caught.message)
        return {metric.name: failed for metric in measure.metrics}


@pytest.fixture
def weights(tmp_path: Path) -> WeightFolder:
    """No weights at all."""
    return WeightFolder([tmp_path / "no-weights"], memory=tmp_path / "memory")


@pytest.fixture
def real_weights(shared_data: Path, tmp_path: Path) -> WeightFolder:
    """The small public weights of the shared data."""
    return WeightFolder([shared_data / "weights"], memory=tmp_path / "memory")


@pytest.fixture
def score(weights: WeightFolder) -> Score:
    """Decode a clip and return the outcomes of a measure."""

    def run(measure: Measure, path: Path, **given) -> Mapping[str, Outcome]:
        given.setdefault("weights", weights)
        inputs = ClipInputs(path=path, probe=probe(path), **given)
        if measure.rate == "none":
            return outcomes(measure, [], inputs)
        frames: Iterator[Frame] = iter_frames(path)
        if not isinstance(measure.rate, str):
            frames = resample_frames(frames, measure.rate, end_s=inputs.probe.duration_s)
        return outcomes(measure, list(frames), inputs)

    return run


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """Write frames (and sound) as a clip and return its path."""

    def make(
        frames: Sequence[NDArray[np.uint8]],
        rate: float = 25,
        *,
        name: str = "clip",
        audio: NDArray[np.float32] | None = None,
    ) -> Path:
        path = tmp_path / f"{name}.mp4"
        write_clip(path, frames, rate, audio=audio, crf=10)
        return path

    return make


@pytest.fixture
def feed(make_clip: MakeClip, weights: WeightFolder) -> Feed:
    """Show arrays to a measure as they are, past any codec."""

    def run(measure: Measure, frames: Sequence[NDArray[np.uint8]], rate: float = 25, **given):
        path = make_clip([np.zeros((16, 16, 3), np.uint8)] * len(frames), rate, name="stand-in")
        given.setdefault("weights", weights)
        inputs = ClipInputs(path=path, probe=probe(path), **given)
        shown = [Frame(index / rate, rgb) for index, rgb in enumerate(frames)]
        if not isinstance(measure.rate, str):
            shown = list(resample_frames(shown, measure.rate, end_s=inputs.probe.duration_s))
        return outcomes(measure, shown, inputs)

    return run


@pytest.fixture(scope="session")
def texture() -> NDArray[np.uint8]:
    """A smooth random picture, 96 x 160, that optical flow can follow."""
    noise = np.random.default_rng(7).uniform(0, 255, (12, 20, 3))
    rows = np.linspace(0, 11, 96)
    columns = np.linspace(0, 19, 160)
    low, part = np.floor(rows).astype(int), (rows % 1)[:, None, None]
    high = np.minimum(low + 1, 11)
    tall = noise[low] * (1 - part) + noise[high] * part
    low, part = np.floor(columns).astype(int), (columns % 1)[None, :, None]
    high = np.minimum(low + 1, 19)
    return np.rint(tall[:, low] * (1 - part) + tall[:, high] * part).astype(np.uint8)
