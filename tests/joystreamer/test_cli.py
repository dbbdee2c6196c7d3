"""The command line: help that teaches, clips from options, JSON and JSONL, exit codes, one-line errors."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from joystreamer.cli import COMMANDS, main
from joystreamer.commands.generate import parse_speaker
from joystreamer.errors import InputError
from joystreamer.media import probe
from tests.joystreamer.made_media import make_speech, write_wav


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def one_line(result):
    """The error of a failed command, which must be a single line."""
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.output
    return lines[0]


def test_help_lists_every_command_and_shows_examples():
    result = run("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name}" in result.output
    assert "joystreamer generate --model tiny --image me.png" in result.output
    assert "Exit codes: 0 done" in result.output


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name):
    result = run(name, "--help")
    assert result.exit_code == 0
    assert len(result.output) > 200
    options = [line for line in result.output.splitlines() if line.startswith("  --")]
    assert options


def test_help_is_light():
    """Asking for help must not load the networks."""
    import subprocess
    import sys

    code = "import sys; from joystreamer.cli import main; main(['--help'], standalone_mode=False); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_generate_one_clip(media_folder, tmp_path):
    result = run("generate", "--model", "tiny", "--image", media_folder / "face.png", "--audio",
                 media_folder / "a.wav", "--prompt", "A man talks.", "--out", tmp_path / "c.mp4",
                 "--steps", 1, "--size", "32x64", "--seed", 3, "--device", "cpu", "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["size"] == [32, 64]
    assert report["seed"] == 3
    facts = probe(tmp_path / "c.mp4")
    assert (facts.width, facts.height, facts.has_audio) == (32, 64, True)


def test_batch_goes_on_after_a_failure_and_exits_1(media_folder, tmp_path):
    good = {"image": str(media_folder / "face.png"), "audio": str(media_folder / "b.wav"),
            "prompt": "talks", "options": {"height": 32, "width": 32, "steps": 1}}  # fmt: skip
    stereo = np.stack([make_speech(0.5), make_speech(0.5, pitch=300)])
    write_wav(tmp_path / "pair.wav", stereo)
    speakers = [{"name": "l", "box": [0, 0, 40, 96]}, {"name": "r", "box": [40, 0, 80, 96]}]
    jobs = [
        {**good, "out": "one.mp4"},
        {**good, "out": "two.mp4", "prompt": "man " * 5000},
        {**good, "out": "three.mp4", "audio": "pair.wav", "stereo": True, "speakers": speakers},
    ]
    (tmp_path / "jobs.jsonl").write_text("\n".join(json.dumps(job) for job in jobs) + "\n\n")
    result = run("generate", "--model", "tiny", "--batch", tmp_path / "jobs.jsonl")
    assert result.exit_code == 1, result.output
    assert "1 of 3 jobs failed" in result.stderr
    assert "two.mp4: the prompt beginning" in result.stderr
    names = sorted(path.name for path in tmp_path.glob("*.mp4"))
    assert names == ["one.mp4", "three.mp4"]
    assert (tmp_path / "three.speakers.png").is_file()
    assert not list(tmp_path.glob("*.segments"))


@pytest.fixture
def given(media_folder, tmp_path):
    """Arguments of a job that would work, as a dictionary to change."""
    return {
        "--model": "tiny",
        "--image": media_folder / "face.png",
        "--audio": media_folder / "a.wav",
        "--prompt": "talks",
        "--out": tmp_path / "c.mp4",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--size": "50x64"}, "size 50x64 came; width and height must be multiples of 32"),
        ({"--size": "big"}, "size 'big' came; write WIDTHxHEIGHT such as 832x480"),
        ({"--device": "cuda"}, "CUDA was asked for but this machine has no usable CUDA device"),
        ({"--device": "abacus"}, "device 'abacus' came; choose auto, cpu, cuda or cuda:0"),
        ({"--device": "meta"}, "device 'meta' came; choose auto, cpu, cuda or cuda:0"),
        ({"--memory": 7}, "memory tier 7 came; choose one of 8, 12, 24, 48, 80 (gigabytes)"),
        ({"--preset": "huge"}, "no preset is called 'huge'; choose one of paper, talking"),
        ({"--text-scale": "much"}, "guidance scale 'much' came; write a number"),
        ({"--prompt": " "}, "the prompt is empty"),
        ({"--image": None}, "--image is missing; give it, or a --job file"),
        ({"--image": "absent.png"}, "names 'absent.png', but there is no file"),
        ({"--audio": None}, "give sound in exactly one way"),
        ({"--out": "clip.gif"}, "does not end in .mp4"),
        ({"--model": "no-such-folder"}, "no folder 'no-such-folder'; give one that"),
        ({"--speaker": "name=a box=0,0,999,9"}, "does not fit the image of 80x96"),
        ({"--speaker": "nom=a"}, "write FIELD=VALUE with the fields name, audio, box, mask, words"),
        ({"--speaker": "name=a words=man"}, "name a detector that finds people by words"),
        ({"--drift": "hue=1"}, "--drift needs --probe module:function"),
        ({"--probe": "nothing"}, "probe 'nothing' came; write module:function"),
        ({"--planner": "endpoint"}, "needs --planner-url and --planner-model"),
        ({"--batch": "jobs.jsonl"}, "options and --batch came"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(given, changes, message, tmp_path, monkeypatch):
    if changes.get("--device") == "cuda":
        import torch

        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    arguments = {**given, **changes}
    flat = [part for pair in arguments.items() if pair[1] is not None for part in pair]
    error = one_line(run("generate", *flat))
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_unreadable_image_and_eight_speakers(given, tmp_path, media_folder):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    flat = [part for pair in {**given, "--image": tmp_path / "broken.png"}.items() for part in pair]
    assert "broken.png' is " in one_line(run("generate", *flat))
    del given["--audio"]
    eight = []
    for index in range(8):
        box = f"{10 * index},0,{10 * index + 3},96"
        eight += ["--speaker", f"name=s{index} audio={media_folder / 'a.wav'} box={box}"]
    flat = [part for pair in given.items() for part in pair]
    error = one_line(run("generate", *flat, *eight, "--size", "32x32"))
    assert "covers no token of the 32x32 clip" in error


def test_jobs_files_are_read_strictly(given, tmp_path):
    (tmp_path / "job.json").write_text('{"image": "x.png", "promt": "talks"}')
    error = one_line(run("generate", "--model", "tiny", "--job", tmp_path / "job.json"))
    assert "unknown key 'promt'; did you mean prompt?" in error
    (tmp_path / "jobs.jsonl").write_text("\n{broken\n")
    error = one_line(run("generate", "--model", "tiny", "--batch", tmp_path / "jobs.jsonl"))
    assert "jobs.jsonl', line 2 is not JSON" in error


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"options": [1]}, "has a list under 'options'; write an object"),
        ({"options": {"steps": "4"}}, "steps is '4'; give a whole number"),
        ({"audio": 5}, "names a file by 5; write its path as text"),
        ({"speakers": [{"box": ["left", 0, 9, 9]}]}, "speaker 1, box is 'left'; write a number"),
        ({"audio": None, "speakers": [{"name": "a"}],
          "turns": [{"speaker": "a", "audio": "a.wav", "start": "soon"}]},
         "turn 1, start is 'soon'; write a number"),
    ],
)  # fmt: skip
def test_values_of_a_job_are_checked(part, message, media_folder, tmp_path):
    (tmp_path / "a.wav").write_bytes((media_folder / "a.wav").read_bytes())
    image = str(media_folder / "face.png")
    job = {"image": image, "audio": "a.wav", "prompt": "talks", "out": "c.mp4", **part}
    (tmp_path / "job.json").write_text(json.dumps(job))
    assert message in one_line(run("generate", "--model", "tiny", "--job", tmp_path / "job.json"))


def test_damaged_models_are_one_line(given, tiny_pipeline, tmp_path_factory, tmp_path):
    model = tmp_path_factory.mktemp("model")
    tiny_pipeline.save_pretrained(model)
    given["--model"] = model
    flat = [part for pair in given.items() for part in pair]
    flat += ["--preset", "tiny"]
    weights = model / "vae" / "diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    for content in (whole[:5000], None):
        weights.unlink()
        if content is not None:
            weights.write_bytes(content)
        error = one_line(run("generate", *flat))
        assert "is incomplete or damaged (" in error
        assert error.endswith("; fetch or convert it again")
        weights.write_bytes(whole)
    for index, message in (("{cut", "is not JSON"), ("[]", "holds no object of components")):
        (model / "model_index.json").write_text(index)
        assert message in one_line(run("generate", *flat))
    lora = model / "lora.safetensors"
    lora.write_text("words")
    error = one_line(run("generate", *flat, "--model", "tiny", "--lora", lora))
    assert "cannot be read as safetensors" in error
    assert list(tmp_path.iterdir()) == []


def test_sound_and_places_are_checked_before_weights_are_loaded(given, media_folder, tmp_path):
    """The model of these commands does not exist, and yet it is the input that is named."""
    given["--model"] = "no-such-folder"
    for changes, message in (
        ({"--audio": media_folder / "face.png"}, "is a still image"),
        ({"--speaker": "name=a box=0,0,999,9"}, "does not fit the image of 80x96"),
        ({"--speaker": f"name=a mask={media_folder / 'a.wav'}"}, "is not a picture"),
    ):
        flat = [part for pair in {**given, **changes}.items() for part in pair]
        assert message in one_line(run("generate", *flat))
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_a_batch_that_cannot_be_read_fails_alone(media_folder, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    options = {"height": 32, "width": 32, "steps": 1, "text_scale": 1, "audio_scale": 1}
    good = {"image": str(media_folder / "face.png"), "audio": str(media_folder / "b.wav"),
            "prompt": "talks", "options": options}  # fmt: skip
    jobs = [{**good, "image": "broken.png", "out": "one.mp4"}, {**good, "out": "two.mp4"}]
    path = tmp_path / "jobs.jsonl"
    path.write_text("\n".join(map(json.dumps, jobs)))
    result = run("generate", "--model", "tiny", "--batch", path)
    assert result.exit_code == 1, result.output
    assert "one.mp4: " in result.stderr
    assert [entry.name for entry in tmp_path.glob("*.mp4")] == ["two.mp4"]
    path.write_text(json.dumps({**good, "out": "three.mp4", "options": {"steps": 0}}))
    assert "three.mp4: steps is 0" in one_line(run("generate", "--model", "tiny", "--batch", path))


def test_a_job_replaces_no_file_but_its_own(given, tmp_path, media_folder):
    job = {"image": str(media_folder / "face.png"), "audio": str(media_folder / "a.wav"),
           "prompt": "talks", "out": "talk.mp4"}  # fmt: skip
    path = tmp_path / "talk.json"
    path.write_text(json.dumps(job))
    error = one_line(run("generate", "--model", "tiny", "--job", path))
    assert "talk.json' is in the way of what is written beside the clip" in error
    assert json.loads(path.read_text()) == job
    assert [entry.name for entry in tmp_path.iterdir()] == ["talk.json"]


def test_speaker_texts():
    assert parse_speaker("name=anna box=1,2,3,4") == {"name": "anna", "box": [1.0, 2.0, 3.0, 4.0]}
    assert parse_speaker('words="a red doll"') == {"words": "a red doll"}
    with pytest.raises(InputError, match="has an open quote"):
        parse_speaker('words="a red')


def test_plan_shows_segments(media_folder, tmp_path):
    result = run("plan", "--prompt", "He sits. He reads. He sleeps.", "--seconds", 9, "--json",
                 "--out", tmp_path / "plan.json")  # fmt: skip
    plan = json.loads(result.stdout)
    assert plan["fragments"] == ["He sits.", "He reads.", "He sleeps."]
    assert [row["fragment"] for row in plan["segments"]] == [0, 1, 2]
    assert [row["frames"] for row in plan["segments"]] == [76, 76, 73]
    assert json.loads((tmp_path / "plan.json").read_text())["backend"] == "rules"
    table = run("plan", "--prompt", "He sits.", "--audio", media_folder / "a.wav")
    assert "1 segment(s), planned by rules" in table.output
    assert "exactly one way" in one_line(run("plan", "--prompt", "x"))
    assert "give a length above 0" in one_line(run("plan", "--prompt", "x", "--seconds", 0))


def test_presets_are_listed_and_shown():
    table = run("presets")
    assert table.exit_code == 0
    for name in ("paper", "talking", "distilled", "tiny"):
        assert name in table.output
    assert json.loads(run("presets", "talking").stdout)["reference_offset"] == 3.0
    assert set(json.loads(run("presets", "--json").stdout)) == {"paper", "talking", "distilled",
                                                                "tiny"}  # fmt: skip


def test_doctor_explains_how_the_large_model_would_run(tmp_path):
    result = run("doctor", "--json")
    assert result.exit_code == 0, result.output
    findings = json.loads(result.stdout)
    assert any(line.startswith("torch ") for line in findings["versions"])
    plans = [lines for name, lines in findings.items() if name.startswith("14B at 832x480")]
    assert plans
    assert "planned for" in plans[0][0]
    assert "no folder" in one_line(run("doctor", "--model", tmp_path / "absent"))
    (tmp_path / "model_index.json").write_text('{"vae": ["diffusers", "AutoencoderKLWan"]}')
    assert "lists the component vae but has no folder" in one_line(
        run("doctor", "--model", tmp_path)
    )


def test_convert_makes_a_pipeline_that_generates(tiny_pipeline, media_folder, tmp_path):
    """A Wan checkpoint in diffusers' layout becomes a folder that generate takes."""
    from joystreamer.model.wan_keys import is_addition

    source = tmp_path / "wan"
    for name in ("tokenizer", "text_encoder", "vae"):
        getattr(tiny_pipeline, name).save_pretrained(source / name)
    for name in ("audio_encoder", "feature_extractor"):
        getattr(tiny_pipeline, name).save_pretrained(tmp_path / "speech")
    from safetensors.torch import save_file

    for name in ("transformer", "transformer_2"):
        model = getattr(tiny_pipeline, name)
        (source / name).mkdir()
        weights = {key: value.clone() for key, value in model.state_dict().items()
                   if not is_addition(key)}  # fmt: skip
        save_file(weights, source / name / "model.safetensors")
        model.save_config(source / name)
    target = tmp_path / "model"
    result = run("convert", source, target, "--to", "pipeline", "--speech", tmp_path / "speech",
                 "--dtype", "fp32")  # fmt: skip
    assert result.exit_code == 0, result.output
    result = run("generate", "--model", target, "--image", media_folder / "face.png", "--audio",
                 media_folder / "b.wav", "--prompt", "talks", "--out", tmp_path / "c.mp4",
                 "--preset", "tiny", "--steps", 1, "--size", "32x32")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert probe(tmp_path / "c.mp4").has_audio
    assert "exists already" in one_line(run("convert", source, target, "--to", "pipeline"))
    assert "conversion to 'gguf' is unknown" in one_line(
        run("convert", source, tmp_path / "x", "--to", "gguf")
    )


