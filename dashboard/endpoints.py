"""The routes of the rating page: clips out, votes in. They run in the same process as the pages.

A vote is answered with `saved` only after the transaction that holds it has committed.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from dashboard.site import Site, current_site
from dashboard.visitors import annotator_of, require_same_origin, session_of, status_of
from dashboard.work import (
    describe_campaign,
    find_pair,
    next_work,
    open_medium,
    pair_for_browser,
    prepare_ahead,
    progress_for_browser,
)
from eval.ratings.refusals import NotAllowed
from eval.ratings.saving import save, undo
from joystreamer.errors import InputError

MAX_BODY: Final = 65_536
"""Bytes of a posted vote at most; a comment of 2000 characters needs a tenth."""

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
        annotator = annotator_of(site, session_of(site, request))
        path, media_type = open_medium(site, annotator, request.path_params["token"])
    except NotAllowed as error:
        return _refusal(error)
    except InputError:
        return _refusal(InputError("this clip cannot be shown; flag the pair as broken"), 503)
    return BlindFileResponse(path, media_type=media_type, headers=NEUTRAL)


async def post_work(request: Request) -> Response:
    """POST /api/work: reserve and describe the next pairs."""

    def act(site: Site, annotator: int, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"campaign": describe_campaign(site, annotator), **next_work(site, annotator)}

    return await _answer(request, act, after=prepare_ahead)


async def post_vote(request: Request) -> Response:
    """POST /api/vote: save an answer, a skip or a flag; the same key twice is one answer."""

    def act(site: Site, annotator: int, data: Mapping[str, Any]) -> dict[str, Any]:
        pair = find_pair(site, annotator, data.get("assignment"))
        receipt = save(site.workspace.database, annotator, pair, data, now=time.time())
        return {
            "saved": True,
            "revision": receipt.revision,
            "feedback": dict(receipt.feedback) if receipt.feedback else None,
            "progress": progress_for_browser(site, annotator),
        }

    return await _answer(request, act)


async def post_undo(request: Request) -> Response:
    """POST /api/undo: take back the last answer; its pair comes back."""

    def act(site: Site, annotator: int, data: Mapping[str, Any]) -> dict[str, Any]:
        taken = undo(site.workspace.database, annotator, data.get("client_key"), now=time.time())
        pair = None if taken is None else pair_for_browser(site, annotator, taken[1])
        return {"pair": pair, "progress": progress_for_browser(site, annotator)}

    return await _answer(request, act)


Act = Callable[[Site, int, Mapping[str, Any]], dict[str, Any]]


async def _answer(
    request: Request, act: Act, *, after: Callable[[Site, int], None] | None = None
) -> Response:
    """Check who posts what, act in a thread, and answer in JSON."""
    site = current_site()
    try:
        require_same_origin(site, request)
        data = await _read_json(request)
        session = session_of(site, request)

        def work() -> tuple[int, dict[str, Any]]:
            annotator = annotator_of(site, session)
            return annotator, act(site, annotator, data)

        if site.workspace.database.url.get_backend_name() == "sqlite":
            # SQLite has one writer: waiting in line here is fair and short, polling its lock is neither.
            async with _line():
                annotator, told = await run_in_threadpool(work)
        else:
            annotator, told = await run_in_threadpool(work)
    except InputError as error:
        return _refusal(error)
    task = None if after is None else BackgroundTask(_quietly, after, site, annotator)
    return JSONResponse(told, background=task, headers={"cache-control": "no-store"})


_lines: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def _line() -> asyncio.Lock:
    return _lines.setdefault(asyncio.get_running_loop(), asyncio.Lock())


def _quietly(after: Callable[[Site, int], None], site: Site, annotator: int) -> None:
    try:
        after(site, annotator)
    except InputError:
        return  # whatever it was is told when the pair's turn comes


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
    except ValueError as error:
        raise InputError("the request is no JSON; reload the page and try again") from error
    if not isinstance(data, dict):
        raise InputError("the request is no JSON object; reload the page and try again")
    return data


def _refusal(error: InputError, status: int | None = None) -> JSONResponse:
    return JSONResponse(
        {"saved": False, "error": str(error)},
        status_code=status or status_of(error),
        headers={"cache-control": "no-store"},
    )


ROUTES: Final = (
    Route("/clip/{token}", show_clip, methods=["GET"]),
    Route("/api/work", post_work, methods=["POST"]),
    Route("/api/vote", post_vote, methods=["POST"]),
    Route("/api/undo", post_undo, methods=["POST"]),
)
