"""Which things are joined by a chain of comparisons; needed before anything is ranked."""

from collections.abc import Iterable


def components(n: int, first: Iterable[int], second: Iterable[int]) -> list[list[int]]:
    """Groups of systems joined by comparisons, largest first."""
    parent = list(range(n))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b in zip(first, second, strict=True):
        parent[root(int(a))] = root(int(b))
    groups: dict[int, list[int]] = {}
    for node in range(n):
        groups.setdefault(root(node), []).append(node)
    return sorted(groups.values(), key=lambda group: (-len(group), group[0]))
