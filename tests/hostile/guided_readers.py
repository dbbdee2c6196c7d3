"""Readers of bytes for coverage-guided fuzzing: each lays the bytes out and reads them."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks.adapters import read_adapter
from eval.alignment import read_verdict
from eval.matching import match_manifest
from eval.ratings.campaign_reader import read_campaign
from eval.ratings.exchange import read_votes
from eval.reader import read_suite
from joystreamer.conditioning.planner import read_answer
from joystreamer.job_spec import read_jobs
from joystreamer.json_files import parse_object
from joystreamer.options import GenerationOptions
from joystreamer.training.manifest import read_manifest
from tests.hostile import document_targets as documents
from tests.hostile.documents import write_form
from tests.hostile.given_media import fill_given
from tests.hostile.watch import Sandbox

Reader = Callable[[bytes, Sandbox], object]


def _file(name: str, read: Callable[[Any], object]) -> Reader:
    def from_bytes(content: bytes, sandbox: Sandbox) -> object:
        fill_given(sandbox)
        path = sandbox.given / name
        path.write_bytes(content)
        return read(path)

    return from_bytes


def _suite(path: Any) -> object:
    (path.parent / "suite.toml").write_text('name = "tiny"\nversion = "1"\nasks = "?"\n')
    return read_suite(path.parent)


def _options(content: bytes, _: Sandbox) -> object:
    text = content.decode("utf-8", "replace")
    return GenerationOptions.from_json(parse_object(text, "the options"))


def _answer(content: bytes, _: Sandbox) -> object:
    text = content.decode("utf-8", "replace")
    read_verdict(text)
    return read_answer(text, 2)


def _lines(*records: Mapping[str, Any]) -> bytes:
    return write_form([dict(record) for record in records], "jsonl")


READERS: Final[Mapping[str, tuple[Reader, bytes]]] = {
    "suite": (_file("cases.jsonl", _suite), _lines(documents.CASE, documents.DUET)),
    "manifest": (_file("clips.jsonl", match_manifest), _lines(documents.CLIP, documents.OTHER)),
    "training": (_file("train.jsonl", read_manifest), _lines(documents.TRAINING)),
    "job": (_file("jobs.jsonl", read_jobs), _lines(documents.JOB, documents.TALK)),
    "campaign": (
        _file("c.toml", lambda path: read_campaign(path, suite_cases={"tiny": ("a1", "a2")})),
        write_form([dict(documents.PROTOCOL)], "toml"),
    ),
    "votes": (
        _file("v.csv", lambda path: read_votes(path, documents.CAMPAIGN)),
        write_form([dict(documents.VOTE)], "csv"),
    ),
    "adapter": (_file("s.toml", read_adapter), write_form([dict(documents.ADAPTER)], "toml")),
    "options": (_options, json.dumps(GenerationOptions().to_json()).encode()),
    "answer": (_answer, b'["She waves.", "She sits."]'),
}
