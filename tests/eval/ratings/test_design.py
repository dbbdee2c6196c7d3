"""Plans: balance, connection, distances, determinism."""

import dataclasses
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.ratings.campaign import Campaign, Checks, KnownItem, Pair, check_campaign
from eval.ratings.design import halve, plan_design, plan_top_up, summarize_design

GOLD = tuple(
    KnownItem(
        case=f"c{i:03d}", first="ours", second="degraded", expected={"overall_quality": "good"}
    )
    for i in (3, 50)
)


PLAIN = Campaign(
    name="board",
    suite="s",
    cases=tuple(f"c{i:03d}" for i in range(60)),
    pairs=(Pair(first="ours", second="omni"), Pair(first="ours", second="kling")),
    seed=1,
    checks=Checks(gold=GOLD, training=GOLD[:1], qualification=GOLD[1:]),
)


def campaign(**changes):
    built = dataclasses.replace(PLAIN, **changes)
    check_campaign(built)
    return built


def work(plan):
    return [showing for showing in plan if showing.kind == "work"]


@settings(max_examples=25, deadline=None)
@given(
    cases=st.integers(1, 12), raters=st.integers(1, 7), share=st.integers(0, 6),
    pairs=st.integers(1, 3), seed=st.integers(0, 99),
)  # fmt: skip
def test_balance_of_any_campaign(cases, raters, share, pairs, seed):
    per_case = 1 + share % raters
    others = [Pair(first="ours", second=f"other{i}") for i in range(pairs)]
    plan = plan_design(
        campaign(
            cases=tuple(f"c{i}" for i in range(cases)), pairs=tuple(others), raters=raters,
            per_case=per_case, seed=seed, checks=Checks(),
        )
    )  # fmt: skip
    shown = work(plan)
    seats_of_unit = defaultdict(set)
    for showing in shown:
        seats_of_unit[showing.second, showing.case].add(showing.seat)
    assert len(seats_of_unit) == cases * pairs
    assert {len(seats) for seats in seats_of_unit.values()} == {per_case}
    assert len(shown) == cases * pairs * per_case  # never the same unit twice for one seat
    load = Counter((showing.second, showing.seat) for showing in shown)
    for pair in others:
        loads = [load[pair.second, seat] for seat in range(raters)]
        assert max(loads) - min(loads) <= 1
    lean: Counter[tuple[object, ...]] = Counter()
    for showing in shown:
        step = 1 if showing.first_side == "left" else -1
        lean["unit", showing.second, showing.case] += step
        lean["seat", showing.second, showing.seat] += step
    assert all(abs(value) <= 1 for value in lean.values())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5)), max_size=40))
def test_halving_splits_every_vertex_evenly(edges):
    half = halve(edges)
    lean: Counter[tuple[object, ...]] = Counter()
    for (a, b), left in zip(edges, half, strict=True):
        lean["a", a] += 1 if left else -1
        lean["b", b] += 1 if left else -1
    assert all(abs(value) <= 1 for value in lean.values())


def test_the_same_seed_gives_the_same_plan_and_another_does_not():
    assert plan_design(campaign()) == plan_design(campaign())
    assert plan_design(campaign()) != plan_design(campaign(seed=2))


def test_positions_are_the_order_and_training_comes_first():
    plan = plan_design(campaign())
    for seat in range(5):
        mine = [showing for showing in plan if showing.seat == seat]
        assert [showing.position for showing in mine] == list(range(len(mine)))
        assert [showing.kind for showing in mine[:2]] == ["training", "qualification"]
    assert len({showing.key for showing in plan}) == len(plan)


def test_checks_are_mixed_in_and_not_front_loaded():
    plan = plan_design(campaign())
    for seat in range(5):
        mine = [showing for showing in plan if showing.seat == seat]
        kinds = Counter(showing.kind for showing in mine)
        assert kinds["gold"] == 2
        assert kinds["null"] == 2
        assert kinds["repeat"] == round(0.08 * kinds["work"])
        checks = [s.position / len(mine) for s in mine if s.kind in ("gold", "null")]
        assert max(checks) > 0.5
        assert min(checks) > 2 / len(mine)
        nulls = [s for s in mine if s.kind == "null"]
        assert all(s.first == s.second and set(s.expected.values()) == {"same"} for s in nulls)


def test_no_case_returns_within_the_window_and_repeats_keep_their_distance():
    plan = plan_design(campaign())
    summary = summarize_design(plan)
    assert summary.shortest_return > 10
    assert summary.connected
    at = {showing.key: showing for showing in plan}
    for showing in plan:
        if showing.kind == "repeat":
            original = at[showing.repeat_of]
            assert showing.position - original.position > 15
            assert showing.first_side != original.first_side
            assert (showing.case, showing.second, showing.seat) == (
                original.case, original.second, original.seat,
            )  # fmt: skip


def test_few_cases_are_spread_as_far_as_they_go():
    plan = plan_design(campaign(cases=("a", "b", "c"), checks=Checks(nulls=0, repeat_share=0)))
    assert summarize_design(plan).shortest_return >= 2


def test_left_share_is_even_for_every_seat():
    low, high = summarize_design(plan_design(campaign())).left_share
    assert 0.48 <= low <= high <= 0.52


def test_top_up_adds_new_raters_only_and_evens_the_load():
    declared = campaign()
    plan = work(plan_design(declared))
    seen = [(s.seat, (0 if s.second == "omni" else 1, s.case)) for s in plan]
    wanted = dict.fromkeys(sorted({unit for _, unit in seen}), 1)
    more = plan_top_up(
        declared, seen, wanted, seats=range(5), round_number=1,
        start=dict.fromkeys(range(5), 200), recent={0: ["c001"]},
    )  # fmt: skip
    assert len(more) == len(wanted) == 120
    units = Counter(seen)
    for showing in more:
        unit = (showing.seat, (0 if showing.second == "omni" else 1, showing.case))
        assert units[unit] == 0
        units[unit] += 1
        assert showing.position >= 200
        assert showing.round == 1
    load = Counter(seat for seat, _ in units)
    assert max(load.values()) - min(load.values()) <= 2


def test_top_up_stops_when_everybody_has_seen_everything():
    declared = campaign(raters=3)
    plan = work(plan_design(declared))
    seen = [(s.seat, (0 if s.second == "omni" else 1, s.case)) for s in plan]
    wanted = {(0, "c000"): 2}
    again = plan_top_up(declared, seen, wanted, seats=range(3), round_number=1, start={}, recent={})
    assert again == []


@pytest.mark.parametrize("raters", [5, 8])
def test_raters_meet_each_other_on_common_cases(raters):
    seats_of_unit = defaultdict(set)
    for showing in work(plan_design(campaign(raters=raters))):
        seats_of_unit[showing.second, showing.case].add(showing.seat)
    together = np.zeros((raters, raters))
    for seats in seats_of_unit.values():
        for a in seats:
            for b in seats:
                together[a, b] += a != b
    assert together[~np.eye(raters, dtype=bool)].min() > 0
