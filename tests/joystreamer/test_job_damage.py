"""What stopped and damaged jobs leave: never somebody else's segments, never parts for ever."""

import pytest

from joystreamer.errors import InputError
from joystreamer.job_spec import JobSpec
from joystreamer.jobs import run_job
from joystreamer.options import ScaleSchedule
from joystreamer.presets import tiny_sampling
from joystreamer.resume import SegmentStore

FAST = tiny_sampling(
    height=32, width=32, steps=1, text_scale=ScaleSchedule(1.0), audio_scale=ScaleSchedule(1.0)
)


def test_segments_without_a_mark_belong_to_nobody(tmp_path):
    SegmentStore(tmp_path / "s", "mine").path(1).write_bytes(b"left by a stopped removal")
    (tmp_path / "s" / "job.json").unlink()
    with pytest.raises(InputError, match="holds finished segments of another job"):
        SegmentStore(tmp_path / "s", "mine")
    SegmentStore.path(SegmentStore(tmp_path / "t", "mine"), 0)
    SegmentStore(tmp_path / "t", "another")  # no segment, nothing to mistake


def test_a_damaged_mark_is_no_mark(tmp_path):
    store = SegmentStore(tmp_path / "s", "mine")
    store.path(0).write_bytes(b"a segment")
    (tmp_path / "s" / "job.json").write_bytes(b'{"fingerprint": "mi\xff')
    with pytest.raises(InputError, match="or a mark that is damaged"):
        SegmentStore(tmp_path / "s", "mine")


def test_parts_of_a_killed_job_go_with_the_next_one(tiny_pipeline, media_folder, tmp_path):
    parts = (
        ".clip.0123456789ab.part.mp4", ".clip.json.0123456789ab.part",
        ".clip.plan.json.0123456789ab.part", ".clip.speakers.png.0123456789ab.part",
    )  # fmt: skip
    for name in (*parts, ".other.json.0123456789ab.part"):
        (tmp_path / name).write_bytes(b"half")
    job = JobSpec(
        image=media_folder / "face.png", prompt="A man talks.", out=tmp_path / "clip.mp4",
        audio=media_folder / "b.wav",
    )  # fmt: skip
    run_job(tiny_pipeline, job, FAST)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"clip.mp4", "clip.json", "clip.plan.json", ".other.json.0123456789ab.part"}


def test_a_damaged_plan_is_named(tiny_pipeline, media_folder, tmp_path):
    (tmp_path / "clip.segments").mkdir()
    (tmp_path / "clip.segments" / "plan.json").write_text('{"fragments": [')
    job = JobSpec(
        image=media_folder / "face.png", prompt="A man talks.", out=tmp_path / "clip.mp4",
        audio=media_folder / "b.wav",
    )  # fmt: skip
    with pytest.raises(InputError, match=r"the stored plan '.*plan\.json' is damaged; remove it"):
        run_job(tiny_pipeline, job, FAST)
