"""The commands as a lead types them, from declaration to audit."""

import csv
import hashlib
import json
import re

import pytest
from click.testing import CliRunner
from sqlalchemy import insert, update

from eval.ratings.cli import ratings
from eval.ratings.joining import redeem_invite
from eval.ratings.schema import ledger
from eval.store.registry import now
from eval.store.schema import cases, clips, suites, systems
from eval.store.workspace import Workspace

CASES = [f"c{i}" for i in range(8)]


def digest_of(system, case):
    return hashlib.sha256(f"{system}/{case}".encode()).hexdigest()


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.setenv("JOYSTREAMER_WORKSPACE", str(tmp_path / "ws"))

    def run(*arguments):
        result = CliRunner().invoke(ratings, [str(argument) for argument in arguments])
        unexpected = result.exception is not None and not isinstance(result.exception, SystemExit)
        assert not unexpected, result.exception
        return result

    return run


@pytest.fixture
def workspace(tmp_path):
    """A workspace whose records say that three systems answered eight cases."""
    opened = Workspace(tmp_path / "ws")
    probe = {"duration_s": 2.0, "audio_streams": []}
    with opened.database.write() as connection:
        connection.execute(
            insert(suites).values(name="talk", version="1", digest="0" * 64, record={})
        )
        connection.execute(
            insert(cases),
            [
                {"suite": "talk", "id": case, "position": i, "record": {}}
                for i, case in enumerate(CASES)
            ],
        )
        for system in ("ours", "omni", "degraded"):
            connection.execute(insert(systems).values(name=system, kind="competitor", card={}))
            connection.execute(
                insert(clips),
                [
                    {
                        "system": system, "suite": "talk", "case": case, "digest": digest_of(system, case),
                        "name": f"{system}-{case}.mp4", "probe": probe, "added_at": now(),
                    }
                    for case in CASES
                ],
            )  # fmt: skip
    return opened


def watched(pair):
    return {
        "left_seen_s": pair.left.duration_s,
        "right_seen_s": pair.right.duration_s,
        "decision_s": 3.5,
    }


def rate_everything(workspace, links):
    from eval.ratings.saving import save
    from eval.ratings.serving import claim

    for link in links:
        rater = redeem_invite(
            workspace.database, link.rpartition("/")[2], client="c", now=now().timestamp()
        )
        while waiting := claim(workspace.database, rater.id, now=now().timestamp()):
            pair = waiting[0]
            side = "left" if pair.left.digest == digest_of("ours", pair.case) else "right"
            data = {
                "action": "vote", "client_key": f"script-{rater.id}-{pair.id}", "watch": watched(pair),
                "answers": {
                    name: "same" if (pair.id + place) % 3 == 0 else side
                    for place, name in enumerate(
                        ("overall_quality", "text_alignment", "lip_synchronization",
                         "identity_consistency", "visual_quality")
                    )
                },
            }  # fmt: skip
            save(workspace.database, rater.id, pair.id, data, now=now().timestamp())


