"""Jobs: a real clip made by a real process; and every way a job can stand, read from its files."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from dashboard.site import open_site
from dashboard.studio.jobs import cancel_job, delete_job, find_job, list_jobs, log_of, progress_of
from dashboard.studio.media import ROUTES, job_url
from dashboard.studio.plans import error_line, plan_clip, write_prompt
from dashboard.studio.sending import SUITE, case_of, send_to_compare
from eval.checkout import ROOT
from eval.ratings.sessions import COOKIE_NAME, Session
from eval.store.leases import this_worker
from eval.store.registry import all_cases, all_systems, current_clips
from eval.store.workspace import Workspace
from joystreamer.errors import InputError
from joystreamer.media import probe

DEAD = "import json,sys\nfrom eval.store.leases import this_worker\nprint(this_worker())"


def test_a_job_waits_is_cancelled_goes_on_and_makes_a_clip(made):
    _, job, seen = made
    assert [stands.state for stands in seen] == ["waiting", "cancelled", "running", "done"]
    assert seen[0].words == "waits for another job"
    assert seen[1].words == "cancelled; it can go on from here"
    assert seen[-1].share == 1.0
    facts = probe(job.clip)
    assert facts.duration_s == pytest.approx(1.0, abs=0.05)
    assert len(facts.audio_streams) == 1
    report = json.loads((job.folder / "clip.json").read_text())
    assert report["seed"] == 3
    assert report["fragments"] == ["A man talks. Then he waves."]
    assert "made" in log_of(job)


def test_a_finished_clip_is_sent_to_compare_once(made):
    root, job, _ = made
    with Workspace(root) as workspace:
        case = send_to_compare(workspace, job)
        assert send_to_compare(workspace, job) == case
        (stored,) = current_clips(workspace, suite=SUITE)
        assert (stored.clip.system, stored.clip.case, stored.clip.seed) == (
            "tiny (random)",
            case,
            3,
        )
        assert stored.clip.problem == ""
        assert stored.poster
        assert stored.clip.borders_s == ()
        known = all_cases(workspace)[SUITE, case]
        assert known.record["prompt"] == "A man talks. Then he waves."
        assert workspace.media.find(known.image)
        assert workspace.media.find(known.speech)
        assert all_systems(workspace)["tiny (random)"].kind == "checkpoint"


def test_files_of_a_job_are_for_staff_and_come_in_ranges(made):
    root, job, _ = made
    site = open_site(root)
    client = TestClient(Starlette(routes=list(ROUTES)))
    assert client.get(job_url(job, "clip.mp4")).status_code == 403
    client.cookies.set(COOKIE_NAME, site.signer.sign(Session(role="annotator", subject="1")))
    assert client.get(job_url(job, "clip.mp4")).status_code == 403
    client.cookies.set(COOKIE_NAME, site.signer.sign(Session(role="lead", subject="x")))
    part = client.get(job_url(job, "clip.mp4"), headers={"range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert client.get(job_url(job, "image.png")).headers["content-type"] == "image/png"
    for name in ("request.json", "log.txt", "..%2f..%2foperator.secret"):
        assert client.get(job_url(job, name)).status_code == 404
    assert client.get("/staff/studio/20200101-000000-00000000/clip.mp4").status_code == 404
    site.workspace.database.close()


def test_the_same_question_has_the_same_case(tmp_path: Path, ordered):
    first, second, third = (
        ordered(tmp_path, seed=1),
        ordered(tmp_path, seed=2),
        ordered(tmp_path, prompt="Someone else."),
    )
    assert case_of(first) == case_of(second)
    assert case_of(first).startswith("a-man-talks-then-he-waves-")
    assert case_of(third) != case_of(first)


def test_a_job_is_read_back_as_it_was_written(tmp_path: Path, ordered):
    job = ordered(tmp_path, parts=("He talks.", "He waves."), segments=2)
    assert find_job(tmp_path, job.name) == job
    assert [each.name for each in list_jobs(tmp_path)] == [job.name]
    told = json.loads((job.folder / "job.json").read_text())
    assert told["prompt"] == "He talks. | He waves."
    assert told["options"] == {"seed": 3}
    with pytest.raises(InputError, match="there is no job"):
        find_job(tmp_path, "../views")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"image": ("exe", b"x")}, "files ending in 'exe' do not fit; give png, jpg"),
        ({"parts": ("He talks", " ")}, "part 2 of the plan is empty"),
        ({"parts": ("He | she",)}, r"holds the sign \|"),
        ({"parts": ()}, "the plan is empty"),
    ],
)
def test_what_does_not_fit_makes_no_job(tmp_path: Path, ordered, change, why):
    with pytest.raises(InputError, match=why):
        ordered(tmp_path, **change)
    assert list_jobs(tmp_path) == []


def test_progress_follows_the_segments(tmp_path: Path, ordered):
    job = ordered(tmp_path, segments=4)
    (job.folder / "started").write_text(str(time.time()))
    assert (progress_of(job).state, progress_of(job).words) == ("waiting", "starts")
    told = {"worker": this_worker(), "turn": True}
    (job.folder / "worker.json").write_text(json.dumps(told))
    assert progress_of(job).words == "opens the model"
    parts = job.folder / "clip.segments"
    parts.mkdir()
    (parts / "plan.json").write_text("{}")
    assert (progress_of(job).words, progress_of(job).share) == ("segment 1 of 4", 0.0)
    (parts / "segment_00000.zip").write_bytes(b"")
    assert (progress_of(job).words, progress_of(job).share) == ("segment 2 of 4", 0.25)
    with pytest.raises(InputError, match="at work; cancel it first"):
        delete_job(job)


def test_failed_stopped_and_forgotten_jobs_say_so(tmp_path: Path, ordered):
    job = ordered(tmp_path)
    assert progress_of(job).state == "stopped"  # nobody ever started it
    gone = subprocess.run(
        [sys.executable, "-c", DEAD], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    (job.folder / "worker.json").write_text(json.dumps({"worker": gone, "turn": True}))
    assert progress_of(job).words == "its process is gone; go on, and it continues where it stopped"
    cancel_job(job)
    assert progress_of(job).state == "cancelled"
    (job.folder / "cancelled").unlink()
    (job.folder / "end.json").write_text(json.dumps({"code": 2, "message": "no such model"}))
    assert (progress_of(job).state, progress_of(job).words) == ("failed", "no such model")
    delete_job(job)
    assert not job.folder.exists()


def test_a_worker_tells_why_a_command_refused(tmp_path: Path, ordered):
    job = ordered(tmp_path, image=("png", b"no picture"))
    with (job.folder / "log.txt").open("ab") as log:
        done = subprocess.run(
            [sys.executable, "-m", "dashboard.studio.worker", str(job.folder)], cwd=ROOT, check=False,
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    assert done.returncode == 2
    stands = progress_of(job)
    assert stands.state == "failed"
    assert "image.png" in stands.words
    assert str(tmp_path) not in stands.words


def test_a_plan_is_that_of_the_command(tmp_path: Path):
    from tests.dashboard.studio.conftest import speech

    sound = tmp_path / "speech.wav"
    sound.write_bytes(speech(7.0))
    plan = plan_clip("A man talks. He waves.", sound)
    assert plan.seconds == pytest.approx(7.0)
    assert [stretch.text for stretch in plan.stretches] == ["A man talks.", "He waves."]
    assert plan.stretches[0].start_s == 0.0
    assert plan.stretches[-1].end_s == pytest.approx(7.0)
    assert plan.segments == 3
    sound.write_bytes(b"nothing to hear")
    with pytest.raises(InputError, match="the speech"):
        plan_clip("A man talks.", sound)
    with pytest.raises(InputError, match="the prompt is empty"):
        plan_clip("  ", sound)


def test_parts_of_a_plan_stay_apart():
    assert write_prompt(["He talks.  He\nsmiles."]) == "He talks. He smiles. |"
    assert write_prompt(["a", "b"]) == "a | b"


def test_the_reason_is_the_last_error():
    assert error_line("x\nerror: one\nerror: two\nbye\n") == "two"
    assert error_line("Traceback\nKilled\n") == "Killed"
    assert error_line("") == "the command ended without a word"


def test_no_network_is_loaded_by_the_studio():
    code = (
        "import sys, dashboard.server, dashboard.studio.studio, dashboard.studio.worker, "
        "dashboard.studio.sending; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, check=True)
