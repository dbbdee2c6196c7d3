"""The studio's jobs: how each stands, what can be done with it, and the finished clips beside each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import streamlit as st

from dashboard.results.cards import plain
from dashboard.results.clips import clip_url
from dashboard.results.lazy_clips import compare_address, mount_clips
from dashboard.results.states import sentence
from dashboard.studio.jobs import (
    ACTIVE,
    CLIP,
    Job,
    Progress,
    cancel_job,
    delete_job,
    list_jobs,
    log_of,
    progress_of,
    start_job,
)
from dashboard.studio.media import job_url
from dashboard.studio.sending import SUITE, case_of, send_to_compare
from eval.store.registry import StoredClip, current_clips
from eval.store.workspace import Workspace
from joystreamer.errors import JoyStreamerError

# Seconds between two looks at running jobs.
LOOK_EVERY_S: Final = 2

# Jobs that are shown.
SHOWN: Final = 20

ICONS: Final = {
    "waiting": ":material/hourglass_empty:", "running": ":material/autorenew:", "done": ":material/check:",
    "failed": ":material/error:", "cancelled": ":material/block:", "stopped": ":material/power_off:",
}  # fmt: skip


def show_jobs(workspace: Workspace) -> None:
    """Draw the list; it looks again by itself while a job is at work."""
    st.subheader("Jobs", anchor=False)
    active = any(progress_of(job).state in ACTIVE for job in list_jobs(workspace.root)[:SHOWN])
    st.fragment(_list, run_every=LOOK_EVERY_S if active else None)(workspace, active)


def _list(workspace: Workspace, active: bool) -> None:
    jobs = list_jobs(workspace.root)[:SHOWN]
    if not jobs:
        st.info(
            "No clips yet. Give a picture, speech and a prompt above, plan the clip, and make it.",
            icon=":material/movie:",
        )
        return
    standing = {job.name: progress_of(job) for job in jobs}
    if active and not any(each.state in ACTIVE for each in standing.values()):
        st.rerun()  # nothing is left to look at
    sent = current_clips(workspace, suite=SUITE)
    for job in jobs:
        with st.container(border=True):
            _job(workspace, job, standing[job.name], jobs, standing, sent)


def _job(
    workspace: Workspace, job: Job, stands: Progress, jobs: Sequence[Job],
    standing: dict[str, Progress], sent: Sequence[StoredClip],
) -> None:  # fmt: skip
    request = job.request
    left, right = st.columns([3, 2], vertical_alignment="center")
    left.markdown(
        f"{ICONS[stands.state]} **{plain(job.model.name)}** · {stands.state} · {plain(request.prompt[:120])}"
    )
    left.caption(f"{plain(stands.words)} · {request.seconds:.1f} s · seed {request.seed} · {plain(request.by)}, {request.at[:16].replace('T', ' ')}")  # fmt: skip
    with right:
        _actions(workspace, job, stands, sent)
    if stands.state in ACTIVE:
        st.progress(stands.share, text=stands.words)
    if stands.state == "done":
        _finished(job, jobs, standing, sent)
    if stands.state in ("failed", "stopped"):
        with st.expander("What its process said"):
            st.code(log_of(job) or "(nothing)", language=None)


def _actions(workspace: Workspace, job: Job, stands: Progress, sent: Sequence[StoredClip]) -> None:
    """The buttons that fit a job's state."""
    with st.container(horizontal=True, horizontal_alignment="right"):
        if stands.state in ACTIVE:
            _button("Cancel", ":material/close:", f"cancel_{job.name}", cancel_job, job)
            return
        if stands.state == "done":
            if any(_is_of(stored, job) for stored in sent):
                st.badge("in Compare", icon=":material/check:", color="green")
            else:
                _button(
                    "Send to compare", ":material/compare:", f"send_{job.name}", _send, workspace, job
                )  # fmt: skip
        else:
            _button("Go on", ":material/play_arrow:", f"go_{job.name}", start_job, job)
        _button("Delete", ":material/delete:", f"delete_{job.name}", delete_job, job)


def _button(label: str, icon: str, key: str, act: Callable[..., Any], *given: Any) -> None:
    if not st.button(label, icon=icon, key=key):
        return
    try:
        act(*given)
    except JoyStreamerError as error:
        st.error(sentence(str(error)))
        return
    st.rerun()


def _send(workspace: Workspace, job: Job) -> None:
    with st.spinner("Storing the clip …"):
        send_to_compare(workspace, job)


def _finished(
    job: Job, jobs: Sequence[Job], standing: dict[str, Progress], sent: Sequence[StoredClip]
) -> None:
    """The clip beside others that answer the same picture, speech and prompt."""
    same = [
        other
        for other in jobs
        if other.name != job.name
        and other.request.inputs == job.request.inputs
        and standing[other.name].state == "done"
    ]
    clips = [_shown(each) for each in (job, *same)]
    local = {(each.model.name, each.request.seed) for each in (job, *same)}
    clips += [
        {"system": stored.clip.system, "url": clip_url(stored.proxy or stored.clip.digest),
         "poster": clip_url(stored.poster) if stored.poster else ""}
        for stored in sent
        if stored.clip.case == case_of(job) and (stored.clip.system, stored.clip.seed) not in local
    ]  # fmt: skip
    systems = list(
        dict.fromkeys(stored.clip.system for stored in sent if stored.clip.case == case_of(job))
    )
    compare = compare_address(SUITE, case_of(job), systems[:4]) if systems else ""
    with st.container(width=660 if len(clips) > 1 else 240):
        mount_clips({"clips": clips, "compare": compare}, f"clips_{job.name}")


def _shown(job: Job) -> dict[str, str]:
    return {
        "system": f"{job.model.name}, seed {job.request.seed}", "url": job_url(job, CLIP), "poster": "",
    }  # fmt: skip


def _is_of(stored: StoredClip, job: Job) -> bool:
    clip = stored.clip
    return (clip.case, clip.system, clip.seed) == (case_of(job), job.model.name, job.request.seed)