def test_a_mask_of_another_size_is_refused(given, tmp_path):
    Image.fromarray(np.full((9, 9), 255, np.uint8)).save(tmp_path / "m.png")
    flat = [part for pair in given.items() for part in pair]
    error = one_line(run("generate", *flat, "--speaker", f"name=a mask={tmp_path / 'm.png'}"))
    assert "is 9x9 but the image is 80x96; draw the mask on the image itself" in error


def test_a_lora_changes_the_clip_and_its_digest(given, tmp_path):
    from peft import LoraConfig

    from joystreamer.model.lora import export_lora
    from joystreamer.presets import build_tiny_pipeline

    network = build_tiny_pipeline().transformer
    config = LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
    network.add_adapter(config)
    export_lora(network, tmp_path / "l.safetensors")
    flat = [part for pair in given.items() for part in pair]
    fast = ["--steps", 1, "--size", "32x32", "--text-scale", 1, "--audio-scale", 1, "--json"]
    reports, clips = [], []
    for extra in ([], ["--lora", tmp_path / "l.safetensors"]):
        result = run("generate", *flat, *fast, *extra)
        assert result.exit_code == 0, result.output
        reports.append(json.loads(result.stdout))
        clips.append((tmp_path / "c.mp4").read_bytes())
    assert clips[0] != clips[1]
    plain, adapted = (report["weights"] for report in reports)
    assert plain["transformer"] != adapted["transformer"]
    assert plain["transformer_2"] == adapted["transformer_2"]


def test_a_conversation_from_a_file(media_folder, tmp_path):
    (tmp_path / "face.png").write_bytes((media_folder / "face.png").read_bytes())
    for name in ("a", "b"):
        content = (media_folder / f"{name}.wav").read_bytes()
        (tmp_path / f"{name}.wav").write_bytes(content)
    job = {
        "image": "face.png",
        "prompt": "They talk.",
        "out": "talk.mp4",
        "speakers": [{"name": "l", "box": [0, 0, 40, 96]}, {"name": "r", "box": [40, 0, 80, 96]}],
        "turns": [{"speaker": "l", "audio": "a.wav"}, {"speaker": "r", "audio": "b.wav"},
                  {"speaker": "l", "audio": "b.wav", "start": 2.0}],
        "options": {"height": 32, "width": 32, "sampler": "distilled", "text_scale": 1,
                    "audio_scale": 1},
    }  # fmt: skip
    (tmp_path / "job.json").write_text(json.dumps(job))
    result = run("generate", "--model", "tiny", "--job", tmp_path / "job.json", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["seconds"] == pytest.approx(2.7, abs=0.01)
    assert report["options"]["sampler"] == "distilled"
    assert (tmp_path / "talk.speakers.png").is_file()
