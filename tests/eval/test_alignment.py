"""Clauses, verdicts, and agreement between a judge and people."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from eval.alignment import (
    ask,
    judge_agreement,
    ordered_alike,
    read_verdict,
    sample_times,
    settle_pair,
    split_clauses,
    weighted_kappa,
    yes_probability,
)


def test_a_prompt_is_cut_into_checkable_clauses():
    prompt = (
        "A young woman in a red dress stands on a beach, then she waves at the camera and says "
        '"come with me, now". The camera slowly moves closer while her hair blows in the wind.'
    )
    assert split_clauses(prompt) == (
        "A young woman in a red dress stands on a beach",
        "she waves at the camera and says",
        "The camera slowly moves closer",
        "her hair blows in the wind",
    )


def test_short_pieces_stay_with_their_neighbour():
    prompt = "A man, bald, with glasses smiles at us, and his dog barks loudly."
    assert split_clauses(prompt) == (
        "A man, bald, with glasses smiles at us",
        "his dog barks loudly",
    )
    assert split_clauses("She nods. She nods.") == ("She nods",)


def test_chinese_prompts_are_cut_too():
    assert split_clauses("一个男人站在海边，向镜头挥手。镜头慢慢推近。") == (
        "一个男人站在海边",
        "向镜头挥手",
        "镜头慢慢推近",
    )


@given(st.text())
def test_any_prompt_is_cut_without_empty_clauses(prompt: str):
    clauses = split_clauses(prompt)
    assert all(clause.strip() for clause in clauses)
    assert len(set(clauses)) == len(clauses)


def test_questions_are_asked_as_they_stand():
    assert "Is the cat blue? Answer with one word" in ask("Is the cat blue?")
    assert "Statement: a blue cat\nDoes the video show this?" in ask("a blue cat")


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        ("Yes", True), (" yes.", True), ("**Yes**, it does", True), ("是的", True), ("No.", False),
        ("NO", False), ("Not really", False), ("不是", False), ("North wind", None), ("Maybe",
        None), ("", None), ("yesterday", None),
    ],
)  # fmt: skip
def test_verdicts_are_read(answer, meaning):
    assert read_verdict(answer) is meaning


def test_sample_times_are_the_middles_of_equal_parts():
    assert sample_times(8.0, spacing_s=1.0, least=4, most=32).tolist() == [
        i + 0.5 for i in range(8)
    ]
    assert len(sample_times(1.0, spacing_s=1.0, least=8, most=32)) == 8
    assert len(sample_times(600.0, spacing_s=1.0, least=8, most=32)) == 32


def test_yes_probability_shares_the_mass():
    assert yes_probability(np.array([0.0]), np.array([0.0])) == 0.5
    assert yes_probability(np.log([0.6]), np.log([0.2])) == pytest.approx(0.75)
    assert yes_probability(np.log([0.3, 0.3]), np.log([0.2])) == pytest.approx(0.75)


def test_a_pair_is_decided_only_in_both_orders():
    assert settle_pair("first", "second") == "first"
    assert settle_pair("second", "first") == "second"
    assert settle_pair("first", "first") == "same"
    assert settle_pair("same", "same") == "same"


def test_agreement_of_a_perfect_and_a_contrary_judge():
    people = np.array([1, 2, 3, 4, 4, 2.0])
    same = judge_agreement(people, people)
    assert same.spearman == pytest.approx(1)
    assert (same.kappa, same.pairs) == (1.0, 1.0)
    contrary = judge_agreement(-people, people)
    assert contrary.spearman == pytest.approx(-1)
    assert contrary.pairs == 0.0
    assert contrary.interval[0] <= -0.99


def test_agreement_skips_gaps_and_survives_a_constant_judge():
    people = np.array([1, 2, 3, 4.0, np.nan])
    found = judge_agreement(np.array([0.1, 0.2, np.nan, 0.9, 0.5]), people)
    assert found.count == 3
    flat = judge_agreement(np.ones(5), np.array([1, 2, 3, 4, 5.0]))
    assert np.isnan(flat.spearman)
    assert flat.pairs == 0.5
    with pytest.raises(ValueError, match="agreement needs three clips"):
        judge_agreement(np.ones(2), np.ones(2))


def test_weighted_kappa_of_known_tables():
    first, second = np.array([1, 1, 2, 2.0]), np.array([1, 2, 1, 2.0])
    assert weighted_kappa(first, second) == pytest.approx(0.0)
    assert np.isnan(weighted_kappa(first + 0.5, second))
    assert ordered_alike(np.zeros(3), np.zeros(3)) != ordered_alike(np.arange(3.0), np.arange(3.0))


def test_rank_correlation_is_scipys():
    generator = np.random.default_rng(3)
    judge, people = generator.normal(size=40).round(1), generator.integers(1, 5, 40).astype(float)
    expected = stats.spearmanr(judge, people).statistic
    assert judge_agreement(judge, people, draws=10).spearman == pytest.approx(expected, abs=1e-12)


def test_kappa_is_that_of_the_confusion_matrix():
    generator = np.random.default_rng(0)
    first, second = generator.integers(1, 5, 60), generator.integers(1, 5, 60)
    table = np.zeros((4, 4))
    np.add.at(table, (first - 1, second - 1), 1)
    weight = (np.arange(4)[:, None] - np.arange(4)[None, :]) ** 2
    chance = np.outer(table.sum(1), table.sum(0)) / 60
    expected = 1 - (weight * table).sum() / (weight * chance).sum()
    assert weighted_kappa(first.astype(float), second.astype(float)) == pytest.approx(expected)


def test_drawing_whole_cases_widens_the_interval():
    generator = np.random.default_rng(1)
    case = np.repeat(np.arange(12), 5)
    people = np.round(3 + generator.normal(0, 1, 12)[case])
    judge = people + generator.normal(0, 1, 12)[case] * 2
    alone = judge_agreement(judge, people, draws=400)
    grouped = judge_agreement(judge, people, groups=list(case), draws=400)
    assert grouped.spearman == alone.spearman
    assert np.diff(grouped.interval) > np.diff(alone.interval)


def test_published_votes_and_judge_can_be_compared(shared_data):
    path = shared_data / "prompts/mochabench_viescore_human_vs_gpt.csv"
    if not path.is_file():
        pytest.skip(f"the votes of MoChaBench are missing: {path}")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    aspects, sides = rows[1][1:], rows[2][1:]
    text = [column for column, aspect in enumerate(aspects) if "Text Alignment" in aspect]
    people, judge, cases = [], [], []
    for row in rows[3:]:
        values = row[1:]
        for column in text:
            if sides[column] == "Human Major Vote" and values[column] and values[column + 1]:
                people.append(float(values[column]))
                judge.append(float(values[column + 1]))
                cases.append(row[0])
    found = judge_agreement(np.array(judge), np.array(people), groups=cases, draws=200)
    assert found.count >= 12
    assert -1 <= found.interval[0] <= found.spearman <= found.interval[1] <= 1
