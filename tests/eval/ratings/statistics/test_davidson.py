"""Davidson's model against closed forms, a generic optimiser, arenakit and known strengths."""

import numpy as np
import pytest
from scipy.optimize import minimize

from eval.ratings.statistics.connection import components
from eval.ratings.statistics.davidson import (
    Matchups,
    fit_davidson,
    rank_systems,
    win_matrix,
)
from joystreamer.errors import InputError

PAIR = Matchups(systems=("a", "b"), first=np.array([0]), second=np.array([1]), side=np.array([0]))


def round_robin(systems, sides=(1, -1)):
    names = tuple(f"s{i}" for i in range(systems))
    rows = [(i, j, s) for i in range(systems) for j in range(i + 1, systems) for s in sides]
    first, second, side = np.array(rows).T
    return Matchups(systems=names, first=first, second=second, side=side)


def simulate(matchups, strengths, position, tie, votes, rng):
    d = strengths[matchups.first] - strengths[matchups.second] + position * matchups.side
    weights = np.stack([np.exp(d / 2), np.full(d.size, tie), np.exp(-d / 2)], axis=1)
    shares = weights / weights.sum(axis=1, keepdims=True)
    return np.array([rng.multinomial(votes, p) for p in shares]).astype(float)


def test_two_systems_have_a_closed_form():
    # Without the prior: difference ln(G/B), tie weight S/sqrt(GB).
    fit = fit_davidson(PAIR, [[40.0, 30.0, 10.0]], prior=1e-9)
    assert fit.strengths[0, 0] - fit.strengths[0, 1] == pytest.approx(np.log(4), abs=1e-6)
    assert fit.tie_weight[0] == pytest.approx(30 / np.sqrt(400), abs=1e-6)
    assert fit.position[0] == 0


def test_a_generic_optimiser_finds_the_same_maximum():
    matchups = round_robin(4)
    rng = np.random.default_rng(0)
    counts = simulate(matchups, np.array([0.8, 0.2, -0.3, -0.7]), 0.2, 0.9, 60, rng)
    prior = 0.5

    def loss(x):
        strengths, position, log_tie = x[:4], x[4], x[5]
        d = strengths[matchups.first] - strengths[matchups.second] + position * matchups.side
        log = np.stack([d / 2, np.full(d.size, log_tie), -d / 2], axis=1)
        total = (counts * (log - np.logaddexp.reduce(log, axis=1, keepdims=True))).sum()
        ghost = np.stack([strengths / 2, np.full(4, log_tie), -strengths / 2], axis=1)
        ghost -= np.logaddexp.reduce(ghost, axis=1, keepdims=True)
        return -(total + prior / 2 * (ghost[:, 0] + ghost[:, 2]).sum())

    best = minimize(loss, np.zeros(6), method="BFGS", options={"gtol": 1e-8}).x
    fit = fit_davidson(matchups, counts, prior=prior)
    assert fit.strengths[0] == pytest.approx(best[:4] - best[:4].mean(), abs=1e-4)
    assert fit.position[0] == pytest.approx(best[4], abs=1e-4)
    assert fit.tie_weight[0] == pytest.approx(np.exp(best[5]), rel=1e-4)


@pytest.mark.parity
@pytest.mark.parametrize("order", [False, True])
def test_without_ties_it_is_arenakits_bradley_terry(order):
    arenakit = pytest.importorskip("arenakit", reason="arenakit is not installed")
    schema = pytest.importorskip("arenakit.schema", reason="arenakit is not installed")
    matchups = round_robin(5, sides=(1, -1) if order else (0,))
    rng = np.random.default_rng(1)
    counts = simulate(matchups, np.linspace(-1, 1, 5), 0.3 if order else 0.0, 0.0, 40, rng)
    first_wins, second_wins = np.zeros((5, 5)), np.zeros((5, 5))
    for i, j, side, (win, _, lose) in zip(
        matchups.first, matchups.second, matchups.side, counts, strict=True
    ):
        if side >= 0:
            first_wins[i, j] += win
            second_wins[i, j] += lose
        else:
            first_wins[j, i] += lose
            second_wins[j, i] += win
    table = schema.PairCounts(wf=first_wins, ws=second_wins, tt=np.zeros((5, 5)))
    # arenakit renormalises its strengths in every step, which leaves its fixed point 1e-3 off the
    # penalised maximum at half a game; with a tiny prior both sit on the maximum of the likelihood.
    theirs = arenakit.fit_bt(table, ties="drop", order=order, prior=1e-6)
    ours = fit_davidson(matchups, counts, prior=1e-6)
    assert ours.strengths[0] == pytest.approx(theirs.scores, abs=1e-4)
    assert ours.tie_weight[0] == 0
    if order:
        assert ours.position[0] == pytest.approx(theirs.order_log, abs=1e-4)


