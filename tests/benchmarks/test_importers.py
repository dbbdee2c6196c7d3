"""Foreign lists become suites and come back unchanged; what is wrong or absent is said."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks.check import check_suite
from benchmarks.cli import main
from benchmarks.importers.dialogue_json import RATE, write_wave
from benchmarks.importers.forms import FORMS, export_suite, import_suite
from benchmarks.importers.imported import Imported, Source, identifier_of
from benchmarks.importers.tables import timecode, timecode_s
from eval.reader import read_suite
from eval.records import Suite
from joystreamer.errors import InputError
from joystreamer.media import read_audio

np = pytest.importorskip("numpy")


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    (folder / "pictures").mkdir(parents=True)
    Image.new("RGB", (400, 200), (90, 120, 150)).save(folder / "pictures" / "pair.png")
    for name, seconds in (("a", 0.5), ("b", 0.25)):
        tone = 0.3 * np.sin(np.arange(int(RATE * seconds)) * 0.05)
        write_wave(folder / f"{name}.wav", tone.astype(np.float32))
    return folder


def bring(form: str, path: Path, media: Path, out: Path, **more: str) -> tuple[Suite, Imported]:
    source = Source(path=path, media=media, scratch=out / "media", mapping=more)
    return import_suite(form, source, out, name="mine")


def test_a_dialogue_one_after_another_is_laid_out_and_comes_back(
    media: Path, tmp_path: Path
) -> None:
    given = {
        "prompt": "Two people argue.",
        "cond_image": "elsewhere/pictures/pair.png",
        "audio_type": "add",
        "cond_audio": {"person1": "x\\a.wav", "person2": "b.wav"},
        "bbox": {"person1": [20, 0, 200, 200], "person2": [0, 200, 180, 400]},
    }
    (tmp_path / "duet.json").write_text(json.dumps(given))
    suite, found = bring("multitalk", tmp_path / "duet.json", media, tmp_path / "suite")
    assert not found.problems
    assert not found.absent
    case = read_suite(tmp_path / "suite").cases[0]
    assert case.speakers[0].box == (0.0, 0.1, 0.5, 1.0)  # left, top, right, bottom
    assert case.speakers[1].box == (0.5, 0.0, 1.0, 0.9)
    sounds = [
        read_audio(speaker.audio, sample_rate=RATE) for speaker in case.speakers if speaker.audio
    ]
    first, second = (sound for sound in sounds if sound is not None)
    assert first.size == second.size == int(0.75 * RATE)
    assert np.abs(first[: RATE // 2]).max() > 0.2
    assert np.abs(first[RATE // 2 :]).max() == 0
    assert np.abs(second[: RATE // 2]).max() == 0
    written = export_suite(tmp_path / "suite", "longcat", tmp_path / "back")
    back = json.loads(written[0].read_text())
    assert back["bbox"] == given["bbox"]
    assert back["audio_type"] == "para"
    assert set(back["cond_audio"]) == {"person1", "person2"}
    assert check_suite(tmp_path / "suite") == []
    assert suite.cases[0].extra["names"] == ["person1", "person2"]
    infinite = export_suite(tmp_path / "suite", "infinitetalk", tmp_path / "back2")
    assert json.loads(infinite[0].read_text())["cond_video"].endswith("duet.png")


@pytest.mark.parametrize(
    "form", ["omniavatar", "hallo3", "hunyuan", "csv", "echomimicv3", "folder"]
)
def test_what_is_written_reads_back_the_same(form: str, media: Path, tmp_path: Path) -> None:
    lines = (
        "A man sings at sea.@@pictures/pair.png@@a.wav\n女孩在说话。@@pictures/pair.png@@b.wav\n"
    )
    (tmp_path / "list.txt").write_text(lines, encoding="utf-8")
    suite, _ = bring("omniavatar", tmp_path / "list.txt", media, tmp_path / "suite")
    assert [case.tags.language for case in suite.cases] == ["en", "zh"]
    written = export_suite(tmp_path / "suite", form, tmp_path / "out")
    path = written[0] if len(written) == 1 else tmp_path / "out"
    again, found = bring(form, path, Path("/"), tmp_path / "again") if len(written) == 1 else bring(
        form, path, path, tmp_path / "again"
    )  # fmt: skip
    assert not found.problems
    assert not found.absent
    assert [case.prompt for case in again.cases] == [case.prompt for case in suite.cases]
    for one, other in zip(suite.cases, again.cases, strict=True):
        assert other.image
        assert one.image
        assert other.image.read_bytes() == one.image.read_bytes()
        assert [s.audio.read_bytes() for s in one.speakers if s.audio] == [
            s.audio.read_bytes() for s in other.speakers if s.audio
        ]


def test_any_table_by_a_mapping_of_columns(media: Path, tmp_path: Path) -> None:
    table = tmp_path / "mine.tsv"
    table.write_text(
        "No\tText\tPic\tVoice\tWho\n7\tHe waves.\tpair.png\ta.wav;b.wav\tdoll\n7\tX\tpair.png\tc.wav\tghost\n"
    )
    suite, found = bring(
        "csv", table, media / "pictures", tmp_path / "suite",
        id="No", prompt="Text", image="Pic", audio="Voice", subject="Who",
    )  # fmt: skip
    assert [case.id for case in suite.cases] == ["7", "7-2"]
    assert suite.cases[0].tags.subject == "doll"
    assert any("field 'subject': got \"ghost\"" in line for line in found.problems)
    assert f"{table}:3: c.wav is not below {media / 'pictures'}" in found.absent
    with pytest.raises(InputError, match=r"no column is called 'Txt' \(did you mean 'Text'\?\)"):
        bring("csv", table, media, tmp_path / "s2", prompt="Txt")
    with pytest.raises(InputError, match=r"no field is called 'promt' \(did you mean 'prompt'\?\)"):
        bring("csv", table, media, tmp_path / "s2", promt="Text")


def test_mistakes_are_listed_and_the_rest_is_kept(media: Path, tmp_path: Path) -> None:
    lists = tmp_path / "list.txt"
    lists.write_text("ok@@pictures/pair.png@@a.wav\na@@b@@c@@d\n")
    _, found = bring("omniavatar", lists, media, tmp_path / "suite")
    assert [line.split(": ", 1)[1] for line in found.problems] == [
        "4 parts, expected prompt@@image@@audio"
    ]
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "bad.json").write_text("{")
    (tmp_path / "json" / "worse.json").write_text('{"cond_image": "x"}')
    with pytest.raises(InputError, match=r"(?s)bad.json: not JSON.*worse.json: got .* expected an"):
        bring("multitalk", tmp_path / "json", media, tmp_path / "suite2")
    with pytest.raises(
        InputError, match=r"no form is called 'multitlk' \(did you mean 'multitalk'"
    ):
        bring("multitlk", lists, media, tmp_path / "suite3")


def test_emtd_lists_keep_address_and_span(tmp_path: Path) -> None:
    table = tmp_path / "emtd.csv"
    rows = "https://v.example/1,00:00:54.596,00:01:01.561\nhttps://v.example/2,00:00:09,00:00:05\n"
    table.write_text("URL,Start Timecode,End Timecode\n" + rows)
    suite, found = bring("emtd", table, tmp_path, tmp_path / "suite")
    assert suite.cases[0].duration_s == pytest.approx(6.965)
    assert len(found.problems) == 1
    written = export_suite(tmp_path / "suite", "emtd", tmp_path / "out")
    assert written[0].read_text().splitlines()[1] == rows.splitlines()[0]
    assert timecode_s(timecode(3723.045)) == 3723.045
    assert timecode_s("1:2") is None


def test_ids_are_made_safe() -> None:
    assert identifier_of("a/b c?.png") == "a-b c-.png"
    assert identifier_of("..") == "case"


def test_commands_import_and_export(media: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("ok@@pictures/pair.png@@a.wav\n")
    runner = CliRunner()
    arguments = ["import", "omniavatar", str(tmp_path / "list.txt"), "--media", str(media)]
    ran = runner.invoke(main, [*arguments, "--out", str(tmp_path / "suite")])
    assert ran.exit_code == 0, ran.output
    assert "1 cases of suite are in" in ran.output
    out = str(tmp_path / "out")
    ran = runner.invoke(
        main, ["export", str(tmp_path / "suite"), "csv", "--out", out, "--set", "prompt=Text"]
    )
    assert ran.exit_code == 0
    header = (tmp_path / "out" / "cases.csv").read_text().splitlines()[0]
    assert header.split(",")[:2] == ["id", "Text"]
    ran = runner.invoke(main, [*arguments, "--out", out, "--map", "nonsense"])
    assert ran.exit_code == 2
    assert "write NAME=VALUE" in ran.output


def test_every_real_sample_is_read(shared_data: Path, tmp_path: Path) -> None:
    prompts = shared_data / "prompts"
    expected = {
        "omniavatar": ("omniavatar_infer_samples.txt", 1),
        "hallo3": ("hallo3_input.txt", 6),
        "emtd": ("emtd_benchmark_urls_timecodes.txt", None),
        "mochabench": ("mochabench_benchmark.csv", 220),
        "longcat": ("longcat_multi_example_2.json", 1),
        "infinitetalk": ("infinitetalk_multi_example_image.json", 1),
        "multitalk": ("multitalk_multitalk_example_3.json", 1),
    }
    for form, (name, count) in expected.items():
        suite, found = bring(form, prompts / name, shared_data, tmp_path / form)
        assert not found.problems, form
        lines = len((prompts / name).read_text().splitlines()) - 1
        assert len(suite.cases) == (lines if count is None else count), form
        back = export_suite(tmp_path / form, form, tmp_path / f"{form}-back")
        assert back, form
    echo, _ = bring("echomimicv3", prompts, shared_data / "images", tmp_path / "echo")
    assert len([case for case in echo.cases if case.id.startswith("echomimicv3")]) == 11
    assert sum(case.image is not None for case in echo.cases) >= 2
    assert set(FORMS) >= set(expected)


def test_mochabench_comes_back_word_for_word(shared_data: Path, tmp_path: Path) -> None:
    table = shared_data / "prompts" / "mochabench_benchmark.csv"
    suite, _ = bring("mochabench", table, shared_data, tmp_path / "suite")
    counts = Counter(case.extra["category"] for case in suite.cases)
    assert counts["1p_mediumshot_actioncontrol"] == 52
    assert counts["1p_generalize_chinese"] == 4
    assert sum(bool(case.speakers) for case in suite.cases) == 24
    written = export_suite(tmp_path / "suite", "mochabench", tmp_path / "out")[0]
    with table.open(newline="") as one, written.open(newline="") as other:
        before, after = list(csv.DictReader(one)), list(csv.DictReader(other))
    keys = ("category", "context_id")
    assert [[row[key] for key in keys] for row in before] == [
        [row[key] for key in keys] for row in after
    ]
    same = [
        a["prompt"].strip().strip('"').strip() == b["prompt"].strip('"')
        for a, b in zip(before, after, strict=True)
    ]
    assert all(same)
