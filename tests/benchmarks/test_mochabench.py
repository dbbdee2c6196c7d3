"""People against the model judge by items, and published SyncNet beside ours, on made and real tables."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.cli import main
from benchmarks.importers.forms import import_suite
from benchmarks.importers.imported import Source
from benchmarks.mochabench import (
    SCALE,
    Figure,
    agreement,
    beside_published,
    human_against_judge,
    human_beside_metrics,
    human_judge_table,
    published_sync,
    quadratic_kappa,
    system_means,
)
from eval.ingest import match_source, store_matches
from eval.store.registry import current_clips
from eval.store.workspace import Workspace
from joystreamer.errors import InputError

VOTES = "mochabench_viescore_human_vs_gpt.csv"


def kappa_by_table(one: np.ndarray, other: np.ndarray) -> float:
    """Cohen's kappa with quadratic weights, written out over the contingency table."""
    observed = np.zeros((4, 4))
    for a, b in zip(one.astype(int), other.astype(int), strict=True):
        observed[a - 1, b - 1] += 1
    observed /= observed.sum()
    expected = np.outer(observed.sum(1), observed.sum(0))
    weights = (np.arange(4)[:, None] - np.arange(4)) ** 2
    return float(1 - (weights * observed).sum() / (weights * expected).sum())


@given(st.lists(st.tuples(st.sampled_from(SCALE), st.sampled_from(SCALE)), min_size=2, max_size=40))
def test_kappa_is_the_one_of_the_contingency_table(pairs: list[tuple[int, int]]) -> None:
    one, other = (np.array(side, np.float64) for side in zip(*pairs, strict=True))
    if one.var() + other.var() + (one.mean() - other.mean()) ** 2 == 0:
        assert np.isnan(quadratic_kappa(one, other))
    else:
        assert quadratic_kappa(one, other) == pytest.approx(kappa_by_table(one, other), abs=1e-12)


