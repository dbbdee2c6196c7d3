"""Jobs: files in, clip and report out; killed and resumed to the bit; nothing half-written."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from joystreamer.conditioning.speakers import Box
from joystreamer.conditioning.tracks import Turn
from joystreamer.errors import InputError
from joystreamer.job_spec import JobSpec, Speaker
from joystreamer.jobs import Tools, run_job
from joystreamer.media import iter_frames, probe, read_audio
from joystreamer.options import ScaleSchedule
from joystreamer.presets import tiny_sampling
from tests.joystreamer.made_media import make_speech, write_wav

ROOT = Path(__file__).resolve().parents[2]
FAST = tiny_sampling(
    height=32, width=32, steps=1, text_scale=ScaleSchedule(1.0), audio_scale=ScaleSchedule(1.0)
)


def single(folder, media, name="clip.mp4", **changes):
    fields = {"image": media / "face.png", "prompt": "A man talks.", "out": folder / name,
              "audio": media / "a.wav"}  # fmt: skip
    return JobSpec(**{**fields, **changes})


def left_over(folder):
    return sorted(path.name for path in folder.iterdir())


def test_one_speaker_from_files_to_clip(tiny_pipeline, media_folder, tmp_path):
    progress = []
    tools = Tools(on_segment=lambda done, total, part: progress.append((done, total)))
    report = run_job(tiny_pipeline, single(tmp_path, media_folder), FAST, tools)
    facts = probe(tmp_path / "clip.mp4")
    assert (facts.width, facts.height) == (32, 32)
    assert facts.has_audio
    frames = list(iter_frames(tmp_path / "clip.mp4"))
    assert len(frames) == 25
    assert frames[1].time_s == pytest.approx(0.04)
    sound = read_audio(tmp_path / "clip.mp4")
    assert sound is not None
    assert sound.size / 16_000 == pytest.approx(1.0, abs=0.05)
    original = read_audio(media_folder / "a.wav")
    assert original is not None
    length = min(sound.size, original.size)
    assert np.corrcoef(sound[:length], original[:length])[0, 1] > 0.9
    assert left_over(tmp_path) == ["clip.json", "clip.mp4", "clip.plan.json"]
    assert progress == [(1, 1)]
    stored = json.loads((tmp_path / "clip.json").read_text())
    assert stored == json.loads(json.dumps(report))
    assert stored["frames"] == 25
    assert stored["options"]["seed"] == 0
    assert len(stored["weights"]["transformer"]) == 64
    assert stored["segments"][0]["timings"].keys() == {"conditions", "denoising", "decoding"}
    assert json.loads((tmp_path / "clip.plan.json").read_text())["backend"] == "rules"


def test_three_speakers_with_several_rounds(tiny_pipeline, media_folder, tmp_path):
    mask = np.zeros((96, 80), np.uint8)
    mask[:, 54:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    speakers = (
        Speaker(name="anna", box=Box(0, 0, 26, 96)),
        Speaker(name="ben", box=Box(27, 0, 54, 96)),
        Speaker(name="cleo", mask=tmp_path / "mask.png"),
    )
    order = ((0, "a"), (1, "b"), (0, "b"), (2, "c"))
    turns = tuple(Turn(speaker=who, audio=media_folder / f"{name}.wav") for who, name in order)
    job = single(tmp_path, media_folder, audio=None, speakers=speakers, turns=turns)
    report = run_job(tiny_pipeline, job, replace(FAST, width=64, height=64))
    assert report["seconds"] == pytest.approx(1.0 + 0.7 + 0.7 + 1.3 + 3 * 0.2, abs=0.01)
    assert report["frames"] == 108
    assert len(report["segments"]) == 2
    preview = np.asarray(Image.open(tmp_path / "clip.speakers.png"))
    assert preview.shape == (96, 80, 3)
    assert len(report["inputs"]["tracks"]) == 3


CHILD = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(int(sys.argv[3]))
from joystreamer.job_spec import JobSpec
from joystreamer.jobs import Tools, run_job
from joystreamer.options import GenerationOptions
from joystreamer.presets import build_tiny_pipeline
import json
folder, media = Path(sys.argv[1]), Path(sys.argv[2])
done = []
def on_segment(finished, total, part):
    done.append(finished)
def on_step(pipeline, step, timestep, tensors):
    if len(done) == 2:
        (folder / "in-the-middle").touch()
        time.sleep(600)
pipeline = build_tiny_pipeline(0)
pipeline.set_progress_bar_config(disable=True)
job = JobSpec(image=media / "face.png", prompt="A man talks. Then he waves.",
              out=folder / "clip.mp4", audio=media / "long.wav")
options = GenerationOptions.from_json(json.loads(sys.argv[4]))
run_job(pipeline, job, options, Tools(on_segment=on_segment, on_step=on_step))
"""


