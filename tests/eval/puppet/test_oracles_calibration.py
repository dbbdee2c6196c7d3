"""The oracles on ground truth, sharp and as a small codec leaves it: what they can at best say."""

from itertools import islice

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from benchmarks.puppet.program import Program, held_out_pairs, training_pairs
from eval.puppet.case import read_puppet_case
from eval.puppet.judge import judge
from eval.puppet.obedience import judge_programs
from eval.puppet.readings import Reader
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
    # A ball may hide part of a head that has walked behind it; otherwise it is 0.99.
    assert column(found, "mouth_correlation").min() >= 0.9
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


def test_smudges_count_as_what_they_came_from():
    # A tiny codec leaves hands and balls as smudges; small parts must not vanish for the judge alone.
    def smudge(frames):
        soft = gaussian_filter(frames.astype(np.float32), (0, 2.0, 2.0, 0))
        return np.clip(np.rint(soft), 0, 255).astype(np.uint8)

    shown = [case for case in cases() if case[1].arm == "raise" or case[1].object == "ball"]
    for one, program, sound, given in shown[::2]:
        clip = smudge(worlds.truth(one, program, sound, **given))
        stretch = stretches(clip, one, program, given)
        asked = {
            slot: stretch.responses[slot] for slot in ("arm", "object") if program.active.get(slot)
        }
        assert min(asked.values()) > 0.6
        still = smudge(worlds.truth(one, Program(), sound, **given))
        for slot in asked:
            assert stretches(still, one, program, given).responses[slot] < 0.2


def test_a_window_behind_a_jumping_puppet_is_no_raised_arm():
    # At night, or with a white shirt, the window looks like what a raised arm adds to the wall.
    jump = Program(body="jump", background="night")
    for one in worlds.identities()[:5]:
        clip = worlds.truth(one, jump, worlds.voice())
        assert stretches(clip, one, jump, {}).others["arm"] < 0.15


def stretches(clip, one, program, given):
    case = read_puppet_case(worlds.extra([one], [program], **given))
    assert case is not None
    reader = Reader(case)
    reader.see(clip)
    return judge_programs(reader.readings(), case)[0]
