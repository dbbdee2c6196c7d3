import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval.fields import ProblemsFound, nearest, read_json_line, shown
from eval.reader import read_case, read_suite
from eval.records import Speaker
from joystreamer.errors import InputError

HEADER = 'name = "short"\nversion = "1"\nasks = "Does it talk?"\n'


def suite(folder: Path, *lines: str, header: str = HEADER) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "suite.toml").write_text(header)
    (folder / "cases.jsonl").write_text("\n".join(lines))
    return folder


def problems_of(folder: Path) -> list[str]:
    with pytest.raises(ProblemsFound) as caught:
        read_suite(folder)
    return [problem.replace(str(folder) + "/", "") for problem in caught.value.problems]


def test_a_whole_case_is_read(tmp_path):
    for name in ("a.png", "a.wav", "b.wav", "mask.png"):
        (tmp_path / name).write_bytes(b"x")
    record = {
        "id": "two talk",
        "prompt": "They greet. 他们打招呼。",
        "image": "a.png",
        "speakers": [
            {"audio": "a.wav", "box": [0, 0, 0.5, 1], "spans": [[0, 1.5]]},
            {"audio": "b.wav", "mask": "mask.png"},
        ],
        "tags": {
            "subject": "cartoon",
            "mode": "singing",
            "content": ["body", "camera"],
            "language": "zh",
        },
        "duration_s": 3,
        "questions": ["Do they greet?"],
        "source": "ours",
        "licence": "CC0",
        "extra": {"program": [1]},
    }
    read = read_suite(suite(tmp_path, json.dumps(record), ""))
    assert (read.name, read.version, read.root) == ("short", "1", tmp_path)
    (case,) = read.cases
    assert case.speakers == (
        Speaker(audio=tmp_path / "a.wav", box=(0.0, 0.0, 0.5, 1.0), spans=((0.0, 1.5),)),
        Speaker(audio=tmp_path / "b.wav", mask=tmp_path / "mask.png"),
    )
    assert case.tags.content == ("body", "camera")
    assert case.image == tmp_path / "a.png"
    assert case.duration_s == 3.0
    assert case.extra == {"program": [1]}


def test_audio_is_short_for_one_speaker(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"x")
    case = read_suite(suite(tmp_path, '{"id": "x", "audio": "a.wav"}')).cases[0]
    assert case.speakers == (Speaker(audio=tmp_path / "a.wav"),)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "cases.jsonl:1: not JSON (Expecting property name"),
        ("[1]", "cases.jsonl:1: got [1], expected one JSON object per line"),
        ("{}", "cases.jsonl:1: field 'id' is missing; add it"),
        ('{"id": 3}', "cases.jsonl:1: field 'id': got 3, expected a text; put it in quotes"),
        ('{"id": "../x"}', "field 'id': got \"../x\", expected letters, digits"),
        ('{"id": "a", "id": "b"}', "cases.jsonl:1: field 'id' is given twice; keep one"),
        ('{"id": "a", "promt": "x"}', "field 'promt' is unknown (did you mean 'prompt'?); known fields: audio"),
        ('{"id": "a", "image": "none.png"}', 'field \'image\': got "none.png", expected an existing file; put it at'),
        ('{"id": "a", "image": "../up.png"}', 'field \'image\': got "../up.png", expected a path inside'),
        ('{"id": "a", "image": "/etc/passwd"}', "field 'image': got \"/etc/passwd\", expected a path inside"),
        ('{"id": "a", "image": "a\\u0000.png"}', "field 'image': got"),
        ('{"id": "a", "duration_s": "3s"}', "field 'duration_s': got \"3s\", expected a finite number of at least 0.04"),
        ('{"id": "a", "duration_s": -1}', "field 'duration_s': got -1, expected a finite number of at least 0.04"),
        ('{"id": "a", "duration_s": NaN}', "field 'duration_s': got NaN, expected a finite number"),
        ('{"id": "a", "tags": {"subject": "humn"}}', "tags: field 'subject': got \"humn\", expected one of human, animal, cartoon, doll (did you mean 'human'?)"),
        ('{"id": "a", "tags": {"content": ["legs"]}}', "tags: field 'content[0]': got \"legs\", expected one of expression"),
        ('{"id": "a", "speakers": [{"box": [0.5, 0, 0.1, 1]}]}', "speaker 1: field 'box': got [0.5, 0, 0.1, 1], expected [left, top, right, bottom]"),
        ('{"id": "a", "speakers": [{"spans": [[2, 1]]}]}', "speaker 1: field 'spans[0]': got [2, 1], expected [start, end]"),
        ('{"id": "a", "prompt": "x\\u0007"}', "field 'prompt': got \"x\\u0007\", expected a text without control characters; remove them"),
        ('{"id": "a"}\n{"id": "a"}', "cases.jsonl:2: field 'id': \"a\" is taken by line 1; give each case its own"),
        ("", "cases.jsonl: no cases; write one JSON object per line"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_sentence_with_its_place(tmp_path, line, said):
    found = problems_of(suite(tmp_path / "s", line))
    assert len(found) == 1
    assert said in found[0]
    assert "\n" not in found[0]


def test_all_mistakes_of_both_files_are_reported_at_once(tmp_path):
    folder = suite(
        tmp_path / "s", "{", '{"id": "a", "image": 3}', header='name = "x"\nversoin = "1"\n'
    )
    found = problems_of(folder)
    assert [problem.split(":")[0] for problem in found] == ["suite.toml"] * 3 + ["cases.jsonl"] * 2
    assert "did you mean 'version'" in found[2]


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "secret.png").write_bytes(b"x")
    folder = suite(tmp_path / "s", '{"id": "a", "image": "link.png"}')
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    assert "expected a path inside" in problems_of(folder)[0]


def test_missing_and_unreadable_files_are_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"is not a suite: suite\.toml is missing"):
        read_suite(tmp_path)
    folder = suite(tmp_path / "s", "")
    (folder / "cases.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_suite(folder)
    (folder / "suite.toml").write_text("name = ")
    with pytest.raises(InputError, match="not TOML"):
        read_suite(folder)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
field_names = st.sampled_from(
    [
        "id",
        "prompt",
        "image",
        "audio",
        "speakers",
        "tags",
        "duration_s",
        "questions",
        "source",
        "licence",
        "extra",
    ]
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150
)
@given(record=st.dictionaries(field_names | st.text(max_size=6), json_values, max_size=6))
def test_no_record_can_crash_the_reader(tmp_path, record):
    problems: list[str] = []
    read_case(record, "x:1", tmp_path, problems)
    assert all("\n" not in problem for problem in problems)


@given(st.text(max_size=40))
def test_no_line_can_crash_the_json_reader(line):
    problems: list[str] = []
    assert isinstance(read_json_line("x:1", line, problems), dict) or problems


def test_values_are_shown_short_and_names_are_guessed():
    assert shown("a\nb") == '"a\\nb"'
    assert len(shown("x" * 500)) == 60
    assert nearest("promt", ["prompt", "image"]) == " (did you mean 'prompt'?)"
    assert nearest("zzz", ["prompt"]) == ""
