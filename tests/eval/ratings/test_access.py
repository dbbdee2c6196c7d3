"""Invites, cookies, roles, tokens: everything that is not allowed is refused."""

import stat

import pytest
from itsdangerous import URLSafeTimedSerializer

from eval.ratings.invites import (
    InviteState,
    RateLimit,
    hash_client,
    hash_token,
    is_token,
    may_try,
    new_token,
    refusal,
)
from eval.ratings.roles import PERMISSIONS, may, staff_role
from eval.ratings.sessions import (
    Session,
    SessionSigner,
    cookie_attributes,
    ensure_secret,
    is_operator,
    same_origin,
)
from eval.ratings.tokens import MEDIA, TokenMint
from eval.ratings.tokens import is_token as is_clip_token
from joystreamer.errors import InputError

SECRET = "s" * 43


def test_tokens_are_random_and_stored_only_as_hashes():
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(is_token(token) for token in tokens)
    token = tokens.pop()
    assert token not in hash_token(token)
    assert len(hash_token(token)) == 64


@pytest.mark.parametrize(
    "text", ["", "../../etc/passwd", "a" * 31, "a" * 33, "a" * 31 + "/", "a" * 31 + "\n"]
)
def test_other_texts_are_no_tokens(text):
    assert not is_token(text)


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (None, "unknown"),
        (InviteState(expires_at=200, used_at=None, revoked_at=None), None),
        (InviteState(expires_at=200, used_at=50, revoked_at=None), "used"),
        (InviteState(expires_at=200, used_at=None, revoked_at=50), "revoked"),
        (InviteState(expires_at=100, used_at=None, revoked_at=None), "expired"),
    ],
)
def test_an_invite_opens_once_and_in_time(state, word):
    assert refusal(state, now=100) == word


def test_failures_slow_a_client_down_and_are_forgotten():
    limit = RateLimit(attempts=3, window_s=60)
    assert may_try([1, 2], now=10, limit=limit)
    assert not may_try([1, 2, 3], now=10, limit=limit)
    assert may_try([1, 2, 3], now=62, limit=limit)
    assert hash_client("10.0.0.1", b"k") != hash_client("10.0.0.1", b"other")


def test_a_cookie_comes_back_and_nothing_forged_does():
    signer = SessionSigner(SECRET)
    session = Session(role="annotator", subject="7", campaign=3)
    value = signer.sign(session)
    assert signer.read(value) == session
    body, stamp, signature = value.split(".")
    for place in range(len(body)):
        other = "A" if body[place] != "A" else "B"
        assert signer.read(f"{body[:place]}{other}{body[place + 1 :]}.{stamp}.{signature}") is None
    # The last character of a signature carries bits that its bytes do not hold; any other counts.
    for place in range(len(signature) - 1):
        other = "A" if signature[place] != "A" else "B"
        forged = f"{signature[:place]}{other}{signature[place + 1 :]}"
        assert signer.read(f"{body}.{stamp}.{forged}") is None
    assert SessionSigner("t" * 43).read(value) is None
    assert signer.read(None) is None
    assert signer.read("") is None
    assert signer.read("x" * 5000) is None
    # Signed by the same secret for another purpose, or with a role that does not exist.
    assert (
        signer.read(str(URLSafeTimedSerializer(SECRET, salt="else").dumps({"r": "lead"}))) is None
    )
    same = URLSafeTimedSerializer(SECRET, salt="rating-session-1")
    assert signer.read(str(same.dumps({"r": "god", "s": "1", "c": None}))) is None
    assert signer.read(str(same.dumps(["lead"]))) is None


def test_an_old_cookie_is_refused():
    signer = SessionSigner(SECRET)
    value = signer.sign(Session(role="lead", subject="a@b.c"))
    assert signer.read(value, max_age_s=-1) is None


def test_the_cookie_is_out_of_reach_of_scripts():
    attributes = cookie_attributes(secure=True)
    assert attributes["httponly"] is True
    assert attributes["samesite"] == "lax"
    assert attributes["secure"] is True


@pytest.mark.parametrize(
    ("origin", "host", "fits"),
    [
        ("http://rate.example", "rate.example", True),
        ("https://rate.example:8501", "rate.example:8501", True),
        ("https://evil.example", "rate.example", False),
        ("https://rate.example.evil.example", "rate.example", False),
        ("null", "rate.example", False),
        (None, "rate.example", False),
        ("file://rate.example", "rate.example", False),
        ("http://rate.example", None, False),
    ],
)
def test_posts_come_from_our_own_pages(origin, host, fits):
    assert same_origin(origin, host=host) is fits


