"""Read a campaign from a TOML file or from its stored record, strictly and with every mistake at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from eval.fields import Fields, ProblemsFound, nearest, shown
from eval.ratings.campaign import (
    PAPER_DIMENSIONS,
    Campaign,
    Checks,
    Dimension,
    ExclusionRule,
    KnownItem,
    Pair,
    Viewing,
    check_campaign,
)
from eval.text_files import read_toml
from joystreamer.errors import InputError
from joystreamer.json_files import is_finite

T = TypeVar("T")


def read_campaign(
    path: Path,
    *,
    suite_cases: Mapping[str, Sequence[str]],
    defaults: Mapping[str, Any] | None = None,
) -> Campaign:
    """Read a campaign file.

    Args:
        path: TOML with the fields of `Campaign`; `pairs` as [["ours", "other"], ...]; `cases` may be
            left out for all cases of the suite; `dimensions` are ids of the paper's five or tables
            with id, title and question.
        suite_cases: Cases of every known suite.
        defaults: Fields that the command line gives; the file's own win.

    Raises:
        ProblemsFound: One sentence per mistake.
        InputError: The file cannot be read, or the protocol cannot give a result.
    """
    table = read_toml(path, "see the campaign example in the docs")
    return parse_campaign({**(defaults or {}), **table}, str(path), suite_cases=suite_cases)


def parse_campaign(
    table: Mapping[str, Any], place: str, *, suite_cases: Mapping[str, Sequence[str]]
) -> Campaign:
    """Build a campaign from plain data; see `read_campaign`."""
    problems: list[str] = []
    fields = Fields(place, table, problems)
    suite = fields.identifier("suite")
    if suite and suite not in suite_cases:
        fields.problem("suite", suite, f"a suite in the workspace: {', '.join(suite_cases) or 'none'}",
                       "add it with python -m eval ingest --suite")  # fmt: skip
    known = list(suite_cases.get(suite, ()))
    cases = fields.items(
        "cases", lambda item: item if item in known else None, f"a case of {suite!r}"
    )
    name = fields.identifier("name")
    pairs = fields.items("pairs", _pair, 'two names, ["ours", "other"]')
    dimensions = fields.items(
        "dimensions", _dimension, "an id of the paper's five or a table with id, title, question"
    )
    plain = {
        "checks": _nested(fields, "checks", _checks, problems),
        "exclusion": _nested(fields, "exclusion", lambda f: _plain(f, ExclusionRule), problems),
        "viewing": _nested(fields, "viewing", lambda f: _plain(f, Viewing), problems),
    }
    scalars = _scalars(
        fields, Campaign,
        ("raters", "per_case", "five_steps", "window", "lease_s", "idle_release_s",
         "blind_until_frozen", "simulated", "seed", "contact"),
    )  # fmt: skip
    fields.finish()
    if problems:
        raise ProblemsFound(problems)
    campaign = Campaign(
        name=name, suite=suite, cases=cases or tuple(known), pairs=pairs,
        dimensions=dimensions or PAPER_DIMENSIONS,
        **{key: value for key, value in plain.items() if value is not None}, **scalars,
    )  # fmt: skip
    check_campaign(campaign)
    return campaign


def load_campaign(record: Mapping[str, Any]) -> Campaign:
    """Rebuild a campaign from its stored record (our own spelling, hence no complaints)."""
    checks = record["checks"]
    known = {
        key: tuple(KnownItem(**item) for item in checks[key])
        for key in ("training", "qualification", "gold")
    }
    viewing = {**record["viewing"], "modes": tuple(record["viewing"]["modes"])}
    rebuilt = {
        "cases": tuple(record["cases"]),
        "pairs": tuple(Pair(**pair) for pair in record["pairs"]),
        "dimensions": tuple(Dimension(**row) for row in record["dimensions"]),
        "checks": Checks(**{**checks, **known}),
        "exclusion": ExclusionRule(**record["exclusion"]),
        "viewing": Viewing(**viewing),
    }
    return Campaign(**{**record, **rebuilt})


def _pair(item: Any) -> Pair | None:
    if isinstance(item, Mapping) and set(item) == {"first", "second"}:
        item = [item["first"], item["second"]]
    if (
        not isinstance(item, list)
        or len(item) != 2
        or not all(isinstance(n, str) and n for n in item)
    ):
        return None
    return Pair(first=item[0], second=item[1])


def _dimension(item: Any) -> Dimension | None:
    paper = {dimension.id: dimension for dimension in PAPER_DIMENSIONS}
    if isinstance(item, str):
        return paper.get(item)
    if isinstance(item, Mapping) and set(item) == {"id", "title", "question"}:
        return Dimension(**item) if all(isinstance(v, str) and v for v in item.values()) else None
    return None


def _nested(fields: Fields, name: str, read: Any, problems: list[str]) -> Any:
    value = fields.raw(name)
    if value is None:
        return None
    if not isinstance(value, Mapping):
        fields.problem(name, value, "a table")
        return None
    inner = Fields(f"{fields.place}: {name}", value, problems)
    result = read(inner)
    inner.finish()
    return result


def _checks(fields: Fields) -> Checks:
    def known(name: str) -> tuple[KnownItem, ...]:
        return fields.items(
            name, _known_item, "a table with case, first, second, expected and lesson"
        )

    numbers = ("qualification_pass", "nulls", "repeat_share", "repeat_gap")
    return dataclasses.replace(
        Checks(**_scalars(fields, Checks, numbers)),
        training=known("training"),
        qualification=known("qualification"),
        gold=known("gold"),
    )


def _known_item(item: Any) -> KnownItem | None:
    allowed = {"case", "first", "second", "expected", "lesson"}
    if (
        not isinstance(item, Mapping)
        or not {"case", "first", "second", "expected"} <= set(item) <= allowed
    ):
        return None
    expected = item["expected"]
    if not isinstance(expected, Mapping) or not all(isinstance(v, str) for v in expected.values()):
        return None
    return KnownItem(**{**item, "expected": dict(expected)})


def _plain(fields: Fields, kind: type[T]) -> T:
    names = tuple(field.name for field in dataclasses.fields(kind))  # type: ignore[arg-type]
    return kind(**_scalars(fields, kind, names))


def _scalars(fields: Fields, kind: type[Any], names: Sequence[str]) -> dict[str, Any]:
    """Given fields of a dataclass, checked against the type of their default."""
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    found: dict[str, Any] = {}
    for name in names:
        value = fields.raw(name)
        if value is None:
            continue
        problem = _misfit(value, defaults[name])
        if problem:
            fields.problem(name, value, problem)
        else:
            found[name] = tuple(value) if isinstance(defaults[name], tuple) else value
    return found


def _misfit(value: Any, default: Any) -> str:
    """What fits instead of a value, '' when it fits."""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, int):
        whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
        return "" if whole else "a whole number from 0"
    if isinstance(default, float):
        real = is_finite(value) and value >= 0
        return "" if real else "a number from 0"
    if isinstance(default, tuple):
        texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
        return "" if texts else "a list of texts"
    return "" if isinstance(value, str) else "a text"


def find_system(name: str, known: Sequence[str]) -> str:
    """Check that a system has clips.

    Raises:
        InputError: It has none.
    """
    if name not in known:
        raise InputError(
            f"system {shown(name)} has no clips here{nearest(name, known)}; ingest its clips first"
        )
    return name
