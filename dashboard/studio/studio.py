"""Studio: picture, speech and prompt become a clip, made by a process of its own beside the server."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any, Final

import pandas as pd
import streamlit as st
from PIL import Image, UnidentifiedImageError

from dashboard.identity import require
from dashboard.results.saved_views_panel import views_panel
from dashboard.results.states import told_in_words
from dashboard.site import current_site
from dashboard.studio.job_list import show_jobs
from dashboard.studio.jobs import IMAGES, SOUNDS, make_job, start_job
from dashboard.studio.models import EXAMPLE, FILE, TINY, Model, read_models
from dashboard.studio.plans import ClipPlan, plan_clip
from eval.store.workspace import Workspace
from joystreamer.errors import InputError

# Megabytes that a picture and a recording may have; an upload stays in the server's memory while it is shown.
IMAGE_MB: Final = 20
SPEECH_MB: Final = 50

_PLAN: Final = "studio_plan"


def show(workspace: Workspace, *, by: str = "staff") -> None:
    """Draw the page.

    Args:
        workspace: Holds jobs and models.
        by: Who asks for clips.
    """
    st.header("Studio", anchor=False)
    with told_in_words():
        models = read_models(workspace.root)
        if models == (TINY,):
            _only_noise(workspace)
        _order(workspace, models, by)
    show_jobs(workspace)


def _only_noise(workspace: Workspace) -> None:
    with st.expander(
        "Only the random model is here: its clips are noise of the right size and length. List yours in "
        f"`{FILE}`.",
        icon=":material/info:",
    ):
        st.caption(f"{workspace.root / FILE}")
        st.code(EXAMPLE, language="toml")


def _order(workspace: Workspace, models: tuple[Model, ...], by: str) -> None:
    """Ask for picture, speech, prompt; show the plan; start the job."""
    left, middle, right = st.columns([1, 1, 1.3])
    with left:
        picture = st.file_uploader(
            "Reference picture", list(IMAGES), key="studio_image", max_upload_size=IMAGE_MB
        )
        if picture is not None:
            _preview(picture)
    with middle:
        way = st.segmented_control(
            "Speech", ["upload", "microphone"], default="upload", key="studio_way", required=True
        )
        if way == "microphone":
            speech: Any = st.audio_input("Record speech", key="studio_recording")
        else:
            speech = st.file_uploader(
                "Recording", list(SOUNDS), key="studio_speech", max_upload_size=SPEECH_MB
            )
            if speech is not None:
                st.audio(speech)
    with right:
        prompt = st.text_area(
            "Prompt", key="studio_prompt", height=110,
            placeholder="A woman talks to the camera. Then she lifts a cup.",
            help="Sentences and words like “then” part actions; the plan shows what each stretch is told.",
        )  # fmt: skip
        one, two = st.columns([2, 1], vertical_alignment="bottom")
        names = [model.name for model in models]
        name = one.selectbox("Model", names, key="studio_model")
        seed = two.number_input("Seed", 0, 2**31 - 1, 0, key="studio_seed")
    missing = [
        word
        for word, there in (("a picture", picture), ("speech", speech), ("a prompt", prompt.strip()))
        if not there
    ]  # fmt: skip
    inputs = (getattr(speech, "file_id", ""), prompt.strip())
    if st.button(
        "Plan the clip", icon=":material/view_timeline:", disabled=bool(missing), key="studio_ask",
        help=f"Still needs {', '.join(missing)}." if missing else "Shows what is said to each stretch.",
    ):  # fmt: skip
        with st.spinner("Planning: loading the planner takes some seconds …"):
            st.session_state[_PLAN] = (inputs, _plan(prompt, speech))
    made = st.session_state.get(_PLAN)
    if missing:
        st.caption(f"Still needs {', '.join(missing)}.")
    elif made is None or made[0] != inputs:
        st.caption("Plan the clip first; the plan can be changed before anything is made.")
    else:
        parts = _edit(made[1])
        model = models[names.index(str(name))]
        if st.button(
            "Make the clip", type="primary", icon=":material/movie_creation:", key="studio_make"
        ):
            _start(workspace, model, made[1], parts, prompt, int(seed), picture, speech, by)


def _preview(picture: Any) -> None:
    try:
        with Image.open(picture) as opened:
            small = opened.convert("RGB")
            small.thumbnail((320, 320))
            shown = io.BytesIO()
            small.save(shown, format="JPEG", quality=85)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise InputError(
            f"the picture {picture.name!r} cannot be read; give a PNG, JPEG or WebP file"
        ) from error
    st.image(shown.getvalue(), width=160)


def _plan(prompt: str, speech: Any) -> ClipPlan:
    with tempfile.TemporaryDirectory(prefix="joystreamer-") as folder:
        path = Path(folder) / f"speech.{_ending(speech)}"
        path.write_bytes(speech.getvalue())
        return plan_clip(prompt, path)


def _ending(upload: Any) -> str:
    """Ending of an uploaded file; a recording of the browser is a WAV."""
    return Path(str(upload.name)).suffix.lower().lstrip(".") or "wav"


def _edit(plan: ClipPlan) -> list[str]:
    """Show the plan and let it be changed; return its texts."""
    table = pd.DataFrame(
        [
            {"from, s": each.start_s, "to, s": each.end_s, "what happens": each.text}
            for each in plan.stretches
        ]
    )
    words = "pass" if plan.segments == 1 else "passes"
    st.caption(
        f"The plan: {plan.seconds:.1f} s of sound, {plan.segments} {words} of the network. Click a text to change it."
    )
    edited = st.data_editor(
        table, disabled=["from, s", "to, s"], hide_index=True, width="stretch",
        key=f"studio_parts_{abs(hash(plan))}",  # another plan forgets what was typed into the last one
        column_config={
            "from, s": st.column_config.NumberColumn(format="%.2f", width="small"),
            "to, s": st.column_config.NumberColumn(format="%.2f", width="small"),
            "what happens": st.column_config.TextColumn(width="large", required=True),
        },
    )  # fmt: skip
    return [str(text or "") for text in edited["what happens"]]


def _start(
    workspace: Workspace, model: Model, plan: ClipPlan, parts: list[str], prompt: str, seed: int,
    picture: Any, speech: Any, by: str,
) -> None:  # fmt: skip
    job = make_job(
        workspace.root, model, prompt=prompt, parts=parts, segments=plan.segments, seconds=plan.seconds,
        seed=seed, image=(_ending(picture), picture.getvalue()), speech=(_ending(speech), speech.getvalue()), by=by,
    )  # fmt: skip
    start_job(job)
    st.toast("The job is started; it goes on when this page is closed.", icon=":material/movie:")


def _open() -> None:
    """Draw the page for whoever may see it."""
    site = current_site()
    session = require(site, "generate")
    views_panel(site.workspace, "studio", by=session.subject)
    show(site.workspace, by=session.subject)


if __name__ == "__main__":  # as a page; tests call show
    _open()
