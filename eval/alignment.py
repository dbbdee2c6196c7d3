"""Arithmetic of text alignment: clauses of a prompt, questions, verdicts, agreement with people.

A prompt is cut into clauses that can be checked one by one, because a judge asked about everything
at once answers from the general impression. Knows no judge.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

INTRODUCTION: Final = (
    "These pictures are frames of one video, in order. Look at them and answer one question about "
    "the video."
)
"""What a judge is told before the question."""

MIN_WORDS: Final = 3
"""A shorter piece says nothing by itself and stays with the piece before it."""

MIN_CHARACTERS: Final = 5
"""The same for writing without spaces."""

_SPOKEN: Final = re.compile(r"[\"“”„«»「」『』][^\"“”„«»「」『』]*[\"“”„«»「」『』]")
_SENTENCE: Final = re.compile(r"(?<=[.!?;])\s+|[。！？；]|\n+")
_CLAUSE: Final = re.compile(
    r",\s+(?:and\s+then|and|then|while)\s+|,\s+|\s+(?:and\s+then|while)\s+|，|、"
)
_ATTACHED: Final = re.compile(r"(as|at|by|from|in|of|on|under|with|without)\b", re.IGNORECASE)
_YES: Final = re.compile(r"(yes|yeah|true|correct|[是对有].*)", re.IGNORECASE)
_NO: Final = re.compile(r"(no|not|nope|false|incorrect|[否不没].*)", re.IGNORECASE)

Preference = Literal["first", "same", "second"]
Floats = NDArray[np.floating[Any]]


def split_clauses(prompt: str) -> tuple[str, ...]:
    """Cut a prompt into clauses that a picture can show or not.

    What somebody says is heard, not seen: quoted speech is left out. Pieces of fewer than
    `MIN_WORDS` words, and those that begin with a preposition, stay with their neighbour.

    Returns:
        Clauses in order, without closing punctuation, each once; empty for an empty prompt.
    """
    clauses: list[str] = []
    for sentence in _SENTENCE.split(_SPOKEN.sub(" ", prompt)):
        pieces: list[str] = []
        for piece in _CLAUSE.split(sentence):
            words = " ".join(piece.split()).strip(" .,:;!?。，；：")
            if not words:
                continue
            if pieces and (_is_short(words) or _is_short(pieces[-1]) or _ATTACHED.match(words)):
                pieces[-1] = f"{pieces[-1]}, {words}"
            else:
                pieces.append(words)
        clauses += pieces
    return tuple(dict.fromkeys(clauses))


def ask(clause: str) -> str:
    """Return what a judge is asked about a clause; a question of a suite is asked as it stands."""
    if clause.rstrip().endswith(("?", "？")):
        return f"{INTRODUCTION} {clause} Answer with one word, yes or no."
    return (
        f"{INTRODUCTION} Statement: {clause}\n"
        "Does the video show this? Answer with one word, yes or no."
    )


def read_verdict(answer: str) -> bool | None:
    """Return what a judge's words mean: True, False, or None when they are neither."""
    words = re.split(r"[^\w]+", answer.strip())
    first = next((word for word in words if word), "")
    if _YES.fullmatch(first):
        return True
    return False if _NO.fullmatch(first) else None


def sample_times(
    duration_s: float, *, spacing_s: float, least: int, most: int
) -> NDArray[np.float64]:
    """Return the middles of equal parts of a clip, at most `spacing_s` apart between the bounds.

    Args:
        duration_s: Length of the clip.
        spacing_s: Wanted seconds per frame.
        least: Fewest frames.
        most: Most frames; longer clips are sampled more thinly.
    """
    count = int(np.clip(np.ceil(duration_s / spacing_s), least, most))
    return np.asarray((np.arange(count) + 0.5) * (duration_s / count), np.float64)


def yes_probability(yes_logits: Floats, no_logits: Floats) -> float:
    """Return how much of the mass of 'yes' and 'no' is on 'yes' (as VQAScore does).

    Args:
        yes_logits: (n,), logits or log probabilities of the spellings of yes.
        no_logits: (m,), those of no.
    """
    every = np.concatenate([yes_logits, no_logits]).astype(np.float64)
    weights = np.exp(every - every.max())
    return float(weights[: len(yes_logits)].sum() / weights.sum())


