"""The authors' weights against published numbers; needs both weight files on this machine."""

import json
import re
from pathlib import Path

import pytest

from eval.measure import CannotMeasure, ClipInputs
from eval.measures.sync import SYNC
from eval.weights import WeightFolder
from joystreamer.errors import MissingWeights
from joystreamer.media import probe

pytestmark = [pytest.mark.parity, pytest.mark.weights, pytest.mark.slow]

TOLERANCE = 0.1
"""What MoChaBench itself allows for another version of FFmpeg."""


@pytest.fixture(scope="module")
def weights() -> WeightFolder:
    folder = WeightFolder()
    for name in ("syncnet-v2", "s3fd"):
        try:
            folder.find(name)
        except MissingWeights as error:
            pytest.skip(
                f"SyncNet's published numbers need the authors' weights: run "
                f"'python -m eval weights fetch syncnet-v2 s3fd' ({error})"
            )
    return folder


def values(
    variant: str, clip: Path, speech: Path | None, weights: WeightFolder
) -> dict[str, float]:
    row = next(row for row in SYNC if row.variant == variant)
    inputs = ClipInputs(path=clip, probe=probe(clip), weights=weights, speech=speech)
    outcomes = row.start(inputs).finish()
    return {name: outcome.value for name, outcome in outcomes.items() if outcome.value is not None}


def test_the_example_of_mochabench(weights: WeightFolder, shared_data: Path) -> None:
    manifest = (shared_data / "MANIFEST.md").read_text(encoding="utf-8")
    found = re.search(r"offset (-?\d+), distance ([\d.]+), confidence ([\d.]+)", manifest)
    assert found is not None
    offset, distance, confidence = (float(word) for word in found.groups())
    folder = shared_data / "videos" / "mocha" / "example"
    ours = values("mocha", folder / "video.avi", folder / "speech.wav", weights)
    assert ours["sync.offset"] == offset
    assert ours["sync.distance"] == pytest.approx(distance, abs=TOLERANCE)
    assert ours["sync.confidence"] == pytest.approx(confidence, abs=TOLERANCE)


def test_every_clip_of_the_mocha_subset(weights: WeightFolder, shared_data: Path) -> None:
    subset = json.loads((shared_data / "prompts" / "mocha_subset.json").read_text(encoding="utf-8"))
    cases = [case for case in subset if (shared_data / case["video"]).is_file()]
    assert len(cases) >= 5
    wrong = []
    for case in cases:
        speech = shared_data / case["speech"]
        clip = shared_data / case["video"]
        expected = case["ref_conf"]
        try:
            ours = values("mocha", clip, speech if speech.is_file() else None, weights)
        except CannotMeasure as why:
            if case["ref_offsets"]:
                wrong.append(f"{case['id']}: {why.message}")
            continue
        gap = max(
            abs(ours["sync.confidence"] - expected), abs(ours["sync.distance"] - case["ref_dist"])
        )
        if gap > TOLERANCE:
            wrong.append(f"{case['id']}: {gap:.2f} away")
    assert not wrong, wrong


def test_clean_finds_speech_in_sync(weights: WeightFolder, shared_data: Path) -> None:
    from eval.watching import watch_clip

    row = next(row for row in SYNC if row.variant == "clean")
    clips = sorted((shared_data / "videos" / "mocha" / "gen" / "1p_closeup_facingcamera").glob("*"))
    for clip in clips:
        inputs = ClipInputs(path=clip, probe=probe(clip), weights=weights)
        outcomes = watch_clip(inputs, [row]).by_measure[row.spec].outcomes
        confidence, offset = outcomes["sync.confidence"].value, outcomes["sync.offset"].value
        assert confidence is not None
        assert offset is not None
        assert confidence > 3
        assert abs(offset) <= 2
