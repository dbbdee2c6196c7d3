"""The player's modules joined into one script."""

import re

import pytest

from dashboard.player_source import FOLDER, player_script, player_style


def test_the_joined_script_has_every_module_once_and_one_export() -> None:
    script = player_script("rate.js")
    assert not re.search(r"^import ", script, re.MULTILINE)
    assert re.findall(r"^export .*", script, re.MULTILINE) == [
        "export default function mount({ parentElement, data }) {"
    ]
    named = re.findall(r"^// (\w+\.js)$", script, re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in FOLDER.glob("*.js"))
    assert named[-1] == "rate.js"
    assert named.index("coverage.js") < named.index("pair.js") < named.index("stage.js")


def test_no_two_modules_use_one_name_at_the_top() -> None:
    declared = re.findall(
        r"^(?:async )?(?:const|let|class|function) (\w+)", player_script("rate.js"), re.MULTILINE
    )
    assert len(declared) == len(set(declared))


def test_a_part_of_the_player_can_be_joined_alone() -> None:
    assert re.findall(r"^// (\w+\.js)$", player_script("pair.js"), re.MULTILINE) == [
        "coverage.js",
        "pair.js",
    ]


@pytest.mark.parametrize(
    "forbidden", ["innerHTML", "insertAdjacentHTML", "document.write", "eval(", "console."]
)
def test_the_player_never_writes_markup_or_to_the_console(forbidden: str) -> None:
    assert forbidden not in player_script("rate.js")


def test_styles_respect_reduced_motion_and_forced_colours() -> None:
    style = player_style()
    assert "prefers-reduced-motion" in style
    assert "forced-colors" in style
    assert not re.findall(r"https?://", style)
