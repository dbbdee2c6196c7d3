"""Who is asking: the cookies of a request, and what the visitor may do."""

from __future__ import annotations

from starlette.requests import HTTPConnection, Request

from dashboard.provider import provider_claims, staff_session
from dashboard.site import Site
from eval.ratings.invites import hash_client
from eval.ratings.refusals import NotAllowed, RatingRefused
from eval.ratings.roles import Action, may
from eval.ratings.sessions import COOKIE_NAME, Session, same_origin
from eval.store.database import DatabaseUnavailable
from eval.store.files import StoreUnwritable

CROSS_ORIGIN = "this request comes from another site; open the page itself and try again"


def session_of(site: Site, connection: HTTPConnection) -> Session | None:
    """The session that a request's cookies stand for: ours first, then an identity provider's; or None."""
    return site.signer.read(connection.cookies.get(COOKIE_NAME)) or staff_session(
        site, provider_claims(connection.cookies)
    )


def annotator_of(session: Session | None) -> int:
    """Row number of the annotator of a session; whether they still take part, the database knows.

    Raises:
        NotAllowed: Nobody, or staff.
    """
    if session is None or not may(session.role, "rate") or not session.subject.isdecimal():
        raise NotAllowed("this page is for invited annotators; open your invitation link")
    return int(session.subject)


def allowed(session: Session | None, action: Action) -> bool:
    """Whether a session may do something; annotators' standing is checked where they act."""
    return session is not None and may(session.role, action)


def require_same_origin(site: Site, request: Request) -> None:
    """Refuse a post from another site's page.

    Raises:
        NotAllowed: Its Origin header is absent or foreign.
    """
    headers = request.headers
    if not same_origin(headers.get("origin"), host=headers.get("host"), allowed=site.origins):
        raise NotAllowed(CROSS_ORIGIN)


def client_of(site: Site, request: Request) -> str:
    """Keyed hash of a visitor's address, for counting failures; the address itself is not kept."""
    return hash_client(request.client.host if request.client else "", site.client_key)


NOT_NOW = "the server cannot store or read anything at this moment; nothing was lost: try again in a minute"


def status_of(error: Exception) -> int:
    """HTTP status that fits a refusal; 503 when the store is at fault, 400 for other mistakes."""
    if isinstance(error, RatingRefused):
        return error.status
    return 503 if isinstance(error, DatabaseUnavailable | StoreUnwritable) else 400


def sentence_of(error: Exception) -> str:
    """What a visitor is told; nothing of where the store is."""
    return NOT_NOW if status_of(error) == 503 else str(error)
