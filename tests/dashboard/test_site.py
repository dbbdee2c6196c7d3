"""Opening a dashboard: secrets that only their owner reads, staff by e-mail, one site per process."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard.pages import WELCOME, page_at, pages_for
from dashboard.site import OPERATOR_SECRET, SERVER_SECRET, current_site, open_site, read_staff
from joystreamer.errors import InputError


def test_secrets_are_made_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    first = open_site(tmp_path / "w")
    second = open_site(tmp_path / "w")
    assert first.operator_is_new
    assert not second.operator_is_new
    assert first.operator_secret == second.operator_secret
    for name in (OPERATOR_SECRET, SERVER_SECRET):
        mode = (tmp_path / "w" / name).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
    assert first.operator_secret != (tmp_path / "w" / SERVER_SECRET).read_text().strip()
    assert first.operator_secret not in repr(first)
    assert current_site() is second


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    open_site(tmp_path / "w")
    (tmp_path / "w" / SERVER_SECRET).chmod(0o644)
    with pytest.raises(InputError, match="can be read by others; run chmod 600"):
        open_site(tmp_path / "w")


def test_staff_are_read_by_role(tmp_path: Path) -> None:
    path = tmp_path / "staff.toml"
    assert read_staff(path) == {}
    path.write_text('lead = ["Ada@Example.org "]\noperator = ["bob@example.org"]\n')
    assert read_staff(path) == {"ada@example.org": "lead", "bob@example.org": "operator"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('annotator = ["a@b"]', "'annotator' is no staff role; use lead and operator"),
        ('lead = "a@b"', "lead is not a list of e-mail addresses; write lead = "),
        ("lead = [", "cannot be read"),
    ],
)
def test_a_staff_file_that_does_not_fit_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "staff.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_staff(path)


def test_each_role_sees_its_pages() -> None:
    assert [page.script for page in pages_for("annotator")] == ["rate.py"]
    assert "campaigns.py" in [page.script for page in pages_for("lead")]
    assert "rate.py" not in [page.script for page in pages_for("operator")]
    assert pages_for(None) == (WELCOME,)
    assert pages_for("somebody") == (WELCOME,)
    for role in ("annotator", "lead", "operator"):
        at_root = [page for page in pages_for(role) if not page.path]
        assert len(at_root) == 1, role


def test_page_addresses_are_found_with_what_lies_below_them() -> None:
    for path in ("/campaigns", "/campaigns/", "campaigns/x/y"):
        page = page_at(path)
        assert page is not None
        assert page.action == "manage_campaigns"
    assert page_at("/") is None
    assert page_at("/other") is None


def test_serving_starts_without_networks() -> None:
    code = (
        "import sys, dashboard.cli, dashboard.site, dashboard.server;"
        "print([n for n in ('torch', 'transformers', 'mediapipe', 'timm', 'diffusers') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_refuses_a_folder_that_is_no_workspace(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    command = [sys.executable, "-m", "dashboard", "serve", "--workspace", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "not empty and not a workspace" in done.stderr


def test_a_server_that_takes_votes_loads_no_decoder_and_no_arrays() -> None:
    code = "import sys, dashboard.site, dashboard.server; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"av", "numpy", "scipy", "pandas", "alembic", "matplotlib", "torch"})
