"""Clips, pictures and speech of the studio's jobs for staff: one route beside the pages."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from dashboard.site import current_site
from dashboard.studio.jobs import CLIP, Job, find_job
from dashboard.visitors import allowed, session_of
from joystreamer.errors import InputError

PATH: Final = "/staff/studio"

TYPES: Final = {
    ".mp4": "video/mp4", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg",
    ".webp": "image/webp", ".wav": "audio/wav", ".mp3": "audio/mpeg", ".flac": "audio/flac",
    ".m4a": "audio/mp4", ".ogg": "audio/ogg",
}  # fmt: skip


def job_url(job: Job, name: str) -> str:
    """The address of one of a job's files."""
    return f"{PATH}/{job.name}/{name}"


def show_file(request: Request) -> Response:
    """GET /staff/studio/{job}/{name}: clip, picture or speech of a job, with HTTP ranges."""
    site = current_site()
    if not allowed(session_of(site, request), "generate"):
        return PlainTextResponse("the studio is for staff; sign in and try again", 403)
    name = request.path_params["name"]
    try:
        job = find_job(site.workspace.root, request.path_params["job"])
    except InputError as error:
        return PlainTextResponse(str(error), 404)
    if name not in (CLIP, job.request.image, job.request.speech):
        return PlainTextResponse("a job has a clip, a picture and speech, and nothing else", 404)
    path = job.folder / name
    if not path.is_file():
        return PlainTextResponse("this clip is not finished", 404)
    headers = {"cache-control": "private, no-store", "cross-origin-resource-policy": "same-origin"}
    return FileResponse(path, media_type=TYPES[path.suffix.lower()], headers=headers)


ROUTES: Final = (Route(f"{PATH}/{{job}}/{{name}}", show_file, methods=["GET"]),)
