"""neighbor_cache against a brute-force oracle, by hand, and by its laws; see also the other files.

The oracle keeps every event of every node in Python lists and decides slots by its own arithmetic.
"""

from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from neighborgraph.ops import (
    Hashed,
    NeighborTable,
    Recent,
    insert_events,
    insert_neighbors,
    lookup_neighbors,
)
from neighborgraph.ops.neighbor_cache import reference

Stream = tuple[Tensor, Tensor, Tensor, Tensor]
NODES, SLOTS, BATCHES = (1, 2, 20, 1000), (1, 3, 4, 32), (1, 7, 200, 10**6)
STREAMS = 250
"""Of each policy."""


def random_stream(seed: int, nodes: int, events: int, dtype: torch.dtype = torch.int64) -> Stream:
    """Ends with a few hubs, loops and repeated pairs; a third of the times are tied; large ids."""
    draw = torch.Generator().manual_seed(seed)
    source, destination = (
        (torch.rand(events, generator=draw) ** 2 * nodes).long() for _ in range(2)
    )
    if seed % 7 == 0:
        source.zero_()  # one node in all events
    again = torch.rand(events, generator=draw) < 0.2
    destination = torch.where(again, source, destination) if seed % 3 == 0 else destination
    time = torch.randint(0, max(1, 2 * events), (events,), generator=draw).sort().values - 5
    step = torch.randint(1, 4, (events,), generator=draw)
    return source, destination, time.to(dtype), step.cumsum(0) - step[:1] + seed % 3 * 2**40


def batches_of(stream: Stream, size: int) -> list[Stream]:
    """The stream in pieces."""
    return list(zip(*(values.split(size) for values in stream), strict=True))


def on(device: str, stream: tuple[Tensor, ...]) -> Any:
    return tuple(values.to(device) for values in stream)


@cache
def mixed(bits: int) -> int:
    """SplitMix64, as its authors print it."""
    bits = (bits + 0x9E3779B97F4A7C15) & (2**64 - 1)
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return bits ^ (bits >> 31)


class Oracle:
    """What each node should remember: lists of (neighbour, time, event)."""

    def __init__(self, policy: Recent | Hashed) -> None:
        self.policy = policy
        self.past: dict[int, list[tuple]] = {}

    def insert(self, stream: Stream) -> None:
        for u, v, t, e in zip(*(values.tolist() for values in stream), strict=True):
            self.past.setdefault(u, []).append((v, t, e))
            if u != v:
                self.past.setdefault(v, []).append((u, t, e))

    def expected(self, node: int, until: float | None) -> list[tuple | None]:
        """The places of a query."""
        past, size = self.past.get(node, []), self.policy.size
        if isinstance(self.policy, Recent):
            kept = [x for x in past[-size:][::-1] if until is None or x[1] < until]
            return [*kept, *[None] * (size - len(kept))]
        slots: list[tuple | None] = [None] * size
        for v, t, e in past:
            slot = (mixed(v ^ mixed(self.policy.seed % 2**64)) >> 32) * size >> 32
            before = slots[slot]
            if before is None or before[0] == v or wins(self.policy, node, v, e):
                slots[slot] = v, t, e
        return [None if x is None or (until is not None and x[1] >= until) else x for x in slots]


@cache
def wins(policy: Hashed, node: int, neighbor: int, event: int) -> bool:
    """Whether a neighbour displaces another."""
    one = torch.tensor
    word = reference.drawn(policy.seed, one(event), one(node), one(neighbor))
    return int(word) < policy.alpha * 2**32


def places_of(found: Any) -> list[list[tuple | None]]:
    """The places of every query, None for an empty one."""
    columns = (values.tolist() for values in (found.neighbor, found.time, found.event))
    rows = [list(zip(*row, strict=True)) for row in zip(*columns, strict=True)]
    return [[None if e < 0 else (v, t, e) for v, t, e in row] for row in rows]


def policy_of(kind: str, seed: int) -> Recent | Hashed:
    size = SLOTS[seed % 4]
    alpha = (0.5, 1.0, 0.9, 0.0, 0.1)[seed % 5]
    return Recent(size) if kind == "recent" else Hashed(size, alpha, seed - 100)


def assert_equal_tables(one: NeighborTable, other: NeighborTable) -> None:
    left, right = one.tensors(), other.tensors()
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert torch.equal(tensor.cpu(), right[name].cpu()), name


