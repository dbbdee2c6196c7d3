"""The routes of the rating page: clips out, votes in. They run in the same process as the pages.

A vote is answered with `saved` only after the transaction that holds it has committed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from dashboard.site import Site, current_site
from dashboard.visitors import (
    annotator_of,
    require_same_origin,
    sentence_of,
    session_of,
    status_of,
)
from dashboard.work import open_medium, prepare, reserve, save_vote, take_back, tell_work
from eval.ratings.refusals import NotAllowed
from eval.ratings.serving import Assignment
from eval.store.database import DatabaseUnavailable
from eval.store.files import StoreUnwritable
from joystreamer.errors import InputError

MAX_BODY: Final = 65_536
"""Bytes of a posted vote at most; a comment of 2000 characters needs a tenth."""

WRITERS: Final = 2
"""Posts that write to PostgreSQL at once: one works while another's transaction reaches the disk."""

NEUTRAL: Final = {
    "cache-control": "private, no-cache",
    "content-disposition": "inline",
    "cross-origin-resource-policy": "same-origin",
}


class BlindFileResponse(FileResponse):
    """A file with HTTP ranges and without the headers that would recognise it elsewhere."""

    def set_stat_headers(self, stat_result: os.stat_result) -> None:
        """Tell the length only: a tag or date made from the file would identify it across tokens."""
        self.headers.setdefault("content-length", str(stat_result.st_size))

    def _should_use_range(self, http_if_range: str) -> bool:  # noqa: ARG002
        return False  # there is no validator to compare with


def show_clip(request: Request) -> Response:
    """GET /clip/{token}: one clip, image or speech of the visitor's own assignments."""
    site = current_site()
    try:
        annotator = annotator_of(session_of(site, request))
        path, media_type = open_medium(site, annotator, request.path_params["token"])
    except NotAllowed as error:
        return _refusal(error)
    except InputError:
        return _refusal(InputError("this clip cannot be shown; flag the pair as broken"), 503)
    return BlindFileResponse(path, media_type=media_type, headers=NEUTRAL)


async def post_work(request: Request) -> Response:
    """POST /api/work: reserve and describe the next pairs; their clips are made in the background."""
    site = current_site()
    try:
        annotator, _ = await _admit(site, request)
        async with _turn(site):
            reserved = await run_in_threadpool(reserve, site, annotator)
        told = await run_in_threadpool(tell_work, site, annotator, reserved)
    except InputError as error:
        return _refusal(error)
    return _answer(told, BackgroundTask(_prepare_once, site, annotator, reserved))


async def post_vote(request: Request) -> Response:
    """POST /api/vote: save an answer, a skip or a flag; the same key twice is one answer."""
    site = current_site()
    try:
        annotator, data = await _admit(site, request)
        async with _turn(site):
            told = await run_in_threadpool(save_vote, site, annotator, data)
    except InputError as error:
        return _refusal(error)
    return _answer(told)


async def post_undo(request: Request) -> Response:
    """POST /api/undo: take back the last answer; its pair comes back."""
    site = current_site()
    try:
        annotator, data = await _admit(site, request)
        async with _turn(site):
            told = await run_in_threadpool(take_back, site, annotator, data.get("client_key"))
    except InputError as error:
        return _refusal(error)
    return _answer(told)


async def _admit(site: Site, request: Request) -> tuple[int, Mapping[str, Any]]:
    """The annotator who posts, and what.

    Raises:
        InputError: The post comes from elsewhere, from nobody who takes part, or is no JSON.
    """
    require_same_origin(site, request)
    annotator = annotator_of(session_of(site, request))
    return annotator, await _read_json(request)


_lines: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def _turn(site: Site) -> asyncio.Semaphore:
    """One's turn to write.

    SQLite has one writer, and on PostgreSQL the votes of a campaign follow each other in its ledger:
    waiting in line here is fair and short. Waiting inside the database is neither, and every waiter
    would hold a connection and a thread that takes the interpreter from the one who could go on.
    """
    places = 1 if site.workspace.database.is_sqlite else WRITERS
    return _lines.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(places))


_preparing: set[int] = set()
_log = logging.getLogger(__name__)


def _prepare_once(site: Site, annotator: int, reserved: Sequence[Assignment]) -> None:
    """Make clips for an annotator, unless that is going on already."""
    if annotator in _preparing:
        return
    _preparing.add(annotator)
    try:
        prepare(site, annotator, reserved)
    except (DatabaseUnavailable, StoreUnwritable) as error:  # the page asks again and is told so
        _log.warning("clips were not prepared: %s", error)
    finally:
        _preparing.discard(annotator)


def _answer(told: Mapping[str, Any], task: BackgroundTask | None = None) -> JSONResponse:
    return JSONResponse(told, background=task, headers={"cache-control": "no-store"})


async def _read_json(request: Request) -> Mapping[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise InputError("the request has another content type; send application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise InputError(f"the request is longer than {MAX_BODY} bytes; shorten the comment")
    try:
        data = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise InputError("the request is no JSON; reload the page and try again") from error
    if not isinstance(data, dict):
        raise InputError("the request is no JSON object; reload the page and try again")
    return data


def _refusal(error: InputError, status: int | None = None) -> JSONResponse:
    return JSONResponse(
        {"saved": False, "error": sentence_of(error)},
        status_code=status or status_of(error),
        headers={"cache-control": "no-store"},
    )


ROUTES: Final = (
    Route("/clip/{token}", show_clip, methods=["GET"]),
    Route("/api/work", post_work, methods=["POST"]),
    Route("/api/vote", post_vote, methods=["POST"]),
    Route("/api/undo", post_undo, methods=["POST"]),
)
