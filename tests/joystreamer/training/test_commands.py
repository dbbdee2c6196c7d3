"""The commands on a real little film: the whole chain of stages, dry runs, refusals."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from joystreamer.errors import InputError
from joystreamer.media.writing import write_clip
from joystreamer.pipeline import JoyStreamerPipeline
from joystreamer.training.commands import TRAINING_COMMANDS, distill, train
from joystreamer.training.presets import training_presets
from joystreamer.training.stages import load_transformer


def film(path: Path, seed: int = 0, frames: int = 90, side: int = 40) -> None:
    """A square that wanders, and a tone whose loudness swells."""
    generator = np.random.default_rng(seed)
    colours = generator.integers(60, 255, size=3, dtype=np.uint8)
    pictures = []
    for index in range(frames):
        picture = np.full((side, side, 3), 40, dtype=np.uint8)
        left = 4 + (index + 5 * seed) % (side - 16)
        picture[10:22, left : left + 10] = colours
        pictures.append(picture)
    seconds = np.arange(int(16_000 * frames / 25)) / 16_000
    tone = 0.3 * np.sin(2 * np.pi * 220 * seconds) * (1 + np.sin(2 * np.pi * 2 * seconds))
    write_clip(path, pictures, 25, audio=tone.astype(np.float32))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    lines = []
    for number in range(2):
        film(folder / f"{number}.mp4", number)
        caption = f"a puppet walks {'left' if number else 'right'}"
        region = [[0.1, 0.2, 0.9, 0.6]]
        lines.append({"video": f"{number}.mp4", "caption": caption, "regions": region})
    path = folder / "clips.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def invoke(command, *arguments):
    done = CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


SMALL = [
    "--set", "loop.updates=2", "--set", "loop.global_batch=2", "--set", "loop.micro_batch=2",
    "--set", "cache.area=1024", "--set", "loop.log_every=1",
]  # fmt: skip


def test_every_tiny_stage_runs_from_one_film_to_a_distilled_student(manifest, tmp_path):
    common = ["--manifest", manifest, *SMALL]
    invoke(
        train, "--preset", "tiny-codec", *common, "--out", tmp_path / "codec",
        "--set", "codec.updates=2", "--set", "codec.curriculum=[[0.0, 1], [0.5, 5]]",
    )  # fmt: skip
    model = tmp_path / "codec" / "final"
    for stage in ("foundation", "stage-1", "stage-2"):
        out = tmp_path / stage
        invoke(train, "--preset", f"tiny-{stage}", "--model", model, *common, "--out", out)
        if stage == "foundation":
            made = load_transformer(out / "final" / "transformer", torch.float32)
            assert torch.equal(made.frame_pack.proj.weight, made.patch_embedding.weight)
            invoke(
                train, "--preset", "tiny-text-teacher", "--model", out / "final", *common,
                "--out", tmp_path / "teacher",
            )  # fmt: skip
        model = out / "final"
    out = tmp_path / "distilled"
    probe = "tests.joystreamer.training.tiny_runs:measure"
    probing = ["--validation", manifest, "--scenes", "1", "--probe", probe]
    invoke(
        distill, "--preset", "tiny-distill", "--model", model, *common, "--out", out,
        "--text-teacher", tmp_path / "teacher" / "final",
        "--set", "distillation.critic_warmup=0", "--set", "distillation.critic_updates=1",
        *probing,
    )  # fmt: skip
    logged = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert any("single-student/loss" in line for line in logged)
    measured = [line for line in logged if "validation/brightness" in line]
    assert [line["update"] for line in measured] == [0, 2]
    assert {line["validation/frames"] for line in measured} == {90.0}
    assert len(list((out / "validation").glob("update-*/1.mp4"))) == 2
    invoke(
        distill, "--preset", "tiny-vanilla", "--model", model, "--continue-from", out, *common,
        "--out", tmp_path / "vanilla", "--set", "distillation.critic_updates=1",
    )  # fmt: skip
    pipeline = JoyStreamerPipeline.from_pretrained(tmp_path / "vanilla" / "final")
    assert not [n for n, _ in pipeline.transformer.named_parameters() if "lora" in n]
    assert (out / "final" / "transformer-lora.safetensors").is_file()
    cards = {
        name: (tmp_path / name / "final" / "README.md").read_text()
        for name in ("codec", "foundation", "teacher", "stage-1", "stage-2", "distilled", "vanilla")
    }
    assert "| text_encoder | trained jointly" in cards["foundation"]
    assert "| text_encoder | frozen; foundation trained it |" in cards["stage-2"]
    assert "| audio_encoder | trained jointly" in cards["stage-2"]
    assert all("| seed | 0 |" in card for card in cards.values())
    stored = json.loads((out / "run.json").read_text())
    assert stored["preset"]["distillation"]["guidance"]["text_scale"] == 5.0


def test_a_cache_is_built_ahead_and_the_run_then_needs_no_manifest(manifest, tmp_path):
    cache = ["--cache", tmp_path / "cache"]
    begin = ["--preset", "tiny-codec", *SMALL, *cache, "--out", tmp_path / "run"]
    text = invoke(train, *begin, "--manifest", manifest, "--cache-only")
    assert text.endswith("2 windows added, 0 known, 0 clips refused\n")
    assert "name a manifest with --manifest" in refused(train, *begin, "--cache-only")
    invoke(train, *begin, "--set", "codec.updates=2", "--set", "codec.curriculum=[[0.0, 1]]")
    assert (tmp_path / "run" / "final" / "vae" / "config.json").is_file()


def test_the_dry_run_of_a_paper_preset_tells_plan_memory_and_weights():
    text = invoke(distill, "--preset", "paper-distill-high", "--dry-run", "--out", "x")
    assert "600 student updates, 5 critic updates before each, 100 before the first" in text
    assert "student exits 1000.0, 937.5; tau 900 to 980, 58.3 % of it above 950" in text
    assert "at or below threshold: N (negative, no audio) -4, B (text, audio) +4, T (text" in text
    assert "above threshold: N (negative, no audio) -4, B (text, audio) +0.1, T (text" in text
    assert "T (text teacher) +4.9" in text
    assert "one frozen base (audio teacher, student, fake score)" in text
    low = invoke(distill, "--preset", "paper-distill-low", "--dry-run", "--out", "x")
    assert "student exits 833.3, 625.0; tau 20 to 875, 0.0 % of it above 950" in low
    assert "note: the dynamic scale never acts in this run" in low


def test_the_dry_run_says_when_the_text_teacher_has_no_weight():
    text = invoke(
        distill, "--preset", "tiny-distill", "--dry-run", "--out", "x", "--text-scale", "4"
    )
    assert "note: the text teacher has no weight here" in text


@pytest.mark.parametrize("name", training_presets())
def test_every_preset_has_a_plan(name):
    command = distill if "distill" in name or "vanilla" in name else train
    text = invoke(command, "--preset", name, "--dry-run", "--out", "somewhere")
    assert text.startswith(f"{name}: ")
    assert "stated by the paper: " in text


def refused(command, *arguments):
    with pytest.raises(InputError) as caught:
        invoke(command, *arguments)
    return str(caught.value)


def test_a_negative_text_teacher_is_refused_unless_allowed_by_name():
    plan = ["--preset", "paper-distill-high", "--dry-run", "--out", "x", "--text-scale", "3"]
    assert "gives the text teacher weight -1" in refused(distill, *plan)
    text = invoke(distill, *plan, "--allow-negative-text-teacher")
    assert "T (text teacher) -1" in text
    assert "weight -1" in refused(
        distill, "--preset", "paper-distill-high", "--dry-run", "--out", "x",
        "--set", "distillation.guidance.text_scale=3",
    )  # fmt: skip


def test_mistakes_are_told_with_the_way_out(tmp_path):
    out = ["--out", tmp_path]
    assert "choose one of tiny-codec" in refused(train, "--preset", "huge", *out)
    assert "belongs to joystreamer distill" in refused(train, "--preset", "tiny-distill", *out)
    assert "did you mean updates?" in refused(
        train, "--preset", "tiny-codec", *out, "--set", "loop.update=3"
    )
    assert "write section.field=value" in refused(
        train, "--preset", "tiny-codec", *out, "--set", "loop.updates"
    )
    assert "a value like 400 is needed" in refused(
        train, "--preset", "tiny-stage-1", *out, "--set", "loop.updates=many"
    )
    assert "this preset has no section 'codec'" in refused(
        train, "--preset", "tiny-stage-1", *out, "--set", "codec.updates=3"
    )
    assert "needs a model to start from" in refused(train, "--preset", "paper-stage-1-low", *out)
    assert "holds no cached clip" in refused(train, "--preset", "tiny-stage-1", *out)
    assert "write component=folder" in refused(
        train, "--preset", "tiny-stage-1", *out, "--with", "transformer"
    )


def test_every_command_of_the_page_names_a_preset():
    page = Path(__file__).resolve().parents[3] / "docs" / "training.md"
    named = set(re.findall(r"--preset ([\w-]+)", page.read_text()))
    assert named <= set(training_presets())
    assert len(named) > 10


def test_presets_are_listed():
    text = invoke(train, "--list")
    for name in training_presets():
        assert name in text
    assert [command.name for command in TRAINING_COMMANDS] == ["train", "distill"]