def test_a_proxied_origin_can_be_allowed():
    assert same_origin("https://rate.org", host="127.0.0.1:8501", allowed=("https://rate.org",))


def test_short_secrets_sign_nothing():
    with pytest.raises(InputError, match="has 5 characters; at least 32"):
        SessionSigner("short")


def test_the_operator_secret_is_made_once_and_kept_private(tmp_path):
    path = tmp_path / "keys" / "operator"
    secret, new = ensure_secret(path)
    assert new
    assert ensure_secret(path) == (secret, False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert is_operator(f" {secret}\n", secret)
    assert not is_operator("", secret)
    path.chmod(0o644)
    with pytest.raises(InputError, match="can be read by others; run chmod 600"):
        ensure_secret(path)
    path.chmod(0o600)
    path.write_text("\n")
    with pytest.raises(InputError, match="holds no usable secret"):
        ensure_secret(path)


def test_roles_are_apart():
    assert may("annotator", "rate")
    assert not may("lead", "rate")
    for action in (
        "see_results",
        "see_raters",
        "manage_campaigns",
        "export",
        "audit",
        "manage_staff",
    ):
        assert not may("annotator", action)
        assert may("operator", action)
    assert not may("lead", "manage_staff")
    assert not any(may(None, action) for allowed in PERMISSIONS.values() for action in allowed)
    assert not may("root", "audit")


def test_staff_need_a_verified_address():
    staff = {"lead@lab.org": "lead"}
    assert staff_role("Lead@lab.org ", verified=True, staff=staff) == "lead"  # type: ignore[arg-type]
    assert staff_role("lead@lab.org", verified=False, staff=staff) is None  # type: ignore[arg-type]
    assert staff_role("other@lab.org", verified=True, staff=staff) is None  # type: ignore[arg-type]
    assert staff_role(None, verified=True, staff=staff) is None  # type: ignore[arg-type]


def test_clip_tokens_belong_to_one_assignment_one_annotator_and_one_side():
    mint = TokenMint(SECRET)
    tokens = {
        mint.medium(assignment, annotator, medium)
        for assignment in (1, 2) for annotator in (1, 2) for medium in MEDIA
    }  # fmt: skip
    assert len(tokens) == 16
    assert all(is_clip_token(token) for token in tokens)
    token = mint.medium(5, 1, "right")
    assert mint.find_medium(token, 1, [4, 5]) == (5, "right")
    assert mint.find_medium(token, 2, [4, 5]) is None
    assert mint.find_medium(token, 1, [4]) is None
    assert TokenMint("other" * 9).find_medium(token, 1, [5]) is None
    assert mint.find_assignment(mint.assignment(5, 1), 1, [4, 5]) == 5
    assert mint.find_assignment(token, 1, [4, 5]) is None


@pytest.mark.parametrize(
    "text", ["../../secret", "", "%2e%2e%2f" + "a" * 15, "a" * 23, "<script>alert(1)</script>"]
)
def test_other_texts_name_no_clip(text):
    mint = TokenMint(SECRET)
    assert mint.find_medium(text, 1, range(50)) is None
    assert mint.find_assignment(text, 1, range(50)) is None


def test_a_mint_recalls_what_it_made_for_its_owner_only():
    mint = TokenMint(SECRET)
    clip, pair = mint.medium(5, 1, "right"), mint.assignment(5, 1)
    assert mint.recall_medium(clip, 1) == (5, "right")
    assert mint.recall_assignment(pair, 1) == 5
    assert mint.recall_medium(clip, 2) is None
    assert mint.recall_assignment(pair, 2) is None
    assert mint.recall_medium(pair, 1) is None
    assert mint.recall_assignment(clip, 1) is None
    for strange in (None, 7, "", "../x", mint.assignment(5, 1)[:-1]):
        assert mint.recall_assignment(strange, 1) is None
        assert mint.recall_medium(strange, 1) is None
    assert TokenMint(SECRET).recall_assignment(pair, 1) is None  # after a restart: look it up


def test_a_mint_forgets_the_oldest_first(monkeypatch):
    monkeypatch.setattr("eval.ratings.tokens.REMEMBERED", 2)
    mint = TokenMint(SECRET)
    first, second = mint.assignment(1, 1), mint.assignment(2, 1)
    assert mint.assignment(1, 1) == first  # told again: young again
    mint.assignment(3, 1)
    assert mint.recall_assignment(second, 1) is None
    assert mint.recall_assignment(first, 1) == 1
