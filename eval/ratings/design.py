"""Who sees which pair on which case: balanced, connected, and the same for the same seed.

A unit is one pair of systems on one case. Every unit goes to `per_case` distinct seats, each seat gets
the same number of units of every pair (give or take one), and the first system stands on the left as
often as on the right for every unit and for every seat and pair (give or take one). Checks are added
per seat. The order in which a seat sees its showings is `eval.ratings.order`'s matter. Lots are drawn
only while planning: taking votes loads no arrays.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eval.ratings.answers import Side, other_side
from eval.ratings.campaign import Campaign, KnownItem
from eval.ratings.order import order_showings
from eval.ratings.statistics.connection import components

if TYPE_CHECKING:
    import numpy as np

Unit = tuple[int, str]
"""Number of the pair, and case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """One pair of clips, shown to one seat.

    Attributes:
        key: Unique within the campaign.
        seat: Number of the rater, from 0.
        position: Place in the seat's order, from 0.
        kind: work, repeat, gold, null, training or qualification.
        case: Case id.
        first: First system; outcomes are told for it.
        second: Second system; the same as the first for a null.
        first_side: Where the first system stands.
        expected: Dimension id -> good, same or bad, for known items and nulls.
        lesson: Told after a training item.
        repeat_of: Key of the showing that this one repeats, or ''.
        round: 0 for the first plan, then one more per top-up.
    """

    key: str
    seat: int
    position: int = 0
    kind: str
    case: str
    first: str
    second: str
    first_side: Side
    expected: Mapping[str, str] = field(default_factory=dict)
    lesson: str = ""
    repeat_of: str = ""
    round: int = 0


def _lots(campaign: Campaign, round_number: int) -> np.random.Generator:
    import numpy as np

    return np.random.default_rng([campaign.seed, round_number])


def plan_design(campaign: Campaign) -> list[Showing]:
    """The whole first plan, ordered by seat and position."""
    rng = _lots(campaign, 0)
    units: list[Unit] = [
        (pair, case) for pair in range(len(campaign.pairs)) for case in campaign.cases
    ]
    wanted = dict.fromkeys(units, campaign.per_case)
    edges = assign_units(wanted, range(campaign.raters), seen=[], rng=rng)
    work = _work_showings(campaign, edges, round_number=0, rng=rng)
    plan: list[Showing] = []
    for seat in range(campaign.raters):
        mine = [showing for showing in work if showing.seat == seat]
        lead_in, mixed = _checks_for(campaign, seat, mine, rng)
        ordered = order_showings(
            [*mine, *mixed], before=[item.case for item in lead_in],
            window=campaign.window, repeat_gap=campaign.checks.repeat_gap, rng=rng,
        )  # fmt: skip
        plan += [
            dataclasses.replace(showing, position=position)
            for position, showing in enumerate([*lead_in, *ordered])
        ]
    return plan


def plan_top_up(
    campaign: Campaign,
    seen: Sequence[tuple[int, Unit]],
    wanted: Mapping[Unit, int],
    *,
    seats: Sequence[int],
    round_number: int,
    start: Mapping[int, int],
    recent: Mapping[int, Sequence[str]],
) -> list[Showing]:
    """Further showings for units that need more raters.

    Args:
        campaign: The protocol.
        seen: (seat, unit) of every showing so far; no seat sees a unit twice.
        wanted: Further raters per unit.
        seats: Seats that may take more work.
        round_number: Number of this top-up, from 1.
        start: First free position of each seat.
        recent: Cases that each seat sees last before this round, oldest first.

    Returns:
        New showings; fewer than wanted where no seat is left that has not seen a unit.
    """
    rng = _lots(campaign, round_number)
    edges = assign_units(wanted, seats, seen=seen, rng=rng)
    work = _work_showings(campaign, edges, round_number=round_number, rng=rng)
    plan: list[Showing] = []
    for seat in seats:
        ordered = order_showings(
            [showing for showing in work if showing.seat == seat], before=recent.get(seat, ()),
            window=campaign.window, repeat_gap=campaign.checks.repeat_gap, rng=rng,
        )  # fmt: skip
        first = start.get(seat, 0)
        plan += [
            dataclasses.replace(showing, position=first + place)
            for place, showing in enumerate(ordered)
        ]
    return plan


