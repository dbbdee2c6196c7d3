"""The ablation's measures, its verdicts and its page; the whole of it in a slow short form."""

from typing import Any

import pytest
import torch
from click.testing import CliRunner

from benchmarks.checkpoints import bundled_checkpoints
from benchmarks.cli import main
from benchmarks.puppet.ablation import Findings, Row, guidance_of, threshold_of
from benchmarks.puppet.ablation_report import judge_claims, page, program_values
from benchmarks.puppet.chain import Arm, arms
from benchmarks.puppet.fields import (
    another_sound,
    another_text,
    avatar_field,
    blank_field,
    guided_field,
    text_field,
)
from benchmarks.puppet.loop_parts import Comparison, Study
from joystreamer.guidance import AUDIO_SCALE_THRESHOLD
from joystreamer.presets import build_tiny_pipeline
from joystreamer.training.stages import IMAGE_TO_VIDEO_CHANNELS, widen_input


def row(name: str, seed: int | None, **figures: float) -> Row:
    plain = {
        "program": 0.0, "held_out": 0.0, "slots": 0.0, "response": 0.0, "sync_standing": 0.9,
        "sync_moving": 0.9, "gain": 1.0, "identity_error": 0.1, "flicker": 1.0,
    }  # fmt: skip
    answers = [
        {"moving": True, "program": 1.0},
        {"moving": True, "program": 0.0},
        {"moving": False, "program": 1.0},
    ]
    return Row(
        name=name, sampling="4 steps", seed=seed, figures={**plain, **figures}, answers=answers,
        seconds=0.5,
    )  # fmt: skip


def rows(twin_sync: float = 0.89) -> list[Row]:
    found = [row("audio-teacher", None, sync_standing=0.9)]
    for seed in (0, 1):
        found += [
            row("vanilla-3-2", seed, program=0.05, response=0.2, held_out=0.0),
            row("twin-3-2", seed, program=0.5, response=0.9, held_out=0.4,
                sync_standing=twin_sync),
            row("static-4-4", seed, program=0.1),
            row("dynamic-4-4", seed, program=0.31 if seed else 0.25),
        ]  # fmt: skip
    return found


def comparison(leakage: float = 0.1) -> Comparison:
    study = Study(
        name="no-motion-frames", without="no motion frames", group="talk", sketches=(),
        figures=("drift", "leakage"),
    )  # fmt: skip
    whole = {"drift": [0.1, 0.2, *[0.15] * 6], "leakage": [leakage] * 8}
    return Comparison(
        study=study, whole=whole, without={"drift": [1.0, 2.0, *[1.5] * 6], "leakage": [0.9] * 8}
    )


def verdicts(found: list[Row]) -> list[str]:
    return [claim.verdict for claim in judge_claims(found)]


def test_a_claim_holds_when_every_seed_does_and_not_without_its_rows() -> None:
    assert verdicts(rows()) == ["holds"] * 4 + ["does not hold", *["not measured"] * 3]
    assert judge_claims(rows())[4].values == pytest.approx((0.15, 0.21))
    assert verdicts(rows(twin_sync=0.8))[3] == "does not hold"
    controls = [row("twin-3-2+another-text", 0, program=0.4),
                row("twin-3-2+another-sound", 0, sync_standing=0.1)]  # fmt: skip
    assert verdicts([*rows(), *controls])[5:7] == ["does not hold", "holds"]
    assert verdicts([]) == ["not measured"] * 8
    assert judge_claims([], [comparison()])[-1].verdict == "holds"
    assert judge_claims([], [comparison(leakage=0.3)])[-1].verdict == "does not hold"


def test_the_page_shows_every_row_with_its_interval() -> None:
    found = Findings(threshold=780.0, rows=rows(), parts=[comparison()])
    text = page(found, {"psnr": 21.0, "mouth_correlation": 0.95})
    assert "| no motion frames | drift | 0.15 [0.13, 0.17] | 1.50 [1.31, 1.69] |" in text
    assert "mouth correlation 0.95" in text
    assert "above noise level 780" in text
    assert text.count("| twin-3-2 |") == 2
    assert program_values(rows()[0]).tolist() == [1.0, 0.0]


def test_the_threshold_is_where_half_of_what_the_codec_keeps_is_decided() -> None:
    assert threshold_of({0.0: 0.8, 500.0: 0.6, 700.0: 0.5, 900.0: 0.3, 980.0: 0.0}) == 800.0
    # A dip at low noise does not count: the highest crossing does.
    assert threshold_of({0.0: 0.8, 300.0: 0.2, 700.0: 0.8, 900.0: 0.0}) == 800.0
    assert threshold_of({0.0: 0.0, 500.0: 0.0}) == AUDIO_SCALE_THRESHOLD


