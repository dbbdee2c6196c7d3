"""Which models the studio offers, and what is said of a list that does not fit."""

from pathlib import Path

import pytest

from dashboard.studio.models import EXAMPLE, FILE, TINY, Model, read_models
from joystreamer.errors import InputError


def test_the_random_model_is_always_there(tmp_path: Path):
    assert read_models(tmp_path) == (TINY,)


def test_the_example_is_read(tmp_path: Path):
    (tmp_path / FILE).write_text(EXAMPLE)
    listed, tiny = read_models(tmp_path)
    assert tiny == TINY
    assert listed == Model(
        name="student-2000", path="/models/student-2000", family="student", step=2000, preset="distilled",
    )  # fmt: skip
    assert listed.options() == [
        "--model", "/models/student-2000", "--device", "auto", "--preset", "distilled",
    ]  # fmt: skip
    system = listed.system()
    assert (system.name, system.family, system.step) == ("student-2000", "student", 2000)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("model = 3", "something else than"),
        ("[[models]]", "something else than"),
        ("[[model]]\nname = 'a'", "model 1 has no path; give one"),
        ("[[model]]\nname = 'a'\npath = 'b'\nsteps = 4", "has the unknown key 'steps'; known are name"),
        ("[[model]]\nname = 'a'\npath = 'b'\nstep = '4'", "step is '4'; expected a int"),
        ("[[model]]\nname = 'a'\npath = 'b'\n[[model]]\nname = 'a'\npath = 'c'", "two models called 'a'"),
        ("[[", "cannot be read"),
    ],
)  # fmt: skip
def test_a_list_that_does_not_fit_is_refused_in_words(tmp_path: Path, content: str, why: str):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(InputError, match=why.replace("[", r"\[")):
        read_models(tmp_path)