@pytest.mark.parity
def test_disconnected_groups_are_arenakits_components():
    bt = pytest.importorskip("arenakit.bt", reason="arenakit is not installed")
    met = np.zeros((6, 6))
    for i, j in [(0, 1), (1, 2), (3, 4)]:
        met[i, j] = met[j, i] = 1
    assert components(6, [0, 1, 3], [1, 2, 4]) == bt.components(met)


def test_known_strengths_and_position_come_back():
    matchups = round_robin(4)
    strengths = np.array([0.9, 0.3, -0.2, -1.0])
    counts = simulate(matchups, strengths, 0.4, 0.7, 4000, np.random.default_rng(2))
    fit = fit_davidson(matchups, counts)
    assert fit.strengths[0] == pytest.approx(strengths - strengths.mean(), abs=0.06)
    assert fit.position[0] == pytest.approx(0.4, abs=0.05)
    assert fit.tie_weight[0] == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize("counts", [[50, 0, 0], [0, 30, 0], [0, 0, 1], [5, 500, 0]])
def test_lopsided_votes_stay_finite(counts):
    fit = fit_davidson(PAIR, [counts])
    assert np.isfinite(fit.strengths).all()
    assert np.isfinite(fit.tie_weight).all()


def test_a_batch_is_the_same_as_one_by_one():
    matchups = round_robin(3)
    rng = np.random.default_rng(3)
    tables = np.stack(
        [simulate(matchups, np.array([0.5, 0, -0.5]), 0.1, tie, 9, rng) for tie in (0.0, 0.5, 2.0)]
    )
    batch = fit_davidson(matchups, tables)
    for row, table in enumerate(tables):
        alone = fit_davidson(matchups, table)
        assert batch.strengths[row] == pytest.approx(alone.strengths[0], abs=1e-8)


def test_disconnected_systems_are_refused_by_name():
    matchups = Matchups(
        systems=("a", "b", "c", "d"),
        first=np.array([0, 2]), second=np.array([1, 3]), side=np.array([0, 0]),
    )  # fmt: skip
    with pytest.raises(InputError, match=r"2 groups .*\(a, b \| c, d\).* add a pair across groups"):
        fit_davidson(matchups, [[3.0, 1.0, 2.0], [1.0, 1.0, 1.0]])
    with pytest.raises(InputError, match="use > 0"):
        fit_davidson(PAIR, [[1.0, 1.0, 1.0]], prior=0)


def test_ranks_share_places_when_votes_cannot_tell():
    rng = np.random.default_rng(4)
    point = np.array([1.0, 0.95, -1.0])
    draws = point + 0.2 * rng.standard_normal((4000, 3))
    standings = rank_systems(("x", "y", "z"), point, draws, baseline="z")
    assert [s.system for s in standings] == ["x", "y", "z"]
    assert [(s.rank_low, s.rank_high) for s in standings] == [(1, 2), (1, 2), (3, 3)]
    assert [s.group for s in standings] == [1, 1, 2]
    assert standings[-1].strength == 0
    assert (standings[-1].low, standings[-1].high) == (0, 0)
    assert standings[0].elo == pytest.approx(2 * 400 / np.log(10))
    with pytest.raises(InputError, match="baseline 'q' was not compared; choose one of x, y, z"):
        rank_systems(("x", "y", "z"), point, draws, baseline="q")


def test_mirrored_cells_of_the_matrix_agree():
    matchups = Matchups(
        systems=("a", "b", "c"), first=np.array([0, 1]), second=np.array([1, 0]),
        side=np.array([1, 1]),
    )  # fmt: skip
    matrix = win_matrix(matchups, [[6.0, 2.0, 2.0], [1.0, 0.0, 4.0]])
    assert matrix.votes[0, 1] == matrix.votes[1, 0] == 15
    assert matrix.net[0, 1] == pytest.approx((10 - 3) / 15)
    assert matrix.net[1, 0] == -matrix.net[0, 1]
    assert matrix.score[0, 1] + matrix.score[1, 0] == pytest.approx(1)
    assert np.isnan(matrix.net[0, 2])
    assert np.isnan(matrix.net[0, 0])
