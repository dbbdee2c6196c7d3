"""The oracles on ground truth, sharp and as a small codec leaves it: what they can at best say."""

from itertools import islice

import numpy as np
import pytest

from benchmarks.puppet.program import held_out_pairs, training_pairs
from eval.puppet.judge import judge
from tests.eval.puppet import worlds


def cases():
    """Every pair, each with another person, room and place; the same ones in every run."""
    draw = np.random.default_rng(3)
    who = worlds.identities()
    programs = [*training_pairs(), *held_out_pairs()]
    for index, program in enumerate(programs):
        given = {"wall": int(draw.integers(4)), "x": float(draw.uniform(0.42, 0.58))}
        yield who[index % 20], program, worlds.voice(index), given


def verdicts(chosen, spoil=lambda frames: frames):
    return [
        judge(
            spoil(worlds.truth(one, program, sound, **given)),
            [sound],
            worlds.extra([one], [program], **given),
        )
        for one, program, sound, given in chosen
    ]


def column(found, name):
    return np.array([row[name] for row in found if row[name] is not None])


def test_ground_truth_is_judged_right():
    found = verdicts(cases())
    assert column(found, "program").mean() >= 0.99
    assert column(found, "response").mean() == pytest.approx(1, abs=0.05)
    assert np.abs(column(found, "response") - 1).max() < 0.15
    assert column(found, "stillness").max() < 0.35
    assert column(found, "mouth_correlation").min() >= 0.95
    assert column(found, "mouth_correlation").mean() >= 0.99
    assert column(found, "mouth_gain").mean() == pytest.approx(1, abs=0.05)
    assert set(column(found, "mouth_lag")) == {0}
    assert column(found, "mouth_error").mean() < 0.05
    assert column(found, "identity_error").max() < 3
    assert column(found, "flicker").max() < 1.5


def test_a_small_codec_is_judged_right(tmp_path):
    found = verdicts(islice(cases(), 0, None, 3), lambda frames: worlds.degraded(frames, tmp_path))
    assert column(found, "program").mean() >= 0.97
    assert column(found, "mouth_correlation").min() >= 0.9
    assert column(found, "mouth_gain").mean() == pytest.approx(1, abs=0.1)
    assert set(column(found, "mouth_lag")) == {0}
    assert column(found, "response").mean() == pytest.approx(1, abs=0.1)
