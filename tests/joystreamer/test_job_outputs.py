"""A job overwrites its own earlier files and nothing else."""

import json

import pytest

from joystreamer.conditioning.speakers import Box
from joystreamer.conditioning.tracks import Turn
from joystreamer.errors import InputError
from joystreamer.job_outputs import check_outputs
from joystreamer.job_spec import JobSpec, Speaker


@pytest.fixture
def make_job(tmp_path):
    def make(**changes):
        fields = {"image": tmp_path / "me.png", "prompt": "talks", "out": tmp_path / "clip.mp4",
                  "audio": tmp_path / "a.wav"}  # fmt: skip
        return JobSpec(**{**fields, **changes})

    return make


def test_files_of_an_earlier_run_may_be_replaced(make_job, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"old")
    (tmp_path / "clip.json").write_text(json.dumps({"clip": "clip.mp4", "segments": []}))
    (tmp_path / "clip.plan.json").write_text(json.dumps({"fragments": [], "backend": "rules"}))
    folder = tmp_path / "clip.segments"
    folder.mkdir()
    for name in ("lock", "job.json", "plan.json", "segment_00003.zip", ".plan.json.ab12.part"):
        (folder / name).touch()
    check_outputs(make_job())


def test_what_the_job_reads_is_not_overwritten(make_job, tmp_path):
    message = "and would overwrite it; choose another name for the clip"
    for changes in (
        {"audio": tmp_path / "clip.mp4"},
        {"audio": tmp_path / "elsewhere" / ".." / "clip.mp4"},
        {"image": tmp_path / "clip.speakers.png"},
        {"audio": None, "speakers": (Speaker(name="a", audio=tmp_path / "clip.mp4"),)},
        {"speakers": (Speaker(name="a", mask=tmp_path / "clip.speakers.png"),)},
        {
            "audio": None,
            "speakers": (Speaker(name="a", box=Box(0, 0, 1, 1)),),
            "turns": (Turn(speaker=0, audio=tmp_path / "clip.mp4"),),
        },
    ):
        with pytest.raises(InputError, match=message):
            check_outputs(make_job(**changes))


@pytest.mark.parametrize("content", ["{}", "[]", "no JSON", '{"image": "me.png"}'])
@pytest.mark.parametrize("name", ["clip.json", "clip.plan.json"])
def test_a_file_in_the_way_stays(make_job, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=r"is in the way .* was not made by an earlier run"):
        check_outputs(make_job())


def test_a_folder_with_other_things_stays(make_job, tmp_path):
    (tmp_path / "clip.segments").mkdir()
    (tmp_path / "clip.segments" / "holiday.jpg").touch()
    with pytest.raises(InputError, match=r"clip.segments', where .* go, holds 'holiday.jpg'"):
        check_outputs(make_job())


def test_impossible_names(make_job, tmp_path, monkeypatch):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "locked").mkdir()
    # An administrator may write anywhere, so that rights alone would not refuse here.
    monkeypatch.setattr("os.access", lambda path, mode: path.name != "locked")
    for name, message in (
        ("clip.avi", "does not end in .mp4"),
        ("none/clip.mp4", "does not exist; make it first"),
        ("folder.mp4", "is a folder; choose another name"),
        ("locked/clip.mp4", "cannot be written; choose another"),
    ):
        with pytest.raises(InputError, match=message):
            check_outputs(make_job(out=tmp_path / name))
