"""Randomness by sample: independent of the split over processes and of when a run was stopped."""

import pytest
import torch

from joystreamer.training.randomness import normal, per_sample, seeded, uniform


def test_a_split_batch_draws_what_the_whole_batch_draws():
    whole = normal(torch.zeros(4, 3), per_sample(1, 7, range(4)))
    first = normal(torch.zeros(2, 3), per_sample(1, 7, [0, 1]))
    second = normal(torch.zeros(2, 3), per_sample(1, 7, [2, 3]))
    assert torch.equal(whole, torch.cat([first, second]))


def test_samples_updates_and_seeds_have_streams_of_their_own():
    draws = {
        float(normal(torch.zeros(1), per_sample(seed, update, [place]))[0])
        for seed in (0, 1)
        for update in (0, 1)
        for place in (0, 1)
    }
    assert len(draws) == 8


def test_uniform_draws_lie_in_the_unit_interval_and_repeat():
    first = uniform(1000, seeded(3))
    assert torch.equal(first, uniform(1000, seeded(3)))
    assert first.min() >= 0
    assert first.max() < 1
    assert first.mean().item() == pytest.approx(0.5, abs=0.05)


def test_a_wrong_number_of_generators_is_a_defect():
    with pytest.raises(ValueError, match="2 generators cannot serve a batch of 3"):
        normal(torch.zeros(3), per_sample(0, 0, [0, 1]))
