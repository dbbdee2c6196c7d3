"""What a puppet case says: written and read in one place, mistakes named."""

import copy

import pytest

from benchmarks.puppet.look import Identity
from benchmarks.puppet.program import CHOICES, Program
from eval.fields import ProblemsFound
from eval.puppet import case as records
from eval.puppet.case import read_puppet_case
from tests.eval.puppet import worlds


@pytest.fixture
def extra():
    return worlds.extra([Identity()], [Program(body="jump")])


def test_what_is_written_is_read(extra):
    case = read_puppet_case(extra)
    assert case is not None
    assert case.people[0].shirt == Identity().shirt
    assert case.programs[0]["body"] == "jump"
    assert case.changes == worlds.CHANGES
    assert case.edges == worlds.EDGES
    assert case.starts_s == (0.0,)
    assert read_puppet_case({}) is None
    assert read_puppet_case({"other": 1}) is None


def test_slots_are_those_of_the_world():
    assert records.CHOICES == CHOICES


def test_rooms_are_what_the_edges_leave():
    walks = [Program(body="walk left"), Program(body="walk left"), Program()]
    case = read_puppet_case(worlds.extra([Identity()], walks, starts_s=(0, 3, 6)))
    assert case is not None
    assert case.rooms() == pytest.approx((-0.22, -0.08, 0))


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (("version",), 1, "field 'version': got 1, expected 2; write the suite again"),
        (("people",), [], "field 'people': got [], expected a list of at least one object"),
        (("people", 0, "skin"), [1, 2], "person 1: field 'skin': got [1, 2], expected [red, green"),
        (("programs", 0, "body"), "jmp", "expected one of stand, walk left, walk right, jump (did"),
        (("programs", 0, "hat"), "on", "program 1: field 'hat' is unknown"),
        (("starts_s",), [1.0], "expected 1 rising seconds from 0 on, one per program"),
        (("palette", "glove"), "red", "palette: field 'glove': got \"red\""),
        (("changes", "walk"), None, "changes: field 'walk': got null, expected a number"),
        (("edges",), [0.8, 0.2], "expected [left, right] with 0 <= left < right <= 1"),
        (("wall",), None, "field 'wall': got null, expected [red, green, blue]"),
    ],
)
def test_mistakes_are_named(extra, place, value, sentence):
    wrong = copy.deepcopy(extra)
    inner = wrong["puppet"]
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    with pytest.raises(ProblemsFound) as caught:
        read_puppet_case(wrong, "cases.jsonl:3")
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("cases.jsonl:3")


def test_a_walk_needs_room():
    with pytest.raises(ProblemsFound, match=r"a walk with room for at least 0\.05 of the width"):
        worlds.extra([Identity()], [Program(body="walk left")], x=0.2)


def test_facts_must_be_an_object():
    with pytest.raises(ProblemsFound, match="expected an object"):
        read_puppet_case({"puppet": 3})
