"""Files of a workspace that a failing disk changed, and folders whose making was stopped."""

import pytest
from click.testing import CliRunner

from eval.cli import main
from eval.ingest import match_source, store_matches
from eval.store.files import StoreUnwritable
from eval.store.registry import current_clips
from eval.store.scores import score_table
from eval.store.workspace import Workspace
from joystreamer.errors import InputError


def ran(*arguments):
    return CliRunner().invoke(main, [str(part) for part in arguments])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.fixture
def filled(tmp_path, make_clip):
    for number, name in enumerate(("A/one", "A/two")):
        make_clip(tmp_path / "clips" / f"{name}.mp4", seed=number)
    root = tmp_path / "workspace"
    assert ran("ingest", tmp_path / "clips", "-w", root).exit_code == 0
    return root


def test_a_damaged_original_gets_no_score_and_is_mended_by_ingesting_again(filled, tmp_path):
    with Workspace(filled) as workspace:
        clip = next(each.clip for each in current_clips(workspace) if each.clip.case == "one")
        flip(workspace.media.path(clip.digest, ".mp4"))
    arguments = ("score", "-m", "motion", "-w", filled, "--device", "cpu")
    told = ran(*arguments)
    assert told.exit_code == 1
    assert f"failed: A / one: the clip {clip.digest[:12]}… is damaged in" in told.stderr
    assert "ingest it again" in told.stderr
    with Workspace(filled) as workspace:
        assert set(score_table(workspace)["case"]) == {"two"}
    assert ran("ingest", tmp_path / "clips", "-w", filled).exit_code == 0
    assert ran(*arguments).exit_code == 0
    with Workspace(filled) as workspace:
        table = score_table(workspace)
    assert set(table["case"]) == {"one", "two"}
    assert "decode_error" not in set(table["reason"])


def test_damaged_series_are_not_drawn(filled):
    ran("score", "-m", "motion", "-w", filled, "--device", "cpu")
    with Workspace(filled) as workspace:
        digest = next(each for each in score_table(workspace)["series"] if each)
        flip(workspace.root / "series" / digest[:2] / f"{digest}.npz")
        with pytest.raises(InputError, match="are damaged; score the clip again with --force"):
            workspace.read_series(digest)
    assert ran("score", "-m", "motion", "--force", "-w", filled, "--device", "cpu").exit_code == 0
    with Workspace(filled) as workspace:
        assert workspace.read_series(digest)


def test_a_store_that_cannot_be_written_is_no_problem_of_the_clip(tmp_path, make_clip):
    make_clip(tmp_path / "clips" / "A" / "one.mp4")
    with Workspace(tmp_path / "workspace") as workspace:
        workspace.posters.root.write_text("in the way")
        with pytest.raises(StoreUnwritable, match=r"cannot be written .*; check free space"):
            list(store_matches(workspace, match_source(tmp_path / "clips")))
        assert current_clips(workspace) == []
        workspace.posters.root.unlink()
        (stored,) = store_matches(workspace, match_source(tmp_path / "clips"))
        assert stored.problem == ""


def test_a_missing_poster_comes_with_the_next_ingest(filled, tmp_path):
    assert ran("ingest", tmp_path / "clips", "--proxies", "-w", filled).exit_code == 0
    with Workspace(filled) as workspace:
        assert all(each.poster and each.proxy for each in current_clips(workspace))


def test_a_workspace_whose_making_was_stopped_is_made_again(tmp_path):
    root = tmp_path / "workspace"
    root.mkdir()
    for name in ("joystreamer.db", "joystreamer.db-wal", ".partial-0123456789abcdef.toml"):
        (root / name).write_bytes(b"")
    with Workspace(root) as workspace:
        assert current_clips(workspace) == []
    assert (root / "workspace.toml").is_file()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and not a workspace"):
        Workspace(other)
