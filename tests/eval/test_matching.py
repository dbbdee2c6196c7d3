import json
from pathlib import Path

import pytest

from eval.ingest import describe, match_source
from eval.records import Case, Suite
from joystreamer.errors import InputError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def found(root: Path, **options: object) -> set[tuple[str, str, int]]:
    matched = match_source(root, **options)  # type: ignore[arg-type]
    return {(match.system.name, match.case, match.seed) for match in matched.matches}


def suite_of(*ids: str) -> Suite:
    return Suite(name="s", version="1", asks="?", cases=tuple(Case(id=name) for name in ids))


def test_a_folder_per_system(tmp_path):
    touch(tmp_path, "A/one.mp4", "A/two.mov", "B/one.webm")
    assert found(tmp_path) == {("A", "one", 0), ("A", "two", 0), ("B", "one", 0)}


def test_item_system_names_split_at_the_underscore_that_fills_the_table(tmp_path):
    names = [
        f"{case}_{system}.mp4"
        for case in ("01", "03")
        for system in ("MoCha", "a-square", "SadTalker")
    ]
    assert found(touch(tmp_path, *names)) == {
        (system, case, 0) for case in ("01", "03") for system in ("MoCha", "a-square", "SadTalker")
    }


def test_case_names_with_underscores_split_at_the_last_one(tmp_path):
    names = [f"man_walks_{n}_{system}.mp4" for n in (1, 2) for system in ("x", "y")]
    assert {case for _, case, _ in found(touch(tmp_path, *names))} == {"man_walks_1", "man_walks_2"}


def test_suite_ids_decide_where_names_split(tmp_path):
    touch(tmp_path, "a_b_my_model.mp4", "a_b_base.mp4", "c_my_model.mp4", "c_base.mp4")
    assert found(tmp_path, suite=suite_of("a_b", "c")) == {
        ("my_model", "a_b", 0), ("base", "a_b", 0), ("my_model", "c", 0), ("base", "c", 0)
    }  # fmt: skip


def test_a_flat_folder_without_common_cases_is_one_system(tmp_path):
    folder = touch(tmp_path / "mine", "grid_bbaf2n.mpg", "grid_id2_swwp2s.mpg", "other.gif")
    assert found(folder) == {
        ("mine", "grid_bbaf2n", 0),
        ("mine", "grid_id2_swwp2s", 0),
        ("mine", "other", 0),
    }


def test_one_named_system_takes_paths_as_case_ids(tmp_path):
    touch(tmp_path, "1p/x.mp4", "2p/x.mp4", "y.mp4")
    assert found(tmp_path, system="S") == {("S", "1p.x", 0), ("S", "2p.x", 0), ("S", "y", 0)}
    assert found(touch(tmp_path / "only", "1p/z.mp4"), system="S", suite=suite_of("z")) == {
        ("S", "z", 0)
    }


def test_a_pattern_says_it_outright(tmp_path):
    touch(tmp_path, "base-x@3.mp4", "base-x@4.mp4")
    assert found(tmp_path, pattern="{system}-{case}@{seed}") == {("base", "x", 3), ("base", "x", 4)}
    with pytest.raises(InputError, match="does not fit the pattern"):
        found(tmp_path, pattern="{case}#{system}")
    with pytest.raises(InputError, match=r"needs \{case\} once"):
        found(tmp_path, pattern="{system}")
    with pytest.raises(InputError, match="nothing else in braces"):
        found(tmp_path, pattern="{case}{colour}")


def test_a_dry_run_shows_match_missing_left_over_and_ignored(tmp_path):
    touch(
        tmp_path,
        "A/one.mp4",
        "A/nine.mp4",
        "B/one.mp4",
        "B/two.mp4",
        "B/notes.txt",
        "B/.hidden.mp4",
    )
    text = "\n".join(describe(match_source(tmp_path, suite=suite_of("one", "two"))))
    assert "3 clips of 2 systems (one folder per system)" in text
    assert "missing for A: two" in text
    assert "left over, no such case: nine.mp4" in text
    assert "ignored, no video files: notes.txt" in text
    assert "hidden" not in text


def test_twins_empty_and_absent_sources_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no clips"):
        match_source(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        match_source(tmp_path / "none")
    touch(tmp_path, "A/one.mp4", "A/one.mov")
    with pytest.raises(InputError, match="both answer case 'one' of system 'A'"):
        match_source(tmp_path)


def test_a_manifest_with_twelve_mistakes_names_each_and_keeps_the_good_rows(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4", "text.txt")
    good = {"system": "S", "case": "a", "file": "a.mp4", "seed": 2, "borders_s": [3.04, 6.08]}
    rows = [
        json.dumps(good),
        "not json",
        "[]",
        json.dumps({"case": "a", "file": "a.mp4"}),
        json.dumps({"system": "S", "file": "b.mp4"}),
        json.dumps({"system": "S", "case": "b"}),
        json.dumps({"system": "S", "case": "b", "file": "none.mp4"}),
        json.dumps({"system": "S", "case": "b", "file": "../b.mp4"}),
        json.dumps({"system": "S", "case": "b", "file": "text.txt"}),
        json.dumps({"system": "S", "case": "b", "file": "b.mp4", "seed": -1}),
        json.dumps({"system": "S", "case": "b", "file": "b.mp4", "kind": "teacher"}),
        json.dumps({"system": "S", "case": "b", "file": "b.mp4", "sed": 1}),
        json.dumps({"system": "S", "case": "a", "file": "b.mp4", "seed": 2}),
        json.dumps({"system": "S", "case": "c", "file": "c.mp4"}),
    ]
    manifest = tmp_path / "clips.jsonl"
    manifest.write_text("\n".join(rows))
    matched = match_source(manifest)
    assert [(match.case, match.seed) for match in matched.matches] == [("a", 2), ("c", 0)]
    assert matched.matches[0].borders_s == (3.04, 6.08)
    lines = [problem.removeprefix(f"{manifest}:").split(":")[0] for problem in matched.problems]
    assert lines == [str(number) for number in range(2, 14)]
    said = "\n".join(matched.problems)
    for part in ("not JSON", "expected one JSON object", "'system' is missing", "'case' is missing", "'file' is missing",
                 "expected an existing file", "expected a path inside", "expected a video file", "whole number of at least 0",
                 "one of checkpoint, competitor, published", "did you mean 'seed'", "on line 1 already"):  # fmt: skip
        assert part in said, part


def test_a_csv_manifest(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    manifest = tmp_path / "clips.csv"
    manifest.write_text(
        'system,case,file,kind,step,notes\nours,a,a.mp4,checkpoint,400,"x, y"\nrival,b,b.mp4,competitor,,\nbad,b,b.mp4,competitor,,,9\n'
    )
    matched = match_source(manifest)
    assert {(match.system.name, match.system.kind, match.system.step) for match in matched.matches} == {
        ("ours", "checkpoint", 400), ("rival", "competitor", None)
    }  # fmt: skip
    assert [problem.split(": ", 1)[1] for problem in matched.problems] == [
        "more cells than columns; quote texts that hold a comma"
    ]
