"""What the bundled checkpoints show: the paper's claim, in seconds, before any student is sampled."""

from types import SimpleNamespace

import pytest
import torch

from benchmarks.checkpoints import BUNDLED, bundled_checkpoints, read_settings
from benchmarks.puppet.ablation import encode_exam, guidance_of
from benchmarks.puppet.bundle import BASE
from benchmarks.puppet.chain import TEXT_TEACHER, Arm
from benchmarks.puppet.demo import DEMO_SYSTEMS
from benchmarks.puppet.exam import Exam, answer_by_steps, grade, summarise
from benchmarks.puppet.fields import guided_field
from joystreamer.pipeline import JoyStreamerPipeline
from joystreamer.training.stages import load_transformer

MOST_BYTES = 40_000_000

pytestmark = pytest.mark.skipif(
    BASE not in bundled_checkpoints(), reason=f"{BUNDLED} holds no checkpoints"
)


@pytest.fixture(scope="module")
def teachers() -> SimpleNamespace:
    pipeline = JoyStreamerPipeline.from_pretrained(BUNDLED / BASE)
    text = load_transformer(BUNDLED / TEXT_TEACHER / "transformer", torch.float32)
    return SimpleNamespace(
        audio=pipeline.transformer.eval(), text=text.eval(), vae=pipeline.vae.eval()
    )


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Exam:
    folder = tmp_path_factory.mktemp("exam")
    return encode_exam(folder, 6, BUNDLED / BASE, BUNDLED / TEXT_TEACHER)


def test_the_combined_field_of_the_teachers_already_separates_the_equations(
    teachers: SimpleNamespace, exam: Exam
) -> None:
    negative = exam.clips.constants()["negative_text"]
    found = {}
    for equation in ("vanilla", "twin"):
        arm = Arm(name=equation, equation=equation, text_scale=3, audio_scale=2)
        field = guided_field(teachers.audio, teachers.text, negative, guidance_of(arm))
        with torch.inference_mode():
            answers = answer_by_steps(field, exam, steps=6)
            found[equation] = summarise(grade(teachers.vae, exam, answers))
    vanilla, twin = found["vanilla"], found["twin"]
    assert twin["response"] >= vanilla["response"] + 0.3
    assert twin["slots"] > vanilla["slots"]
    assert vanilla["sync_standing"] >= 0.8


def test_they_are_small_and_say_how_they_were_made() -> None:
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*")) <= MOST_BYTES
    assert set(DEMO_SYSTEMS) <= set(bundled_checkpoints())
    for name in (BASE, TEXT_TEACHER, *DEMO_SYSTEMS):
        card = (BUNDLED / name / "README.md").read_text(encoding="utf-8")
        for line in (
            "python -m joystreamer.training",
            "| seed |",
            "| commit |",
            "| hours |",
            "| hardware |",
        ):
            assert line in card, (name, line)
    for name in DEMO_SYSTEMS:
        assert read_settings(BUNDLED / name).base == BASE
    assert not any(path.is_symlink() for path in BUNDLED.rglob("*"))
    assert not any(b'"_name_or_path"' in path.read_bytes() for path in BUNDLED.rglob("*.json"))
