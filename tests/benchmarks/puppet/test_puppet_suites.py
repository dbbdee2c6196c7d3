"""Puppet suites: complete, deterministic, held to their grammar, twins of the hand-written ones."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.check import SUITES, check_suite, suite_folder, tag_counts
from benchmarks.cli import main
from benchmarks.puppet import on_demand
from benchmarks.puppet.casting import Sketch, cast, content_of
from benchmarks.puppet.on_demand import puppet_suite_folder, write_puppet_suite
from benchmarks.puppet.program import HELD_OUT, SLOTS, Program
from benchmarks.puppet.render import render
from benchmarks.puppet.truth import scene_of
from benchmarks.puppet.wording import programs_of, prompt_of, questions_of
from benchmarks.run import complete_cases
from eval.reader import read_suite
from joystreamer.conditioning.planner import split_by_rules
from joystreamer.errors import InputError
from joystreamer.media import read_audio, read_image
from joystreamer.segments import fragment_count, plan_segments


@pytest.mark.parametrize("name", ["puppet-demo", "puppet-gsb-96", "puppet-talk-90"])
def test_puppet_suites_are_complete_and_keep_their_promises(name: str) -> None:
    folder = suite_folder(name)
    assert folder.name == name
    assert check_suite(folder) == []
    suite = read_suite(folder)
    assert (
        len(complete_cases(suite))
        == len(suite.cases)
        == (24 if name == "puppet-demo" else len(suite.cases))
    )


def test_the_demo_asks_for_every_slot_every_unseen_pair_and_long_clips() -> None:
    cases = read_suite(suite_folder("puppet-demo")).cases
    programs = [program for case in cases for program in programs_of(case)]
    assert {slot for program in programs for slot in program.active} == set(SLOTS)
    shown = [set(program.active.items()) for program in programs]
    assert all(any(pair <= active for active in shown) for pair in HELD_OUT)
    assert sum((case.duration_s or 0) >= 30 for case in cases) == 2
    assert sorted(len(case.speakers) for case in cases)[-2:] == [2, 3]


@pytest.mark.parametrize("original", ["gsb-96", "talk-90"])
def test_twins_ask_what_their_originals_ask(original: str) -> None:
    written, twin = read_suite(SUITES / original), read_suite(suite_folder(f"puppet-{original}"))
    assert [case.id for case in twin.cases] == [case.id for case in written.cases]
    for ours, theirs in zip(twin.cases, written.cases, strict=True):
        assert (ours.tags.subject, ours.tags.mode, ours.tags.content) == (
            theirs.tags.subject, theirs.tags.mode, theirs.tags.content,
        )  # fmt: skip
        assert set(content_of(programs_of(ours))) == set(theirs.tags.content)
        assert len(ours.speakers) == theirs.extra["speakers"]
        assert ((ours.duration_s or 0) > 5) == ((theirs.duration_s or 0) > 20)
    assert tag_counts(twin.cases)["language"] == {"en": len(written.cases)}


def test_a_case_is_the_same_wherever_it_is_made(tmp_path: Path) -> None:
    sketch = Sketch(id="duo", people=2, passes=2)
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        case = cast(sketch, tmp_path / name, seed=3)
        files = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        made.append((case.prompt, case.extra, [one.spans for one in case.speakers], files))
    assert made[0] == made[1]
    assert set(made[0][3]) == {"duo.png", "duo.1.voice.wav", "duo.2.voice.wav"}
    other = cast(sketch, tmp_path / "one", seed=4)
    assert (tmp_path / "one" / "duo.1.voice.wav").read_bytes() != made[1][3]["duo.1.voice.wav"]
    assert other.prompt == "Two puppets talk."


def test_the_reference_is_the_first_frame_at_rest_and_turns_do_not_overlap(tmp_path: Path) -> None:
    case = cast(Sketch(id="trio", people=3, passes=3), tmp_path, seed=0)
    scene, sound = scene_of(case)
    assert scene.frames == 3 * 76
    assert case.image is not None
    first = render(scene)[0].astype(int)
    reference = read_image(case.image).astype(int)
    assert np.abs(first - reference).max(axis=-1).mean() < 2  # mouths may have begun to open
    heard = [read_audio(one.audio, sample_rate=16_000) for one in case.speakers if one.audio]
    spans = sorted(span for one in case.speakers for span in one.spans)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    for one, voice in zip(case.speakers, heard, strict=True):
        assert voice is not None
        loud = np.flatnonzero(np.abs(voice) > 0.02) / 16_000
        inside = np.zeros(loud.size, bool)
        for start, end in one.spans:
            inside |= (loud >= start - 0.01) & (loud <= end + 0.01)
        assert inside.all()
        left, top, right, bottom = one.box or (0, 0, 0, 0)
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
    assert sound.size == 3 * 76 * 640  # samples per frame


def test_each_stretch_is_told_to_its_own_passes() -> None:
    case = next(c for c in read_suite(suite_folder("puppet-demo")).cases if c.id == "long-1")
    seconds = case.duration_s or 0
    parts = split_by_rules(case.prompt, fragment_count(seconds))
    assert parts == tuple(prompt_of([program]) for program in programs_of(case))
    told = [s.fragment for s in plan_segments(seconds, seed=0, fragments=len(parts))]
    assert told == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_words_of_several_people_name_who_acts() -> None:
    programs = (Program(arm="raise", background="night"),)
    assert prompt_of(programs, 2) == (
        "Two puppets talk, the left puppet raises an arm, night falls."
    )
    assert questions_of(programs, 2) == ("Does the left puppet raise an arm?", "Does night fall?")
    assert questions_of((Program(),), 3) == ("Do three puppets talk in turns?",)


def test_a_grammar_excuses_no_written_prompt(tmp_path: Path) -> None:
    folder = tmp_path / "suite"
    shutil.copytree(suite_folder("puppet-demo"), folder)
    promises = (folder / "expectations.toml").read_text()
    assert 'grammar = "puppet"' in promises
    lines = (folder / "cases.jsonl").read_text().splitlines()
    first, second = json.loads(lines[0]), json.loads(lines[1])
    first["prompt"] = "The puppet sings of spring."
    second["questions"] = ["Does it sing?"]
    third = json.loads(lines[2])
    third["extra"] = {}
    changed = [json.dumps(first), json.dumps(second), json.dumps(third), *lines[3:]]
    (folder / "cases.jsonl").write_text("\n".join(changed))
    problems = check_suite(folder)
    assert [problem.split(": ")[0].rsplit(":", 1)[1] for problem in problems] == ["1", "2", "3"]
    assert (
        '"The puppet sings of spring.", its programs say "The puppet stands still."' in problems[0]
    )
    assert "its programs ask" in problems[1]
    assert "carries the programs of every case" in problems[2]
    (folder / "cases.jsonl").write_text("\n".join(lines))
    (folder / "expectations.toml").write_text("cases = 24\n")
    strict = check_suite(folder)  # without a declared grammar the rules for written prompts hold
    assert any("is the same as on line" in problem for problem in strict)
    assert any("shares" in problem and "template" in problem for problem in strict)
    (folder / "expectations.toml").write_text('grammar = "pupet"\n')
    assert any("expected one of puppet" in problem for problem in check_suite(folder))


def test_another_generator_writes_into_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = on_demand.generator_digest()
    monkeypatch.setattr(on_demand, "SOURCES", on_demand.SOURCES[:1])
    assert on_demand.generator_digest() != before
    folder = tmp_path / on_demand.generator_digest() / "puppet-demo"
    folder.mkdir(parents=True)
    (folder / "suite.toml").write_text("kept")
    assert puppet_suite_folder("puppet-demo", tmp_path) == folder
    assert (folder / "suite.toml").read_text() == "kept"


def test_the_code_that_makes_suites_is_all_in_the_digest() -> None:
    from benchmarks import puppet

    folder = Path(puppet.__path__[0])
    needed = {"benchmarks/puppet/on_demand.py"}
    todo = ["on_demand"]
    while todo:
        text = (folder / f"{todo.pop()}.py").read_text()
        for path in folder.glob("*.py"):
            name = f"benchmarks/puppet/{path.name}"
            if f"benchmarks.puppet.{path.stem} import" in text and name not in needed:
                needed.add(name)
                todo.append(path.stem)
    assert needed <= set(on_demand.SOURCES)


def test_a_suite_that_is_there_stays_and_nothing_partial_remains(tmp_path: Path) -> None:
    out = tmp_path / "suite"
    out.mkdir()
    (out / "suite.toml").write_text("another process was first")
    write_puppet_suite("puppet-demo", out)
    assert (out / "suite.toml").read_text() == "another process was first"
    assert [path.name for path in tmp_path.iterdir()] == ["suite"]


def test_commands_know_puppet_suites_by_name(tmp_path: Path) -> None:
    listed = json.loads(CliRunner().invoke(main, ["list", "--json"]).output)
    media = {entry["name"]: entry["media"] for entry in listed}
    assert media["puppet-demo"] == media["puppet-talk-90"] == "complete"
    out = tmp_path / "mine"
    built = CliRunner().invoke(main, ["build", "puppet-demo", "--out", str(out)])
    assert built.exit_code == 0, built.output
    assert "24 cases of puppet-demo 1.1+" in built.output
    assert check_suite(out) == []
    assert read_suite(out).version == read_suite(suite_folder("puppet-demo")).version
    again = CliRunner().invoke(main, ["build", "puppet-demo", "--out", str(out)])
    assert again.exit_code == 2
    assert "exists; give a new folder to --out" in again.output
    bare = CliRunner().invoke(main, ["build", "gsb-96", "--out", str(tmp_path / "x")])
    assert bare.exit_code == 2
    assert "gsb-96 needs media; name the folder" in bare.output


def test_truth_draws_only_puppet_cases() -> None:
    with pytest.raises(InputError, match=r"is no puppet case; 'truth' draws only those"):
        scene_of(read_suite(SUITES / "talk-90").cases[0])
