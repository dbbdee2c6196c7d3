"""Templates are filled without a shell, commands really run, and what fails is a fact with a reason."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.adapters import (
    Adapter,
    Asked,
    Segments,
    fill,
    find_adapter,
    read_adapter,
    shipped_adapters,
)
from benchmarks.command_runs import CommandSetting, render_by_command
from benchmarks.importers.dialogue_json import RATE, write_wave
from benchmarks.sound_mix import one_sound
from eval.checkout import ROOT
from eval.fields import ProblemsFound
from eval.records import Case, Speaker
from joystreamer.errors import InputError
from joystreamer.media import iter_frames, probe, read_audio


@pytest.fixture
def case(tmp_path: Path) -> Case:
    Image.new("RGB", (201, 151), (200, 60, 40)).save(tmp_path / "face.png")
    tone = 0.3 * np.sin(np.arange(int(RATE * 0.6)) * 0.05).astype(np.float32)
    write_wave(tmp_path / "voice.wav", tone)
    prompt = "He says \"hi {seed}\"; rm -rf $HOME `id` & 'quit'\n第二行"
    return Case(
        id="c-1",
        prompt=prompt,
        image=tmp_path / "face.png",
        speakers=(Speaker(audio=tmp_path / "voice.wav"),),
    )


def python_adapter(code: str, **more: object) -> Adapter:
    arguments = ("{python}", "-c", code, "{out}", "{prompt}", "{image}", "{audio}")
    return Adapter(name="scripted", command=arguments, **more)  # type: ignore[arg-type]


def test_the_still_baseline_is_a_real_clip_of_the_picture(case: Case, tmp_path: Path) -> None:
    run = render_by_command(find_adapter("baseline.still"), case, tmp_path / "out" / "c-1.mp4")
    assert run.ok, run.reason
    facts = probe(tmp_path / "out" / "c-1.mp4")
    assert (facts.width, facts.height, facts.frame_rate) == (200, 150, 25)
    assert facts.duration_s == pytest.approx(0.6, abs=0.041)
    frames = [frame.rgb for frame in iter_frames(tmp_path / "out" / "c-1.mp4")]
    assert len(frames) == 15
    assert np.abs(frames[0].astype(int) - frames[-1]).max() <= 2
    assert np.abs(frames[7].mean(axis=(0, 1)) - (200, 60, 40)).max() < 6
    record = json.loads((tmp_path / "out" / "c-1.json").read_text())
    assert record["attempts"] == 1
    assert record["command"][0].endswith(tuple("0123456789"))  # FFmpeg's versioned name
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "c-1.json",
        "c-1.log",
        "c-1.mp4",
    ]


def test_the_prompt_reaches_the_command_as_one_word_for_word_argument(
    case: Case, tmp_path: Path
) -> None:
    code = "import sys; open(sys.argv[1] + '.txt', 'w').write(sys.argv[2]); print(len(sys.argv)); sys.exit(3)"
    target = tmp_path / "seen"
    adapter = python_adapter(code.replace("sys.argv[1] + '.txt'", repr(str(target))))
    run = render_by_command(adapter, case, tmp_path / "c-1.mp4")
    assert not run.ok
    assert run.exit_code == 3
    assert run.reason == "it ended with exit code 3; see c-1.log"
    assert target.read_text() == case.prompt
    assert (tmp_path / "c-1.log").read_text().splitlines()[-1] == "5"
    assert not (tmp_path / "c-1.mp4").exists()


def test_a_failed_attempt_is_tried_again(case: Case, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = (
        "import sys, pathlib, subprocess\n"
        f"mark = pathlib.Path({str(mark)!r})\n"
        "if not mark.exists():\n    mark.touch(); sys.exit(1)\n"
        "from joystreamer.media import write_clip; import numpy as np\n"
        "write_clip(sys.argv[1], [np.zeros((32, 32, 3), np.uint8)] * 15, 25)"
    )
    setting = CommandSetting(environment={"PYTHONPATH": str(ROOT)})
    adapter = python_adapter(code, retries=2)
    run = render_by_command(adapter, case, tmp_path / "c-1.mp4", setting=setting)
    assert run.ok, run.reason
    assert run.attempts == 2
    sound = read_audio(tmp_path / "c-1.mp4")  # the silent clip was given the case's sound
    assert sound is not None
    assert np.abs(sound).max() > 0.2


def test_a_command_that_hangs_is_stopped_with_all_it_started(case: Case, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = (
        "import subprocess, sys, pathlib, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(child.pid)); time.sleep(60)"
    )
    run = render_by_command(python_adapter(code, timeout_s=3.0), case, tmp_path / "c-1.mp4")
    assert run.reason == "it was stopped after 3 s"
    assert run.exit_code is None
    for _ in range(50):
        state = Path(f"/proc/{pid.read_text()}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the grandchild still runs")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("pass", "it left no clip named c-1.mp4"),
        ("import sys; open(sys.argv[1], 'w').write('no clip')", "its clip cannot be used: "),
    ],
)
def test_a_command_that_leaves_nothing_usable_has_failed(
    code: str, reason: str, case: Case, tmp_path: Path
) -> None:
    run = render_by_command(python_adapter(code), case, tmp_path / "c-1.mp4")
    assert run.reason.startswith(reason)
    assert json.loads((tmp_path / "c-1.json").read_text())["reason"] == run.reason


def test_a_command_that_is_not_there_has_failed(case: Case, tmp_path: Path) -> None:
    adapter = Adapter(name="none", command=("no-such-program", "{out}"))
    run = render_by_command(adapter, case, tmp_path / "c-1.mp4")
    assert (
        run.reason == "the command 'no-such-program' cannot be started (No such file or directory)"
    )


DOCUMENTED = {
    "wan-s2v": [
        "generate.py",
        "--task",
        "s2v-14B",
        "--size",
        "1024*704",
        "--offload_model",
        "True",
    ],
    "infinitetalk": ["--infinitetalk_dir", "--mode", "streaming", "--motion_frame", "9"],
    "multitalk": ["generate_multitalk.py", "--wav2vec_dir", "weights/chinese-wav2vec2-base"],
    "echomimicv3": ["infer_flash.py", "--guidance_scale", "6.0", "--sample_size", "768", "768"],
    "stableavatar": ["inference.py", "--sample_steps=50", "--clip_sample_n_frames=81"],
    "longcat-avatar": ["torchrun", "--nproc_per_node=2", "--stage_1=ai2v", "--num_segments=1"],
}


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_templates_of_open_competitors_say_their_documented_command(
    name: str, case: Case, tmp_path: Path
) -> None:
    asked = Asked(
        case=case,
        audio=tmp_path / "voice.wav",
        seconds=0.6,
        out=tmp_path / "c-1.mp4",
        work=tmp_path,
    )
    command = fill(find_adapter(name), asked, python="/opt/env/python")
    at = [command.index(word) for word in DOCUMENTED[name] if word in command]
    assert len(at) == len(DOCUMENTED[name]), command
    assert not any(
        "{" in word for word in command if word != case.prompt and case.prompt not in word
    )
    run = render_by_command(find_adapter(name), case, tmp_path / "c-1.mp4")
    assert "runs in the checkout of" in run.reason
    assert f"--home {name}=FOLDER" in run.reason


def test_an_input_file_is_written_for_systems_that_read_one(case: Case, tmp_path: Path) -> None:
    reader = "import json, sys; print(json.load(open(sys.argv[1]))['cond_image'])"
    adapter = Adapter(
        name="reads", command=("{python}", "-c", reader, "{input_json}", "{out}"), input="longcat"
    )
    render_by_command(adapter, case, tmp_path / "c-1.mp4")
    assert (tmp_path / "c-1.log").read_text().splitlines()[-1] == str(case.image)


def test_closed_systems_say_how_their_clips_come_in(case: Case, tmp_path: Path) -> None:
    closed = [adapter for adapter in shipped_adapters() if adapter.closed]
    assert {adapter.name for adapter in closed} == {"heygen", "klingavatar-2.0", "omnihuman-1.5"}
    for adapter in closed:
        run = render_by_command(adapter, case, tmp_path / "c-1.mp4")
        assert "python -m eval ingest FOLDER" in run.reason
        assert adapter.system().card["licence"].startswith("closed")


def test_segments_cover_the_sound() -> None:
    segments = Segments(frames_per_second=16, first=93, further=80)
    assert [segments.needed(s) for s in (1, 93 / 16, 93 / 16 + 0.01, 173 / 16, 30)] == [
        1,
        1,
        2,
        2,
        6,
    ]


def test_mistakes_in_a_template_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\ncommand = ["x", "{imge}", "{segments}", "{input_json}"]\nspeakrs = 2\nsound = "ad"\n'
    )
    with pytest.raises(ProblemsFound) as caught:
        read_adapter(path)
    text = str(caught.value)
    for words in (
        "{imge} is unknown (did you mean 'image'?)",
        "field 'speakrs' is unknown (did you mean 'speakers'?)",
        "field 'sound': got \"ad\", expected one of keep, add",
        "none of {out}, {stem}, {work} is used",
        "{segments} is used without a table",
        "{input_json} is used without 'input'",
    ):
        assert words in text, words
    with pytest.raises(
        InputError, match=r"no adapter is called 'wan-s2w' \(did you mean 'wan-s2v'"
    ):
        find_adapter("wan-s2w")


def test_several_voices_are_summed_without_clipping(case: Case, tmp_path: Path) -> None:
    loud = write_wave(tmp_path / "loud.wav", np.full(RATE // 4, 0.9, np.float32))
    longer = write_wave(tmp_path / "longer.wav", np.full(RATE // 2, 0.6, np.float32))
    both = Case(id="two", speakers=(Speaker(audio=loud), Speaker(audio=longer)))
    mixed = read_audio(one_sound(both, tmp_path), sample_rate=RATE)
    assert mixed is not None
    assert mixed.size == RATE // 2
    assert mixed.max() == pytest.approx(1.0, abs=1e-3)
    assert mixed[-1] == pytest.approx(0.4, abs=1e-3)
    assert one_sound(case, tmp_path) == case.speakers[0].audio
    with pytest.raises(InputError, match="has no recording"):
        one_sound(Case(id="mute"), tmp_path)


def test_environment_and_folder_are_passed_on(case: Case, tmp_path: Path) -> None:
    code = "import os; print(os.environ['MY_GPU'], os.getcwd())"
    setting = CommandSetting(home=tmp_path, python=sys.executable, environment={"MY_GPU": "3"})
    render_by_command(python_adapter(code), case, tmp_path / "out" / "c-1.mp4", setting=setting)
    log = (tmp_path / "out" / "c-1.log").read_text()
    assert log.splitlines()[-1] == f"3 {tmp_path.resolve()}"
