"""Why a rating server says no. Each is one sentence; the page maps them to a status code.

None of them says anything about systems, files or other annotators.
"""

from typing import ClassVar

from joystreamer.errors import InputError


class RatingRefused(InputError):
    """Base of every refusal.

    Attributes:
        status: HTTP status that fits.
    """

    status: ClassVar[int] = 400


class NotAllowed(RatingRefused):
    """Somebody asked for what is not theirs."""

    status: ClassVar[int] = 403


class InviteRefused(NotAllowed):
    """An invitation does not open the door; the visitor is not told why.

    Attributes:
        word: unknown, used, revoked, expired or full; for the lead's log.
    """

    def __init__(self, word: str) -> None:
        super().__init__(
            "this invitation does not open a campaign; it works once and for a limited time; "
            "ask the person who sent it for a new one"
        )
        self.word = word


class TooManyTries(NotAllowed):
    """A client failed too often."""

    status: ClassVar[int] = 429

    def __init__(self) -> None:
        super().__init__("too many failed tries from here; wait ten minutes, then try again")


class AlreadyAnswered(RatingRefused):
    """The assignment has an answer under another key."""

    status: ClassVar[int] = 409


class CampaignClosed(RatingRefused):
    """The campaign takes no votes any more."""

    status: ClassVar[int] = 410


class NotWatchedEnough(RatingRefused):
    """The clips were not watched as the campaign asks.

    Attributes:
        missing: One phrase per clip.
    """

    status: ClassVar[int] = 422

    def __init__(self, missing: list[str]) -> None:
        super().__init__("; ".join(missing))
        self.missing = missing
