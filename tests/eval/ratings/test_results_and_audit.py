"""From a scripted campaign to a published board whose every cell the audit derives again."""

import io
import json
import shutil

import pytest
from rich.console import Console
from sqlalchemy import text, update

from eval.ratings.audit import audit_campaign, compare_rows
from eval.ratings.campaign import Checks, KnownItem, Pair
from eval.ratings.exchange import export_rows, import_votes, write_ledger, write_votes
from eval.ratings.figures import write_gsb_figure
from eval.ratings.ledger import canonical, entry_digest
from eval.ratings.rendering import board_latex, print_results, provenance, write_board_csv
from eval.ratings.results import campaign_results, freeze_campaign
from eval.ratings.schema import assignments, campaigns, ledger, votes
from eval.ratings.statistics.board import BoardSettings
from eval.ratings.store import campaign_entries, get_campaign
from eval.ratings.top_up import campaign_status, top_up
from eval.store.database import Database
from eval.store.migrate import upgrade
from joystreamer.errors import InputError

FAST = BoardSettings(draws=200)
GOLD = tuple(
    KnownItem(case=f"c{i}", first="ours", second="degraded", expected={"overall_quality": "good"})
    for i in range(5)
)


@pytest.fixture(scope="module")
def built(script, tmp_path_factory):
    """Five scripted raters, two competitors, frozen; made once and copied."""
    path = tmp_path_factory.mktemp("published") / "records.db"
    with Database(f"sqlite:///{path}") as database:
        upgrade(database)
        played = script(database)
        stored = played.declare(
            pairs=(Pair(first="ours", second="omni"), Pair(first="ours", second="kling")),
            checks=Checks(nulls=1, repeat_share=0.0, gold=GOLD),
        )
        played.vote_all([played.join(stored) for _ in range(5)])
        freeze_campaign(database, "board", now=5000.0, settings=FAST)
    return path


@pytest.fixture
def database_url(request, tmp_path):
    """Results follow from ledger entries, whichever database they lie in: SQLite is enough here."""
    path = tmp_path / "records.db"
    if "published" in request.fixturenames:
        shutil.copyfile(request.getfixturevalue("built"), path)
    return f"sqlite:///{path}"


@pytest.fixture
def published(database):
    return campaign_results(database, "board")


def test_every_published_cell_follows_from_the_ledger(database, published):
    report = audit_campaign(database, "board", head=published.head_digest)
    assert report.problems == []
    # Two pairs by five dimensions, published with and without exclusion, every column compared.
    assert report.cells == 2 * 10 * len(published.board.columns)
    assert published.label == "simulated votes"
    assert set(published.origins) == {"simulated"}
    assert len(published.board) == 10
    assert published.board["note"].eq("").all()
    assert published.board["votes"].eq(8 * 3).all()
    assert published.quality["gold_accuracy"].eq(1).all()
    assert published.quality["null_tie_rate"].eq(1).all()


def forge_vote(connection, campaign):
    """Turn one vote around and reseal nothing."""
    row = connection.execute(
        ledger.select().where((ledger.c.campaign == campaign) & (ledger.c.kind == "vote")).limit(1)
    ).one()
    content = (
        row.content.replace('"left"', '"LEFT"')
        .replace('"right"', '"left"')
        .replace('"LEFT"', '"right"')
    )
    connection.execute(
        update(ledger)
        .where((ledger.c.campaign == campaign) & (ledger.c.seq == row.seq))
        .values(content=content)
    )


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (forge_vote, "was changed after it was written"),
        (
            lambda c, n: c.execute(ledger.delete().where((ledger.c.campaign == n) & (ledger.c.seq == 20))),
            "entry 20 is missing",
        ),
        (
            lambda c, n: c.execute(update(ledger).where(ledger.c.seq == 20).values(content="{}")),
            "entry 20 (vote) has no answers, assignment",
        ),
        (
            lambda c, n: c.execute(update(ledger).where(ledger.c.seq == 20).values(content="][")),
            "entry 20 (vote) has no readable content",
        ),
        (
            lambda c, n: c.execute(
                ledger.delete().where((ledger.c.campaign == n) & (ledger.c.kind == "freeze"))
            ),
            "does not end where the campaign says",
        ),
        (
            lambda c, n: c.execute(votes.delete().where(votes.c.revision == 1)),
            "answers of the ledger are not stored",
        ),
        (
            lambda c, n: c.execute(update(votes).where(votes.c.revision == 1).values(revision=7)),
            "stored answers are not in the ledger",
        ),
        (
            lambda c, n: c.execute(update(campaigns).values(digest="0" * 64)),
            "not the one that was declared",
        ),
    ],
)  # fmt: skip
def test_tampering_is_found(database, published, tamper, found):
    number = get_campaign(database, "board").id
    with database.write() as connection:
        tamper(connection, number)
    problems = audit_campaign(database, "board").problems
    assert any(found in problem for problem in problems), problems


