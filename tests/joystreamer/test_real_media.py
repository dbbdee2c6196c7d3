"""Clips from real portraits and real speech, one speaker and three, at tiny size on the CPU."""

import numpy as np
import pytest

from joystreamer.conditioning.speakers import Box
from joystreamer.conditioning.tracks import Turn
from joystreamer.job_spec import JobSpec, Speaker
from joystreamer.jobs import run_job
from joystreamer.media import iter_frames, probe, read_audio, read_image
from joystreamer.options import ScaleSchedule
from joystreamer.presets import tiny_sampling
from joystreamer.segments import frame_count


def needed(folder, *names):
    """Paths of shared files; the test is skipped with the name of a missing one."""
    paths = [folder / name for name in names]
    for path in paths:
        if not path.is_file():
            pytest.skip(f"real test media are missing: {path.name}")
    return paths


def check_clip(path, report, size, seconds):
    facts = probe(path)
    assert (facts.width, facts.height) == size
    assert facts.has_audio
    frames = list(iter_frames(path))
    assert len(frames) == report["frames"] == frame_count(seconds, 25)
    gaps = np.diff([float(frame.time_s) for frame in frames])
    assert np.allclose(gaps, 0.04)
    sound = read_audio(path)
    assert sound is not None
    assert abs(sound.size / 16_000 - seconds) < 0.1
    assert np.abs(sound).max() > 0.01


def test_one_speaker(tiny_pipeline, shared_data, tmp_path):
    image, voice = needed(
        shared_data, "images/portrait/hallo3_0001.jpg", "audio/multitalk_multi1_person2.wav"
    )
    job = JobSpec(image=image, prompt="A person talks. Then they nod.", audio=voice,
                  out=tmp_path / "clip.mp4")  # fmt: skip
    report = run_job(tiny_pipeline, job, tiny_sampling(steps=1))
    recorded = read_audio(voice)
    assert recorded is not None
    check_clip(tmp_path / "clip.mp4", report, (64, 64), recorded.size / 16_000)
    assert len(report["segments"]) == 2


def test_three_speakers(tiny_pipeline, shared_data, tmp_path):
    image, one, two, three = needed(
        shared_data,
        "images/two_person/longcat_introduce.png",
        "audio/multitalk_multi1_person1.wav",
        "audio/multitalk_multi1_person2.wav",
        "audio/multitalk_multi1_person1.wav",
    )
    height, width = read_image(image).shape[:2]
    third = width / 3
    speakers = tuple(
        Speaker(name=name, box=Box(third * index, 0, third * (index + 1), height))
        for index, name in enumerate(("left", "middle", "right"))
    )
    turns = (
        Turn(speaker=0, audio=one),
        Turn(speaker=1, audio=two, start=0.5),
        Turn(speaker=2, audio=three, start=1.0),
    )
    job = JobSpec(image=image, prompt="They talk.", speakers=speakers, turns=turns,
                  out=tmp_path / "clip.mp4")  # fmt: skip
    scale = ScaleSchedule(1.0)
    options = tiny_sampling(height=64, width=96, steps=1, text_scale=scale, audio_scale=scale)
    report = run_job(tiny_pipeline, job, options)
    check_clip(tmp_path / "clip.mp4", report, (96, 64), report["seconds"])
    assert (tmp_path / "clip.speakers.png").is_file()