@pytest.mark.parametrize("group", range(10))
@pytest.mark.parametrize("kind", ["recent", "hashed"])
def test_equals_brute_force(device: str, kind: str, group: int) -> None:
    for seed in range(group, STREAMS, 10):
        policy, nodes = policy_of(kind, seed), NODES[seed // 4 % 4]
        dtype = torch.float64 if seed % 2 else torch.int64
        stream = random_stream(seed, nodes, 450 if seed % 25 == 3 else 20 + seed % 41, dtype)
        table = NeighborTable.empty(nodes, policy, time_dtype=dtype, device=device)
        oracle = Oracle(policy)
        for batch in batches_of(stream, BATCHES[seed // 16 % 4]):
            nodes_seen = torch.cat([batch[0][:4], batch[1][-3:], torch.tensor([nodes - 1])])
            now = batch[2][:1]
            check(table, oracle, nodes_seen, now.expand(len(nodes_seen)), device)
            insert_events(table, *on(device, batch))
            oracle.insert(batch)
        everyone = torch.arange(nodes)
        check(table, oracle, everyone, None, device)
        check(table, oracle, everyone, stream[2][-1:].expand(nodes), device)
        check(table, oracle, everyone, stream[2][-1:].expand(nodes) + 1, device)


def check(table, oracle: Oracle, nodes: Tensor, until: Tensor | None, device: str) -> None:
    times = None if until is None else until.to(device)
    found = places_of(lookup_neighbors(table, nodes.to(device), times))
    bounds = [None] * len(nodes) if until is None else until.tolist()
    for node, bound, places in zip(nodes.tolist(), bounds, found, strict=True):
        assert places == oracle.expected(node, bound), (oracle.policy, node, bound)


# Policies, whether the table has features, whether they are given, mirrored.
FORMS = [
    (policy, channels, given, mirrored)
    for policy in (Recent(3), Hashed(3, 0.5, 7), Hashed(1, 0.9, -1), Hashed(5, 0.0), Hashed(4))
    for channels, given in ((0, False), (2, False), (2, True))
    for mirrored in (False, True)
]


@pytest.mark.parametrize(("policy", "channels", "given", "mirrored"), FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_equals_its_definition(
    device: str, policy, channels: int, given: bool, mirrored: bool, dtype: torch.dtype
) -> None:
    nodes = 12
    stream = random_stream(3, nodes, 150)
    options: dict = {"channels": channels, "dtype": dtype}
    table = NeighborTable.empty(nodes, policy, **options, device=device)
    expected = NeighborTable.empty(nodes, policy, **options)
    if table.feature is not None and expected.feature is not None:
        expected.feature.fill_(7)  # what an empty slot holds does not matter
        table.feature.fill_(7)
    for number, batch in enumerate(batches_of(stream, 37)):
        vector = torch.randn(len(batch[0]), channels).to(dtype) if given else None
        insert = insert_events if mirrored else insert_neighbors
        if not mirrored:
            batch = (batch[0], batch[1].where(batch[1] % 4 > 0, -1), *batch[2:])  # some have none
        on_device = None if vector is None else vector.to(device)
        insert(table, *on(device, batch), feature=on_device)
        run_reference(expected, batch, vector, mirrored)
        assert_equal_tables(table, expected)
        slots = torch.randperm(nodes * policy.size)[:4]
        if table.feature is not None and expected.feature is not None:  # as a GRU would
            for feature in (table.feature, expected.feature):
                feature.view(-1, 2)[slots.to(feature.device)] = number + 1
        query = torch.randint(nodes, (9,))
        until = batch[2][-1:].expand(9)
        for inclusive in (False, True):
            found = lookup_neighbors(table, query.to(device), until.to(device), inclusive=inclusive)
            known = expected.neighbor, expected.time, expected.event, expected.count
            wanted = reference.neighbor_cache_lookup(
                *known, expected.last_time, query, until, inclusive
            )
            for actual, right in zip(found[:4], wanted, strict=True):
                assert torch.equal(actual.cpu(), right)
            if table.feature is not None and found.feature is not None:
                rows = table.feature.view(-1, 2)[found.slot] * found.mask[..., None]
                assert torch.equal(found.feature, rows)


def run_reference(table: NeighborTable, batch: Stream, vector, mirrored: bool) -> None:
    slots, last = (table.neighbor, table.time, table.event), (table.last_time, table.last_event)
    if isinstance(table.policy, Recent):
        reference.neighbor_cache_recent(
            *slots, table.count, table.feature, *last, *batch, vector, mirrored
        )
    else:
        numbers = int(table.policy.alpha * 2**32), table.policy.seed
        reference.neighbor_cache_hashed(
            *slots, table.feature, *last, *batch, vector, mirrored, *numbers
        )


@pytest.mark.parametrize("policy", [Recent(3), Hashed(4, 0.5, 1), Hashed(2, 0.0)], ids=str)
@pytest.mark.parametrize("channels", [0, 3])
def test_cuts_into_batches_change_nothing(device: str, policy, channels: int) -> None:
    stream = random_stream(1, 9, 300)
    vector = torch.randn(300, channels) if channels else None
    tables = []
    for sizes in ([300], [1] * 300, [7] * 42 + [6], [0, 200, 0, 100], [299, 1]):
        table = NeighborTable.empty(9, policy, channels=channels, device=device)
        ends = torch.tensor([0, *sizes]).cumsum(0).tolist()
        for begin, end in pairwise(ends):
            batch = on(device, tuple(values[begin:end] for values in stream))
            part = None if vector is None else vector[begin:end].to(device)
            insert_events(table, *batch, feature=part)
        tables.append(table)
    for table in tables[1:]:
        assert_equal_tables(table, tables[0])


@pytest.mark.parametrize("policy", [Recent(3), Hashed(3, 0.7, 2)], ids=str)
def test_the_future_changes_nothing(device: str, policy) -> None:
    """P25: what happens at or after a query, altered or deleted, changes no bit of the answer."""
    for seed in range(20):
        stream = random_stream(seed, 6, 80)
        for cut in (0, 13, 40, 79):
            now = stream[2][cut]
            kept = int((stream[2] < now).sum())
            ties = int((stream[2] <= now).sum())
            answers = []
            for form in range(3):
                table = NeighborTable.empty(6, policy, device=device)
                batch = on(device, tuple(values[:kept] for values in stream))
                insert_events(table, *batch)
                query = torch.arange(6, device=device), now.expand(6).to(device)
                answers.append(lookup_neighbors(table, *query))
                if form == 0:
                    continue
                source, destination, time, event = (v[kept:ties] for v in stream)
                if form == 2:
                    source, destination = destination.flip(0), source.flip(0)
                lost = places_of(answers[-1])
                insert_events(table, *on(device, (source, destination, time, event)))
                shown = places_of(lookup_neighbors(table, *query))
                for before, after in zip(lost, shown, strict=True):
                    assert {x for x in after if x} <= {x for x in before if x}
            for other in answers[1:]:
                assert places_of(other) == places_of(answers[0])


@pytest.mark.parametrize("policy", [Recent(4), Hashed(4)], ids=str)
def test_no_canary_is_seen(device: str, policy) -> None:
    """Each node's own event at the time of the query, and nothing else, is invisible."""
    nodes = torch.arange(1000, device=device)
    table = NeighborTable.empty(1000, policy, device=device)
    one = torch.ones_like(nodes)
    insert_neighbors(table, nodes, nodes + 10**6, one * 5, nodes)
    insert_neighbors(table, nodes, nodes + 2 * 10**6, one * 9, nodes + 1000)
    found = lookup_neighbors(table, nodes, one * 9)
    assert not (found.neighbor >= 2 * 10**6).any()
    assert not (found.event >= 1000).any()
    visible = lookup_neighbors(table, nodes, one * 9, inclusive=True)
    assert ((visible.neighbor >= 2 * 10**6).sum(1) == 1).all()
    assert torch.equal((lookup_neighbors(table, nodes, one * 10).event >= 1000).sum(1), one)


def test_policies_by_hand(device: str) -> None:
    source, destination = torch.tensor([[0, 0, 2, 1, 1], [1, 2, 0, 1, 0]], device=device)
    time = torch.tensor([3, 3, 4, 4, 6], device=device)
    event = torch.arange(5, device=device)
    table = NeighborTable.empty(4, Recent(2), device=device)
    insert_events(table, source, destination, time, event)
    found = lookup_neighbors(table, torch.tensor([0, 1, 2, 3], device=device))
    assert found.neighbor.tolist() == [[1, 2], [0, 1], [0, 0], [-1, -1]]
    assert found.event.tolist() == [[4, 2], [4, 3], [2, 1], [-1, -1]]
    assert found.time.tolist() == [[6, 4], [6, 4], [4, 3], [0, 0]]
    assert found.mask.tolist() == [[True] * 2] * 3 + [[False] * 2]
    table = NeighborTable.empty(4, Hashed(1), device=device)
    insert_events(table, source, destination, time, event)
    found = lookup_neighbors(table, torch.tensor([0, 1, 2, 3], device=device))
    assert found.event.tolist() == [[4], [4], [2], [-1]]
    never = NeighborTable.empty(4, Hashed(1, alpha=0.0), device=device)
    insert_events(never, source, destination, time, event)
    found = lookup_neighbors(never, torch.tensor([0, 1, 2], device=device))
    assert found.event.tolist() == [[4], [4], [2]]  # 1 came first to node 0, and again at last
