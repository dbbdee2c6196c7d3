"""The studio page without a browser: what it asks for, the plan, jobs in every state, and sending to compare."""

import fcntl
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.studio.jobs import FOLDER, list_jobs, progress_of
from dashboard.studio.models import EXAMPLE, FILE
from dashboard.studio.sending import SUITE
from eval.store.registry import current_clips
from eval.store.workspace import Workspace
from tests.dashboard.studio.conftest import PROMPT, picture, speech, wait_for

Open = Callable[[Path], AppTest]


@pytest.fixture
def open_studio() -> Open:
    def run(root: Path) -> AppTest:
        script = (
            "from pathlib import Path\nfrom dashboard.studio.studio import show\n"
            f"from eval.store.workspace import Workspace\nshow(Workspace(Path({str(root)!r})))"
        )
        test = AppTest.from_string(script, default_timeout=300).run()
        assert not test.exception, [entry.value for entry in test.exception]
        return test

    return run


def drawn(test: AppTest) -> list[dict]:
    return [json.loads(entry.proto.json) for entry in test.get("bidi_component")]


def labels(test: AppTest) -> list[str]:
    return [button.label for button in test.button]


def test_an_empty_studio_says_what_to_do(tmp_path: Path, open_studio: Open):
    Workspace(tmp_path / "ws").database.close()
    test = open_studio(tmp_path / "ws")
    assert "Still needs a picture, speech, a prompt." in [entry.value for entry in test.caption]
    assert test.button(key="studio_ask").disabled
    assert "No clips yet." in test.info[0].value
    assert "Only the random model is here" in test.expander[0].label
    assert test.expander[0].code[0].value == EXAMPLE.strip()


def test_listed_models_can_be_chosen(tmp_path: Path, open_studio: Open):
    Workspace(tmp_path / "ws").database.close()
    (tmp_path / "ws" / FILE).write_text(EXAMPLE)
    test = open_studio(tmp_path / "ws")
    assert test.selectbox(key="studio_model").options == ["student-2000", "tiny (random)"]
    (tmp_path / "ws" / FILE).write_text("[[model]]")
    test = open_studio(tmp_path / "ws")
    assert "Studio.toml, model 1 has no name; give one." in test.error[0].value


def test_a_plan_is_shown_and_a_job_made_watched_and_cancelled(tmp_path: Path, open_studio: Open):
    root = tmp_path / "ws"
    Workspace(root).database.close()
    (root / FOLDER).mkdir()
    test = open_studio(root)
    test.file_uploader(key="studio_image").upload("me.png", picture())
    test.file_uploader(key="studio_speech").upload("voice.wav", speech(6.6))
    test.text_area(key="studio_prompt").input("A man talks. He waves.").run()
    assert "Plan the clip first" in " ".join(entry.value for entry in test.caption)
    test.button(key="studio_ask").click().run()
    assert not test.exception
    assert not test.error
    (plan,) = [entry.value for entry in test.dataframe]
    assert plan["what happens"].tolist() == ["A man talks.", "He waves."]
    with (root / FOLDER / "turn.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # so that the job waits
        test.button(key="studio_make").click().run()
        assert not test.exception
        (job,) = list_jobs(root)
        assert job.request.parts == ("A man talks.", "He waves.")
        assert job.request.prompt == "A man talks. He waves."
        wait_for(job, lambda stands: "another" in stands.words)
        test.run()
        assert "waiting" in " ".join(entry.value for entry in test.markdown)
        test.button(key=f"cancel_{job.name}").click().run()
        wait_for(job, lambda stands: stands.state == "cancelled")
    test.run()
    assert {"Go on", "Delete"} <= set(labels(test))
    test.button(key=f"delete_{job.name}").click().run()
    assert list_jobs(root) == []


def test_speech_can_be_recorded(tmp_path: Path, open_studio: Open):
    Workspace(tmp_path / "ws").database.close()
    test = open_studio(tmp_path / "ws")
    test.get("button_group")[0].set_value("microphone").run()
    test.audio_input(key="studio_recording").upload("audio.wav", speech()).run()
    assert "Still needs a picture, a prompt." in [entry.value for entry in test.caption]


def test_a_picture_that_is_none_is_told_in_words(tmp_path: Path, open_studio: Open):
    Workspace(tmp_path / "ws").database.close()
    test = open_studio(tmp_path / "ws")
    test.file_uploader(key="studio_image").upload("me.png", b"nothing").run()
    assert "'me.png' cannot be read; give a PNG, JPEG or WebP file." in test.error[0].value


def test_a_failed_job_says_why_and_what_its_process_said(
    tmp_path: Path, ordered, open_studio: Open
):
    Workspace(tmp_path / "ws").database.close()
    job = ordered(tmp_path / "ws")
    (job.folder / "end.json").write_text(json.dumps({"code": 2, "message": "no such model"}))
    (job.folder / "log.txt").write_text("error: no such model\n")
    test = open_studio(tmp_path / "ws")
    assert any(entry.value.startswith("no such model · 1.0 s") for entry in test.caption)
    assert test.code[-1].value == "error: no such model"
    assert {"Go on", "Delete"} <= set(labels(test))


def test_a_finished_clip_stands_beside_others_and_is_sent(made, tmp_path: Path, open_studio: Open):
    root = tmp_path / "ws"
    Workspace(root).database.close()
    shutil.copytree(made[0] / FOLDER, root / FOLDER)
    (job,) = list_jobs(root)
    twin = shutil.copytree(job.folder, job.folder.with_name(f"{job.name[:-8]}ffffffff"))
    request = json.loads((twin / "request.json").read_text())
    (twin / "request.json").write_text(json.dumps({**request, "seed": 4}))
    assert [progress_of(each).state for each in list_jobs(root)] == ["done", "done"]
    test = open_studio(root)
    first, second = drawn(test)
    assert [clip["system"] for clip in second["clips"]] == [
        "tiny (random), seed 3", "tiny (random), seed 4",
    ]  # fmt: skip
    assert first["compare"] == ""
    assert all(clip["url"].startswith("/staff/studio/") for clip in first["clips"])
    test.button(key=f"send_{job.name}").click().run()
    assert not test.exception
    with Workspace(root) as workspace:
        (stored,) = current_clips(workspace, suite=SUITE)
    assert stored.clip.seed == 3
    assert drawn(test)[1]["compare"].startswith("/compare?case=studio%2Fa-man-talks")
    assert PROMPT in " ".join(entry.value for entry in test.markdown)
    compare = AppTest.from_string(
        "from pathlib import Path\nfrom dashboard.results.compare import show\n"
        f"from eval.store.workspace import Workspace\nshow(Workspace(Path({str(root)!r})))",
        default_timeout=60,
    ).run()
    assert not compare.exception
    assert compare.selectbox(key="case").value.startswith("studio/a-man-talks")
