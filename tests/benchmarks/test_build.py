"""A suite is filled from real small files; what is missing or does not fit is said."""

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks.build import build_suite
from benchmarks.cli import main
from benchmarks.media_checks import difference_hash
from eval.reader import read_suite
from joystreamer.errors import InputError


def write_wave(path: Path, seconds: float, level: float = 0.2, hertz: float = 300.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(int(seconds * 16000)) / 16000
    samples = np.clip(level * np.sin(2 * np.pi * hertz * times), -1, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(
            (samples * 32767).astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_picture(path: Path, seed: int, width: int = 640, height: int = 512) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 255, (8, 10, 3), dtype=np.uint8)
    Image.fromarray(small).resize((width, height), Image.Resampling.NEAREST).save(path)
    return path


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    root = tmp_path / "suite"
    root.mkdir()
    (root / "suite.toml").write_text(
        'name = "mine"\nversion = "1"\nasks = "Well?"\nlicence = "CC0-1.0"\n'
    )
    cases: list[dict[str, Any]] = [
        {"id": "cat-1", "prompt": "A cat talks.", "tags": {"subject": "animal"}, "duration_s": 2.0,
         "image_needed": "a cat"},
        {"id": "two-1", "prompt": "Two talk.", "duration_s": 2.0, "image_needed": "two people",
         "tags": {"subject": "cartoon"}, "extra": {"speakers": 2, "speech": "a quarrel"}},
        {"id": "dog-1", "prompt": "A dog talks.", "tags": {"subject": "animal"}, "duration_s": 2.0,
         "image_needed": "a dog"},
    ]  # fmt: skip
    (root / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases))
    (root / "expectations.toml").write_text("cases = 3\n")
    return root


def test_a_full_folder_makes_a_complete_suite(suite: Path, tmp_path: Path) -> None:
    media = tmp_path / "media"
    for number, case in enumerate(("cat-1", "two-1", "dog-1")):
        write_picture(media / "pictures" / f"{case}.png", number)
    for name, hertz in (("cat-1", 200), ("two-1.1", 300), ("two-1.2", 400), ("dog-1", 500)):
        write_wave(media / f"{name}.wav", 2.0, hertz=hertz)
    report = build_suite(suite, media, tmp_path / "out", licence="CC-BY-4.0")
    assert report.flawless
    assert report.complete == ("cat-1", "two-1", "dog-1")
    built = read_suite(tmp_path / "out")
    assert built.version == report.suite.version
    assert built.version.startswith("1+")
    two = built.cases[1]
    assert [speaker.audio.name for speaker in two.speakers if speaker.audio] == [
        "two-1.1.voice.wav",
        "two-1.2.voice.wav",
    ]
    assert two.licence == "CC-BY-4.0"
    assert (tmp_path / "out" / "expectations.toml").is_file()
    seen = json.loads((tmp_path / "out" / "build.json").read_text())["files"]["cat-1"]
    assert seen[1]["seconds"] == pytest.approx(2.0)
    write_wave(media / "cat-1.wav", 2.1)
    again = build_suite(suite, media, tmp_path / "out")
    assert again.suite.version != report.suite.version


def test_everything_that_does_not_fit_is_said(suite: Path, tmp_path: Path) -> None:
    media = tmp_path / "media"
    write_picture(media / "cat-1.png", 1, width=320, height=256)
    write_wave(media / "cat-1.wav", 4.0, level=0.002)
    write_picture(media / "two-1.png", 2)
    write_picture(media / "two-1.jpg", 2)
    write_wave(media / "two-1.1.wav", 2.0, level=3.0)
    Image.open(media / "two-1.png").resize((800, 640)).save(media / "dog-1.webp", quality=80)
    (media / "dog-1.wav").write_bytes(b"no sound at all")
    write_picture(media / "stray.png", 3)
    report = build_suite(suite, media, tmp_path / "out")
    text = "\n".join((*report.findings, *report.missing, *report.problems))
    for words in (
        "cat-1: cat-1.png: the shorter side has 256 px, at least 480",
        "cat-1: cat-1.wav: its loudness is -",
        "cat-1: cat-1.wav: it lasts 4.0 s, 2 s with 1.0 s of room is asked for",
        "two-1: two-1.1.wav: ",
        "of it is clipped",
        "two-1: 1 of 2 recordings; needed: 2 s: a quarrel",
        "two-1.png: two-1.jpg is for case 'two-1' already",
        "dog-1: dog-1.wav: ",
        "dog-1: 0 of 1 recordings",
        "dog-1: dog-1.webp: looks the same as two-1.jpg of two-1",
    ):
        assert words in text, words
    assert [path.name for path in report.left_over] == ["stray.png"]
    assert report.complete == ("cat-1",)
    assert not report.flawless


def test_the_same_recording_twice_is_a_duplicate(suite: Path, tmp_path: Path) -> None:
    media = tmp_path / "media"
    write_wave(media / "cat-1.wav", 2.0)
    write_wave(media / "dog-1.wav", 2.0)
    report = build_suite(suite, media, tmp_path / "out")
    assert "dog-1: dog-1.wav: the same file as for cat-1" in report.findings


def test_a_mapping_file_names_files_and_boxes(suite: Path, tmp_path: Path) -> None:
    media = tmp_path / "media"
    write_picture(media / "a.png", 1)
    write_wave(media / "x.wav", 2.0)
    write_wave(media / "y.wav", 2.0, hertz=500)
    mapping = tmp_path / "map.jsonl"
    speakers = [{"audio": "x.wav", "box": [0.0, 0.0, 0.5, 1.0]}, {"audio": "y.wav"}]
    rows = [
        {"case": "two-1", "image": "a.png", "speakers": speakers},
        {"case": "cats-1", "image": "a.png"},
        {"case": "dog-1", "image": "../outside.png", "audio": "x.wav"},
    ]
    mapping.write_text("\n".join(map(json.dumps, rows)))
    report = build_suite(suite, media, tmp_path / "out", mapping=mapping)
    assert report.complete == ("two-1",)
    assert read_suite(tmp_path / "out").cases[1].speakers[0].box == (0.0, 0.0, 0.5, 1.0)
    text = "\n".join(report.problems)
    assert "map.jsonl:2: field 'case': no case is called 'cats-1' (did you mean 'cat-1'?)" in text
    assert "map.jsonl:3: field 'image'" in text
    table = tmp_path / "map.csv"
    table.write_text("case,image,audio\ntwo-1,a.png,x.wav; y.wav\n")
    assert build_suite(suite, media, tmp_path / "out2", mapping=table).complete == ("two-1",)


def test_faces_without_weights_are_not_checked_rather_than_absent(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOYSTREAMER_WEIGHTS", str(tmp_path / "none"))
    text = (suite / "cases.jsonl").read_text().replace('"animal"', '"human"')
    (suite / "cases.jsonl").write_text(text)
    media = tmp_path / "media"
    write_picture(media / "cat-1.png", 1)
    report = build_suite(suite, media, tmp_path / "out")
    assert len(report.not_checked) == 1
    assert report.not_checked[0].startswith("faces of 1 pictures: face-detector")
    assert not report.findings


@pytest.mark.weights
def test_faces_are_found_where_there_are_some(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_data: Path
) -> None:
    monkeypatch.setenv("JOYSTREAMER_WEIGHTS", str(shared_data / "weights"))
    text = (suite / "cases.jsonl").read_text().replace('"animal"', '"human"')
    (suite / "cases.jsonl").write_text(text)
    media = tmp_path / "media"
    media.mkdir()
    portrait = min((shared_data / "images" / "portrait").glob("*.*"))
    (media / f"cat-1{portrait.suffix}").write_bytes(portrait.read_bytes())
    write_picture(media / "dog-1.png", 1)
    report = build_suite(suite, media, tmp_path / "out")
    assert report.files["cat-1"][0].face == "found"
    assert report.files["dog-1"][0].face == "absent"
    assert not report.not_checked


def test_a_resized_copy_looks_the_same_and_another_picture_does_not(tmp_path: Path) -> None:
    one = Image.open(write_picture(tmp_path / "one.png", 1))
    other = Image.open(write_picture(tmp_path / "other.png", 2))
    hashes = [difference_hash(np.asarray(image)) for image in (one, one.resize((500, 400)), other)]
    assert (hashes[0] ^ hashes[1]).bit_count() <= 2
    assert (hashes[0] ^ hashes[2]).bit_count() > 8


def test_the_command_reports_and_refuses_to_overwrite_the_suite(
    suite: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="is the suite itself"):
        build_suite(suite, tmp_path, suite)
    (tmp_path / "media").mkdir()
    ran = CliRunner().invoke(
        main,
        ["build", str(suite), "--from", str(tmp_path / "media"), "--out", str(tmp_path / "out")],
    )
    assert ran.exit_code == 1
    assert "cat-1: no picture; needed: a cat" in ran.output
    assert "0 of 3 cases are complete" in ran.output
    assert CliRunner().invoke(main, ["check", str(tmp_path / "out")]).exit_code == 0
