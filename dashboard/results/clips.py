"""Clips, reference pictures and speech for staff, by digest: one route beside the pages.

Annotators get theirs elsewhere, under names that mean nothing; here whoever may see results sees what it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from dashboard.site import current_site
from dashboard.studio.media import ROUTES as STUDIO
from dashboard.visitors import allowed, session_of
from eval.store.workspace import Workspace
from joystreamer.errors import InputError

PATH: Final = "/staff/clip"

TYPES: Final = {
    ".mp4": "video/mp4", ".webm": "video/webm", ".mov": "video/quicktime", ".mkv": "video/x-matroska",
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp",
    ".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".m4a": "audio/mp4",
}  # fmt: skip
"""Media types that are served; anything else in the workspace is not."""


def clip_url(digest: str) -> str:
    """The address of a proxy, original or poster."""
    return f"{PATH}/{digest}"


def find_file(workspace: Workspace, digest: str) -> Path | None:
    """The proxy, original or poster of a digest, if it is one that browsers are shown.

    Raises:
        InputError: The digest is not 64 hex digits.
    """
    folders = (workspace.proxies, workspace.media, workspace.posters)
    path = next(filter(None, (folder.find(digest) for folder in folders)), None)
    return path if path is not None and path.suffix.lower() in TYPES else None


def show_clip(request: Request) -> Response:
    """GET /staff/clip/{digest}: a file with HTTP ranges, so that seeking does not load all of it."""
    site = current_site()
    if not allowed(session_of(site, request), "see_results"):
        return PlainTextResponse("this clip is for staff; sign in and try again", 403)
    try:
        path = find_file(site.workspace, request.path_params["digest"])
    except InputError as error:
        return PlainTextResponse(str(error), 400)
    if path is None:
        return PlainTextResponse("there is no such clip; ingest it again", 404)
    # Content never changes under its digest, and must not outlive the visitor's session elsewhere.
    headers = {
        "cache-control": "private, max-age=3600",
        "cross-origin-resource-policy": "same-origin",
    }
    return FileResponse(path, media_type=TYPES[path.suffix.lower()], headers=headers)


ROUTES: Final = (Route(f"{PATH}/{{digest}}", show_clip, methods=["GET"]), *STUDIO)
