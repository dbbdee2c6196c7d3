"""CSV, Parquet, JSON and LaTeX: read back, word for word, and with names that bite."""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from eval.leaderboard import build_board, compare
from eval.report import to_latex, write_csv, write_parquet
from eval.report.latex import escape_latex
from joystreamer.errors import InputError
from tests.eval.score_rows import METRICS, row, rows, study
from tests.eval.test_report_terminal import DESCRIPTIONS, check_golden, mixed_scores

NASTY = 'a,"b"\n\\input{x} 50% & $x_1^2$ #1 ~{} 数字人 <b>'


def test_csv_and_parquet_hold_the_same_table(tmp_path: Path):
    board = build_board(mixed_scores(), METRICS, descriptions=DESCRIPTIONS)
    write_csv(tmp_path / "new" / "board.csv", board)
    write_parquet(tmp_path / "board.parquet", board)
    from_csv = pd.read_csv(
        tmp_path / "new" / "board.csv", keep_default_na=False, na_values={"mean": [""]}
    )
    from_parquet = pq.read_table(tmp_path / "board.parquet").to_pandas()
    assert list(from_csv["system"]) == list(from_parquet["system"]) == list(board.table()["system"])
    pd.testing.assert_series_equal(from_csv["mean"], from_parquet["mean"], rtol=1e-15)
    stamp = pq.read_schema(tmp_path / "board.parquet").metadata[b"joystreamer"]
    assert json.loads(stamp)["scores_digest"] == board.provenance.scores_digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["board.parquet", "new"]


def test_comparisons_are_exported_too(tmp_path: Path):
    found = compare(study(["a", "b"], 9), "a", "b", METRICS)
    write_csv(tmp_path / "c.csv", found)
    write_parquet(tmp_path / "c.parquet", found)
    assert list(pd.read_csv(tmp_path / "c.csv")["metric"]) == list(METRICS)
    assert pq.read_table(tmp_path / "c.parquet").num_rows == len(METRICS)


def test_nasty_names_survive_the_round_trip(tmp_path: Path):
    board = build_board(rows({NASTY: [1.0], "b": [2.0]}), METRICS)
    write_csv(tmp_path / "x.csv", board)
    write_parquet(tmp_path / "x.parquet", board)
    assert NASTY in set(pd.read_csv(tmp_path / "x.csv")["system"])
    assert NASTY in set(pq.read_table(tmp_path / "x.parquet").to_pandas()["system"])
    assert json.loads(json.dumps(board.to_json()))["systems"][0]["name"] == NASTY


def test_an_unwritable_place_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    board = build_board(rows({"a": [1.0]}), METRICS)
    with pytest.raises(InputError, match="cannot be written"):
        write_csv(tmp_path / "file" / "board.csv", board)


def test_latex_word_for_word():
    board = build_board(mixed_scores(), METRICS, descriptions=DESCRIPTIONS)
    check_golden("leaderboard.tex", to_latex(board))


def test_latex_marks_best_and_ties():
    same = [5.0, 6.0, 7.0, 6.5, 5.5, 6.2, 6.8, 5.9, 6.1, 6.4]
    near = [value + (0.2 if place % 2 else -0.3) for place, value in enumerate(same)]
    worse = [value - 1 - 0.01 * place for place, value in enumerate(same)]
    text = to_latex(build_board(rows({"a": same, "b": near, "c": worse}), METRICS))
    [first, second, third] = [line for line in text.splitlines() if line.strip()[0] in "abc"]
    assert r"\textbf{6.14}" in first
    assert r"\underline{6.09}" in second
    assert r"\textbf" not in third
    assert r"\underline" not in third
    assert r"$\pm$" in first


def test_latex_escapes_what_it_would_execute():
    assert escape_latex(NASTY) == (
        r"a,\textquotedbl{}b\textquotedbl{} \textbackslash{}input\{x\} 50\% \& \$x\_1\textasciicircum{}2\$ "
        r"\#1 \textasciitilde{}\{\} 数字人 \textless{}b\textgreater{}"
    )
    text = to_latex(build_board(rows({NASTY: [1.0], "b_c": [2.0]}), METRICS), caption="100%")
    assert r"\input" not in text
    assert r"\caption{100\%}" in text
    for line in text.splitlines():
        if line.endswith(r"\\"):
            assert line.replace(r"\&", "").count("&") == 1


@pytest.mark.parametrize(
    "scores",
    [
        rows({"only": [1.0]}),
        rows({"a": ["no_face"], "b": ["no_face"]}),
        pd.DataFrame([row("Paper", "", "sync.confidence", 5.57, kind="published")]),
    ],
)
def test_degenerate_boards_become_files(tmp_path: Path, scores: pd.DataFrame):
    board = build_board(scores, METRICS)
    write_csv(tmp_path / "x.csv", board)
    write_parquet(tmp_path / "x.parquet", board)
    assert "nan" not in to_latex(board)
    assert "nan" not in (tmp_path / "x.csv").read_text()
