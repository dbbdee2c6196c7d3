"""Targets that read options: sampling options, `--set` fields, speakers, sizes, answers and votes."""

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from hypothesis import strategies as st

from eval.alignment import read_verdict
from eval.matching import match_folder
from eval.ratings.submission import read_submission
from joystreamer.commands.generate import parse_speaker
from joystreamer.commands.sizes import parse_size
from joystreamer.conditioning.planner import Plan, read_answer
from joystreamer.conditioning.speakers import Box
from joystreamer.errors import InputError
from joystreamer.job_spec import parse_job
from joystreamer.options import GenerationOptions, ScaleSchedule
from joystreamer.probes import load_probe
from joystreamer.segments import plan_segments
from joystreamer.training.configuration import TrainingPreset, change, describe
from joystreamer.training.presets import training_presets
from tests.hostile.document_targets import CAMPAIGN, JOB, TALK
from tests.hostile.documents import spoiled_records
from tests.hostile.given_media import fill_given
from tests.hostile.target import Target
from tests.hostile.watch import Sandbox
from tests.hostile.words import TEXTS, hostile_values

VOTE: Final = {
    "assignment": "abc", "action": "vote", "client_key": "key-12345678", "flag": "", "comment": "ok",
    "answers": dict.fromkeys(CAMPAIGN.dimension_ids, "left"),
    "watch": {"left_seen_s": 1.0, "right_seen_s": 1.0, "modes": ["side"], "viewport": [1280, 720], "client": "x"},
}  # fmt: skip


def _texts(*likely: str) -> st.SearchStrategy[str]:
    pieces = st.one_of(st.sampled_from(likely), st.sampled_from(TEXTS), st.text(max_size=12))
    return st.one_of(pieces, st.lists(pieces, min_size=1, max_size=4).map("".join))


def _setting_names(part: Any, prefix: str = "") -> list[str]:
    from dataclasses import fields, is_dataclass

    found = []
    for entry in fields(part):
        name = f"{prefix}{entry.name}"
        found.append(name)
        value = getattr(part, entry.name)
        if is_dataclass(value):
            found += _setting_names(value, f"{name}.")
    return found


@lru_cache(maxsize=1)
def _presets() -> dict[str, TrainingPreset]:
    return {name: make() for name, make in training_presets().items()}


@st.composite
def _assignments(draw: st.DrawFn, sandbox: Sandbox) -> tuple[str, list[str]]:
    presets = _presets()
    name = draw(st.sampled_from(sorted(presets)))
    known = _setting_names(presets[name])
    texts = []
    for _ in range(draw(st.integers(1, 3))):
        setting = draw(
            st.one_of(st.sampled_from(known), st.sampled_from(known), _texts("loop.", "=", "."))
        )
        value = draw(
            st.one_of(hostile_values(sandbox.guard), st.integers(-5, 5000), st.floats(-2, 5))
        )
        try:
            written = value if isinstance(value, str) else json.dumps(value)
        except ValueError:
            written = "9" * 5000
        texts.append(f"{setting}={written}")
    return name, texts


def _set(given: tuple[str, list[str]], _: Sandbox) -> object:
    name, texts = given
    changed = change(_presets()[name], texts)
    return describe(changed)


def _sampling(records: list[dict[str, Any]], _: Sandbox) -> None:
    for record in records:
        options = GenerationOptions.from_json(record)
        again = GenerationOptions.from_json(json.loads(json.dumps(options.to_json())))
        assert again == options, "options do not survive being written"
        plan_segments(2.0, seed=options.seed, fragments=2, rule=options.fragment_rule)
        options.text_scale.at(500.0)


def _each(*readers: Callable[[str], object]) -> Callable[[str, Sandbox], object]:
    def read(text: str, _: Sandbox) -> None:
        refused = 0
        for reader in readers:
            try:
                reader(text)
            except InputError:
                refused += 1
        if refused == len(readers):
            raise InputError(f"all of {len(readers)} readers refused the text in words")

    return read


