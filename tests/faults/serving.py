"""The dashboard as a stage: its real server answers an annotator over HTTP until all pairs are rated."""

import hashlib
import http.client
import json
import socket
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dashboard.server import serve
from dashboard.site import Site, open_site
from eval.ratings.sessions import COOKIE_NAME, Session
from eval.ratings.store import get_campaign
from joystreamer.errors import JoyStreamerError
from tests.faults.process import DEFECT, leave
from tests.faults.stage import Item, Place, State, whole_files
from tests.faults.voting import (
    CAMPAIGN,
    annotator_of,
    answers_for,
    fill_workspace,
    note,
    unheard,
    votes_of,
)

USER_ERROR = 2
SERVED = "served"


class Refused(Exception):
    """The server answered with a sentence instead of what was asked for."""


class Visitor:
    """One annotator, over a connection of their own."""

    def __init__(self, place: Place, site: Site, port: int) -> None:
        self._place, self._port = place, port
        campaign = get_campaign(site.workspace.database, CAMPAIGN).id
        session = Session(
            role="annotator", subject=str(annotator_of(site.workspace)), campaign=campaign
        )
        self._headers = {
            "origin": f"http://127.0.0.1:{port}",
            "content-type": "application/json",
            "cookie": f"{COOKIE_NAME}={site.signer.sign(session)}",
        }

    def ask(self, method: str, path: str, data: object = None, *, allowed: tuple[int, ...] = (200,)) -> bytes:  # fmt: skip
        """Ask once; a refusal must be a sentence.

        Raises:
            Refused: With the sentence.
            RuntimeError: The server broke without one.
        """
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        body = b"" if data is None else json.dumps(data).encode()
        line.request(method, path, body, self._headers)
        response = line.getresponse()
        told = response.read()
        line.close()
        if response.status in allowed:
            return told
        if response.status == 503:
            raise Refused(told.decode(errors="replace"))
        raise RuntimeError(f"{method} {path} was answered by {response.status}: {told[:300]!r}")

    def rate_all(self) -> None:
        """Look at the page, then watch and answer every pair."""
        while not self._healthy():
            time.sleep(0.02)
        self.ask("GET", "/")
        self.ask("POST", "/join/unknown", allowed=(400, 403, 404, 410))
        while True:
            told = json.loads(self.ask("POST", "/api/work", {}))
            if not told["pairs"] and not told["preparing"]:
                break
            for pair in told["pairs"][:1]:
                self._rate(pair)
            if not told["pairs"]:
                time.sleep(0.02)

    def _rate(self, pair: dict[str, Any]) -> None:
        if pair["broken"]:
            raise Refused("the pair cannot be shown")
        case = pair["prompt"]  # the page is not told the case; prompts are called like cases here
        for side in ("left", "right"):
            clip = self.ask("GET", pair[side]["url"])
            with (self._place.notes / SERVED).open("a") as file:
                file.write(f"{case} {side} {hashlib.sha256(clip).hexdigest()}\n")
        ballot = {
            "assignment": pair["assignment"], "action": "vote", "answers": answers_for(case),
            "client_key": f"key-for-{case}-{CAMPAIGN}",
        }  # fmt: skip
        for _ in range(2):
            saved = json.loads(self.ask("POST", "/api/vote", ballot))
            if saved["saved"] is not True:
                raise RuntimeError(f"not saved, and no error: {saved}")
            note(self._place, case)

    def _healthy(self) -> bool:
        try:
            return bool(self.ask("GET", "/_stcore/health"))
        except (ConnectionError, TimeoutError):
            return False


class Serve:
    """`python -m dashboard serve`, used by one annotator."""

    name = "dashboard"
    databases = True

    def prepare(self, place: Place) -> None:
        """Make the campaign."""
        fill_workspace(place)

    def run(self, place: Place) -> None:
        """Serve until the visitor is done; the visitor's thread ends the process."""
        try:
            site = open_site(place.folder / "workspace", place.database)
        except JoyStreamerError as error:
            click.echo(f"error: {error}", err=True)
            raise SystemExit(USER_ERROR) from error
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        threading.Thread(target=_visit, args=(place, site, port), daemon=True).start()
        serve("127.0.0.1", port)

    def state(self, place: Place) -> State:
        """The ledger, and every clip that was served."""
        path = place.notes / SERVED
        served: dict[str, set[str]] = {}
        for line in path.read_text().splitlines() if path.is_file() else []:
            case, side, digest = line.split()
            served.setdefault(f"clip {case} {side}", set()).add(digest)
        clips = {name: Item(" ".join(sorted(digests))) for name, digests in served.items()}
        return votes_of(place) | clips

    def complaints(self, before: State, after: State, place: Place) -> list[str]:
        """Answers that were acknowledged and are lost."""
        return unheard(place, after)

    def victims(self, place: Place) -> Sequence[Path]:
        """Clips as annotators see them, with their facts."""
        return whole_files(place.folder / "workspace" / "blind")

    def mend(self, place: Place, victim: Path) -> None:
        """Nothing: the server makes again what is damaged."""


def _visit(place: Place, site: Site, port: int) -> None:
    code = DEFECT
    try:
        Visitor(place, site, port).rate_all()
        code = 0
    except Refused as sentence:
        click.echo(f"error: {sentence}", err=True)
        code = USER_ERROR
    except JoyStreamerError as error:
        click.echo(f"error: {error}", err=True)
        code = USER_ERROR
    except BaseException:
        traceback.print_exc()
    finally:
        leave(code)
