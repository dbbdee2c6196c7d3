"""Targets that read documents: suites, manifests, campaigns, votes, adapters, tables of other projects."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st

from benchmarks.adapters import read_adapter
from benchmarks.checkpoints import read_settings
from benchmarks.expectations import read_expectations
from benchmarks.importers.forms import FORMS, import_suite
from benchmarks.importers.imported import Source
from benchmarks.media_matching import match_by_mapping
from benchmarks.mochabench import human_judge_table, published_sync
from eval.fields import read_lines
from eval.matching import match_manifest
from eval.puppet.case import CHANGES, CHOICES, COLOURS, VERSION, read_puppet_case
from eval.ratings.campaign import Campaign, Pair
from eval.ratings.campaign_reader import read_campaign
from eval.ratings.exchange import read_votes
from eval.reader import read_suite
from eval.store.workspace import Workspace
from joystreamer.job_spec import read_job, read_jobs
from joystreamer.training.manifest import read_manifest
from tests.hostile.documents import spoiled_files
from tests.hostile.given_media import fill_given
from tests.hostile.target import Target
from tests.hostile.watch import Sandbox

CASE: Final = {
    "id": "a1", "prompt": "She waves.", "image": "image.png", "audio": "audio.wav", "duration_s": 2.5,
    "tags": {"subject": "human", "mode": "singing", "content": ["body"], "language": "en"},
    "questions": ["Does she wave?"], "source": "made", "licence": "CC0", "image_needed": "", "extra": {"k": 1},
}  # fmt: skip
DUET: Final = {
    "id": "a2", "prompt": "They talk.", "image": "image.png",
    "speakers": [
        {"audio": "audio.wav", "box": [0.1, 0.1, 0.4, 0.9], "spans": [[0, 1]]},
        {"audio": "audio.wav", "mask": "mask.png"},
    ],
}  # fmt: skip
SUITE: Final = {
    "name": "tiny", "version": "1", "asks": "Does it work?", "dimensions": ["visual_quality"], "metrics": ["sync"],
    "licence": "CC0",
}  # fmt: skip
CLIP: Final = {"system": "ours", "case": "a1", "file": "clip.mp4", "seed": 1, "suite": "tiny", "kind": "checkpoint",
               "family": "run", "step": 10, "notes": "x", "borders_s": [0.2]}  # fmt: skip
OTHER: Final = {"system": "theirs", "case": "a1", "file": "clip.mp4", "seed": 2}
TRAINING: Final = {"video": "clip.mp4", "caption": "A square wanders.", "audio": "audio.wav", "id": "c1",
                   "tags": {"a": "b"}, "regions": [[0.1, 0.1, 0.4, 0.4]]}  # fmt: skip
JOB: Final = {"image": "image.png", "prompt": "She waves.", "out": "made.mp4", "audio": "audio.wav", "transcript": "hi",
              "options": {"steps": 2, "seed": 1}}  # fmt: skip
TALK: Final = {
    "image": "image.png", "prompt": "They talk.", "out": "talk.mp4",
    "speakers": [{"name": "anna", "box": [1, 1, 20, 40]}, {"name": "ben", "mask": "mask.png"}],
    "turns": [{"speaker": "anna", "audio": "audio.wav"}, {"speaker": "ben", "audio": "audio.wav", "start": 1.5}],
}  # fmt: skip
CAMPAIGN: Final = Campaign(
    name="c", suite="tiny", cases=("a1", "a2"), pairs=(Pair(first="ours", second="theirs"),)
)
PROTOCOL: Final = {
    "name": "c", "suite": "tiny", "cases": ["a1", "a2"], "pairs": [["ours", "theirs"]], "raters": 6, "per_case": 3,
    "dimensions": ["visual_quality", {"id": "hands", "title": "Hands", "question": "Whose hands?"}],
    "viewing": {"min_seen": 0.5, "modes": ["side", "flip"]}, "exclusion": {"min_items": 3, "min_coverage": 0.2},
    "checks": {"nulls": 1, "gold": [{"case": "a1", "first": "ours", "second": "theirs",
                                     "expected": {"visual_quality": "good"}}]},
    "five_steps": True, "contact": "ask@example.org", "seed": 3,
}  # fmt: skip
VOTE: Final = {"rater": "r1", "case": "a1", "first": "ours", "second": "theirs", "kind": "work",
               "dimension": "visual_quality", "first_side": "left", "outcome": "good", "comment": "ok",
               "decision_ms": 900, "coverage": 0.9}  # fmt: skip
ADAPTER: Final = {
    "name": "still", "title": "t", "source": "s", "licence": "l", "speakers": 2, "timeout_s": 30, "retries": 1,
    "command": ["{python}", "-c", "pass", "{image}", "{out}", "{longest}"], "settings": {"longest": "64"},
    "input": "multitalk", "sound": "keep", "result": "{stem}*.mp4",
    "segments": {"frames_per_second": 25, "first": 81, "further": 72},
}  # fmt: skip
EXPECTATIONS: Final = {"cases": 2, "unique_prompts": True, "shared_words": 6, "questions": 1,
                       "subject": {"human": 2}, "longer_than": {"1": 1}}  # fmt: skip
SETTINGS: Final = {
    "preset": "tiny",
    "options": {"steps": 3},
    "family": "run",
    "step": 10,
    "notes": "n",
}
DIALOGUE: Final = {"prompt": "They talk.", "cond_image": "image.png", "audio_type": "add",
                   "cond_audio": {"person1": "audio.wav", "person2": "audio.wav"},
                   "bbox": {"person1": [1, 1, 30, 30], "person2": [1, 31, 30, 60]}}  # fmt: skip
ROW: Final = {"id": "a1", "prompt": "She waves.", "image": "image.png", "audio": "audio.wav", "language": "en",
              "subject": "human", "mode": "speaking", "duration_s": "2.5"}  # fmt: skip
MOCHA: Final = {
    "idx_in_category": "1",
    "category": "1p_emotion",
    "context_id": "7_x",
    "prompt": '"She cries."',
}
HUNYUAN: Final = {
    "videoid": "1",
    "image": "image.png",
    "audio": "audio.wav",
    "prompt": "She waves.",
    "fps": "25",
}
EMTD: Final = {
    "URL": "https://example.org/v",
    "Start Timecode": "00:00:01.000",
    "End Timecode": "00:00:05.500",
}
MAPPING: Final = {"case": "a1", "image": "image.png", "audio": "audio.wav;audio.wav"}
PUPPET: Final = {
    "version": VERSION, "people": [{"skin": [200, 150, 120], "shirt": [10, 20, 30], "hair": [0, 0, 0], "x": 0.5, "scale": 1.0}],
    "programs": [{slot: options[0] for slot, options in CHOICES.items()}], "starts_s": [0.0], "wall": [1, 2, 3],
    "palette": {name: [9, 9, 9] for name in COLOURS}, "changes": dict.fromkeys(CHANGES, 0.5), "edges": [0.1, 0.9],
}  # fmt: skip
SYNC_ROW: Final = {
    "video": "1p_emotion/7_x.mp4",
    "has_face": "True",
    "best_conf": "4.5",
    "min_dist": "8.1",
}


def file_target(
    name: str, file: str, sample: Sequence[Mapping[str, Any]], form: str,
    read: Callable[[Path, Sandbox], object], **changes: Any,
) -> Target:  # fmt: skip
    """A target that reads one file of the given folder."""

    def place(content: bytes, sandbox: Sandbox) -> Path:
        fill_given(sandbox)
        target = sandbox.given / file
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)
        return target

    return Target(
        name=name, kind="documents", place=place, read=read, damaged=4,
        draws=lambda sandbox: spoiled_files(sample, form, sandbox.guard), **changes,
    )  # fmt: skip


def _suite_of(part: str) -> Callable[[Path, Sandbox], object]:
    def read(path: Path, _: Sandbox) -> object:
        return read_suite(path.parent)

    def whole(path: Path, sandbox: Sandbox) -> object:
        other = "cases.jsonl" if part == "suite.toml" else "suite.toml"
        beside = path.parent / other
        if not beside.exists():
            raise AssertionError("the other file is laid out first")
        return read(path, sandbox)

    return whole


def _place_suite(content: bytes, sandbox: Sandbox, *, part: str) -> Path:
    fill_given(sandbox)
    (sandbox.given / "cases.jsonl").write_text(json.dumps(CASE) + "\n")
    (sandbox.given / "suite.toml").write_text('name = "tiny"\nversion = "1"\nasks = "?"\n')
    (sandbox.given / part).write_bytes(content)
    return sandbox.given / part


def _suite_target(name: str, part: str, sample: Sequence[Mapping[str, Any]], form: str) -> Target:
    return Target(
        name=name, kind="documents", share=3, read=_suite_of(part), damaged=4,
        place=lambda content, sandbox: _place_suite(content, sandbox, part=part),
        draws=lambda sandbox: spoiled_files(sample, form, sandbox.guard),
    )  # fmt: skip


def _import(form: str) -> Callable[[Path, Sandbox], object]:
    def read(path: Path, sandbox: Sandbox) -> object:
        out = sandbox.allowed / "suite"
        shutil.rmtree(out, ignore_errors=True)
        mapping = {name: name for name in ROW} if form == "csv" else {}
        source = Source(path=path, media=path.parent, scratch=out / "media", mapping=mapping)
        suite, _ = import_suite(form, source, out, name="tiny")
        again = read_suite(out)
        assert len(again.cases) == len(suite.cases), "what was written reads back otherwise"
        return again

    return read


def _import_target(form: str, file: str, sample: Sequence[Mapping[str, Any]], kind: str) -> Target:
    assert form in FORMS
    return file_target(f"import {form}", file, sample, kind, _import(form), share=0.7)


def _joined_lines(sandbox: Sandbox) -> st.SearchStrategy[bytes]:
    sample = [{"a": "She waves.", "b": "image.png", "c": "audio.wav"}]
    return spoiled_files(sample, "csv", sandbox.guard).map(
        lambda content: b"@@".join(content.partition(b"\n")[2].split(b","))
    )


def _lines_target() -> Target:
    made = file_target(
        "import omniavatar", "lines.txt", [], "csv", _import("omniavatar"), share=0.7
    )
    return Target(
        name=made.name, kind=made.kind, place=made.place, read=made.read, draws=_joined_lines
    )


def _puppet(path: Path, _: Sandbox) -> object:
    """As the runner does: a suite's `extra`, whatever JSON it holds."""
    facts = json.loads("\n".join(read_lines(path)))
    return read_puppet_case({"puppet": facts}) if isinstance(facts, dict) else None


