"""Shipped suites keep their promises; planted mistakes are all found, each with file and line."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.check import SUITES, check_suite, shipped_suites, tag_counts
from benchmarks.cli import main
from benchmarks.expectations import read_expectations
from eval.reader import read_suite

HEADER = 'name = "mine"\nversion = "1"\nasks = "Is it good?"\nlicence = "CC0-1.0"\n'


def make_suite(
    root: Path, cases: list[dict[str, Any]], expectations: str = "", header: str = HEADER
) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "suite.toml").write_text(header, encoding="utf-8")
    lines = [json.dumps(case, ensure_ascii=False) for case in cases]
    (root / "cases.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if expectations:
        (root / "expectations.toml").write_text(expectations, encoding="utf-8")
    return root


def good(number: int = 1, **changes: Any) -> dict[str, Any]:
    prompts = (
        "A woman waters ferns.",
        "Two men argue over chess on a ferry.",
        "A child plays the drum.",
    )
    return {
        "id": f"case-{number}",
        "prompt": prompts[number % 3],
        "tags": {"content": ["body"], "language": "en"},
        "duration_s": 10.0,
        "questions": ["Does it begin in the first second?", "Is it over at the end?"],
        "image_needed": "A person.",
        **changes,
    }


@pytest.mark.parametrize("folder", shipped_suites(), ids=lambda folder: folder.name)
def test_shipped_suites_keep_their_promises(folder: Path) -> None:
    assert check_suite(folder) == []


def test_paper_suites_are_as_large_and_as_mixed_as_said() -> None:
    gsb, talk = read_suite(SUITES / "gsb-96"), read_suite(SUITES / "talk-90")
    assert (len(gsb.cases), len(talk.cases)) == (96, 90)
    assert sum((case.duration_s or 0) > 30 for case in gsb.cases) == 32
    assert sum(case.extra["speakers"] > 1 for case in gsb.cases) == 24
    assert tag_counts(gsb.cases)["language"] == {"en": 48, "zh": 48}
    cells = Counter((case.tags.subject, case.tags.mode, case.tags.language) for case in talk.cases)
    assert {count for cell, count in cells.items() if cell[0] == "human"} == {6}
    assert {count for cell, count in cells.items() if cell[0] != "human"} == {3}
    assert len(cells) == 24


def test_documentation_states_the_counts() -> None:
    text = (SUITES.parent.parent / "docs" / "suites.md").read_text(encoding="utf-8")
    for name in ("gsb-96", "talk-90"):
        promises = read_expectations(SUITES / name, [])
        for table in ("subject", "mode", "language", "content", "speakers"):
            if table not in promises.counts:
                continue
            said = ", ".join(f"{key} {count}" for key, count in promises.counts[table].items())
            assert f"| {name} | {table} | {said} |" in text


def test_a_good_suite_has_no_mistakes(tmp_path: Path) -> None:
    assert check_suite(make_suite(tmp_path, [good(1), good(2)])) == []


def test_every_planted_mistake_is_listed_with_file_and_line(tmp_path: Path) -> None:
    cases = [
        good(1),
        good(2, prompt="A woman waters ferns while she hums an old tune by the window."),
        good(3, prompt="Later she hums an old tune by the sea.", duration_s=None),
        good(4, id="case-1"),
        good(5, prompt="", image_needed=""),
        good(6, questions=["Only one and no question."]),
        good(
            7,
            prompt="他在第十二秒举起手。",
            questions=["他是否在最后微笑？", "Does he smile at the end?"],
        ),
        good(8, tags={"language": "zh"}, prompt="A man swims away from the first buoy."),
        good(9, prompt="a   woman waters FERNS while she hums an old tune by the window."),
        good(10, tags={"subjekt": "human"}, prompt="A diver surfaces by second 15."),
    ]
    root = make_suite(
        tmp_path,
        cases,
        "cases = 12\nquestions = 2\ntimed_questions = 2\n[language]\nen = 10\nzh = 2\n",
        header=HEADER.replace('licence = "CC0-1.0"\n', ""),
    )
    found = check_suite(root)
    jsonl, toml = root / "cases.jsonl", root / "expectations.toml"
    expected = [
        (f"{jsonl}:4: ", "field 'id': \"case-1\" is taken by line 1"),
        (f"{jsonl}:10: ", "field 'subjekt' is unknown (did you mean 'subject'?)"),
        (f"{root / 'suite.toml'}: ", "field 'licence' is missing"),
        (f"{jsonl}:3: ", 'shares "she hums an old tune by" with line 2'),
        (f"{jsonl}:3: ", "neither audio nor 'duration_s'"),
        (f"{jsonl}:5: ", "field 'prompt' is empty"),
        (f"{jsonl}:5: ", "neither 'image' nor 'image_needed'"),
        (f"{jsonl}:6: ", "field 'questions': got 1, expected at least 2"),
        (f"{jsonl}:6: ", "field 'questions': 0 say when, expected at least 2"),
        (f"{jsonl}:6: ", "is no question"),
        (f"{jsonl}:7: ", "language is en, yet"),
        (f"{jsonl}:7: ", "names second 12, but duration_s is 10"),
        (f"{jsonl}:8: ", "language is zh, yet"),
        (f"{jsonl}:9: ", "field 'prompt' is the same as on line 2"),
        (f"{jsonl}:10: ", "names second 15, but duration_s is 10"),
        (f"{toml}:1: ", "12 cases are promised, there are 10"),
        (f"{toml}:5: ", "language en: 10 cases are promised, there are 9"),
        (f"{toml}:6: ", "language zh: 2 cases are promised, there are 1"),
    ]
    for place, words in expected:
        assert any(line.startswith(place) and words in line for line in found), (place, words)


def test_mistakes_in_the_promises_are_mistakes_too(tmp_path: Path) -> None:
    root = make_suite(tmp_path, [good(1)], 'cases = "many"\nshared = 3\nlanguage = 4\n')
    text = "\n".join(check_suite(root))
    assert "field 'cases': got \"many\", expected a whole number" in text
    assert "field 'shared' is unknown" in text
    assert "field 'language': got 4, expected a table" in text


def test_commands_list_and_check(tmp_path: Path) -> None:
    runner = CliRunner()
    listed = runner.invoke(main, ["list", "--json"])
    names = {entry["name"]: entry for entry in json.loads(listed.output)}
    assert names["gsb-96"]["cases"] == 96
    assert names["talk-90"]["media"].startswith("yours")
    assert runner.invoke(main, ["check", "talk-90"]).exit_code == 0
    bad = runner.invoke(main, ["check", str(make_suite(tmp_path / "bad", [good(1, prompt="")]))])
    assert bad.exit_code == 1
    assert "cases.jsonl:1: field 'prompt' is empty" in bad.output
    missing = runner.invoke(main, ["check", str(tmp_path / "none")])
    assert missing.exit_code == 2
    assert "is not a suite" in missing.output
