"""The definition of sample: one row, one draw, one node at a time, in exact integers."""

from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from neighborgraph.ops.philox import WORD, philox


def sample_neighbors(
    population: Any,
    row: Tensor,
    count: int,
    draw: Any,
    *,
    key: Tensor | None = None,
    until: Tensor | None = None,
    replace: bool = False,
    last: bool = False,
    inclusive: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Receiver, source and edge of everything drawn."""
    ptr, idx, edge_id = (t.tolist() for t in (population.ptr, population.idx, population.edge_id))
    cumulative = None if population.cumulative is None else population.cumulative.tolist()
    keys = (row if key is None else key).tolist()
    found = []
    for i, r in enumerate(row.tolist()):
        positions = list(range(ptr[r], ptr[r + 1]))
        if until is not None:
            bound, times = int(until[i]) + inclusive, population.time[ptr[r] : ptr[r + 1]].tolist()
            positions = [p for p, time in zip(positions, times, strict=True) if time < bound]
        if last and count >= 0:
            positions = positions[len(positions) - min(count, len(positions)) :]
        for p in drawn(positions, count, replace, cumulative, stream(draw, keys[i])):
            found.append((i, idx[p], edge_id[p]))
    columns = torch.tensor(found, dtype=torch.int64).view(-1, 3).to(row.device)
    return columns[:, 0], columns[:, 1], columns[:, 2]


def sample_two_hops(
    hops: Any, row: Tensor, count: int, draw: Any, *, key: Tensor | None = None
) -> Tensor:
    """[f, count] nodes one or two steps away."""
    ptr, idx = hops.ptr.tolist(), hops.idx.tolist()
    keys = (row if key is None else key).tolist()
    found = []
    for r, number in zip(row.tolist(), (stream(draw, k) for k in keys), strict=True):
        near = idx[ptr[r] : ptr[r + 1]]
        around = near + [k for j in near for k in idx[ptr[j] : ptr[j + 1]]]
        if len(around) >= count:
            places = drawn(list(range(len(around))), count, False, None, number)
            found.append([around[place] for place in places])
        elif around:
            found.append([around[p % len(around)] for p in range(count)])
        else:
            found.append([number(p, len(ptr) - 1) for p in range(count)])
    return torch.tensor(found, dtype=torch.int64, device=row.device).view(len(row), count)


def drawn(
    positions: list[int],
    count: int,
    replace: bool,
    cumulative: list[int] | None,
    number: Callable[[int, int], int],
) -> Iterable[int]:
    """The positions that one row draws; ``number(p, bound)`` is its p-th number."""
    size = len(positions)
    if count < 0 or size == 0 or (not replace and size <= count):
        return positions
    if cumulative is not None:
        weights = {p: (cumulative[p + 1] - cumulative[p]) % 2**64 for p in positions}
        return by_weight(weights, count, replace, number)
    if replace:
        return [positions[number(p, size)] for p in range(count)]
    chosen: list[int] = []
    for p in range(count):
        largest = size - count + p
        k = number(p, largest + 1)
        chosen.append(largest if k in chosen else k)
    return [positions[k] for k in chosen]


def by_weight(
    weights: dict[int, int], count: int, replace: bool, number: Callable[[int, int], int]
) -> list[int]:
    """Positions in proportion to weights; without replacement in ascending order."""
    left, chosen = dict(weights), []
    for p in range(count):
        place = number(p, sum(left.values()))
        ends = zip(left, accumulate(left.values()), strict=True)
        chosen.append(next(position for position, end in ends if place < end))
        if not replace:
            del left[chosen[-1]]
    return chosen if replace else sorted(chosen)


def stream(draw: Any, key: int) -> Callable[[int, int], int]:
    """The numbers of a row: 64 random bits, taken as a fraction of 2^64, times a bound."""

    def number(p: int, bound: int) -> int:
        parts = key, p // 2, draw.epoch % WORD, 2**31 + draw.relation * 2**8 + draw.hop
        a, b, c, d = (torch.tensor(part) for part in parts)
        words = philox((a, b, c, d), (draw.seed % WORD, (draw.seed >> 32) % WORD))
        high, low = (int(word) for word in words[2 * (p % 2) :][:2])
        return (high * WORD + low) * bound // WORD**2

    return number


def relabel(known: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes in the order of their first appearance, and the number of each node found."""
    nodes, number = known.tolist(), {}
    for i, node in enumerate(nodes):
        number.setdefault(node, i)
    for node in found.tolist():
        if node not in number:
            number[node] = len(nodes)
            nodes.append(node)
    local = [number[node] for node in found.tolist()]
    return (
        torch.tensor(nodes, dtype=torch.int64, device=known.device),
        torch.tensor(local, dtype=torch.int64, device=found.device),
    )
