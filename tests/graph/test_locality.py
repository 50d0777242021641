"""The locality order: hand-worked shapes, what it recovers, and a peer that it is held against."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import reverse_cuthill_mckee
from torch import Tensor

from neighborgraph.graph.locality import (
    clusters,
    contracted,
    first_largest,
    inverse,
    locality_order,
    positions,
    run_bounds,
    sums_between,
    undirected,
)

Edges = tuple[Tensor, Tensor, int]
BLOCK = 128


def path(size: int) -> Edges:
    node = torch.arange(size - 1)
    return torch.cat([node, node + 1]), torch.cat([node + 1, node]), size


def grid(side: int) -> Edges:
    node = torch.arange(side * side).view(side, side)
    one = torch.cat([node[:, 1:].reshape(-1), node[1:].reshape(-1)])
    other = torch.cat([node[:, :-1].reshape(-1), node[:-1].reshape(-1)])
    return torch.cat([one, other]), torch.cat([other, one]), side * side


def ring(size: int, degree: int, near: float) -> Edges:
    """Columns around the row but for a share of random ones, of which a few are hubs."""
    generator = torch.Generator().manual_seed(0)
    row = torch.arange(size).repeat_interleave(degree)
    offset = (64 * torch.randn(row.numel(), generator=generator)).round().long()
    u = torch.rand(row.numel(), generator=generator, dtype=torch.float64)
    hub = torch.randperm(size, generator=generator)[(size * u**2.5).long()]
    is_near = torch.rand(row.numel(), generator=generator) < near
    return row, torch.where(is_near, (row + offset) % size, hub), size


def communities(count: int, size: int, degree: int) -> Edges:
    """Seven of ten edges inside of blocks of consecutive nodes."""
    generator = torch.Generator().manual_seed(0)
    row = torch.arange(count * size).repeat_interleave(degree)
    inside = row // size * size + torch.randint(size, row.shape, generator=generator)
    outside = torch.randint(count * size, row.shape, generator=generator)
    is_inside = torch.rand(row.numel(), generator=generator) < 0.7
    return row, torch.where(is_inside, inside, outside), count * size


SHAPES = {
    "path": path(5_000),
    "grid": grid(64),
    "ring": ring(10_000, 16, 1.0),
    "ring in noise": ring(10_000, 16, 0.7),
    "communities": communities(100, 100, 16),
}
# Distinct columns against those of the natural order, at most.
BOUNDS = {
    "path": 1.1,
    "grid": 0.8,  # rows of a grid are not its best order
    "ring": 1.4,
    "ring in noise": 1.15,
    "communities": 1.02,
}
# Noise joins everything by a few steps, so that breadth-first levels say little.
BEATEN = ("ring in noise", "communities")


def shuffled(edges: Edges) -> Edges:
    row, col, size = edges
    new_id = torch.randperm(size, generator=torch.Generator().manual_seed(1))
    return new_id[row], new_id[col], size


def order_of(edges: Edges) -> Tensor:
    row, col, size = edges
    return locality_order(row.int(), col.int(), size)


def distinct_columns(edges: Edges, order: Tensor | None = None) -> int:
    """What rows read that are read together: different columns in each block of rows."""
    row, col, size = edges
    if order is not None:
        row = inverse(order)[row]
    return (row // BLOCK * size + col).unique().numel()


@pytest.mark.parametrize("name", SHAPES)
def test_a_shuffled_graph_gets_its_locality_back(name: str) -> None:
    edges = shuffled(SHAPES[name])
    natural = distinct_columns(SHAPES[name])
    found = distinct_columns(edges, order_of(edges))
    assert found <= BOUNDS[name] * natural
    assert distinct_columns(edges) > 1.3 * found  # it was lost before


@pytest.mark.parametrize("name", BEATEN)
def test_locality_is_better_than_by_cuthill_mckee(name: str) -> None:
    row, col, size = edges = shuffled(SHAPES[name])
    ends = np.concatenate([row, col]), np.concatenate([col, row])
    matrix = csr_array((np.ones(2 * row.numel(), np.int32), ends), shape=(size, size))
    peer = torch.from_numpy(reverse_cuthill_mckee(matrix, symmetric_mode=True).astype(np.int64))
    assert distinct_columns(edges, order_of(edges)) < distinct_columns(edges, peer)


@pytest.mark.parametrize("size", [0, 1, 2, 9, 100])
def test_without_edges_the_order_stays(size: int) -> None:
    none = torch.empty(0, dtype=torch.int32)
    assert locality_order(none, none, size).tolist() == list(range(size))


def test_self_loops_and_isolated_nodes_place_nobody() -> None:
    row = torch.arange(20, dtype=torch.int32)
    assert locality_order(row, row, 40).tolist() == list(range(40))


def test_components_are_placed_side_by_side() -> None:
    # Node i is in clique i mod 4, but the last three are alone.
    node = torch.arange(40)
    row, col = ((node[:, None] - node) % 4 == 0).nonzero().unbind(1)
    order = locality_order(row.int(), col.int(), 43)
    assert (order[order < 40].view(4, 10) % 4).diff(dim=1).eq(0).all()
    assert order[order >= 40].tolist() == [40, 41, 42]


def test_equal_graphs_have_equal_orders(device: str) -> None:
    row, col, size = shuffled(SHAPES["ring in noise"])
    order = order_of((row, col, size))
    assert torch.equal(order.sort().values, torch.arange(size))
    # Neither direction nor order of the edges, nor the device, makes a difference.
    other = torch.randperm(row.numel(), generator=torch.Generator().manual_seed(2))
    row, col = row[other].to(device), col[other].to(device)
    assert torch.equal(order_of((col, row, size)).cpu(), order)


def test_undirected_merges_duplicates_and_leaves_loops_out() -> None:
    row = torch.tensor([0, 0, 1, 2, 2], dtype=torch.int32)
    col = torch.tensor([1, 1, 0, 2, 0], dtype=torch.int32)
    level = undirected(row, col, 4)
    assert level.ptr.tolist() == [0, 2, 3, 4, 4]
    assert level.row.tolist() == [0, 0, 1, 2]
    assert level.col.tolist() == [1, 2, 0, 0]
    assert level.weight.tolist() == [3, 1, 3, 1]
    assert level.volume.tolist() == [4, 3, 1, 0]


def test_contracted_keeps_weight_and_volume() -> None:
    # A chain of six pairs: two edges within a pair, one to the next.
    node = torch.arange(12, dtype=torch.int32)
    row = torch.cat([node[::2], node[::2], node[1:-1:2]])
    level = contracted(undirected(row, row + 1, 12), torch.arange(12) // 2)
    assert level.row.tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert level.col.tolist() == [1, 0, 2, 1, 3, 2, 4, 3, 5, 4]
    assert level.weight.tolist() == [1] * 10
    assert level.volume.tolist() == [5, 6, 6, 6, 6, 5]


def test_clusters_of_a_ring_of_cliques() -> None:
    node = torch.arange(64)
    is_edge = (node[:, None] // 8 == node // 8) | ((node[:, None] + 1) % 64 == node)
    row, col = is_edge.nonzero().int().unbind(1)
    found = clusters(undirected(row, col, 64), torch.Generator().manual_seed(0))
    assert torch.equal(found, node // 8)


def test_a_hub_draws_nobody() -> None:
    # Thirty pairs, and a hub with an edge to each of their nodes.
    node = torch.arange(60, dtype=torch.int32)
    row, col = torch.cat([node[::2], node]), torch.cat([node[1::2], torch.full_like(node, 60)])
    found = clusters(undirected(row, col, 61), torch.Generator().manual_seed(0))
    assert found.bincount().max() <= 3
    assert (found[:60:2] == found[1:60:2]).sum() >= 28


def test_positions_turn_a_cluster_towards_its_neighbours() -> None:
    # 3 - 4 - 5 - 0 - 1 - 2: the second cluster is the first in the order.
    row = torch.tensor([3, 4, 5, 0, 1], dtype=torch.int32)
    col = torch.tensor([4, 5, 0, 1, 2], dtype=torch.int32)
    place = torch.tensor([1, 1, 1, 0, 0, 0])
    found = positions(undirected(row, col, 6), place)
    assert found[:3].sort().values.tolist() == [3, 4, 5]  # nobody leaves its cluster
    assert found[0] == 3 and found[5] == 2


def test_first_largest() -> None:
    values = torch.tensor([1.0, 3.0, 3.0, -1.0, 0.0, 5.0, 5.0], dtype=torch.float64)
    assert first_largest(values, torch.tensor([0, 3, 5, 7])).tolist() == [1, 4, 5]


def test_runs_and_their_sums() -> None:
    bounds = run_bounds(torch.tensor([4, 4, 7, 9, 9, 9]))
    assert bounds.tolist() == [0, 2, 3, 6]
    assert sums_between(bounds, torch.tensor([1, 2, 3, 4, 5, 6])).tolist() == [3, 3, 15]
    large = torch.tensor([2**62, 2**62, 2**62, 5])  # the sum of all is beyond 64 bits
    assert sums_between(torch.tensor([0, 1, 3, 4]), large)[[0, 2]].tolist() == [2**62, 5]
