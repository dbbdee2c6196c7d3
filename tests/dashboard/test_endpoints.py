"""Clips out and votes in: only one's own, only from our page, each answer once."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from dashboard.doors import ROUTES as DOORS
from dashboard.endpoints import MAX_BODY
from dashboard.endpoints import ROUTES as ENDPOINTS
from dashboard.guard import Guard
from dashboard.site import Site, open_site
from eval.ratings.audit import audit_campaign
from eval.ratings.joining import create_invites, revoke_invite
from eval.ratings.sessions import COOKIE_NAME, Session, SessionSigner
from eval.ratings.store import campaign_entries, get_campaign
from eval.records import DIMENSIONS

ORIGIN = {"origin": "http://testserver"}
CLIMBS = ("../", "..%2f", "%2e%2e%2f", "....//", "..\\", "/etc/passwd", "\x00")


class World(NamedTuple):
    """A site and a way to come in."""

    site: Site
    app: Starlette

    def client(self) -> TestClient:
        return TestClient(self.app, follow_redirects=False)

    def invite(self) -> tuple[int, str]:
        stored = get_campaign(self.site.workspace.database, "marmot")
        (made,) = create_invites(self.site.workspace.database, stored, ["x"], now=time.time())
        return made.number, made.token

    def annotator(self) -> TestClient:
        client = self.client()
        answer = client.post(f"/join/{self.invite()[1]}", headers=ORIGIN)
        assert answer.status_code == 303
        return client

    def operator(self) -> TestClient:
        client = self.client()
        form = {"secret": self.site.operator_secret}
        assert client.post("/signin", data=form, headers=ORIGIN).status_code == 303
        return client


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, fill_workspace: Callable[..., Any]
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("routes")
    fill_workspace(folder / "workspace", folder / "media", seconds=0.6, raters=60, per_case=60)
    site = open_site(folder / "workspace")
    yield World(site, Starlette(routes=[*ENDPOINTS, *DOORS], middleware=[Middleware(Guard)]))
    site.workspace.database.close()


def work(client: TestClient) -> dict[str, Any]:
    """The next pairs, once their clips are made."""
    while True:
        answer = client.post("/api/work", json={}, headers=ORIGIN)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        if not told["preparing"]:
            return told


def ballot(pair: dict[str, Any], key: str, **more: Any) -> dict[str, Any]:
    watch = {f"{side}_{what}_s": 0.6 for side in ("left", "right") for what in ("seen", "heard")}
    return {
        "assignment": pair["assignment"], "action": "vote", "client_key": key,
        "answers": dict.fromkeys(DIMENSIONS, "left"), "watch": watch, **more,
    }  # fmt: skip


def votes(world: World) -> list[dict[str, Any]]:
    _, entries = campaign_entries(world.site.workspace.database, "marmot")
    return [entry.payload() for entry in entries if entry.kind == "vote"]


def test_a_vote_is_saved_once_however_often_it_is_sent(world: World) -> None:
    client = world.annotator()
    before = len(votes(world))
    pair = work(client)["pairs"][0]
    told = [
        client.post("/api/vote", json=ballot(pair, "same-key-1"), headers=ORIGIN) for _ in range(3)
    ]
    assert [answer.status_code for answer in told] == [200, 200, 200]
    assert {answer.json()["revision"] for answer in told} == {1}
    assert told[-1].json()["progress"]["done"] == 1
    assert len(votes(world)) == before + 1


def test_votes_of_a_simulated_campaign_say_so_in_the_ledger(world: World) -> None:
    client = world.annotator()
    told = work(client)
    assert told["campaign"]["simulated"] is True
    client.post("/api/vote", json=ballot(told["pairs"][0], "simulated-1"), headers=ORIGIN)
    assert votes(world)[-1]["origin"] == "simulated"
    assert not audit_campaign(world.site.workspace.database, "marmot").problems


def test_undo_brings_the_pair_back(world: World) -> None:
    client = world.annotator()
    pair = work(client)["pairs"][0]
    client.post("/api/vote", json=ballot(pair, "undo-first"), headers=ORIGIN)
    told = client.post("/api/undo", json={"client_key": "undo-key-1"}, headers=ORIGIN).json()
    assert told["pair"]["assignment"] == pair["assignment"]
    assert told["progress"]["done"] == 0
    again = client.post("/api/undo", json={"client_key": "undo-key-1"}, headers=ORIGIN).json()
    assert again["pair"]["assignment"] == pair["assignment"]
    second = client.post("/api/vote", json=ballot(pair, "undo-again"), headers=ORIGIN).json()
    assert second["revision"] == 3


def test_unwatched_clips_are_refused_in_words(world: World) -> None:
    client = world.annotator()
    pair = work(client)["pairs"][0]
    answer = client.post("/api/vote", json=ballot(pair, "unwatched", watch={}), headers=ORIGIN)
    assert answer.status_code == 422
    assert answer.json()["saved"] is False
    assert "the left clip was watched for 0%, 30% is needed" in answer.json()["error"]


def test_clips_are_served_whole_in_parts_and_without_traces(world: World) -> None:
    client = world.annotator()
    pair = work(client)["pairs"][0]
    whole = client.get(pair["left"]["url"])
    assert whole.status_code == 200
    assert whole.headers["content-type"] == "video/mp4"
    part = client.get(pair["left"]["url"], headers={"range": "bytes=100-199"})
    assert part.status_code == 206
    assert part.content == whole.content[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole.content)}"
    for answer in (whole, part):
        assert not {"etag", "last-modified", "server"} & set(answer.headers)
        assert answer.headers["cache-control"].startswith("private")
        assert answer.headers["content-disposition"] == "inline"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get(pair["left"]["url"], headers={"range": "bytes=999999999-"}).status_code == 416


def test_reference_media_are_served_without_their_names(world: World) -> None:
    client = world.annotator()
    pair = work(client)["pairs"][0]
    image = client.get(pair["image"])
    assert (image.status_code, image.headers["content-type"]) == (200, "image/jpeg")
    assert image.content.startswith(b"\xff\xd8")
    audio = client.get(pair["audio"])
    assert (audio.status_code, audio.headers["content-type"]) == (200, "audio/wav")
    assert audio.content.startswith(b"RIFF")


def test_both_sides_have_one_size(world: World, tmp_path: Path) -> None:
    from joystreamer.media import probe

    client = world.annotator()
    pair = work(client)["pairs"][0]
    sizes = set()
    for side in ("left", "right"):
        path = tmp_path / f"{side}.mp4"
        path.write_bytes(client.get(pair[side]["url"]).content)
        facts = probe(path)
        sizes.add((facts.width, facts.height, facts.codec, facts.pixel_format))
    assert sizes == {(128, 72, "h264", "yuv420p")}


def test_nobody_gets_anything_without_a_cookie(world: World) -> None:
    pair = work(world.annotator())["pairs"][0]
    stranger = world.client()
    assert stranger.get(pair["left"]["url"]).status_code == 403
    for path in ("/api/work", "/api/vote", "/api/undo"):
        assert (
            stranger.post(path, json=ballot(pair, "stranger-1"), headers=ORIGIN).status_code == 403
        )


def test_another_annotators_assignment_is_refused(world: World) -> None:
    mine, theirs = world.annotator(), world.annotator()
    pair = work(mine)["pairs"][0]
    work(theirs)
    for medium in (pair["left"]["url"], pair["right"]["url"], pair["image"], pair["audio"]):
        assert theirs.get(medium).status_code == 403
    answer = theirs.post("/api/vote", json=ballot(pair, "stolen-key"), headers=ORIGIN)
    assert answer.status_code == 403
    assert "not yours" in answer.json()["error"]


def test_a_guessed_clip_token_is_refused(world: World) -> None:
    client = world.annotator()
    token = work(client)["pairs"][0]["left"]["url"].removeprefix("/clip/")
    wrong = ("A" if token[0] != "A" else "B") + token[1:]
    for guess in (wrong, "A" * 24, "1", token.lower(), token + "A"):
        assert client.get(f"/clip/{guess}").status_code == 403, guess


@pytest.mark.parametrize("climb", CLIMBS)
def test_climbing_out_of_folders_is_refused_in_every_parameter(world: World, climb: str) -> None:
    client = world.annotator()
    pair = work(client)["pairs"][0]
    escape = climb * 3 + "etc/passwd"
    clip = client.get("/clip/" + escape.replace("\x00", "%00"))
    assert clip.status_code in (403, 404)
    assert b"root:" not in clip.content
    assert client.post("/join/" + escape.replace("\x00", "%00"), headers=ORIGIN).status_code in (
        403,
        404,
    )
    changes: list[dict[str, Any]] = [
        {"assignment": escape}, {"client_key": escape}, {"action": escape}, {"flag": escape},
        {"answers": {**ballot(pair, "k")["answers"], escape: "left"}},
        {"answers": dict.fromkeys(DIMENSIONS, escape)}, {"watch": {"plays": escape}}, {escape: 1},
    ]  # fmt: skip
    for change in changes:
        answer = client.post("/api/vote", json=ballot(pair, "climbing") | change, headers=ORIGIN)
        assert answer.status_code in (400, 403), change
        assert answer.json()["saved"] is False
    assert client.post("/api/undo", json={"client_key": escape}, headers=ORIGIN).status_code == 400
    assert work(client)["progress"]["done"] == 0


@pytest.mark.parametrize(
    "origin",
    [None, "null", "http://evil.example", "http://testserver.evil.example", "ftp://testserver"],
)
def test_a_cross_origin_post_is_refused(world: World, origin: str | None) -> None:
    client = world.annotator()
    pair = work(client)["pairs"][0]
    headers = {} if origin is None else {"origin": origin}
    _, token = world.invite()
    assert (
        client.post("/api/vote", json=ballot(pair, "crossing"), headers=headers).status_code == 403
    )
    assert (
        client.post("/api/undo", json={"client_key": "crossing-1"}, headers=headers).status_code
        == 403
    )
    assert client.post("/api/work", json={}, headers=headers).status_code == 403
    assert world.client().post(f"/join/{token}", headers=headers).status_code == 403
    form = {"secret": world.site.operator_secret}
    assert world.client().post("/signin", data=form, headers=headers).status_code == 403
    assert (
        world.client().post(f"/join/{token}", headers=ORIGIN).status_code == 303
    )  # it was not used up


def test_a_forged_cookie_opens_nothing(world: World) -> None:
    client = world.annotator()
    pair = work(client)["pairs"][0]
    honest = client.cookies[COOKIE_NAME]
    stranger = SessionSigner("another secret that is long enough to sign")
    forged = (
        stranger.sign(Session(role="operator", subject="local")),
        honest[:-2] + ("AA" if honest[-2:] != "AA" else "BB"),
        "x" + honest,
        "{}",
        "",
    )
    for value in forged:
        visitor = world.client()
        visitor.cookies.set(COOKIE_NAME, value)
        assert visitor.get(pair["left"]["url"]).status_code == 403
        assert visitor.get("/campaigns").status_code == 403
        assert visitor.post("/api/work", json={}, headers=ORIGIN).status_code == 403


def test_an_invitation_works_once(world: World) -> None:
    _, token = world.invite()
    for _ in range(3):  # looking does not use it up, as link previews in chat programs do
        assert "Start" in world.client().get(f"/join/{token}").text
    first = world.client().post(f"/join/{token}", headers=ORIGIN)
    assert first.status_code == 303
    assert first.headers["location"] == "/"
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    replayed = world.client().post(f"/join/{token}", headers=ORIGIN)
    assert replayed.status_code == 403
    assert "ask the person who sent it for a new one" in replayed.text
    assert COOKIE_NAME not in replayed.headers.get("set-cookie", "")


def test_whoever_guesses_invitations_must_wait(world: World) -> None:
    with world.site.workspace.database.write() as connection:
        from eval.ratings.schema import attempts

        connection.execute(attempts.delete())
    guesser = world.client()
    answers = [guesser.post(f"/join/{'A' * 32}", headers=ORIGIN).status_code for _ in range(12)]
    assert answers == [403] * 10 + [429] * 2
    with world.site.workspace.database.write() as connection:
        connection.execute(attempts.delete())


def test_a_revoked_annotator_is_out_at_once(world: World) -> None:
    number, token = world.invite()
    client = world.client()
    client.post(f"/join/{token}", headers=ORIGIN)
    pair = work(client)["pairs"][0]
    stored = get_campaign(world.site.workspace.database, "marmot")
    revoke_invite(world.site.workspace.database, stored, number, now=time.time())
    assert client.get(pair["left"]["url"]).status_code == 403
    assert (
        client.post("/api/vote", json=ballot(pair, "revoked-1"), headers=ORIGIN).status_code == 403
    )


def test_staff_pages_are_closed_to_annotators_and_strangers(world: World) -> None:
    for visitor in (world.annotator(), world.client()):
        for path in ("/campaigns", "/campaigns/", "/campaigns/x"):
            assert visitor.get(path).status_code == 403, path
    assert world.operator().get("/campaigns").status_code != 403


def test_staff_cannot_rate(world: World) -> None:
    pair = work(world.annotator())["pairs"][0]
    operator = world.operator()
    assert operator.get(pair["left"]["url"]).status_code == 403
    assert (
        operator.post("/api/vote", json=ballot(pair, "operator-1"), headers=ORIGIN).status_code
        == 403
    )


def test_a_wrong_operator_secret_is_refused(world: World) -> None:
    for secret in ("", "guess", world.site.operator_secret[:-1]):
        answer = world.client().post("/signin", data={"secret": secret}, headers=ORIGIN)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


def test_signing_out_forgets_the_cookie(world: World) -> None:
    operator = world.operator()
    assert "<button autofocus>Sign out</button>" in operator.get("/signout").text
    assert operator.get("/campaigns").status_code != 403
    answer = operator.post("/signout", headers=ORIGIN)
    assert answer.status_code == 303
    assert operator.get("/campaigns").status_code == 403


@pytest.mark.parametrize(
    "body", [b"", b"no json", b"[1]", b'"text"', b"x" * (MAX_BODY + 1), b"\xff\xfe"]
)
def test_a_body_that_does_not_fit_is_refused(world: World, body: bytes) -> None:
    client = world.annotator()
    headers = {**ORIGIN, "content-type": "application/json"}
    answer = client.post("/api/vote", content=body, headers=headers)
    assert answer.status_code in (400, 403)
    assert answer.json()["saved"] is False


def test_another_content_type_is_refused(world: World) -> None:
    client = world.annotator()
    pair = work(client)["pairs"][0]
    text = json.dumps(ballot(pair, "plain-text"))
    answer = client.post(
        "/api/vote", content=text, headers={**ORIGIN, "content-type": "text/plain"}
    )
    assert answer.status_code == 400
    assert "send application/json" in answer.json()["error"]


def test_script_in_every_text_field_stays_text(world: World) -> None:
    script = "<script>alert(1)</script>"
    client = world.annotator()
    pair = work(client)["pairs"][0]
    for change in (
        {"client_key": script},
        {"flag": script},
        {"action": script},
        {"assignment": script},
    ):
        answer = client.post("/api/vote", json=ballot(pair, "scripted") | change, headers=ORIGIN)
        assert answer.status_code in (400, 403)
        assert answer.headers["content-type"] == "application/json"
    assert script not in world.client().post(f"/join/{script}", headers=ORIGIN).text
    saved = client.post("/api/vote", json=ballot(pair, "scripted", comment=script), headers=ORIGIN)
    assert saved.status_code == 200
    assert script not in saved.text
    assert votes(world)[-1]["comment"] == script  # kept as it was typed, escaped where it is shown


def test_every_answer_carries_strict_headers(world: World) -> None:
    client = world.annotator()
    pair = work(client)["pairs"][0]
    for answer in (client.get(pair["left"]["url"]), client.get("/signin"), client.get("/nowhere"),
                   client.get("/campaigns"), client.post("/api/work", json={}, headers=ORIGIN)):  # fmt: skip
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "same-origin"


def test_a_clip_that_cannot_be_made_is_told_without_its_path(
    world: World, fill_workspace: Callable[..., Any], tmp_path: Path
) -> None:
    fill_workspace(tmp_path / "workspace", tmp_path / "media", seconds=0.6)
    for original in (tmp_path / "workspace" / "media").rglob("*.mp4"):
        original.write_bytes(b"damaged")
    site = open_site(tmp_path / "workspace")
    broken = World(site, world.app)
    try:
        client = broken.annotator()
        told = work(client)
        assert told["pairs"][0]["broken"] is True
        assert "left" not in told["pairs"][0]
        vote = ballot(told["pairs"][0], "flag-broken", action="flag", flag="broken_file")
        assert client.post("/api/vote", json=vote, headers=ORIGIN).json()["saved"] is True
    finally:
        site.workspace.database.close()
        open_site(world.site.workspace.root)
