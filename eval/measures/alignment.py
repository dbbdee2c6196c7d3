"""`text.*`: does the clip show what the prompt asks for?"""

import hashlib
import io
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eval.alignment import ask, sample_times, split_clauses
from eval.backends.flow import shrink
from eval.backends.judges import NO_JUDGE, Verdict, VerdictCache, judge_name, open_judge
from eval.measure import CannotMeasure, ClipInputs, Measure, Metric, Outcome
from eval.weights import user_cache
from joystreamer.media import Frame

RATE: Final = 8.0
"""Frames per second from which the nearest to each sample time is taken."""

SPACING_S: Final = 0.75
LEAST: Final = 8
MOST: Final = 32
"""Frames shown to the judge: one per 0.75 s, between 8 and 32 (MoCha's judge sees 32)."""

SHORT_SIDE: Final = 448
JPEG_QUALITY: Final = 92

ALIGNMENT_METRIC: Final = Metric(
    name="text.alignment",
    unit="",
    better="higher",
    summary="Share of the prompt's clauses that a judge sees in the clip",
)
VQA_METRIC: Final = Metric(
    name="text.vqascore",
    unit="",
    better="higher",
    summary="Mean probability that the judge says yes to a clause (after VQAScore)",
)


class JudgeParameters(Mapping[str, Any]):
    """The constants of a judged measure; the judge is read from the environment when asked for."""

    def __init__(self) -> None:
        self._fixed: dict[str, Any] = {
            "template": hashlib.sha256((ask("{}") + ask("{}?")).encode()).hexdigest()[:16],
            "clauses": 1,
            "spacing_s": SPACING_S,
            "frames": [LEAST, MOST],
            "short_side": SHORT_SIDE,
            "jpeg_quality": JPEG_QUALITY,
        }

    def __getitem__(self, name: str) -> Any:
        """Return a constant; 'judge' is what decides the configured judge's answers."""
        return (judge_name() or "none") if name == "judge" else self._fixed[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter((*self._fixed, "judge"))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._fixed) + 1


class AlignmentObserver:
    """Keeps a few frames as JPEG and asks about every clause.

    Args:
        inputs: The clip.
        metric: Share of yes, or mean probability.
    """

    def __init__(self, inputs: ClipInputs, *, metric: Metric) -> None:
        clauses = tuple(inputs.questions) or split_clauses(inputs.prompt)
        if not clauses:
            raise CannotMeasure("no_prompt", "the case has no prompt to check the clip against")
        if not judge_name():
            raise CannotMeasure("no_backend", NO_JUDGE)
        self._clauses = clauses
        self._metric = metric
        self._judge = open_judge(inputs.device)
        self._cache = VerdictCache(user_cache() / "verdicts")
        duration = inputs.probe.duration_s
        self._wanted = sample_times(duration, spacing_s=SPACING_S, least=LEAST, most=MOST)
        self._pictures: list[bytes] = []
        self._last: Frame | None = None

    def see(self, frame: Frame) -> None:
        """Keep the frame when it is the nearest to the next sample time."""
        while len(self._pictures) < len(self._wanted):
            wanted = self._wanted[len(self._pictures)]
            if frame.time_s < wanted:
                break
            nearer = self._last if self._last is not None else frame
            if abs(frame.time_s - wanted) < abs(nearer.time_s - wanted):
                nearer = frame
            self._pictures.append(as_jpeg(nearer.rgb))
        self._last = frame

    def finish(self) -> Mapping[str, Outcome]:
        """Ask about every clause and return the score with all verdicts."""
        if self._last is None:
            raise CannotMeasure("too_short", "the clip has no frame to show")
        while len(self._pictures) < len(self._wanted):
            self._pictures.append(as_jpeg(self._last.rgb))
        verdicts = [
            self._cache.answer(self._judge, self._pictures, ask(each)) for each in self._clauses
        ]
        values = [self._value(verdict) for verdict in verdicts]
        details = {
            "judge": self._judge.identity,
            "frames": len(self._pictures),
            "clauses": [
                {"clause": clause, "answer": verdict.text, "value": value}
                for clause, verdict, value in zip(self._clauses, verdicts, values, strict=True)
            ],
        }
        known = [value for value in values if value is not None]
        if not known:
            words = (
                "the judge answered neither yes nor no"
                if self._metric == ALIGNMENT_METRIC
                else ("the judge gives no probabilities")
            )
            return {
                self._metric.name: Outcome(reason="backend_error", message=words, details=details)
            }
        return {self._metric.name: Outcome(value=float(np.mean(known)), details=details)}

    def _value(self, verdict: Verdict) -> float | None:
        if self._metric == VQA_METRIC:
            return verdict.probability
        return None if verdict.yes is None else float(verdict.yes)


def as_jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """Return a picture scaled to `SHORT_SIDE` as JPEG."""
    from PIL import Image

    target = io.BytesIO()
    Image.fromarray(shrink(rgb, SHORT_SIDE)).save(target, "JPEG", quality=JPEG_QUALITY)
    return target.getvalue()


def _judged(variant: str, metric: Metric, source: str, *, default: bool) -> Measure:
    return Measure(
        name="text",
        variant=variant,
        version=1,
        metrics=(metric,),
        start=partial(AlignmentObserver, metric=metric),
        parameters=JudgeParameters(),
        rate=RATE,
        inputs=frozenset({"prompt"}),
        libraries=("pillow", "opencv-contrib-python"),
        default=default,
        source=source,
    )


ALIGNMENT: Final[tuple[Measure, ...]] = (
    _judged("judge", ALIGNMENT_METRIC, "yes/no questions per clause; ours", default=True),
    _judged("vqascore", VQA_METRIC, "after VQAScore (arXiv 2404.01291)", default=False),
)
"""The measures of this family."""
