"""One small case for every flaw of the text readers that the attack found."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from benchmarks.importers.imported import Imported
from benchmarks.mochabench import human_judge_table, published_sync
from eval.console import FriendlyGroup, print_json
from eval.fields import Fields, ProblemsFound, read_lines, shown
from eval.matching import match_folder, match_manifest
from eval.ratings.campaign import Campaign, Pair
from eval.ratings.submission import read_submission
from eval.reader import read_suite
from eval.text_files import read_csv, read_toml, safe_cell
from joystreamer.errors import InputError, about_path, printable
from joystreamer.job_spec import parse_job, read_jobs
from joystreamer.options import GenerationOptions
from joystreamer.training.configuration import change
from joystreamer.training.manifest import read_manifest
from joystreamer.training.presets import training_preset

DIGITS = "9" * 5000


def refused_encoding(text: str, encoding: str) -> UnicodeEncodeError:
    with pytest.raises(UnicodeEncodeError) as caught:
        text.encode(encoding)
    return caught.value


def number_problem(value: Any) -> list[str]:
    problems: list[str] = []
    Fields("x", {"n": value}, problems).number("n")
    return problems


def test_a_number_that_no_float_holds_is_refused() -> None:
    assert number_problem(10**400)[0].startswith("x: field 'n': got 1000")
    assert number_problem(10**40) == []


def test_half_a_surrogate_pair_is_refused_where_it_comes_in() -> None:
    problems: list[str] = []
    Fields("x", {"t": "a\ud800"}, problems).text("t")
    assert problems == [
        "x: field 't': got \"a\\ud800\", expected whole characters, no half of a surrogate pair; remove it"
    ]


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "\ud800", "loop/x"])
def test_a_path_that_no_file_can_have_is_not_there(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    problems: list[str] = []
    assert Fields("x", {}, problems).confined("image", name, tmp_path) is None
    assert len(problems) == 1
    assert Imported().file(name, tmp_path, "x") is None
    with pytest.raises(InputError, match="no file"):
        parse_job({"image": name, "prompt": "p", "out": "o.mp4", "audio": name}, tmp_path)


def test_sentences_stay_short_and_printable() -> None:
    assert shown([[[[0]]]] * 100_000).endswith("…")
    assert shown("\x1b[31mred") == '"\\u001b[31mred"'
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    assert shown(deep) == "a list"
    problems: list[str] = []
    fields = Fields("x", {"k" * 5000: 1}, problems)
    fields.finish()
    assert len(problems[0]) < 200


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(InputError, match="no ordinary file"):
        read_jobs(tmp_path / "pipe.jsonl")


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": "one\u2028two\x85three"}\r\n\n{"b": 1}\n', encoding="utf-8")
    assert read_lines(path) == ['{"a": "one\u2028two\x85three"}', "", '{"b": 1}']


@pytest.mark.parametrize("text", [f"a = {DIGITS}", "a = " + "[" * 5000, "a = {b = " * 3000, "a ="])
def test_toml_that_python_cannot_hold_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(ProblemsFound, match=r"x\.toml: not TOML \(.*see any shipped file"):
        read_toml(path)
    (tmp_path / "suite.toml").write_text(text)
    (tmp_path / "cases.jsonl").write_text("{}")
    with pytest.raises(ProblemsFound, match="not TOML"):
        read_suite(tmp_path)


def test_a_cell_without_an_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('a,b\n"' + "x" * 200_000)
    with pytest.raises(InputError, match=r"x\.csv:.*not a CSV table.*close the quotes"):
        read_csv(path)
    with pytest.raises(InputError, match="not a CSV table"):
        match_manifest(path)


def test_a_seed_of_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x")
    path = tmp_path / "clips.csv"
    path.write_text(f"system,case,file,seed\nours,a,clip.mp4,{DIGITS}\n")
    _, _, _, problems = match_manifest(path)
    assert "field 'seed'" in problems[0]


@pytest.mark.parametrize(
    "name", ["a\nb/c.mp4", "\udcff/c.mp4", "ours/\x1b[31m.mp4", "ours/c_99999999999.mp4"]
)
def test_names_that_no_table_can_show_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir()
    path.write_bytes(b"x")
    pattern = "{case}_{seed}" if "999" in name else None
    with pytest.raises(InputError, match=r"cannot be printed|is not below") as caught:
        match_folder(tmp_path, system=None, pattern=pattern, case_ids=frozenset())
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("line", "part"),
    [
        (b"\xff", "cannot be read as text"), (b"[" * 100_000, "nested too deeply"), (DIGITS.encode(), "a number too long"),
        (b'{"video": "v.mp4", "caption": "c", "tags": [1]}', "tags is a list"),
        (b'{"video": "v.mp4", "caption": "c", "regions": 3}', "region 3 came"),
        (b'{"video": "v.mp4", "caption": "c", "regions": [["a", 0, 1, 1]]}', "came; give"),
        (b'{"video": "' + b"x" * 5000 + b'", "caption": "c"}', "does not exist"),
    ],
)  # fmt: skip
def test_training_manifests_are_refused_in_words(tmp_path: Path, line: bytes, part: str) -> None:
    (tmp_path / "v.mp4").write_bytes(b"x")
    (tmp_path / "m.jsonl").write_bytes(line + b"\n")
    with pytest.raises(InputError, match=part):
        read_manifest(tmp_path / "m.jsonl")


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"stereo": "no"}, "write true or false"), ({"transcript": 3}, "write a text"), ({"out": "a\0.mp4"}, "would write"),
        ({"out": "x" * 300}, "at most 200 bytes"),
        ({"turns": [{"speaker": "anna", "audio": "a.wav", "start": 1e9}]}, "give 0 to 36000 s"),
        ({"turns": [{"speaker": "anna", "audio": "a.wav", "start": 10**400}]}, "write a number"),
    ],
)  # fmt: skip
def test_jobs_are_refused_in_words(tmp_path: Path, changes: dict[str, Any], part: str) -> None:
    for name in ("i.png", "a.wav"):
        (tmp_path / name).write_bytes(b"x")
    job = {"image": "i.png", "prompt": "p", "out": "o.mp4", "speakers": [{"name": "anna"}]}
    with pytest.raises(InputError, match=part):
        parse_job({**job, **changes}, tmp_path)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"shift": 10**400}, "give a number"), ({"negative_prompt": 3}, "give a text"),
        ({"batch_guidance": "no"}, "true and false|true or false"), ({"area": 10**12}, "pixels per frame"),
        ({"height": 10**6, "width": 10**6}, "pixels per frame"), ({"height": -32, "width": -32}, "pixels per frame"),
        ({"x" * 5000: 1}, "unknown option 'x{58}…"),
    ],
)  # fmt: skip
def test_sampling_options_are_refused_in_words(changes: dict[str, Any], part: str) -> None:
    with pytest.raises(InputError, match=part):
        GenerationOptions.from_json(changes)


def test_scales_survive_being_written() -> None:
    options = GenerationOptions.from_json({"text_scale": "4.123456789,950:0.1"})
    assert GenerationOptions.from_json(options.to_json()) == options
    assert options.to_json()["text_scale"] == "4.123456789,950:0.1"


@pytest.mark.parametrize(
    "setting",
    ["stage=nonsense", "loop.updates=NaN", "loop.updates=1.5", "of_the_paper=[1]", "student.rate=1e999", f"loop.updates={DIGITS}",
     "student.betas=[0.1]", "student.betas=[0.1, {}]", "loop.updates=" + "[" * 9000],
)  # fmt: skip
def test_settings_of_another_type_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match=r"a value like .* is needed"):
        change(training_preset("tiny-distill"), [setting])


def test_settings_of_the_declared_type_fit() -> None:
    changed = change(
        training_preset("tiny-distill"), ["student.rate=1", "student.betas=[0.5, 0.9]"]
    )
    assert (changed.student.rate, changed.student.betas) == (1.0, (0.5, 0.9))


@pytest.mark.parametrize(
    ("read", "text", "part"),
    [
        (published_sync, "video\na.mp4\n", "no column is called 'has_face'"),
        (published_sync, "video,has_face,best_conf,min_dist\na.mp4,True,,1\n", "expected a number"),
        (published_sync, "video,has_face,best_conf,min_dist\na.mp4\n", "more or fewer cells"),
        (human_judge_table, "Model,a\nAspect,b\nExample idx,c\nx,1\n", "expected the number of an item"),
        (human_judge_table, "Model,a\nAspect\nExample idx,c\n1,1\n", "one cell per column"),
        (human_judge_table, "\n\n\n\n\n", "expected three header rows"),
    ],
)  # fmt: skip
def test_tables_of_mochabench_are_refused_in_words(
    tmp_path: Path, read: Callable[[Path], object], text: str, part: str
) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=part):
        read(tmp_path / "t.csv")


def test_a_comment_that_cannot_be_stored_is_refused() -> None:
    campaign = Campaign(name="c", suite="s", cases=("a",), pairs=(Pair(first="x", second="y"),))
    answers = dict.fromkeys(campaign.dimension_ids, "left")
    vote = {"client_key": "key-12345678", "answers": answers, "comment": "\ud800"}
    with pytest.raises(InputError, match="a comment is text"):
        read_submission(vote, campaign)


def test_cells_that_a_spreadsheet_would_run_are_texts() -> None:
    assert [safe_cell(cell) for cell in ("=1+1", "@x", "-2+3", "-2", "a", 3.0)] == [
        "'=1+1",
        "'@x",
        "'-2+3",
        "-2",
        "a",
        3.0,
    ]


def test_impossible_paths_on_a_command_line_are_one_line(tmp_path: Path) -> None:
    @click.group(cls=FriendlyGroup)
    def main() -> None:
        pass

    @main.command()
    @click.argument("path")
    def look(path: str) -> None:
        Path(path).stat()
        raise InputError("it holds \x1b[31m red")

    told = CliRunner().invoke(main, ["look", "x" * 5000])
    assert (told.exit_code, told.stderr.count("\n")) == (2, 1)
    assert "is longer than a file's name may be" in told.stderr
    assert "holds \\x1b[31m red" in CliRunner().invoke(main, ["look", str(tmp_path)]).stderr
    assert isinstance(
        CliRunner().invoke(main, ["look", str(tmp_path / "absent")]).exception, FileNotFoundError
    )
    assert about_path(FileNotFoundError()) is None
    assert "no text that a file's name can be" in str(
        about_path(refused_encoding("a\ud800", "utf-8"))
    )
    # A terminal that cannot show our own signs is a defect of ours, and keeps its traceback.
    assert about_path(refused_encoding("↑", "ascii")) is None
    assert printable("a\tb\ud800") == "a\\tb\\ud800"


def test_json_for_scripts_spells_bytes_that_are_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"file": Path("a\udcff")})
    assert json.loads(capsys.readouterr().out) == {"file": "a\udcff"}


def test_a_layout_that_no_codec_has_is_refused() -> None:
    with pytest.raises(InputError, match="motion_frames is 622; a codec of stride 4 needs"):
        change(training_preset("tiny-stage-2"), ["cache.layout.motion_frames=622"])


def test_a_file_named_by_something_else_is_repeated_in_brief(tmp_path: Path) -> None:
    (tmp_path / "i.png").touch()
    with pytest.raises(InputError, match=r"names a file by .*; write its path as text") as caught:
        parse_job(
            {"image": "i.png", "prompt": "p", "out": "o.mp4", "audio": {"a": "x" * 5000}}, tmp_path
        )
    assert len(str(caught.value)) < 200