def test_from_declaration_to_audit(call, workspace, tmp_path):
    declared = call(
        "create", "board", "--suite", "talk", "--pair", "ours", "omni", "--simulated", "--seed", 3
    )
    assert declared.exit_code == 0, declared.output
    assert "declared board: 1 pairs, 8 cases, 24 comparisons" in declared.output
    links = [
        row["link"] for row in json.loads(call("invite", "board", "--count", 5, "--json").output)
    ]
    assert all(re.fullmatch(r"http://localhost:8501/join/[\w-]{32}", link) for link in links)
    assert "not joined" in call("status").output
    rate_everything(workspace, links)
    state = json.loads(call("status", "board", "--json").output)[0]
    assert state["done"] == state["total"] > 24

    told = call(
        "results",
        "board",
        "--csv",
        tmp_path / "b.csv",
        "--latex",
        tmp_path / "b.tex",
        "--figure",
        tmp_path / "b.png",
    )
    assert told.exit_code == 0
    assert "SIMULATED VOTES" in told.output
    with (tmp_path / "b.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    assert rows[0]["votes"] == "24"
    assert "SIMULATED VOTES" in (tmp_path / "b.tex").read_text()
    assert (tmp_path / "b.png").stat().st_size > 5000
    fixed = json.loads(call("results", "board", "--scope", "these-cases", "--json").output)
    assert fixed["settings"]["scope"] == "these_cases"

    scores = ["system,case,metric,value,direction"]
    scores += [
        f"{s},{c},sync,{i * sign},1"
        for i, c in enumerate(CASES)
        for s, sign in (("ours", 1), ("omni", -1))
    ]
    (tmp_path / "scores.csv").write_text("\n".join(scores) + "\n")
    found = json.loads(
        call("correlate", "board", "--scores", tmp_path / "scores.csv", "--json").output
    )
    assert {row["dimension"] for row in found["correlation"]} >= {"overall_quality"}
    assert call("correlate", "board").exit_code == 2

    assert "answers written" in call("export", "board", tmp_path / "votes.jsonl").output
    call("create", "copy", "--suite", "talk", "--pair", "ours", "omni")
    assert (
        "added as simulated"
        in call("import", "copy", tmp_path / "votes.jsonl", "--simulated").output
    )
    assert "wanted votes are planned" in call("top-up", "board", "--half-width", 0.05).output

    frozen = call("freeze", "board", "--yes")
    head = re.search(r"ledger (\d+:[0-9a-f]{64})", frozen.output).group(1)  # type: ignore[union-attr]
    clean = call("audit", "board", "--head", head)
    assert clean.exit_code == 0
    assert "nothing was changed" in clean.output
    assert (
        "ledger entries written"
        in call("export", "board", tmp_path / "ledger.jsonl", "--ledger").output
    )
    with workspace.database.write() as connection:
        connection.execute(update(ledger).where(ledger.c.seq == 9).values(content="{}"))
    broken = call("audit", "board")
    assert broken.exit_code == 1
    assert "finding: entry 9 (" in broken.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "b", "--suite", "tolk", "--pair", "ours", "omni"), "a suite in the workspace: talk"),
        (("create", "b", "--suite", "talk", "--pair", "ours", "omny"), "system 'omny' has no playable clip of case 'c0' (did you mean 'omni'?)"),
        (("create", "b", "--suite", "talk"), "compares nothing"),
        (("create", "b", "--suite", "talk", "--pair", "ours", "ours"), "against itself is a check"),
        (("invite", "nobody"), "campaign 'nobody' does not exist; there are: none"),
        (("results", "nobody"), "campaign 'nobody' does not exist"),
        (("audit", "nobody"), "campaign 'nobody' does not exist"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_exit_code_two(call, workspace, arguments, said):
    result = call(*arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


PROTOCOL = """
pairs = [["ours", "omni"]]
raters = 6
dimensions = ["overall_quality", { id = "hands", title = "Hands", question = "Are the hands right?" }]

[checks]
nulls = 1
repeat_share = 0.0
[[checks.gold]]
case = "c1"
first = "ours"
second = "degraded"
expected = { overall_quality = "good" }

[exclusion]
min_gold_accuracy = 0.8

[viewing]
min_seen = 0.5
modes = ["side", "wipe"]
"""


def test_a_campaign_may_show_some_cases_of_a_suite_only(call, workspace):
    with workspace.database.write() as connection:
        connection.execute(
            insert(cases).values(suite="talk", id="unanswered", position=8, record={})
        )
    pair = ("--suite", "talk", "--pair", "ours", "omni")
    refused = call("create", "all", *pair)
    assert refused.exit_code == 2
    assert "name the cases to show with --case" in refused.output
    declared = call("create", "some", *pair, "--case", "c1", "--case", "c2")
    assert declared.exit_code == 0, declared.output
    assert "1 pairs, 2 cases" in declared.output


def test_a_protocol_file_says_everything(call, workspace, tmp_path):
    path = tmp_path / "protocol.toml"
    path.write_text(PROTOCOL)
    done = call("create", "filed", "--suite", "talk", "--file", path)
    assert done.exit_code == 0, done.output
    assert "24 comparisons and 12 checks for 6 raters" in done.output


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("raterz = 5", "field 'raterz' is unknown (did you mean 'raters'?)"),
        ("raters = 'five'", "field 'raters': got \"five\", expected a whole number from 0"),
        ("cases = ['c0', 'c77']", "field 'cases[1]': got \"c77\", expected a case of 'talk'"),
        ("dimensions = ['beauty']", "an id of the paper's five or a table"),
        ("exclusion = { min_gold = 0.5 }", "field 'min_gold' is unknown"),
        ("five_steps = 1", "expected true or false"),
        ("pairs = [['ours']]", "two names"),
        ("checks = 3", "expected a table"),
        ("=", "not TOML"),
    ],
)
def test_mistakes_in_a_protocol_file_are_named(call, workspace, tmp_path, line, said):
    path = tmp_path / "protocol.toml"
    path.write_text(line + "\n")
    result = call("create", "b", "--suite", "talk", "--pair", "ours", "omni", "--file", path)
    assert result.exit_code == 2
    assert said in result.output
