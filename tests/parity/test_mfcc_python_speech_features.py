"""MFCC against python_speech_features, the code SyncNet's audio went through."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_speech_features import mfcc as reference_mfcc

from eval.mfcc import mfcc

pytestmark = pytest.mark.parity


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40_000), st.integers(0, 2**32 - 1), st.sampled_from([1, 30, 3000, 32767]))
def test_equals_the_reference_at_any_length(length: int, seed: int, peak: int) -> None:
    samples = np.random.default_rng(seed).integers(-peak, peak + 1, length).astype(np.int16)
    np.testing.assert_allclose(mfcc(samples), reference_mfcc(samples, 16000), rtol=0, atol=1e-10)


@pytest.mark.parametrize("frames", [4095, 4096, 4097, 8200])
def test_blocks_leave_no_seam(frames: int) -> None:
    samples = np.random.default_rng(frames).integers(-3000, 3000, frames * 160 + 240)
    samples = samples.astype(np.int16)
    np.testing.assert_allclose(mfcc(samples), reference_mfcc(samples, 16000), rtol=0, atol=1e-10)


def test_silence_equals_the_reference() -> None:
    silence = np.zeros(5000, np.int16)
    np.testing.assert_array_equal(mfcc(silence), reference_mfcc(silence, 16000))
