"""What people read in the terminal, word for word, at two widths."""

import os
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from rich.text import Text

from eval.leaderboard import build_board, compare
from eval.report import render_comparison, render_leaderboard
from eval.report.wording import bounds, number, p_value, share, signed
from eval.statistics import Interval
from tests.eval.score_rows import FINGERPRINTS, METRICS, row, rows, study

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


def console(width: int) -> Console:
    return Console(width=width, file=StringIO(), force_terminal=False, color_system=None)


def printed(target: Console) -> str:
    assert isinstance(target.file, StringIO)
    return "\n".join(line.rstrip() for line in target.file.getvalue().splitlines()) + "\n"


def check_golden(name: str, text: str) -> None:
    """Compare with the kept text; JOYSTREAMER_UPDATE_GOLDEN=1 writes it anew, to be read before use."""
    path = GOLDEN / name
    if os.environ.get("JOYSTREAMER_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def mixed_scores() -> pd.DataFrame:
    """Everything a board has to say at once: refused, published, missing weights, odd names."""
    scores = study(["ours-1000", "ours-2000", "kling [b]", "heygen & co"], 12)
    scores["value"] = scores["value"].round(6)
    colour = scores["metric"] == "drift.colour"
    scores["value"] = scores["value"].mask(colour)
    scores["reason"] = scores["reason"].mask(colour, "weights_missing")
    other = (scores["metric"] == "sync.distance") & (scores["system"] == "kling [b]")
    scores.loc[other, "fingerprint"] = "c" * 16
    published = [
        row("Paper", "", "sync.confidence", 5.57, kind="published", suite="paper", fingerprint=""),
        row("Paper", "", "sync.distance", 8.09, kind="published"),
    ]
    return pd.concat([scores, pd.DataFrame(published)])


DESCRIPTIONS = {
    "c" * 16: {"parameters": {"window": 4}},
    FINGERPRINTS["sync.distance"]: {"parameters": {"window": 5}},
}


@pytest.mark.parametrize("width", [100, 160])
def test_board_of_twelve_cases(width: int):
    board = build_board(mixed_scores(), METRICS, descriptions=DESCRIPTIONS)
    target = console(width)
    render_leaderboard(board, target, tags=("subject",))
    check_golden(f"leaderboard_{width}.txt", printed(target))


def test_board_of_three_cases_shows_the_differences_themselves():
    board = build_board(
        rows({"ours": [5.0, 6.5, 7.0], "kling": [5.5, 6.25, 9.0], "null": ["no_face"] * 3}), METRICS
    )
    target = console(100)
    render_leaderboard(board, target)
    text = printed(target)
    check_golden("leaderboard_three_cases.txt", text)
    assert "n=3: too few" in text
    assert "c0 −0.50, c1 +0.25, c2 −2.00" in text


@pytest.mark.parametrize("width", [100, 160])
def test_comparison(width: int):
    found = compare(
        mixed_scores(), "ours-1000", "ours-2000", METRICS, thresholds={"sync.confidence": 5.5}
    )
    target = console(width)
    render_comparison(found, target)
    check_golden(f"compare_{width}.txt", printed(target))


@pytest.mark.parametrize("width", [100, 160])
def test_no_line_is_wider_than_the_terminal(width: int):
    names = [
        "a system with a name that goes on and on, as run names tend to do",
        "b",
        "c",
        "d" * 40,
    ]
    scores = study(names, 9)
    board = build_board(scores, METRICS, baseline="b")
    target = console(width)
    render_leaderboard(board, target, tags=("subject", "length"))
    render_comparison(compare(scores, names[0], names[3], METRICS), target)
    assert max(Text(line).cell_len for line in printed(target).splitlines()) <= width


@pytest.mark.parametrize(
    "scores",
    [
        rows({"only": [1.0]}),
        rows({"a": ["no_face"], "b": ["no_face"]}),
        rows({"a": [1e300, -1e300, 3e-300], "b": [1e300, 1e300, 0.0]}),
        pd.DataFrame([row("Paper", "", "sync.confidence", 5.57, kind="published")]),
    ],
    ids=["one system", "all null", "extreme", "published only"],
)
def test_degenerate_boards_print_without_nan(scores: pd.DataFrame):
    target = console(100)
    render_leaderboard(build_board(scores, METRICS), target, tags=("subject",))
    assert "nan" not in printed(target).lower()


def test_markup_in_names_is_text():
    target = console(100)
    render_leaderboard(build_board(rows({"[red]a[/red]": [1.0], "b": [1.0]}), METRICS), target)
    assert "[red]a[/red]" in printed(target)


def test_colour_is_never_the_only_sign():
    board = build_board(study(["a", "b"], 30, nulls=0), METRICS)
    target = console(160)
    render_leaderboard(board, target)
    text = printed(target)
    assert "▲" in text
    assert "▲ better" in text
    assert "≠ differs" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0001234, "−1.23e-04"),
        (0.5, "0.500"),
        (-0.25, "−0.250"),
        (3.14159, "3.14"),
        (123.456, "123.5"),
        (-1234.56, "−1235"),
        (1.5e7, "1.50e+07"),
        (1e300, "1.00e+300"),
        (7.96e-17, "0"),
        (-7.96e-17, "0"),
        (None, "–"),
    ],
)
def test_numbers_show_three_or_four_digits(value: float | None, text: str):
    assert number(value) == text


def test_interval_ends_show_the_digits_of_their_mean():
    assert bounds(Interval(low=0.96666, high=1.2345), 1.1) == "[0.97, 1.23]"
    assert bounds(Interval(low=-0.001, high=0.2), 0.1, with_sign=True) == "[−0.001, +0.200]"
    assert number(-0.001, 5.0) == "0.00"
    assert (signed(2.0), signed(-2.0), signed(0.0)) == ("+2.00", "−2.00", "0")
    assert (signed(7.96e-17), signed(-7.96e-17)) == ("0", "0")


def test_shares_are_whole_only_when_they_are():
    assert [share(x) for x in (0.0, 0.001, 0.5, 0.9999, 1.0)] == [
        "0 %",
        "<1 %",
        "50 %",
        ">99 %",
        "100 %",
    ]
    assert [p_value(p) for p in (None, 0.0002, 0.05)] == ["–", "<0.001", "0.050"]