@pytest.fixture(scope="module")
def networks() -> tuple[Any, Any]:
    """Audio teacher and text teacher with random weights that are nowhere zero."""
    avatar = build_tiny_pipeline(0, experts=1).transformer
    teacher = widen_input(build_tiny_pipeline(0, experts=1).transformer, IMAGE_TO_VIDEO_CHANNELS)
    generator = torch.Generator().manual_seed(1)
    for network in (avatar, teacher):
        for value in network.parameters():
            value.data += 0.02 * torch.randn(value.shape, generator=generator)
        network.requires_grad_(False)
    return avatar, teacher


@pytest.fixture(scope="module")
def batch(networks: tuple[Any, Any]) -> dict[str, torch.Tensor]:
    """Two questions."""
    draw = torch.Generator().manual_seed(2)
    config = networks[0].config

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw)

    return {
        "text": noise(2, 6, config.text_dim),
        "reference": noise(2, 16, 1, 8, 8),
        "reference_condition": noise(2, 16, 20, 8, 8),
        "audio": noise(2, 1, 19, 8, config.audio_layers, config.audio_dim),
        "sample": noise(2, 16, 19, 8, 8),
    }


def test_static_guidance_at_equal_scales_forgets_the_text_teacher(networks, batch) -> None:
    avatar, teacher = networks
    negative = torch.zeros_like(batch["text"][:1])
    level = torch.full((2,), 700.0)

    def answer(equation: str, text: float, audio: float) -> torch.Tensor:
        arm = Arm(name="x", equation=equation, text_scale=text, audio_scale=audio)
        field = guided_field(avatar, teacher, negative, guidance_of(arm))
        return field(batch["sample"], level, batch)

    torch.testing.assert_close(answer("twin", 4, 4), answer("vanilla", 4, 4), atol=2e-4, rtol=2e-4)
    assert (answer("twin", 3, 2) - answer("vanilla", 3, 2)).abs().max() > 1e-2
    plain = avatar_field(avatar)(batch["sample"], level, batch)
    torch.testing.assert_close(answer("twin", 1, 1), plain, atol=1e-4, rtol=1e-4)


def test_dynamic_arms_change_at_the_threshold_alone(networks, batch) -> None:
    avatar, teacher = networks
    negative = torch.zeros_like(batch["text"][:1])
    by_name = {arm.name: guidance_of(arm) for arm in arms(800.0)}
    for level, same in ((700.0, True), (850.0, False)):
        levels = torch.full((2,), level)
        static, dynamic = (
            guided_field(avatar, teacher, negative, by_name[name])(batch["sample"], levels, batch)
            for name in ("static-4-4", "dynamic-4-4")
        )
        assert torch.equal(static, dynamic) is same


def test_controls_and_blanks_change_what_is_told(networks, batch) -> None:
    avatar, teacher = networks
    level = torch.full((2,), 600.0)
    plain = avatar_field(avatar)(batch["sample"], level, batch)
    for told in (another_text, another_sound):
        other = avatar_field(avatar, told)(batch["sample"], level, batch)
        assert (other - plain).abs().max() > 1e-3
        turned = told(told(batch))  # two neighbours: twice is back again
        assert all(torch.equal(turned[name], batch[name]) for name in batch)
    text = text_field(teacher)(batch["sample"], level, batch)
    blank = blank_field(teacher, batch["text"][:1] * 0)(batch["sample"], level, batch)
    assert text.shape == blank.shape == batch["sample"].shape
    assert (text - blank).abs().max() > 1e-3
    guided = text_field(teacher, batch["text"][:1] * 0, 2.0)(batch["sample"], level, batch)
    torch.testing.assert_close(guided, blank + 2 * (text - blank), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_a_short_ablation_runs_through_and_goes_on(tmp_path) -> None:
    arguments = [
        "ablation",
        "--short",
        "--folder",
        str(tmp_path),
        "--seeds",
        "1",
        "--questions",
        "2",
        "--bundle",
        str(tmp_path / "bundle"),
    ]
    first = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert first.exit_code == 0, first.output
    report = (tmp_path / "report.md").read_text()
    assert "| paper-5-4 | 4 steps | 0 |" in report
    shipped = bundled_checkpoints(tmp_path / "bundle")
    assert shipped == ("base", "twin", "twin-dynamic", "vanilla")
    assert (tmp_path / "bundle" / "text-teacher" / "transformer").is_dir()
    for name in shipped:
        card = (tmp_path / "bundle" / name / "README.md").read_text()
        assert "python -m joystreamer.training" in card
        assert tmp_path.name not in card
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "rows").iterdir()}
    assert len(kept) == 2 + 5 + 7 * 3
    assert "| no motion frames | drift |" in report
    again = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert again.exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "rows").iterdir()} == kept
    assert (tmp_path / "report.md").read_text() == report