def _puppet_target() -> Target:
    def place(value: Any, _: Sandbox) -> Any:
        return value

    from tests.hostile.documents import spoiled_records

    return Target(
        name="puppet facts of a case", kind="documents", place=place,
        read=lambda records, _: [read_puppet_case({"puppet": record}) for record in records],
        draws=lambda sandbox: spoiled_records([PUPPET], sandbox.guard),
    )  # fmt: skip


def _marker(path: Path, sandbox: Sandbox) -> object:
    with Workspace(path.parent) as workspace:
        return workspace.id


def _marker_target() -> Target:
    def place(content: bytes, sandbox: Sandbox) -> Path:
        root = sandbox.allowed / "workspace"
        root.mkdir(exist_ok=True)
        (root / "workspace.toml").write_bytes(content)
        return root / "workspace.toml"

    sample = [{"id": "0123456789abcdef"}]
    return Target(
        name="workspace.toml", kind="documents", place=place, read=_marker, share=0.3,
        draws=lambda sandbox: spoiled_files(sample, "toml", sandbox.guard),
    )  # fmt: skip


def document_targets() -> tuple[Target, ...]:
    """Every target that reads a document."""
    cases = {"tiny": ("a1", "a2")}
    return (
        _suite_target("suite cases", "cases.jsonl", [CASE, DUET], "jsonl"),
        _suite_target("suite header", "suite.toml", [SUITE], "toml"),
        file_target("clips manifest JSONL", "clips.jsonl", [CLIP, OTHER], "jsonl",
                    lambda path, _: match_manifest(path), share=3),
        file_target("clips manifest CSV", "clips.csv", [CLIP, OTHER], "csv",
                    lambda path, _: match_manifest(path), share=2),
        file_target("training manifest", "train.jsonl", [TRAINING], "jsonl",
                    lambda path, _: read_manifest(path), share=3, confined=False),
        file_target("job file", "job.json", [TALK], "json", lambda path, _: read_job(path), share=2,
                    confined=False),
        file_target("batch of jobs", "jobs.jsonl", [JOB, TALK], "jsonl", lambda path, _: read_jobs(path), share=2,
                    confined=False),
        file_target("campaign", "campaign.toml", [PROTOCOL], "toml",
                    lambda path, _: read_campaign(path, suite_cases=cases), share=3),
        file_target("votes CSV", "votes.csv", [VOTE], "csv", lambda path, _: read_votes(path, CAMPAIGN), share=2),
        file_target("votes JSONL", "votes.jsonl", [VOTE], "jsonl", lambda path, _: read_votes(path, CAMPAIGN), share=2),
        file_target("adapter", "system.toml", [ADAPTER], "toml", lambda path, _: read_adapter(path), share=2),
        file_target("promises of a suite", "expectations.toml", [EXPECTATIONS], "toml", _promises),
        file_target("benchmark.json", "benchmark.json", [SETTINGS], "json", lambda path, _: read_settings(path.parent)),
        file_target("media mapping CSV", "map.csv", [MAPPING], "csv", _mapping),
        file_target("media mapping JSONL", "map.jsonl", [MAPPING, {"case": "a2", "speakers": DUET["speakers"]}], "jsonl",
                    _mapping),
        _import_target("multitalk", "talk.json", [DIALOGUE], "json"),
        _import_target("csv", "table.csv", [ROW, ROW], "csv"),
        _import_target("mochabench", "benchmark.csv", [MOCHA], "csv"),
        _import_target("hunyuan", "test.csv", [HUNYUAN], "csv"),
        _import_target("emtd", "emtd.csv", [EMTD], "csv"),
        _import_target("prompts", "prompts.csv", [{"She waves.": "He sings."}], "csv"),
        _lines_target(),
        file_target("published sync of MoChaBench", "sync.csv", [SYNC_ROW], "csv", lambda path, _: published_sync(path)),
        file_target("votes of MoChaBench", "human.csv",
                    [{"Model": "Aspect", "mocha": "1. Sync", "hallo": "1. Sync"},
                     {"Model": "Example idx", "mocha": "Human", "hallo": "Human"},
                     {"Model": "1", "mocha": "4", "hallo": "2"}], "csv", lambda path, _: human_judge_table(path)),
        _puppet_target(),
        _marker_target(),
    )  # fmt: skip


def _promises(path: Path, _: Sandbox) -> object:
    problems: list[str] = []
    return read_expectations(path.parent, problems)


def _mapping(path: Path, _: Sandbox) -> object:
    return match_by_mapping(path, path.parent, ("a1", "a2"))