def settle_pair(shown: Preference, swapped: Preference) -> Preference:
    """Combine a judge's preferences in both orders; disagreement is 'same'.

    Args:
        shown: Preference with the first clip shown first.
        swapped: Preference with the second clip shown first, in terms of what was shown.
    """
    turned: dict[Preference, Preference] = {"first": "second", "second": "first", "same": "same"}
    return shown if shown == turned[swapped] else "same"


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How well a judge follows people on the same clips.

    Attributes:
        count: Clips both rated.
        spearman: Rank correlation; NaN when either side never varies.
        kendall: Tau-b.
        kappa: Quadratic weighted kappa of ratings rounded to whole steps; NaN for other scales.
        pairs: Share of pairs that people order and the judge orders alike; ties of the judge count
            half.
        interval: 95 % percentile bootstrap interval of `spearman`, over clips.
    """

    count: int
    spearman: float
    kendall: float
    kappa: float
    pairs: float
    interval: tuple[float, float]


def judge_agreement(
    judge: Floats,
    people: Floats,
    *,
    groups: Sequence[Any] | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Agreement:
    """Compare a judge's scores with people's ratings.

    Args:
        judge: (n,), any scale, higher is better.
        people: (n,), same direction.
        groups: (n,), case of each clip: clips of one case are drawn together. None draws clips.
        draws: Bootstrap samples.
        seed: Of the bootstrap.

    Raises:
        ValueError: The lengths differ or fewer than three clips have both.
    """
    from scipy.stats import kendalltau  # 45 MB that boards and pages never need

    judge, people = np.asarray(judge, np.float64), np.asarray(people, np.float64)
    if judge.shape != people.shape:
        raise ValueError(f"{len(judge)} scores of the judge for {len(people)} ratings of people")
    known = np.isfinite(judge) & np.isfinite(people)
    judge, people = judge[known], people[known]
    if len(judge) < 3:
        raise ValueError(f"agreement needs three clips that both rated, there are {len(judge)}")
    names = np.arange(known.size) if groups is None else np.asarray(groups)
    _, members = np.unique(names[known], return_inverse=True)
    return Agreement(
        count=len(judge),
        spearman=_spearman(judge, people),
        kendall=float(kendalltau(judge, people).statistic)
        if _varies(judge, people)
        else float("nan"),
        kappa=weighted_kappa(judge, people),
        pairs=ordered_alike(judge, people),
        interval=_bootstrap(judge, people, members, draws, seed),
    )


def weighted_kappa(first: Floats, second: Floats) -> float:
    """Return the quadratic weighted kappa of two raters on one scale of whole steps.

    Returns:
        1 for equal ratings, 0 for chance; NaN when ratings are not whole or never vary.
    """
    if not (np.array_equal(first, np.rint(first)) and np.array_equal(second, np.rint(second))):
        return float("nan")
    observed = float(np.mean((first - second) ** 2))
    expected = float(np.mean((first[:, None] - second[None, :]) ** 2))
    return 1.0 - observed / expected if expected > 0 else float("nan")


def ordered_alike(judge: Floats, people: Floats) -> float:
    """Return the share of the pairs people order that the judge orders alike; ties count half."""
    upper = np.triu_indices(len(people), 1)
    wanted = np.sign(people[:, None] - people[None, :])[upper]
    given = np.sign(judge[:, None] - judge[None, :])[upper]
    decided = wanted != 0
    if not decided.any():
        return float("nan")
    return float(np.mean((1 + wanted[decided] * given[decided]) / 2))


def _spearman(judge: Floats, people: Floats) -> float:
    from scipy.stats import rankdata

    if not _varies(judge, people):
        return float("nan")
    # The correlation of the ranks; scipy's own function also tests it, which costs most of a
    # bootstrap.
    return float(np.corrcoef(rankdata(judge), rankdata(people))[0, 1])


def _varies(*sides: Floats) -> bool:
    return all(np.ptp(side) > 0 for side in sides)


def _bootstrap(
    judge: Floats, people: Floats, members: NDArray[np.intp], draws: int, seed: int
) -> tuple[float, float]:
    """Return the percentile interval of Spearman's correlation, drawing whole groups."""
    generator = np.random.default_rng(seed)
    places = [np.flatnonzero(members == group) for group in range(int(members.max()) + 1)]
    found = []
    for _ in range(draws):
        chosen = np.concatenate(
            [places[each] for each in generator.integers(0, len(places), len(places))]
        )
        value = _spearman(judge[chosen], people[chosen])
        if np.isfinite(value):
            found.append(value)
    if not found:
        return float("nan"), float("nan")
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def _is_short(words: str) -> bool:
    if words.isascii():
        return len(words.split()) < MIN_WORDS
    return len(words) < MIN_CHARACTERS
