"""`sync/puppet` with the shipped network, on puppets that the network has never seen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.puppet.program import Program
from benchmarks.puppet.sync_clips import (
    TalkingClip,
    degrade,
    draw_clip,
    extra_of,
    known_boxes,
    make_talking_clip,
)
from benchmarks.puppet.sync_figures import describe, run_trials, score_frames
from benchmarks.puppet.voice import silence
from eval.backends.puppet_syncnet import NarrowSyncNet, load_puppet_syncnet
from eval.backends.syncnet import flatten_visual
from eval.catalog import default_measures, find_measure
from eval.face_tracks import overlap
from eval.measure import Outcome
from eval.puppet.case import read_puppet_case
from eval.puppet.faces import CROP_PX, PuppetFaceFinder
from eval.weight_table import find_weights
from eval.weights import SHIPPED, WeightFolder
from joystreamer.errors import InputError

WALK = Program(body="walk right", camera="zoom in")
JUMP = Program(body="jump", arm="raise", face="blush")


def clip(seed: int, *, delay: int = 0, program: Program | None = None) -> TalkingClip:
    draw = np.random.default_rng([77, seed])
    return make_talking_clip(draw, delay=delay, program=program or Program())


def score(
    folder: Path, seen: TalkingClip, *, frames: Any = None, sound: Any = None
) -> Mapping[str, Outcome]:
    frames = draw_clip(seen) if frames is None else frames
    return score_frames(folder, frames, seen.sound if sound is None else sound, extra_of(seen))


@pytest.mark.parametrize("delay", [-6, -2, -1, 0, 3, 6])
def test_a_mouth_delayed_by_k_frames_has_offset_k(tmp_path: Path, delay: int) -> None:
    outcomes = score(tmp_path, clip(1, delay=delay))
    assert outcomes["sync.offset"].value == delay
    assert outcomes["sync.offset_size"].value == abs(delay)
    still, best = outcomes["sync.distance_zero"].value, outcomes["sync.distance"].value
    assert (still == best) == (delay == 0)


@pytest.mark.parametrize("program", [WALK, JUMP])
def test_puppets_that_move_are_in_step(tmp_path: Path, program: Program) -> None:
    outcomes = score(tmp_path, clip(2, program=program))
    assert outcomes["sync.offset"].value == 0
    details = outcomes["sync.confidence"].details
    assert [face["windows"] for face in details["faces"]] == [85]


def test_another_sound_drops_the_confidence(tmp_path: Path) -> None:
    # Puppets talk slowly: over 3.5 s some shift of another voice fits by chance, so that Sync-C alone
    # drops less than its reading without any shift, and less than Sync-D rises.
    mine, other = clip(3), clip(4)
    right, wrong = score(tmp_path, mine), score(tmp_path, mine, sound=other.sound)

    def ratio(name: str) -> float:
        first, second = right[name].value, wrong[name].value
        assert first is not None
        assert second is not None
        return second / first

    assert ratio("sync.confidence") < 0.7
    assert ratio("sync.confidence_zero") < 0.3
    assert ratio("sync.distance") > 1.4


@pytest.mark.parametrize("delay", [0, -3])
def test_blur_grain_and_coding_keep_the_offset(tmp_path: Path, delay: int) -> None:
    seen = clip(5, delay=delay)
    worse = degrade(draw_clip(seen), np.random.default_rng(0), blur=1.2, grain=5.0, crf=30)
    assert score(tmp_path, seen, frames=worse)["sync.offset"].value == delay


def test_large_pictures_are_scored_alike(tmp_path: Path) -> None:
    seen = clip(6, delay=2)
    small = score(tmp_path, seen)
    large = score(tmp_path, seen, frames=draw_clip(seen, 256))
    assert large["sync.offset"].value == small["sync.offset"].value == 2
    assert large["sync.confidence"].value == pytest.approx(small["sync.confidence"].value, rel=0.25)


def test_held_out_clips_of_all_kinds_separate() -> None:
    trials = list(run_trials(6, seed=5))
    levels = {
        kind: [trial.value("confidence") or 0.0 for trial in trials if trial.kind == kind]
        for kind in ("in step", "delayed", "blurred", "other sound")
    }
    for right, wrong in zip(levels["in step"], levels["other sound"], strict=True):
        assert right > wrong
    assert np.mean(levels["in step"]) > 2 * np.mean(levels["other sound"])
    assert np.mean(levels["blurred"]) > 0.85 * np.mean(levels["in step"])
    exact = [
        trial.value("offset") == trial.delay for trial in trials if trial.kind != "other sound"
    ]
    assert np.mean(exact) >= 0.9
    assert "| in step | 6 of 6 |" in describe(trials)


def test_what_cannot_be_measured_has_a_reason(tmp_path: Path) -> None:
    seen = clip(7)
    frames = draw_clip(seen)

    def reasons(outcomes: Mapping[str, Outcome]) -> set[str | None]:
        return {outcome.reason for outcome in outcomes.values()}

    assert reasons(score(tmp_path, seen, sound=silence(3.56))) == {"silent_audio"}
    assert reasons(score_frames(tmp_path, frames, None, extra_of(seen))) == {"no_audio"}
    assert reasons(score_frames(tmp_path, frames, seen.sound, {})) == {"not_puppet"}
    assert reasons(score(tmp_path, seen, frames=frames[:40])) == {"too_short"}
    nobody = np.full_like(frames, 90)
    assert reasons(score(tmp_path, seen, frames=nobody)) == {"no_face"}


@pytest.mark.parametrize("program", [WALK, JUMP, Program(background="night")])
def test_faces_are_found_where_they_are_drawn(program: Program) -> None:
    seen = clip(8, program=program)
    case = read_puppet_case(extra_of(seen))
    assert case is not None
    frames, true = draw_clip(seen, 128), known_boxes(seen) * 128
    for picture, box in zip(frames[::8], true[::8], strict=True):
        (found,) = PuppetFaceFinder(case).find([picture])
        assert len(found) == 1
        assert overlap(found[0, :4], box) > 0.8


def test_pictures_of_any_shape_are_searched() -> None:
    seen = clip(9)
    case = read_puppet_case(extra_of(seen))
    assert case is not None
    picture = draw_clip(seen, 128)[0]
    (found,) = PuppetFaceFinder(case).find([np.ascontiguousarray(picture[:, 14:-14])])
    assert len(found) == 1
    assert PuppetFaceFinder(case).find([]) == []


def test_the_row_never_meets_the_authors_network() -> None:
    row, clean = find_measure("sync/puppet"), find_measure("sync/clean")
    digests = dict.fromkeys((*row.weights, *clean.weights), "0" * 64)
    assert row.fingerprint(digests) != clean.fingerprint(digests)
    assert row not in default_measures()
    assert row.parameters["crop_px"] == CROP_PX == 40
    assert not any(name.startswith("detector_") for name in row.parameters)


def test_the_weights_come_with_the_project(tmp_path: Path) -> None:
    row = find_weights("puppet-syncnet")
    found = WeightFolder([tmp_path / "none"], memory=tmp_path / "memory").find("puppet-syncnet")
    assert found == SHIPPED / row.file
    assert found.stat().st_size == row.size
    assert found.stat().st_size <= 3_000_000


def test_the_shipped_network_has_syncnets_shape() -> None:
    network = NarrowSyncNet().eval()
    assert flatten_visual(network) is not None
    embedder = load_puppet_syncnet(SHIPPED / find_weights("puppet-syncnet").file)
    seen = embedder.see(np.zeros((6, CROP_PX, CROP_PX, 3), np.uint8))
    heard = embedder.hear(np.zeros((3, 20, 13), np.float32))
    assert seen.shape == (2, 128)
    assert heard.shape == (3, 128)


def test_sound_below_one_step_of_16_bits_is_silence() -> None:
    network = NarrowSyncNet().eval()
    quiet = torch.zeros(2, 1, 13, 20)
    quiet[0, 0, 0], quiet[1, 0, 0] = -36.0, 4.9
    one, other = network.forward_aud(quiet)
    torch.testing.assert_close(one, other)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(InputError, match="does not hold the puppets' sync network"):
        load_puppet_syncnet(path)
