"""Shared runs and named times, on small exact cases and by property."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.likeness import SharedRun, shared_runs
from benchmarks.timed_clauses import is_timed, named_seconds, number_of


def test_six_shared_words_are_found_and_five_are_not() -> None:
    texts = ["one two three four five six", "zero one two three four five", "One, two three four five SIX!"]  # fmt: skip
    found = shared_runs(texts, word_count=6, character_count=10)
    assert found == (SharedRun(2, 0, "one two three four five six"),)


def test_ten_shared_chinese_characters_are_found_across_punctuation() -> None:
    texts = ["他慢慢地站起来，走向窗边说话", "后来他慢慢地站起来走向窗台", "她慢慢地站起来走向门口"]
    found = shared_runs(texts, word_count=6, character_count=10)
    assert [(run.later, run.earlier) for run in found] == [(1, 0)]


def test_zero_switches_a_search_off() -> None:
    assert shared_runs(["a b c d e f"] * 2, word_count=0, character_count=0) == ()


@given(st.lists(st.sampled_from("abcdefgh"), min_size=6, max_size=20), st.integers(0, 5))
def test_a_text_always_shares_runs_with_its_own_extension(tokens: list[str], more: int) -> None:
    text = " ".join(tokens)
    found = shared_runs([text, "x " * more + text], word_count=6, character_count=10)
    assert [(run.later, run.earlier) for run in found] == [(1, 0)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("between seconds 15 and 22", (15, 22)),
        ("at about second twenty-eight", (28,)),
        ("for the opening four seconds, then by the third second", (3, 4)),
        ("第十八秒到第二十六秒", (18, 26)),
        ("第3到6秒之间，两秒后", (2, 3, 6)),
        ("十几秒", ()),
        ("on the second floor", ()),
    ],
)
def test_named_seconds(text: str, seconds: tuple[float, ...]) -> None:
    assert named_seconds(text) == seconds


def test_phases_count_as_times_and_plain_questions_do_not() -> None:
    assert is_timed("Is she smiling at the end?")
    assert is_timed("结尾他是否鞠躬？")
    assert not is_timed("Is her coat red?")


@given(st.integers(1, 99))
def test_chinese_numerals_read_back(number: int) -> None:
    digits = "零一二三四五六七八九"
    tens, ones = divmod(number, 10)
    text = (digits[tens] if tens > 1 else "") + ("十" if tens else "") + (digits[ones] if ones else "")  # fmt: skip
    assert number_of(text) == number