@pytest.mark.multiprocess
@pytest.mark.timeout(900)  # two processes load the networks; slow only on a busy machine
def test_a_job_killed_in_its_third_segment_resumes_bit_identically(media_folder, tmp_path):
    import torch

    from joystreamer.presets import build_tiny_pipeline

    write_wav(media_folder / "long.wav", make_speech(9.3))  # 233 frames: 4 segments
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    folder.mkdir()
    whole.mkdir()
    arguments = [str(folder), str(media_folder), str(torch.get_num_threads())]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments, json.dumps(FAST.to_json())],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        until = time.monotonic() + 600
        while not (folder / "in-the-middle").exists():
            assert child.poll() is None, "the child ended before it could be killed"
            assert time.monotonic() < until, "the child made no second segment in time"
            time.sleep(0.05)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    (folder / "in-the-middle").unlink()
    names = left_over(folder)
    assert "clip.mp4" not in names
    assert any(name.endswith(".part.mp4") for name in names)
    stored = left_over(folder / "clip.segments")
    assert [name for name in stored if name.startswith("segment")] == [
        "segment_00000.zip",
        "segment_00001.zip",
    ]
    pipeline = build_tiny_pipeline(0)
    pipeline.set_progress_bar_config(disable=True)
    reports = {}
    for out in (folder, whole):
        job = JobSpec(image=media_folder / "face.png", prompt="A man talks. Then he waves.",
                      out=out / "clip.mp4", audio=media_folder / "long.wav")  # fmt: skip
        reports[out] = run_job(pipeline, job, FAST)
    assert [part["resumed"] for part in reports[folder]["segments"]] == [True, True, False, False]
    assert not any(part["resumed"] for part in reports[whole]["segments"])
    assert (folder / "clip.mp4").read_bytes() == (whole / "clip.mp4").read_bytes()
    assert left_over(folder) == left_over(whole) == ["clip.json", "clip.mp4", "clip.plan.json"]


class Stop(Exception):
    """Raised by a hook to stop a job."""


def stop_after(count):
    def hook(finished, total, part):
        if finished == count:
            raise Stop

    return Tools(on_segment=hook)


def test_a_stopped_job_refuses_other_options_until_restarted(tiny_pipeline, media_folder, tmp_path):
    write_wav(media_folder / "middle.wav", make_speech(4.0))
    job = single(tmp_path, media_folder, audio=media_folder / "middle.wav")
    with pytest.raises(Stop):
        run_job(tiny_pipeline, job, FAST, stop_after(1))
    assert left_over(tmp_path) == ["clip.segments"]
    with pytest.raises(InputError, match="holds finished segments of another job"):
        run_job(tiny_pipeline, job, replace(FAST, seed=5))
    report = run_job(tiny_pipeline, job, replace(FAST, seed=5), restart=True, keep_segments=True)
    assert report["seed"] == 5
    assert not report["segments"][0]["resumed"]
    assert (tmp_path / "clip.segments" / "segment_00001.zip").is_file()


def test_a_damaged_segment_is_noticed(tiny_pipeline, media_folder, tmp_path):
    write_wav(media_folder / "middle.wav", make_speech(4.0))
    job = single(tmp_path, media_folder, audio=media_folder / "middle.wav")
    with pytest.raises(Stop):
        run_job(tiny_pipeline, job, FAST, stop_after(1))
    path = tmp_path / "clip.segments" / "segment_00000.zip"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="is damaged; remove it and those after it"):
        run_job(tiny_pipeline, job, FAST)


def test_nothing_is_left_of_a_job_that_cannot_start(tiny_pipeline, media_folder, tmp_path):
    short = tmp_path / "a.txt"
    short.write_text("no picture")
    cases = [
        ({"image": short}, "is not a picture that can be read"),
        ({"prompt": "man " * 5000}, "has 5000 words"),
        ({"audio": media_folder / "face.png"}, "is a still image"),
        ({"options": {"stepz": 3}}, "unknown option 'stepz'; did you mean steps?"),
        ({"options": {"height": 40, "width": 40}}, "multiples of 32"),
        ({"speakers": (Speaker(name="x", box=Box(0, 0, 999, 9)),)}, "does not fit the image"),
        ({"speakers": (Speaker(name="x", words="man"),)}, "name a detector"),
        ({"out": tmp_path / "clip.avi"}, "does not end in .mp4"),
        ({"out": tmp_path / "none" / "clip.mp4"}, "does not exist; make it first"),
    ]
    for changes, message in cases:
        with pytest.raises(InputError, match=message):
            run_job(tiny_pipeline, single(tmp_path, media_folder, **changes), FAST)
        assert left_over(tmp_path) == ["a.txt"], message


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(
    tiny_pipeline, media_folder, tmp_path
):
    """A file size limit stands in for the full disk: writing fails in the same place."""
    write_wav(media_folder / "short.wav", make_speech(0.8))
    job = single(tmp_path, media_folder, audio=media_folder / "short.wav")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, old[1]))
    try:
        with pytest.raises(InputError, match=r"there is no room left while writing .*free space"):
            run_job(tiny_pipeline, job, FAST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, before)
    assert left_over(tmp_path) == []


def test_the_clip_itself_may_find_the_disk_full(tiny_pipeline, media_folder, tmp_path):
    """The segments fit, the clip does not: segments stay for the next run, the clip does not."""
    write_wav(media_folder / "middle.wav", make_speech(4.0))
    job = single(tmp_path, media_folder, audio=media_folder / "middle.wav")
    with pytest.raises(Stop):
        run_job(tiny_pipeline, job, FAST, stop_after(2))
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, old[1]))
    try:
        with pytest.raises(InputError, match="there is no room left while writing"):
            run_job(tiny_pipeline, job, FAST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, before)
    assert left_over(tmp_path) == ["clip.segments"]
    report = run_job(tiny_pipeline, job, FAST)
    assert all(part["resumed"] for part in report["segments"])


def test_two_processes_do_not_make_one_clip(tiny_pipeline, media_folder, tmp_path):
    import fcntl

    folder = tmp_path / "clip.segments"
    folder.mkdir()
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is making"):
            run_job(tiny_pipeline, single(tmp_path, media_folder), FAST)