def test_a_published_number_that_was_improved_is_found(database, published):
    """Even with the whole chain resealed: the cell no longer follows from the votes."""
    stored, entries = campaign_entries(database, "board")
    last = entries[-1]
    payload = last.payload()
    payload["board"][0]["good"] += 5
    content = canonical(payload)
    digest = entry_digest(
        seq=last.seq, at=last.at, kind=last.kind, content=content, previous=last.previous
    )
    with database.write() as connection:
        connection.execute(
            update(ledger).where((ledger.c.campaign == stored.id) & (ledger.c.seq == last.seq))
            .values(content=content, digest=digest)
        )  # fmt: skip
        connection.execute(update(campaigns).values(head_digest=digest))
    problems = audit_campaign(database, "board").problems
    assert len(problems) == 1
    assert "ours against omni, overall_quality: good was published as" in problems[0]
    assert len(audit_campaign(database, "board", head=published.head_digest).problems) == 2


def test_sides_turned_around_in_plan_and_ledger_are_found(database, declare, join, vote_all):
    stored = declare()
    with database.write() as connection:  # before any vote: the page would show other sides
        connection.execute(text("UPDATE rating_assignments SET first_side = 'left'"))
    vote_all([join(stored) for _ in range(3)])
    problems = audit_campaign(database, "board").problems
    assert any("tells other sides or systems than the plan" in problem for problem in problems)


def test_comparing_boards_names_cell_and_numbers():
    row = {"first": "a", "second": "b", "dimension": "d", "net": 0.25, "p": None}
    assert compare_rows([row], [dict(row)]) == (5, [])
    count, wrong = compare_rows([row], [row | {"net": 0.3}])
    assert (count, wrong) == (
        5,
        ["a against b, d: net was published as 0.25, the ledger gives 0.3"],
    )
    assert compare_rows([row], [])[1] == ["the published board has 1 rows, the ledger gives 0"]


def test_careless_raters_are_left_out_by_the_declared_rule_and_shown(
    database, declare, join, vote_all
):
    stored = declare(raters=6, checks=Checks(nulls=5, repeat_share=0.0, gold=GOLD))
    vote_all([join(stored) for _ in range(6)], careless=(2,))
    found = campaign_results(database, "board", settings=FAST)
    assert list(found.excluded) == ["R03"]
    assert "Same on identical clips 0.00 below 0.3" in found.excluded["R03"]
    assert found.board["raters"].eq(5).all()
    assert found.board_all["raters"].eq(6).all()
    assert found.influence["rater"].nunique() == 5


def test_blind_boards_stay_blind_until_frozen(database, declare, join, vote_all):
    stored = declare(blind_until_frozen=True)
    vote_all([join(stored) for _ in range(5)])
    with pytest.raises(InputError, match="blind until the campaign is frozen"):
        campaign_results(database, "board")
    freeze_campaign(database, "board", now=5000.0, settings=FAST)
    assert not campaign_results(database, "board").board.empty


def test_renderings_say_simulated_and_where_numbers_come_from(published, tmp_path):
    console = Console(width=200, record=True, file=io.StringIO())
    print_results(published, console)
    told = console.export_text()
    assert "simulated votes" in told
    assert f"ledger {published.head_seq}:{published.head_digest[:16]}" in told
    assert "Lip Synchronization" in told
    write_board_csv(tmp_path / "b.csv", published)
    lines = (tmp_path / "b.csv").read_text().splitlines()
    assert len(lines) == 11
    assert published.head_digest in lines[1]
    assert ",simulated," in lines[1]
    latex = board_latex(published)
    assert latex.count(r"\midrule") == 2
    assert latex.count(r"\\") == 11 + latex.count(r"vs.\\")
    assert "SIMULATED VOTES" in latex
    for name in ("f.png", "f.svg"):
        write_gsb_figure(tmp_path / name, published)
        assert (tmp_path / name).stat().st_size > 5000
    assert "SIMULATED VOTES" in provenance(published)
    with pytest.raises(InputError, match=r"figures are written as .png, .svg or .pdf"):
        write_gsb_figure(tmp_path / "f.doc", published)


