"""Staff sign in by an identity provider: a real one on this machine, a real server, a real browser."""

import base64
import hashlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

pytestmark = pytest.mark.browser

CLIENT = "clips"
ADA, BO, EVE = "ada@example.org", "bo@example.org", "eve@example.org"
STAFF = f'lead = ["{ADA}"]\noperator = ["{BO}"]\n'

SEEN = """
() => [document.documentElement.outerHTML, JSON.stringify({ ...localStorage }), document.cookie,
  JSON.stringify({ ...sessionStorage }), ...performance.getEntries().map((entry) => entry.name)].join('\\n')
"""
"""What scripts of a page can read."""


@dataclass(kw_only=True)
class Provider:
    """OpenID Connect with one person signed in, by authorization code with S256 and a client secret."""

    url: str
    person: dict[str, Any] = field(default_factory=dict)
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "k1"}))
    grants: dict[str, dict[str, str]] = field(default_factory=dict)
    issued: list[str] = field(default_factory=list)
    """Codes and tokens, used or not."""

    def metadata(self, _: Request) -> Response:
        ends = {
            "authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks",
            "end_session_endpoint": "end",
        }  # fmt: skip
        return JSONResponse(
            {name: f"{self.url}/{end}" for name, end in ends.items()}
            | {
                "issuer": self.url,
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
            }
        )

    def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["client_id"] == CLIENT
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(24)
        self.issued.append(code)
        self.grants[code] = asked
        answer = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{answer}", status_code=302)

    async def token(self, request: Request) -> Response:
        form = {
            name: values[0] for name, values in parse_qs((await request.body()).decode()).items()
        }
        known = base64.b64encode(f"{CLIENT}:{self.client_secret}".encode()).decode()
        grant = self.grants.pop(form["code"], None)  # a code works once
        proof = hashlib.sha256(form["code_verifier"].encode()).digest()
        if (
            grant is None
            or request.headers.get("authorization") != f"Basic {known}"
            or grant["code_challenge"] != base64.urlsafe_b64encode(proof).rstrip(b"=").decode()
            or grant["redirect_uri"] != form["redirect_uri"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 600,
            "nonce": grant["nonce"], **self.person,
        }  # fmt: skip
        signed = jwt.encode({"alg": "RS256", "kid": "k1"}, claims, self.key)
        access = secrets.token_urlsafe(24)
        self.issued += [signed, access]
        return JSONResponse(
            {"id_token": signed, "access_token": access, "token_type": "Bearer", "expires_in": 600}
        )

    def jwks(self, _: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    def end(self, request: Request) -> Response:
        return RedirectResponse(request.query_params["post_logout_redirect_uri"], status_code=302)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.metadata),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/jwks", self.jwks),
                Route("/end", self.end),
            ]
        )


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """A provider on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = Provider(url=f"http://127.0.0.1:{listening.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(made.app(), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield made
        server.should_exit = True
        thread.join()


@dataclass(kw_only=True)
class Visit:
    """A browser of its own, and all that it asked for and was sent."""

    context: Any
    page: Any
    asked: list[str] = field(default_factory=list)
    received: list[str] = field(default_factory=list)

    def note(self) -> None:
        self.received.append(self.page.evaluate(SEEN))

    def may_not(self, method: str, address: str) -> bool:
        """Whether the server tells this browser's cookies, without any page, that they are not staff's."""
        answer = self.context.request.fetch(address, method=method)
        return answer.status == 403 and "is for staff" in answer.text()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[[], Visit]]:
    """Open a browser that nobody is signed in with."""
    opened: list[Any] = []

    def enter() -> Visit:
        context = browser.new_context(viewport={"width": 1280, "height": 720})
        context.set_default_timeout(120_000)
        opened.append(context)
        made = Visit(context=context, page=context.new_page())
        made.page.on("request", lambda request: made.asked.append(request.url))
        made.page.on("console", lambda message: made.received.append(message.text))

        def frame(data: bytes | str) -> None:
            made.received.append(data if isinstance(data, str) else data.decode("latin-1"))

        made.page.on("websocket", lambda opened: opened.on("framereceived", frame))
        return made

    yield enter
    for context in opened:
        context.close()


@pytest.fixture(scope="module")
def served(
    provider: Provider, server_type: Any, fill_workspace: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:  # fmt: skip
    """A server whose secrets, in its own working folder, name the provider."""
    folder = tmp_path_factory.mktemp("oidc")
    fill_workspace(folder / "workspace", folder / "media", seconds=0.4)
    server = server_type(folder / "workspace", folder / "server.log")
    (server.root / "staff.toml").write_text(STAFF)
    server.folder = folder / "home"
    settings = server.folder / ".streamlit" / "secrets.toml"
    settings.parent.mkdir(parents=True)
    auth = {
        "redirect_uri": f"{server.url}/oauth2callback", "cookie_secret": secrets.token_urlsafe(32),
        "client_id": CLIENT, "client_secret": provider.client_secret,
        "server_metadata_url": f"{provider.url}/.well-known/openid-configuration",
    }  # fmt: skip
    lines = ["[auth]", *(f"{name} = {json.dumps(value)}" for name, value in auth.items())]
    settings.write_text("\n".join(lines))
    server.secrets = [auth["cookie_secret"], provider.client_secret]
    server.start()
    server.secrets += [
        (server.root / name).read_text().strip() for name in ("operator.secret", "server.secret")
    ]
    yield server
    server.stop()


def sign_in(visitor: Visit, server: Any) -> None:
    """From the welcome page through the provider and back."""
    visitor.page.goto(server.url)
    visitor.page.get_by_role("heading", name="Nobody is signed in here").wait_for()
    visitor.page.get_by_role("button", name="Sign in with your organisation").click()


def sign_out(visitor: Visit, server: Any) -> None:
    """By the button, back to the welcome page, as nobody."""
    visitor.page.get_by_role("button", name="Sign out").click()
    visitor.page.get_by_role("heading", name="Nobody is signed in here").wait_for()
    visitor.note()
    assert visitor.page.url == f"{server.url}/"
    assert "_streamlit_user" not in {cookie["name"] for cookie in visitor.context.cookies()}


def guarded(server: Any) -> list[tuple[str, str]]:
    """Addresses that only staff may reach: a page, a clip, the place for uploads."""
    media = server.root / "media"
    clip = next(path.stem for path in media.rglob("*.mp4"))
    return [
        ("GET", f"{server.url}/campaigns"),
        ("GET", f"{server.url}/staff/clip/{clip}"),
        ("PUT", f"{server.url}/_stcore/upload_file/session/file"),
    ]


def refused(visitor: Visit, server: Any) -> list[bool]:
    """Whether each guarded address is refused, for want of a role and nothing else."""
    return [visitor.may_not(method, address) for method, address in guarded(server)]


def require_discreet(visitor: Visit, server: Any, provider: Provider, cookies: list[str]) -> None:
    """No secret, code, token or private cookie where it does not belong."""
    ours = [url for url in visitor.asked if url.startswith(server.url)]
    codes = [parse_qs(urlsplit(url).query).get("code", [""])[0] for url in ours]
    exchanges = [url for url, code in zip(ours, codes, strict=True) if code]
    assert exchanges
    assert all(url.startswith(f"{server.url}/oauth2callback?") for url in exchanges)
    assert provider.issued
    private = [*server.secrets, *provider.issued, *cookies]
    seen = [url for url in ours if url not in exchanges] + visitor.received
    seen.append(server.text().split("pages at", 1)[1])
    assert sum(map(len, seen)) > 5_000
    for secret in private:
        assert len(secret) > 12
        for piece in seen:
            at = piece.find(secret)
            assert at < 0, piece[max(0, at - 120) : at + 20]
    for url in exchanges:
        assert not [secret for secret in (*server.secrets, *cookies) if secret in url]


def private_cookies(visitor: Visit) -> list[str]:
    """Values of the cookies that say who somebody is; scripts must not read them."""
    found = [c for c in visitor.context.cookies() if c["name"].startswith("_streamlit_user")]
    assert found
    assert all(cookie["httpOnly"] and cookie["sameSite"] == "Lax" for cookie in found)
    return [cookie["value"] for cookie in found]


def test_listed_people_come_in_with_their_role_and_leave(
    served: Any, provider: Provider, visit: Callable[[], Visit]
) -> None:
    provider.person = {"email": "Ada@Example.org", "email_verified": True}
    visitor = visit()
    assert all(refused(visitor, served))
    sign_in(visitor, served)
    visitor.page.get_by_text("Ada@Example.org, lead", exact=True).wait_for()
    visitor.note()
    cookies = private_cookies(visitor)

    visitor.page.goto(f"{served.url}/campaigns")
    visitor.page.get_by_role("heading", name="Campaigns", exact=True).wait_for()
    visitor.page.get_by_role("heading", name="marmot").wait_for()
    visitor.note()
    assert not any(refused(visitor, served))

    forged = visit()
    (value,) = (c["value"] for c in visitor.context.cookies() if c["name"] == "_streamlit_user")
    altered = value[:40] + ("A" if value[40] != "A" else "B") + value[41:]
    for worthless in (altered, "chunks-2", "x"):
        forged.context.add_cookies(
            [{"name": "_streamlit_user", "value": worthless, "url": served.url}]
        )
        assert all(refused(forged, served)), worthless

    sign_out(visitor, served)
    assert all(refused(visitor, served))

    provider.person = {"email": BO, "email_verified": True}
    visitor.page.get_by_role("button", name="Sign in with your organisation").click()
    visitor.page.get_by_text(f"{BO}, operator", exact=True).wait_for()
    visitor.note()
    require_discreet(visitor, served, provider, cookies + private_cookies(visitor))


def test_everybody_else_is_refused(
    served: Any, provider: Provider, visit: Callable[[], Visit]
) -> None:
    provider.person = {"email": EVE, "email_verified": True}
    visitor = visit()
    sign_in(visitor, served)
    visitor.page.get_by_role("heading", name="You are not on the list of staff").wait_for()
    visitor.page.get_by_text(f"Your organisation says that you are {EVE}.").wait_for()
    visitor.note()
    cookies = private_cookies(visitor)
    assert all(refused(visitor, served))
    visitor.page.goto(f"{served.url}/campaigns")
    visitor.page.get_by_role("heading", name="Not for you").wait_for()
    assert "marmot" not in visitor.page.content()
    visitor.page.goto(served.url)
    sign_out(visitor, served)
    require_discreet(visitor, served, provider, cookies)
