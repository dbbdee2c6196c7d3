"""A clip says the same in another container, and whatever its own frame rate or size."""

from pathlib import Path

import av
import numpy as np
import pytest

from eval.catalog import MEASURES, find_measure
from eval.weight_table import WEIGHTS


def remux(path: Path, suffix: str) -> Path:
    """Copy the packets of a clip into another container."""
    target = path.with_suffix(suffix)
    with av.open(str(path)) as source, av.open(str(target), "w") as copy:
        streams = {stream.index: copy.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)
    return target


@pytest.mark.parametrize("spec", ["motion/flow", "quality/light", "drift/colour"])
def test_a_remuxed_clip_has_the_same_scores(spec, texture, make_clip, score):
    frames = [np.roll(texture, 2 * index, axis=1) for index in range(104)]
    path = make_clip(frames, 25)
    measure = find_measure(spec)
    plain, other = score(measure, path), score(measure, remux(path, ".mkv"))
    for name, outcome in plain.items():
        if outcome.value is None:
            assert other[name].reason == outcome.reason
        else:
            # Matroska rounds times to 1 ms.
            assert other[name].value == pytest.approx(outcome.value, rel=2e-3, abs=1e-3), name


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (17, 200)])
@pytest.mark.parametrize("spec", ["video/probe", "motion/flow", "quality/light", "drift/colour"])
def test_odd_sizes_give_a_value_or_a_reason(spec, size, score, make_clip):
    rng = np.random.default_rng(0)
    height, width = size[0] + 31, size[1] + 31
    frames = [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(5)]
    for outcome in score(find_measure(spec), make_clip(frames, 1)).values():
        assert (outcome.value is None) != (outcome.reason is None)


def test_weights_and_measures_name_each_other():
    needed = {row.name: set(row.needed_by) for row in WEIGHTS}
    specs = {measure.spec for measure in MEASURES}
    for measure in MEASURES:
        for name in measure.weights:
            assert measure.spec in needed[name], f"{name} is needed by {measure.spec}"
    for name, users in needed.items():
        assert {user for user in users if "/" in user} <= specs, name