def made_table(noise: int, items: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for item in range(items):
        for system in ("A", "B", "C"):
            human = int(rng.integers(1, 5))
            judge = int(np.clip(human + rng.integers(-noise, noise + 1), 1, 4))
            rows.append(
                {"item": item, "system": system, "aspect": "Text", "human": human, "judge": judge}
            )
    return pd.DataFrame(rows)


def test_a_judge_that_says_what_people_say_agrees_fully() -> None:
    row = human_against_judge(made_table(0), draws=200).iloc[0]
    assert (row["rows"], row["items"]) == (36, 12)
    assert row["kappa"] == Figure(value=1.0, low=1.0, high=1.0)
    assert row["exact"].value == 1.0
    assert row["judge_minus_human"].value == 0.0
    assert row["spearman"].value == pytest.approx(1.0)


def test_items_are_resampled_rather_than_rows() -> None:
    table = made_table(2, items=10)
    copies = pd.concat([table.assign(system=table["system"] + str(n)) for n in range(5)])
    one, many = (
        human_against_judge(frame, draws=400).iloc[0]["exact"] for frame in (table, copies)
    )
    assert one.value == pytest.approx(many.value)
    # Five copies within each item are no new evidence: the interval stays as wide.
    assert many.high - many.low == pytest.approx(one.high - one.low, rel=1e-9)


def test_a_single_item_has_no_interval() -> None:
    row = human_against_judge(made_table(1, items=1), draws=50).iloc[0]
    assert np.isnan(row["exact"].low)
    assert np.isnan(row["exact"].high)


def test_mistakes_in_the_table_of_votes_are_said(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text(
        "Model,A,A\nAspect,2. Text,2. Text\nExample idx,Human Major Vote,GPT4o\n1,3,5\n"
    )
    with pytest.raises(InputError, match=r'votes.csv:4: column 3: got "5", expected 1, 2, 3 or 4'):
        human_judge_table(path)
    path.write_text("Model,A\n")
    with pytest.raises(InputError, match="three header rows"):
        human_judge_table(path)
    path.write_text(
        "Model,A,A\nAspect,2. Text,2. Text\nExample idx,Human Major Vote,GPT4o\n1,3,4\n"
    )
    rows = human_judge_table(path).to_dict("records")
    assert rows == [{"item": 1, "system": "A", "aspect": "Text", "human": 3.0, "judge": 4.0}]


def test_clips_are_laid_beside_the_published_numbers(tmp_path: Path) -> None:
    path = tmp_path / "sync.csv"
    path.write_text(
        "idx,category,video,audio,offsets,best_conf,min_dist,has_face,runtime_s\n"
        "1,1p,1p\\1_man.mp4,a,[0],5.0,8.0,True,4\n2,1p,1p\\2_sea.mp4,a,[],0.0,0.0,False,4\n"
        "3,1p,1p\\3_cat.mp4,a,[1],3.0,9.0,True,4\n"
    )
    published = published_sync(path)
    assert published["sync.distance"].isna().tolist() == [False, True, False]
    scores = pd.DataFrame(
        [
            {
                "case": f"1p.{name}",
                "metric": metric,
                "variant": "mocha",
                "value": value,
                "reason": "no_face" if value is None else None,
            }
            for name, values in (
                ("1_man", (5.5, 8.0)),
                ("2_sea", (1.0, 2.0)),
                ("3_cat", (2.5, None)),
            )
            for metric, value in zip(("sync.confidence", "sync.distance"), values, strict=True)
        ]
    )
    pairs = beside_published(scores, published)
    missing = pairs[pairs["ours"].isna()]
    assert missing[["case", "reason"]].to_numpy().tolist() == [["1p.3_cat", "no_face"]]
    found = agreement(pairs).set_index("metric").to_dict("index")
    confidence, distance = found["sync.confidence"], found["sync.distance"]
    assert (confidence["clips"], confidence["both"]) == (3, 2)
    assert confidence["mean"] == pytest.approx(0.5)
    assert confidence["spearman"] == pytest.approx(1.0)
    assert distance["both"] == 1
    assert np.isnan(distance["spearman"])


def test_metrics_beside_people_carry_their_numbers() -> None:
    votes = made_table(1, items=3).replace({"A": "MoCha", "B": "Aniportrait"})
    scores = pd.DataFrame(
        [
            {"case": f"{item:02d}", "system": system, "metric": "m", "variant": "v", "value": value}
            for item, value in ((0, 1.0), (1, 2.0))
            for system in ("MoCha", "aniportrait-square")
        ]
    )
    row = human_beside_metrics(votes, scores).to_dict("records")[0]
    assert (row["clips"], row["items"]) == (4, 2)


def test_all_real_votes_are_compared_by_item(shared_data: Path) -> None:
    table = human_judge_table(shared_data / "prompts" / VOTES)
    assert len(table) == 320
    assert table["system"].nunique() == 4
    assert table.loc[table["item"] == 1, "human"].tolist()[:4] == [3, 4, 4, 4]
    rows = human_against_judge(table, draws=300).set_index("aspect")
    assert (rows.loc["Text Alignment", "rows"], rows.loc["Text Alignment", "items"]) == (80, 20)
    for _, row in rows.iterrows():
        for name in ("spearman", "kappa", "exact", "judge_minus_human"):
            assert row[name].low <= row[name].value <= row[name].high
    means = system_means(table).set_index(["system", "aspect"])
    best = means.xs("Visual Quality", level="aspect")["human"].idxmax()
    assert best == "MoCha"
    assert set(means["clips"]) == {20}


def test_published_numbers_of_the_benchmark_are_the_papers(shared_data: Path) -> None:
    published = published_sync(shared_data / "prompts" / "mochabench_sync_scores_reference.csv")
    single = published[~published["case"].str.startswith("2p_2clip")]
    assert len(published) == 220
    assert published["sync.confidence"].notna().sum() == 218
    assert single["sync.confidence"].mean() == pytest.approx(6.333, abs=0.05)
    with (shared_data / "prompts" / "mochabench_benchmark.csv").open(newline="") as file:
        names = {f"{row['category']}.{row['context_id']}" for row in csv.DictReader(file)}
    assert len(set(published["case"]) & names) >= 215


def test_clips_of_the_benchmark_come_in_as_systems(shared_data: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    compare = shared_data / "videos" / "mocha" / "compare"
    for path in sorted(compare.glob("0[13]_*.mp4")):
        (clips / path.name).symlink_to(path)
    prompts = shared_data / "prompts" / "mochabench_viescore_text_prompt.csv"
    source = Source(path=prompts, media=tmp_path, scratch=tmp_path)
    suite, found = import_suite("prompts", source, tmp_path / "suite", name="mocha-compare")
    assert not found.problems
    assert len(suite.cases) == 20
    matched = match_source(clips, suite=suite)
    assert set(matched.systems) == {"MoCha", "SadTalker", "hallo3", "aniportrait-square"}
    with Workspace(tmp_path / "space") as workspace:
        stored = list(store_matches(workspace, matched, suite=suite))
        assert len(stored) == 8
        assert not any(item.problem for item in stored)
        assert {row.clip.case for row in current_clips(workspace)} == {"01", "03"}
    table = shared_data / "prompts" / "mochabench_benchmark.csv"
    place = Source(path=table, media=shared_data, scratch=tmp_path)
    own, _ = import_suite("mochabench", place, tmp_path / "own", name="mochabench")
    gen = match_source(shared_data / "videos" / "mocha" / "gen", suite=own, system="MoCha")
    assert len(gen.matches) == 24
    assert not gen.left_over


def test_the_command_shows_both_tables(shared_data: Path) -> None:
    prompts = shared_data / "prompts"
    sync = prompts / "mochabench_sync_scores_reference.csv"
    ran = CliRunner().invoke(
        main, ["mochabench", "--human", str(prompts / VOTES), "--sync", str(sync)]
    )
    assert ran.exit_code == 0, ran.output
    assert "published: 220 clips, a face in 218" in ran.output
    assert "all aspects" in ran.output
    nothing = CliRunner().invoke(main, ["mochabench"])
    assert nothing.exit_code == 2