def test_hostile_names_are_escaped_in_latex(database, declare, join, vote_all):
    stored = declare(pairs=(Pair(first="ours", second="a_b%{x}&[red]"),))
    vote_all([join(stored) for _ in range(5)])
    found = campaign_results(database, "board", settings=FAST)
    assert r"a\_b\%\{x\}\&[red]" in board_latex(found)
    console = Console(width=200, record=True, file=io.StringIO())
    print_results(found, console)
    assert "[red]" in console.export_text()


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_export_and_import_give_the_same_board(database, declare, join, vote_all, tmp_path, ending):
    stored = declare()
    vote_all([join(stored) for _ in range(5)])
    here = campaign_results(database, "board", settings=FAST)
    path = tmp_path / f"votes.{ending}"
    rows = export_rows("board", here.votes)
    assert {row["origin"] for row in rows} == {"simulated"}
    write_votes(path, rows)
    there = declare(name="copy")
    first = import_votes(database, there, path, origin="simulated", now=6000.0)
    assert (first.added, first.known) == (len(here.votes) // 5, 0)
    again = import_votes(database, there, path, origin="simulated", now=6001.0)
    assert (again.added, again.known) == (0, first.added)
    copied = campaign_results(database, "copy", settings=FAST)
    assert copied.board[["good", "same", "bad", "ratio", "net"]].equals(
        here.board[["good", "same", "bad", "ratio", "net"]]
    )
    assert audit_campaign(database, "copy").problems == []
    changed = [dict(row) for row in rows]
    changed[0]["answer"] = "left" if changed[0]["answer"] != "left" else "right"
    changed[0].pop("outcome")
    write_votes(
        tmp_path / "changed.jsonl",
        [{k: v for k, v in row.items() if k != "outcome"} for row in changed],
    )
    with pytest.raises(InputError, match="never overwritten"):
        import_votes(database, there, tmp_path / "changed.jsonl", origin="simulated", now=6002.0)


def test_votes_from_elsewhere_need_the_right_columns(database, declare, tmp_path):
    stored = declare()
    path = tmp_path / "v.csv"
    path.write_text(
        "rater,case,first,second,dimension,outcome\n"
        "ann,c0,ours,omni,overall_quality,good\n"
        "ann,c0,ours,omni,overall_quality,bad\n"
        "ann,c99,ours,omni,overall_quality,good\n"
        "ann,c1,omni,ours,overall_quality,better\n"
        "ann,c1,ours,omni,overall_quality,\n"
    )
    with pytest.raises(InputError) as caught:
        import_votes(database, stored, path, origin="imported", now=6000.0)
    problems = str(caught.value).splitlines()
    assert len(problems) == 5
    assert "row 2: this rater, pair, case and dimension were given before" in problems[0]
    assert "row 3: field 'case': got \"c99\"" in problems[1]
    assert "a pair of the campaign: ours against omni" in "".join(problems)
    assert campaign_results(database, "board", settings=FAST).votes.empty
    path.write_text(
        "rater,case,first,second,dimension,outcome\nann,c0,ours,omni,overall_quality,good\n"
    )
    assert import_votes(database, stored, path, origin="imported", now=6000.0).added == 1
    found = campaign_results(database, "board", settings=FAST)
    assert found.board.iloc[0]["good"] == 1
    assert dict(found.origins) == {"imported": 1}
    with pytest.raises(InputError, match="choose imported or simulated"):
        import_votes(database, stored, path, origin="human", now=6000.0)


def test_comments_cannot_become_formulas(published, tmp_path):
    rows = export_rows("board", published.votes)
    rows[0]["comment"] = "=HYPERLINK(1)"
    write_votes(tmp_path / "v.csv", rows)
    assert "'=HYPERLINK(1)" in (tmp_path / "v.csv").read_text()


def test_the_ledger_can_leave_the_building(database, published, tmp_path):
    _, entries = campaign_entries(database, "board")
    write_ledger(tmp_path / "l.jsonl", entries)
    lines = [json.loads(line) for line in (tmp_path / "l.jsonl").read_text().splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(entries) + 1))
    assert lines[-1]["kind"] == "freeze"


def test_top_up_plans_more_votes_until_no_rater_is_left(database, declare, join, vote_all):
    stored = declare()
    raters = [join(stored) for _ in range(5)]
    vote_all(raters)
    easy = top_up(database, stored, half_width=0.95, now=3000.0)
    assert (easy.added, easy.wanted) == (0, 0)
    more = top_up(database, stored, half_width=0.05, now=3000.0)
    # 8 cases, 3 of 5 raters have voted: 16 comparisons are left to give.
    assert more.added == 16
    again = top_up(database, stored, half_width=0.05, now=3001.0)
    assert again.added == 0
    assert vote_all(raters, seed=2) == 16
    assert campaign_results(database, "board", settings=FAST).board["votes"].eq(40).all()
    assert audit_campaign(database, "board").problems == []
    with pytest.raises(InputError, match="choose one between 0 and 1"):
        top_up(database, stored, half_width=0, now=3000.0)


def test_status_counts_people_and_flags_without_saying_who_wins(database, declare, join, vote_all):
    stored = declare()
    raters = [join(stored) for _ in range(2)]
    vote_all(raters[:1])
    state = campaign_status(database, stored)
    assert state.seats["status"].tolist() == [
        "active",
        "active",
        "not joined",
        "not joined",
        "not joined",
    ]
    assert state.done == state.seats["done"].iloc[0] == state.seats["total"].iloc[0]
    assert state.total == 8 * 3 + 5
    assert state.flags.empty
    with database.read() as connection:
        open_left = connection.execute(
            assignments.select().where(assignments.c.state == "open")
        ).all()
    assert len(open_left) == state.total - state.done