def assign_units(
    wanted: Mapping[Unit, int],
    seats: Sequence[int],
    *,
    seen: Sequence[tuple[int, Unit]],
    rng: np.random.Generator,
) -> list[tuple[int, Unit]]:
    """Give every unit to the seats that have least of its pair, then least of all, then by lot.

    Returns:
        (seat, unit) edges; a seat never meets a unit twice.
    """
    of_pair: Counter[tuple[int, int]] = Counter()
    of_seat: Counter[int] = Counter()
    met: dict[Unit, set[int]] = defaultdict(set)
    for seat, unit in seen:
        of_pair[seat, unit[0]] += 1
        of_seat[seat] += 1
        met[unit].add(seat)
    edges: list[tuple[int, Unit]] = []
    units = sorted(wanted)
    for index in rng.permutation(len(units)):
        unit = units[index]
        free = [seat for seat in seats if seat not in met[unit]]
        lot = rng.permutation(len(free))
        ranked = sorted(
            range(len(free)),
            key=lambda i: (of_pair[free[i], unit[0]], of_seat[free[i]], lot[i]),
        )
        for place in ranked[: wanted[unit]]:
            seat = free[place]
            edges.append((seat, unit))
            of_pair[seat, unit[0]] += 1
            of_seat[seat] += 1
            met[unit].add(seat)
    return sorted(edges)


def halve(edges: Sequence[tuple[Hashable, Hashable]]) -> list[bool]:
    """Split the edges of a bipartite graph so that every vertex is split evenly, give or take one.

    Odd vertices are joined to one extra vertex on the other side, every component then has an Euler
    circuit, and going around it alternately gives each vertex as many edges of either half. A circuit
    of odd length cannot exist, because the graph stays bipartite: the extra vertices of the two sides
    are joined to each other when both have odd degree.

    Args:
        edges: (left vertex, right vertex); vertices of the two sides never mix.

    Returns:
        Half of each edge.
    """
    nodes: list[tuple[tuple[str, Hashable], tuple[str, Hashable]]] = [
        (("a", a), ("b", b)) for a, b in edges
    ]
    degree = Counter(node for edge in nodes for node in edge)
    spare: list[tuple[tuple[str, Hashable], tuple[str, Hashable]]] = []
    odd_a = [node for node, n in degree.items() if n % 2 and node[0] == "a"]
    odd_b = [node for node, n in degree.items() if n % 2 and node[0] == "b"]
    extra_a, extra_b = ("a", _Extra()), ("b", _Extra())
    spare += [(node, extra_b) for node in odd_a]
    spare += [(extra_a, node) for node in odd_b]
    if len(odd_a) % 2:
        spare.append((extra_a, extra_b))
    whole = nodes + spare
    around: dict[tuple[str, Hashable], list[int]] = defaultdict(list)
    for number, (a, b) in enumerate(whole):
        around[a].append(number)
        around[b].append(number)
    used = [False] * len(whole)
    half = [False] * len(whole)
    for origin in list(around):
        for index, from_a in _circuit(origin, whole, around, used):
            half[index] = from_a  # along a circuit, edges leave sides a and b in turn
    return half[: len(edges)]


class _Extra:
    """A vertex that cannot be confused with a caller's."""


def _circuit(
    origin: tuple[str, Hashable],
    edges: Sequence[tuple[tuple[str, Hashable], tuple[str, Hashable]]],
    around: Mapping[tuple[str, Hashable], list[int]],
    used: list[bool],
) -> list[tuple[int, bool]]:
    """Closed walk over unused edges from a vertex of even degree; (edge, left from side a?)."""
    walk: list[tuple[int, bool]] = []
    node = origin
    while True:
        remaining = around[node]
        while remaining and used[remaining[-1]]:
            remaining.pop()
        if not remaining:
            return walk
        number = remaining.pop()
        used[number] = True
        a, b = edges[number]
        walk.append((number, node == a))
        node = b if node == a else a


def _work_showings(
    campaign: Campaign,
    edges: Sequence[tuple[int, Unit]],
    *,
    round_number: int,
    rng: np.random.Generator,
) -> list[Showing]:
    lean: Counter[int] = Counter()
    showings: list[Showing] = []
    for number, pair in enumerate(campaign.pairs):
        mine = [edge for edge in edges if edge[1][0] == number]
        half = halve([(unit, seat) for seat, unit in mine])
        tilt = Counter[int]()
        for (seat, _), left in zip(mine, half, strict=True):
            tilt[seat] += 1 if left else -1
        against = sum(tilt[seat] * lean[seat] for seat in tilt)
        flip = bool(rng.random() < 0.5) if against == 0 else against > 0
        for (seat, (_, case)), left in zip(mine, half, strict=True):
            on_left = left != flip
            lean[seat] += 1 if on_left else -1
            showings.append(
                Showing(
                    key=f"w{round_number}-{number}-{case}-{seat}", seat=seat, kind="work", case=case,
                    first=pair.first, second=pair.second, first_side="left" if on_left else "right",
                    round=round_number,
                )
            )  # fmt: skip
    return showings


