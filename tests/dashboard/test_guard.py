"""How answers leave: at once, and with cookies for HTTPS alone where that is how browsers come."""

import asyncio
import http.client
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from dashboard.guard import HEADERS, Guard


async def tell_delay(request: Request) -> PlainTextResponse:
    """Whether the connection of this very request still waits to fill its packets."""
    connection = request.receive.__self__.transport.get_extra_info("socket")  # type: ignore[attr-defined]
    waits = not connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    return PlainTextResponse("waits" if waits else "at once")


@pytest.fixture(params=[True, False], ids=["guarded", "bare"])
def answer(request: pytest.FixtureRequest) -> Iterator[http.client.HTTPResponse]:
    """An answer of a real server on a socket made as the page framework makes it."""
    middleware = [Middleware(Guard)] if request.param else []
    app = Starlette(routes=[Route("/", tell_delay)], middleware=middleware)
    listening = socket.socket()  # no protocol named
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=asyncio.run, args=(server.serve([listening]),))
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", listening.getsockname()[1], timeout=30)
    try:
        connection.request("GET", "/")
        yield connection.getresponse()
    finally:
        connection.close()
        server.should_exit = True
        thread.join()
        listening.close()


def test_small_answers_do_not_wait_for_each_other(answer: http.client.HTTPResponse) -> None:
    guarded = answer.headers["x-frame-options"] == "DENY"
    assert answer.read() == (b"at once" if guarded else b"waits")
    if guarded:
        assert all(answer.headers[name] == value for name, value in HEADERS)


def set_cookies(_: Request) -> PlainTextResponse:
    """Two cookies, one of them without the flag, as the page framework sets its own."""
    answer = PlainTextResponse("")
    answer.set_cookie("plain", "1", httponly=True)
    answer.set_cookie("flagged", "1", secure=True)
    return answer


@pytest.mark.parametrize("secure", [True, False])
def test_behind_https_every_cookie_is_for_https(secure: bool) -> None:
    guarded = Middleware(Guard, secure=secure)
    client = TestClient(Starlette(routes=[Route("/", set_cookies)], middleware=[guarded]))
    plain, flagged = client.get("/").headers.get_list("set-cookie")
    assert plain == "plain=1; HttpOnly; Path=/; SameSite=lax" + ("; Secure" if secure else "")
    assert flagged.count("Secure") == 1
