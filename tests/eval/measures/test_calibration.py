"""Scores of clips made here, coded and decoded for real, against those kept as calibration.

A change of these numbers is a change of the metric (raise `Measure.version`) or of a library below
it. With JOYSTREAMER_UPDATE_GOLDEN=1 the file is written anew instead of compared.
"""

import json
import os
import tomllib
from pathlib import Path

import numpy as np
import pytest

from eval.catalog import find_measure
from eval.weights import MISSING, WeightFolder

FOLDER = Path(__file__).resolve().parents[2] / "golden" / "calibration"
FILE = FOLDER / "made_clips.json"
PUBLISHED = tomllib.loads((FOLDER / "published.toml").read_text(encoding="utf-8"))["sync"]
SPECS = ("video/probe", "motion/flow", "quality/light", "drift/colour")
TOLERANCE = {"video.duration_difference": 0.03, "quality.blockiness": 0.05, "motion.seam": 1.0}
"""Absolute, where a codec's version may move a value more than 2 % of it."""


def clip_frames(name, texture):
    """The frames of a named clip: 110 of them, 96 x 160, at 25 fps."""
    rolled = [np.roll(texture, index, axis=1) for index in range(110)]
    if name == "still":
        return [texture] * 110
    if name == "moving":
        return rolled
    if name == "darkening":
        return [
            np.rint(frame * (1 - index / 220)).astype(np.uint8)
            for index, frame in enumerate(rolled)
        ]
    if name == "flickering":
        return [
            np.clip(frame.astype(int) + 12 * (index % 2), 0, 255).astype(np.uint8)
            for index, frame in enumerate(rolled)
        ]
    if name == "jumping":
        return [
            *rolled[:55],
            *(np.clip(frame.astype(int) + 25, 0, 255).astype(np.uint8) for frame in rolled[55:]),
        ]
    raise ValueError(name)


@pytest.mark.parametrize("name", ["still", "moving", "darkening", "flickering", "jumping"])
def test_made_clips_keep_their_scores(name, texture, make_clip, score):
    seconds = np.arange(int(4.4 * 16000)) / 16000
    tone = (0.3 * np.sin(2 * np.pi * 440 * seconds)).astype(np.float32)
    path = make_clip(clip_frames(name, texture), 25, name=name, audio=tone)
    found: dict[str, float | None] = {}
    for spec in SPECS:
        outcomes = score(find_measure(spec), path, borders_s=(2.2,))
        found |= {metric: outcome.value for metric, outcome in outcomes.items()}
    kept = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}
    if os.environ.get("JOYSTREAMER_UPDATE_GOLDEN"):
        kept[name] = {metric: round(value or 0.0, 5) for metric, value in sorted(found.items())}
        FILE.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return
    assert set(found) == set(kept[name])
    for metric, value in found.items():
        margin = TOLERANCE.get(metric, 0.02 * abs(kept[name][metric]) + 0.02)
        assert value == pytest.approx(kept[name][metric], abs=margin), metric


def test_the_kept_scores_tell_the_clips_apart():
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    assert kept["moving"]["motion.amplitude"] > 10 * kept["still"]["motion.amplitude"]
    assert kept["flickering"]["motion.flicker"] > 5 * kept["moving"]["motion.flicker"]
    assert kept["jumping"]["motion.seam"] > 10 > abs(kept["moving"]["motion.seam"])
    assert kept["darkening"]["drift.colour"] > 5 > kept["moving"]["drift.colour"]


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("row", PUBLISHED, ids=[row["measure"] for row in PUBLISHED])
def test_published_numbers_come_out_with_the_authors_weights(row, score, shared_data):
    clip = shared_data / row["clip"]
    if not clip.is_file():
        pytest.skip(f"the published clip is missing: put {row['clip']} ({row['source']}) there")
    measure = find_measure(row["measure"])
    folder = WeightFolder()
    lacking = [name for name, sha in folder.digests(measure.weights).items() if sha == MISSING]
    if lacking:
        pytest.skip(f"run `python -m eval weights fetch {' '.join(lacking)}` to compare")
    speech = shared_data / row["speech"] if "speech" in row else None
    found = score(measure, clip, weights=folder, speech=speech)
    assert found["sync.offset"].value == row["offset"]
    assert found["sync.distance"].value == pytest.approx(row["distance"], abs=row["tolerance"])
    assert found["sync.confidence"].value == pytest.approx(row["confidence"], abs=row["tolerance"])