def _job(records: list[dict[str, Any]], sandbox: Sandbox) -> None:
    for record in records:
        parse_job(record, sandbox.given)


def _with_media(value: Any, sandbox: Sandbox) -> Any:
    fill_given(sandbox)
    return value


def _names(given: tuple[list[str], str | None, str | None], sandbox: Sandbox) -> None:
    matches, _, _ = match_folder(
        sandbox.given / "names", system=given[1], pattern=given[2], case_ids=frozenset(("a1", "a2"))
    )
    for match in matches:
        for text in (match.system.name, match.case):
            text.encode()  # a name that cannot be stored must have been refused
            assert "\n" not in text
        assert match.seed < 2**63


def _lay_names(given: Any, sandbox: Sandbox) -> Any:
    import shutil

    folder = sandbox.given / "names"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in given[0]:
        try:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.resolve().is_relative_to(folder.resolve()):
                path.write_bytes(b"x")
        except (OSError, ValueError):
            continue  # no file system holds such a name
    return given


def _file_names() -> st.SearchStrategy[Any]:
    stems = _texts(
        "a1",
        "a2",
        "ours",
        "theirs",
        "_",
        "-",
        "99999999999999999999",
        "7",
        "é",
        "e\u0301",
        "\u202e",
        "\udcff",
    )
    names = st.builds(
        lambda folder, stem, suffix: f"{folder}{stem.replace('/', '')[:80]}{suffix}",
        st.sampled_from(("", "", "ours/", "a\nb/", "\udc80/", "..%2f/", "=1+1/", "<b>/")), stems,
        st.sampled_from((".mp4", ".mp4", ".webm", ".MP4", ".gif", ".txt", "")),
    )  # fmt: skip
    patterns = st.sampled_from(
        (
            None,
            None,
            "{case}_{system}",
            "{system}-{case}-{seed}",
            "{case}_{seed}",
            "{case",
            "{case}{case}",
            "(.*)+{case}",
        )
    )
    systems = st.one_of(st.none(), st.none(), st.sampled_from(TEXTS))
    return st.tuples(st.lists(names, min_size=1, max_size=4), systems, patterns)


def option_targets() -> tuple[Target, ...]:
    """Every target that reads options and short texts."""
    sampling = GenerationOptions().to_json()
    return (
        Target(name="sampling options", kind="options", read=_sampling, share=3,
               draws=lambda sandbox: spoiled_records([sampling], sandbox.guard)),
        Target(name="--set fields", kind="options", read=_set, draws=_assignments, share=4),
        Target(name="job as the command builds it", kind="options", read=_job, confined=False, share=2,
               place=_with_media,
               draws=lambda sandbox: spoiled_records([JOB, TALK], sandbox.guard)),
        Target(name="speaker, size, box, scale and probe texts", kind="options", share=2,
               draws=lambda _: _texts("name=anna ", "box=1,2,3,4 ", "832x480", "4,950:0.1", "os:system", "json:loads", ","),
               read=_each(parse_speaker, parse_size, Box.parse, ScaleSchedule.parse, load_probe)),
        Target(name="answers of language models", kind="options", share=1,
               draws=lambda _: _texts('["a", "b"]', "[", "]", "yes", "no", '["a",'),
               read=_each(lambda text: read_answer(text, 2), read_verdict,
                          lambda text: Plan.from_json({"fragments": [text]}))),
        Target(name="vote of the rating page", kind="options", share=3,
               draws=lambda sandbox: spoiled_records([VOTE], sandbox.guard),
               read=lambda records, _: [str(read_submission(r, CAMPAIGN)).encode() for r in records]),
        Target(name="names of clips and folders", kind="names", share=3, draws=lambda _: _file_names(),
               place=_lay_names, read=_names),
    )  # fmt: skip
