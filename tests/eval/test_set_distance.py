"""Fréchet distances with closed forms, and the path from clips through a TorchScript network."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy import linalg

from eval.backends.set_features import I3DFeatures
from eval.frechet import Moments, frechet_distance
from eval.set_distance import SetDistance, pieces, set_distance
from eval.sets_cli import sets
from joystreamer.errors import InputError
from joystreamer.media import write_clip

RNG = np.random.default_rng(0)


def moments(*batches):
    found = Moments()
    for batch in batches:
        found.add(batch)
    return found


def test_running_moments_are_those_of_the_whole():
    features = RNG.normal(size=(100, 6)) + 1e4
    parts = moments(features[:1], features[1:40], features[40:40], features[40:])
    assert parts.count == 100
    assert parts.mean == pytest.approx(features.mean(axis=0))
    assert parts.covariance == pytest.approx(np.cov(features.T), abs=1e-6)


def test_distance_of_known_gaussians():
    # Diagonal covariances: |m|² plus the squared difference of the deviations.
    first = RNG.normal(size=(400_000, 2)) * [1.0, 3.0]
    second = RNG.normal(size=(400_000, 2)) * [2.0, 3.0] + [3.0, 0.0]
    assert frechet_distance(moments(first), moments(second)) == pytest.approx(9 + 1, rel=0.02)


def test_distance_is_that_of_the_textbook_and_symmetric():
    first, second = RNG.normal(size=(60, 8)), RNG.normal(size=(80, 8)) @ RNG.normal(size=(8, 8)) + 1
    one, two = moments(first), moments(second)
    product = linalg.sqrtm(np.cov(first.T) @ np.cov(second.T))
    expected = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(
        np.cov(first.T) + np.cov(second.T) - 2 * np.real(product)
    )
    assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(two, one) == pytest.approx(expected, rel=1e-8)


def test_a_set_is_at_no_distance_from_itself_even_when_singular():
    few = RNG.normal(size=(5, 30))
    assert frechet_distance(moments(few), moments(few)) == pytest.approx(0, abs=1e-5)
    with pytest.raises(ValueError, match="a covariance needs two features, there are 1"):
        frechet_distance(moments(few[:1]), moments(few))


class ColourStatistics(torch.nn.Module):
    """Stands where I3D stands: TorchScript with the same call, features from colours over time."""

    def forward(
        self,
        x: torch.Tensor,
        rescale: bool = False,
        resize: bool = False,
        return_features: bool = True,
    ) -> torch.Tensor:
        assert x.shape[1] == 3
        return torch.cat([x.mean(dim=[2, 3, 4]), x.std(dim=2).mean(dim=[2, 3])], dim=1)


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> I3DFeatures:
    path = tmp_path_factory.mktemp("i3d") / "i3d_torchscript.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TorchScript is what the real file is
        torch.jit.save(torch.jit.script(ColourStatistics()), path)
    return I3DFeatures(path, "cpu")


def make_clips(folder: Path, level: int, count: int = 3):
    paths = []
    for index in range(count):
        path = folder / f"{level}_{index}.mp4"
        shade = level + 10 * index
        write_clip(
            path, [np.full((48, 64, 3), shade + frame % 3, np.uint8) for frame in range(35)], 25
        )
        paths.append(path)
    return paths


def test_pieces_are_consecutive_and_whole(tmp_path):
    (path,) = make_clips(tmp_path, 50, count=1)
    assert [piece.shape for piece in pieces(path, 16)] == [(16, 48, 64, 3)] * 2


def test_clips_near_each_other_are_nearer(network, tmp_path, monkeypatch):
    base, near, far = (make_clips(tmp_path, level) for level in (60, 70, 200))
    close, distant = set_distance(base, near, network), set_distance(base, far, network)
    assert close.first_items == 6
    assert set_distance(base, base, network).value == pytest.approx(0, abs=1e-9)
    assert 0 < close.value < distant.value


def test_too_few_features_and_the_printed_numbers(network, tmp_path):
    base = make_clips(tmp_path, 60)
    with pytest.raises(InputError, match="the second set gives 0 features of 16 frames"):
        set_distance(base, [], network)
    few = SetDistance(value=123.456, first_items=60, second_items=300)
    assert (
        str(few) == "123.46 (60 against 300 items; fewer than 256 items: read it as a rough order)"
    )
    assert (
        str(SetDistance(value=1, first_items=300, second_items=300))
        == "1.00 (300 against 300 items)"
    )


def test_the_command_prints_the_distance_with_its_numbers(network, tmp_path, monkeypatch):
    for level in (60, 90):
        (tmp_path / str(level)).mkdir()
        make_clips(tmp_path / str(level), level)
    monkeypatch.setattr("eval.sets_cli._open", lambda weights, device: network)
    done = CliRunner().invoke(sets, ["fvd", str(tmp_path / "60"), str(tmp_path / "90")])
    assert done.exit_code == 0, done.output
    assert re.search(r"FVD \d+\.\d\d \(6 against 6 items; fewer than 256", done.output)


def test_the_command_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("JOYSTREAMER_WEIGHTS", str(tmp_path / "none"))
    done = CliRunner().invoke(sets, ["fid", str(tmp_path), str(tmp_path)])
    assert done.exit_code == 2
    assert "weights fetch inception-fid" in " ".join(done.output.split())
