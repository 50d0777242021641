"""NeighborCache keeps what really came last, and equals PyG's class wherever that does too."""

from collections import defaultdict, deque

import pytest
import torch
from torch import Tensor
from torch_geometric.nn.models.tgn import LastNeighborLoader

from neighborgraph.errors import DtypeError, IdError, InputError
from neighborgraph.loader import NeighborCache

NODES = 60


def stream(seed: int, events: int, skewed: bool) -> Tensor:
    """[2, e] ends of events, self-loops among them."""
    draw = torch.Generator().manual_seed(seed)
    return (torch.rand(2, events, generator=draw) ** (3 if skewed else 1) * NODES).long()


def as_sets(result: tuple[Tensor, Tensor, Tensor]) -> list[tuple[int, int, int]]:
    """(node, neighbour, event) in the order given, by their global ids."""
    n_id, edge_index, e_id = (values.cpu() for values in result)
    neighbor, node = n_id[edge_index]
    return list(zip(node.tolist(), neighbor.tolist(), e_id.tolist(), strict=True))


@pytest.mark.parametrize("size", [1, 4, 10])
@pytest.mark.parametrize("batch", [1, 7, 200])
def test_equals_what_queues_of_python_hold(device: str, size: int, batch: int) -> None:
    for seed in range(4):
        cache = NeighborCache(NODES, size, device=device)
        queues: dict[int, deque] = defaultdict(lambda: deque(maxlen=size))
        ends = stream(seed, 400, skewed=True)
        for begin in range(0, 400, batch):
            source, destination = ends[:, begin : begin + batch]
            cache.insert(source.to(device), destination.to(device))
            for e, (u, v) in enumerate(zip(source.tolist(), destination.tolist(), strict=True)):
                queues[u].appendleft((u, v, begin + e))
                if u != v:
                    queues[v].appendleft((v, u, begin + e))
            asked = torch.randperm(NODES)[:9]
            expected = [entry for node in asked.tolist() for entry in queues[node]]
            assert as_sets(cache(asked.to(device))) == expected
        assert cache.cur_e_id == 400


def test_equals_pyg_where_no_node_has_more_events_than_slots() -> None:
    """And no loops: every tensor, its order and type are then PyG's."""
    compared = 0
    for seed in range(40):
        size = (2, 5, 10)[seed % 3]
        ours, theirs = NeighborCache(NODES, size), LastNeighborLoader(NODES, size)
        ends = stream(seed, 300, skewed=False)
        ends = ends[:, ends[0] != ends[1]]
        for part in ends.split(12, dim=1):
            if part.flatten().bincount().max() > size:
                continue
            ours.insert(*part)
            theirs.insert(*part)
            asked = torch.randperm(NODES)[:11]
            for one, other in zip(ours(asked), theirs(asked), strict=True):
                assert one.dtype == other.dtype
                assert torch.equal(one, other)
            compared += 1
        assert (ours.size, ours.cur_e_id) == (theirs.size, theirs.cur_e_id)
    assert compared > 300


def test_pyg_forgets_the_newest_where_a_node_has_more() -> None:
    """The reason for this class: three events of node 0 in one insertion, and two slots."""
    source, destination = torch.tensor([[0, 1, 0], [1, 0, 2]])
    ours, theirs = NeighborCache(3, 2), LastNeighborLoader(3, 2)
    for cache in (ours, theirs):
        cache.insert(source, destination)
    right = [(0, 2, 2), (0, 1, 1)]
    assert as_sets(ours(torch.tensor([0]))) == right
    assert as_sets(theirs(torch.tensor([0]))) != right


def test_nothing_and_everything_again(device: str) -> None:
    cache = NeighborCache(5, 3, device=device)
    nodes = torch.tensor([3, 1], device=device)
    for _ in range(2):
        n_id, edge_index, e_id = cache(nodes)
        assert n_id.tolist() == [1, 3]
        assert (edge_index.shape, e_id.shape) == ((2, 0), (0,))
        cache.insert(nodes[:0], nodes[:0])
        cache.insert(nodes, nodes.flip(0))
        assert as_sets(cache(nodes)) == [(3, 1, 1), (3, 1, 0), (1, 3, 1), (1, 3, 0)]
        cache.reset_state()
    twice = torch.tensor([2, 2], device=device)
    cache.insert(twice[:1], nodes[:1])
    assert as_sets(cache(twice)) == [(2, 3, 0), (2, 3, 0)]


def test_what_is_refused_is_not_counted() -> None:
    cache, nodes = NeighborCache(5, 3), torch.tensor([3, 1])
    with pytest.raises(IdError, match=r"source\[0\] = 13 is outside \[0, 5\)"):
        cache.insert(nodes + 10, nodes)
    with pytest.raises(InputError, match="destination must have shape"):
        cache.insert(nodes, nodes[:1])
    with pytest.raises(DtypeError, match="source must be one of int64"):
        cache.insert(nodes.int(), nodes)
    assert cache.cur_e_id == 0
    with pytest.raises(IdError, match=r"node\[1\] = 6 is outside"):
        cache(nodes.flip(0) * 2)
    with pytest.raises(InputError, match="size = 0 slots"):
        NeighborCache(5, 0)