def _checks_for(
    campaign: Campaign, seat: int, work: Sequence[Showing], rng: np.random.Generator
) -> tuple[list[Showing], list[Showing]]:
    """Training and qualification in order, and the checks to mix into the work."""
    checks = campaign.checks
    lead_in = [
        _known(item, "training", f"t{i}-{seat}", seat, rng)
        for i, item in enumerate(checks.training)
    ]
    lead_in += [
        _known(item, "qualification", f"q{i}-{seat}", seat, rng)
        for i, item in enumerate(checks.qualification)
    ]
    mixed = [_known(item, "gold", f"g{i}-{seat}", seat, rng) for i, item in enumerate(checks.gold)]
    mixed += _nulls(campaign, seat, rng)
    repeats = round(checks.repeat_share * len(work))
    for index in sorted(rng.permutation(len(work))[:repeats]):
        original = work[index]
        mixed.append(
            dataclasses.replace(
                original, key=f"r-{original.key}", kind="repeat", repeat_of=original.key,
                first_side=other_side(original.first_side),
            )
        )  # fmt: skip
    return lead_in, mixed


def _nulls(campaign: Campaign, seat: int, rng: np.random.Generator) -> list[Showing]:
    systems, cases = campaign.systems, campaign.cases
    picked = rng.permutation(len(cases))
    return [
        Showing(
            key=f"n{i}-{seat}", seat=seat, kind="null", case=cases[picked[i % len(cases)]],
            first=systems[(seat + i) % len(systems)], second=systems[(seat + i) % len(systems)],
            first_side="left", expected=dict.fromkeys(campaign.dimension_ids, "same"),
        )
        for i in range(campaign.checks.nulls)
    ]  # fmt: skip


def _known(item: KnownItem, kind: str, key: str, seat: int, rng: np.random.Generator) -> Showing:
    return Showing(
        key=key, seat=seat, kind=kind, case=item.case, first=item.first, second=item.second,
        first_side="left" if rng.random() < 0.5 else "right", expected=dict(item.expected),
        lesson=item.lesson,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignSummary:
    """What a plan asks of people.

    Attributes:
        showings: All of them.
        work: Those that count for results.
        per_seat: Smallest and largest number of showings of a seat.
        left_share: Smallest and largest share of work showings with the first system left, by seat.
        connected: Whether cases link all seats, so that raters can be compared.
        shortest_return: Smallest distance between two showings of one case to one seat, training and
            qualification aside; 0 without any.
    """

    showings: int
    work: int
    per_seat: tuple[int, int]
    left_share: tuple[float, float]
    connected: bool
    shortest_return: int


def summarize_design(plan: Sequence[Showing]) -> DesignSummary:
    """Count what a plan asks."""
    seats = sorted({showing.seat for showing in plan})
    work = [showing for showing in plan if showing.kind == "work"]
    shares = []
    for seat in seats:
        mine = [showing for showing in work if showing.seat == seat]
        if mine:
            shares.append(sum(showing.first_side == "left" for showing in mine) / len(mine))
    cases = sorted({showing.case for showing in work})
    place = {case: len(seats) + index for index, case in enumerate(cases)}
    groups = components(
        len(seats) + len(cases),
        [seats.index(showing.seat) for showing in work],
        [place[showing.case] for showing in work],
    )
    sizes = Counter(showing.seat for showing in plan).values()
    return DesignSummary(
        showings=len(plan),
        work=len(work),
        per_seat=(min(sizes, default=0), max(sizes, default=0)),
        left_share=(min(shares, default=0.5), max(shares, default=0.5)),
        connected=len(groups) <= 1,
        shortest_return=_shortest_return(plan),
    )


def _shortest_return(plan: Sequence[Showing]) -> int:
    last: dict[tuple[int, str], int] = {}
    shortest = 0
    for showing in sorted(plan, key=lambda s: (s.seat, s.position)):
        if showing.kind in ("training", "qualification"):
            continue
        before = last.get((showing.seat, showing.case))
        if before is not None:
            distance = showing.position - before
            shortest = distance if shortest == 0 else min(shortest, distance)
        last[showing.seat, showing.case] = showing.position
    return shortest
