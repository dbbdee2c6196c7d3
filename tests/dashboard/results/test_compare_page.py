"""The compare page: clips by digest, curves and values as they are in the store."""

import json
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from dashboard.results.clips import ROUTES, clip_url, find_file
from dashboard.results.compare import POINTS, curve_table, curves, value_table
from dashboard.results.data import scores_at, store_state
from dashboard.results.votes import case_votes
from dashboard.site import OPERATOR_SECRET, open_site
from eval.ratings.sessions import COOKIE_NAME, Session
from eval.ratings.store import campaign_entries
from eval.ratings.vote_table import vote_table
from eval.records import Clip, System
from eval.store.registry import add_clip, add_system
from eval.store.workspace import Workspace
from joystreamer.errors import InputError
from tests.dashboard.results.filled_workspace import SYSTEMS, fill, score_all
from tests.dashboard.results.voted_workspace import declare, vote


def player(test) -> dict:
    (entry,) = [e for e in test.get("bidi_component") if e.proto.component_name.endswith("compare")]
    return json.loads(entry.proto.json)


@pytest.fixture
def with_curves(tmp_path: Path) -> Path:
    """A workspace whose scores have per-frame series."""
    with fill(tmp_path / "ws", cases=2, specs=()) as workspace:
        score_all(workspace, specs=["quality/light"], nulls=0.0, only=99)
    return tmp_path / "ws"


def test_clips_and_curves_reach_the_player(with_curves: Path, run_page):
    test = run_page("compare", with_curves, case="talk/case001")
    shown = player(test)
    assert [clip["system"] for clip in shown["clips"]] == ["run1-2000", "run1-1000"]
    assert all(clip["url"].startswith("/staff/clip/") for clip in shown["clips"])
    assert len(shown["series"]) == 3
    assert [line["system"] for line in shown["series"][0]["lines"]] == ["run1-1000", "run1-2000"]
    assert "prompt 1" in [entry.value for entry in test.text]


def test_up_to_four_systems_and_none(with_curves: Path, run_page):
    test = run_page("compare", with_curves)
    test.multiselect(key="with").set_value([system.name for system in SYSTEMS]).run()
    assert len(player(test)["clips"]) == 3
    test.multiselect(key="with").set_value([]).run()
    assert test.info[0].value == "Choose at least one system."


def test_curves_are_those_of_the_store(with_curves: Path):
    with Workspace(with_curves) as workspace:
        rows = scores_at(workspace, store_state(workspace), None)
        rows = rows[(rows["case"] == "case000") & (rows["system"] == "kling")]
        found = curves(workspace, rows)
        first = rows.iloc[0]
        stored = workspace.read_series(first["series"])["curve"]
    chart = found[f"{first['metric']}/{first['variant']}: curve"]
    assert chart["lines"][0]["values"] == stored.values.tolist()
    table = curve_table([chart])
    assert table["value"].tolist() == stored.values.tolist()
    assert len(table) <= POINTS


def test_every_metric_has_a_value_or_a_reason(tmp_path: Path, run_page):
    with fill(tmp_path / "ws", cases=1, nulls=1.0, specs=("quality/light",)) as workspace:
        rows = scores_at(workspace, store_state(workspace), None)
        table = value_table(rows, [system.name for system in SYSTEMS])
        assert len(table) == rows["metric"].nunique()
        assert set(table["kling"]) == {"– no face was found for long enough"}
        assert set(value_table(rows, ["absent"])["absent"]) == {"not scored"}
    test = run_page("compare", tmp_path / "ws")
    assert not test.error


def test_clips_without_scores_can_be_watched(tmp_path: Path, run_page):
    fill(tmp_path / "ws", cases=1, specs=()).database.close()
    test = run_page("compare", tmp_path / "ws")
    assert player(test)["series"] == []
    assert any("Nothing is measured yet" in entry.value for entry in test.caption)


def test_an_empty_workspace_says_what_to_do_next(tmp_path: Path, run_page):
    Workspace(tmp_path / "ws").database.close()
    assert "python -m eval ingest" in run_page("compare", tmp_path / "ws").code[0].value


def test_all_votes_of_the_case_stand_beside_the_metrics(voted_root: Path, run_page):
    test = run_page("compare", voted_root, case="talk/case001")
    test.multiselect(key="with").set_value(["run1-2000", "run1-1000"]).run()
    with Workspace(voted_root) as workspace:
        votes, blind = case_votes(workspace, "talk", "case001", ["run1-2000", "run1-1000"])
        _, entries = campaign_entries(workspace.database, "board")
    table = vote_table(entries)
    mine = table[(table["case"] == "case001") & (table["second"] == "run1-1000") & (table["first"] == "run1-2000")]  # fmt: skip
    assert blind == ()
    assert len(votes) == mine["assignment"].nunique() >= 3
    shown = next(e.value for e in test.dataframe if "Good" in e.value.columns)
    for row in shown.to_dict("records"):
        dimension = row["dimension"].lower().replace(" ", "_")
        work = mine[(mine["kind"] == "work") & (mine["dimension"] == dimension)]["outcome"]
        counts = [int((work == outcome).sum()) for outcome in (1, 0, -1)]
        assert [row["Good"], row["Same"], row["Bad"]] == counts
    assert any("Simulated votes" in entry.value for entry in test.caption)
    assert any(entry.label == f"Every vote ({len(votes)})" for entry in test.expander)


def test_blind_votes_are_named_and_not_shown(tmp_path: Path, run_page):
    with fill(tmp_path / "ws", cases=8, specs=()) as workspace:
        vote(workspace, declare(workspace, cases=8, blind_until_frozen=True), most=30)
    test = run_page("compare", tmp_path / "ws")
    assert any("are blind until it is frozen" in entry.value for entry in test.caption)
    assert not any("Good" in entry.value.columns for entry in test.dataframe)


def test_clips_are_for_staff_and_come_in_ranges(tmp_path: Path):
    site = open_site(tmp_path / "ws")
    assert (tmp_path / "ws" / OPERATOR_SECRET).is_file()
    digest = site.workspace.proxies.add_bytes(b"0123456789", ".mp4")
    poster = site.workspace.posters.add_bytes(b"a picture", ".jpg")
    hidden = site.workspace.media.add_bytes(b"secret", ".toml")
    with site.workspace.database.write() as connection:
        add_system(connection, System(name="a"))
        add_clip(connection, Clip(system="a", case="c", digest=digest, name="c.mp4"))
    client = TestClient(Starlette(routes=list(ROUTES)))
    assert client.get(clip_url(digest)).status_code == 403
    client.cookies.set(COOKIE_NAME, site.signer.sign(Session(role="annotator", subject="1")))
    assert client.get(clip_url(digest)).status_code == 403
    client.cookies.set(COOKIE_NAME, site.signer.sign(Session(role="lead", subject="x")))
    part = client.get(clip_url(digest), headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    assert part.headers["content-type"] == "video/mp4"
    assert client.get(clip_url(poster)).content == b"a picture"
    assert client.get(clip_url("f" * 64)).status_code == 404
    assert client.get(clip_url(hidden)).status_code == 404
    assert client.get(clip_url("..")).status_code in (400, 404)
    with pytest.raises(InputError, match="is not a digest"):
        find_file(site.workspace, "server.secret")
    site.workspace.database.close()
