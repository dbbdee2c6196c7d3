"""Cosines, their summary, and the square crop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.identity import cosine, likeness, square_around


def test_cosines_of_known_vectors():
    vectors = np.array([[1.0, 0], [0, 2], [3, 3], [-1, 0], [0, 0], [np.nan, 1]])
    found = cosine(vectors, np.array([5.0, 0]))
    assert found[:4] == pytest.approx([1, 0, np.sqrt(0.5), -1])
    assert np.isnan(found[4:]).all()


def test_a_vector_is_fully_like_itself():
    vectors = np.random.default_rng(0).normal(size=(20, 384)).astype(np.float32)
    assert cosine(vectors, vectors) == pytest.approx(np.ones(20))
    assert (cosine(vectors, vectors) <= 1).all()


def test_likeness_summarises_what_was_found():
    times = np.arange(100) / 8
    cosines = np.linspace(0.9, 0.7, 100)
    cosines[::10] = np.nan
    found = likeness(times, cosines)
    assert found is not None
    assert found.found_rate == pytest.approx(0.9)
    assert found.minimum == pytest.approx(0.7)
    assert found.minimum < found.low < found.mean
    assert found.slope_per_minute == pytest.approx(-0.2 / (99 / 8) * 60)
    assert likeness(times, cosines * np.nan) is None


@given(
    st.integers(10, 400), st.integers(10, 400), st.floats(-50, 450), st.floats(-50, 450),
    st.floats(1, 300), st.floats(1, 300), st.floats(1, 2),
)  # fmt: skip
def test_the_square_lies_inside_and_is_square(width, height, left, top, wide, tall, factor):
    rows, columns = square_around(left, top, left + wide, top + tall, factor, width, height)
    assert 0 <= rows.start < rows.stop <= height
    assert 0 <= columns.start < columns.stop <= width
    assert rows.stop - rows.start == columns.stop - columns.start
