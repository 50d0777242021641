r"""A locality order of nodes: neighbours close together, so that what one row reads is still near.

Clusters are found bottom up, as in Louvain's method: a node moves to the cluster among its
neighbours' that gains most modularity,

.. math::

    \operatorname{gain}(i \to C) =
    w(i, C) - \frac{d_i \, (D_C - [i \in C] \, d_i)}{\sum_j d_j}

with w(i, C) the weight of the edges between i and C, d_i the weight of all edges of i and D_C their
sum over C. What a random edge would bring is taken off, so hubs draw nobody. The clusters are the
nodes of the next, smaller level. Then nodes are placed top down: those of a cluster side by side,
sorted by the mean position of their neighbours in it and in the two clusters beside it, in a few
sweeps.

Half of the nodes move at a time, so that two cannot change places for ever. All is made of sorts,
prefix sums of integers and float64 arithmetic on single elements, none of which depends on the
device or on timing, so a graph has one order everywhere. Work and memory are proportional to the
edges.

Paper: V. Blondel, J.-L. Guillaume, R. Lambiotte, E. Lefebvre, "Fast unfolding of communities in
large networks", 2008; for locality, J. Arai, H. Shiokawa, T. Yamamuro, M. Onizuka, S. Iwamura,
"Rabbit Order: just-in-time parallel reordering for fast graph analysis", 2016.
"""

from typing import NamedTuple

import torch
from torch import Tensor

MOVES = 8
"""Half of the nodes are asked in each, so every node is asked half as often."""
SWEEPS = 6
FEWEST_NODES = 16
"""A level smaller than this, or one whose clusters are more than three quarters of its nodes, is
the top one. Names of so many nodes have a bit for each two of the moves."""
FRACTION = 256
"""Mean positions are whole multiples of 1 / FRACTION."""
SEED = 0
"""Of who moves first, and of ties."""


class Level(NamedTuple):
    """An undirected graph of n nodes, each edge in both directions, sorted by row, then column."""

    ptr: Tensor
    """[n + 1] int64: row i owns positions ``ptr[i] .. ptr[i+1]``."""
    row: Tensor
    """[e] int32."""
    col: Tensor
    """[e] int32."""
    weight: Tensor
    """[e] int64: edges of the graph between the two."""
    volume: Tensor
    """[n] int64: weight of all edges of a node, those that are inside it counted as well."""

    @property
    def num_nodes(self) -> int:
        """Number of nodes n."""
        return self.volume.numel()


def locality_order(row: Tensor, col: Tensor, num_nodes: int) -> Tensor:
    """[n] int64: the nodes in an order in which neighbours are close together.

    Equal graphs give equal orders, on CPU and GPU. Nodes that nothing tells apart, and clusters
    without edges between them, stay in the order of their ids.

    Args:
        row: [e] int32 ids below ``num_nodes``; an edge's direction does not matter.
        col: [e] int32.
        num_nodes: n.
    """
    generator = torch.Generator().manual_seed(SEED)
    level = undirected(row, col, num_nodes)
    levels: list[tuple[Level, Tensor]] = []
    while level.num_nodes >= FEWEST_NODES and level.row.numel():
        cluster = clusters(level, generator)
        coarse = contracted(level, cluster)
        if 4 * coarse.num_nodes > 3 * level.num_nodes:
            break
        levels.append((level, cluster))
        level = coarse
    position = torch.arange(level.num_nodes, device=row.device)
    for level, cluster in reversed(levels):
        position = positions(level, position[cluster])
    return inverse(position)


def undirected(row: Tensor, col: Tensor, num_nodes: int) -> Level:
    """The finest level: every edge in both directions, duplicates merged, self-loops left out."""
    is_loop = row == col
    if is_loop.any():
        row, col = row[~is_loop], col[~is_loop]
    key, bounds = sorted_pairs(torch.cat([row, col]), torch.cat([col, row]), num_nodes)[::2]
    return level_of(key, bounds.diff(), num_nodes)


def contracted(level: Level, cluster: Tensor) -> Level:
    """The graph whose nodes are the clusters, numbered from 0 by ``cluster`` [n]."""
    row, col = cluster[level.row], cluster[level.col]
    is_between = row != col
    size = int(cluster.max()) + 1
    key, order, bounds = sorted_pairs(row[is_between], col[is_between], size)
    weight = sums_between(bounds, level.weight[is_between][order])
    volume = level.volume.new_zeros(size).index_add_(0, cluster, level.volume)
    return level_of(key, weight, size)._replace(volume=volume)


def sorted_pairs(row: Tensor, col: Tensor, num_cols: int) -> tuple[Tensor, Tensor, Tensor]:
    """The distinct pairs as sorted numbers, the order of all, and the bounds of equal ones."""
    key, order = (row.long() * num_cols).add_(col).sort()
    bounds = run_bounds(key)
    return key[bounds[:-1]], order, bounds


def level_of(key: Tensor, weight: Tensor, num_nodes: int) -> Level:
    """A level of distinct sorted pairs, whose nodes have no edges inside."""
    row = key.div(num_nodes, rounding_mode="floor").int() if num_nodes else key.int()
    col = (key % num_nodes).int() if num_nodes else key.int()
    ptr = torch._convert_indices_from_coo_to_csr(row, num_nodes)
    return Level(ptr, row, col, weight, sums_between(ptr, weight))


def clusters(level: Level, generator: torch.Generator) -> Tensor:
    """[n] int64: each node's cluster, numbered from 0 by the lowest member."""
    size, device = level.num_nodes, level.volume.device
    # A node's first cluster is itself, under a random name: of equal gains the lowest name wins.
    name = torch.randperm(size, generator=generator).to(device)
    label = name.clone()
    # Nothing places nodes without neighbours: they are one cluster, in the order of their ids.
    is_alone = level.ptr.diff() == 0
    label[is_alone] = label[is_alone][:1]
    for move in range(MOVES):
        # One after the other, the nodes without and those with one bit of their names; the bit
        # changes, because two that always move together may take each other's place each time.
        moves_now = ((name >> (move // 2)) ^ move) & 1 == 0
        move_nodes(level, label, moves_now)
    node = torch.arange(size, device=device)
    lowest = torch.full_like(node, size).scatter_reduce_(0, label, node, "amin")
    return lowest[label].unique(return_inverse=True)[1]


def move_nodes(level: Level, label: Tensor, moves_now: Tensor) -> None:
    """Give each of some nodes, all at once, the label of the cluster that gains most by it."""
    size = level.num_nodes
    label_volume = torch.zeros_like(level.volume).index_add_(0, label, level.volume)
    node = moves_now.nonzero().view(-1)
    is_asked = moves_now[level.row]
    # Its own cluster is a candidate even if no neighbour is in it.
    row = torch.cat([level.row[is_asked], node.int()])
    candidate = torch.cat([label[level.col[is_asked]], label[node]])
    weight = torch.cat([level.weight[is_asked], torch.zeros_like(node)])
    key, order, bounds = sorted_pairs(row, candidate, size)
    weight = sums_between(bounds, weight[order])
    row, candidate = key.div(size, rounding_mode="floor"), key % size

    volume = level.volume[row]
    rest = label_volume[candidate] - torch.where(candidate == label[row], volume, 0)
    gain = weight.double() - volume.double() * rest.double() / level.volume.sum().double()
    label[node] = candidate[first_largest(gain, run_bounds(row))]


def first_largest(values: Tensor, bounds: Tensor) -> Tensor:
    """[r] int64: position of the first of the largest values in each of r runs, none empty."""
    count = bounds.diff()
    largest = torch.segment_reduce(values, "max", lengths=count, unsafe=True)
    run = torch.arange(count.numel(), device=values.device)
    run = run.repeat_interleave(count, output_size=values.numel())
    found = (values == largest[run]).nonzero().view(-1)
    return found[run_bounds(run[found])[:-1]]


def positions(level: Level, place: Tensor) -> Tensor:
    """[n] int64: where each node goes, given the position ``place`` [n] of its cluster."""
    rank = inverse(place.sort(stable=True).indices)
    place = place.int()
    is_near = (place[level.row] - place[level.col]).abs() <= 1
    ptr = torch.zeros_like(level.ptr)
    torch.cumsum(sums_between(level.ptr, is_near.long()), 0, out=ptr[1:])
    col, weight = level.col[is_near], level.weight[is_near]
    total = sums_between(ptr, weight)
    for _ in range(SWEEPS):
        mean = sums_between(ptr, rank[col] * weight * FRACTION) // total.clamp(min=1)
        mean = torch.where(total > 0, mean, rank * FRACTION)
        order = mean.sort(stable=True).indices
        rank = inverse(order[place[order].sort(stable=True).indices])
    return rank


def run_bounds(values: Tensor) -> Tensor:
    """[r + 1] int64: where each of r runs of equal values begins, then the number of values."""
    begins = torch.ones_like(values, dtype=torch.bool)
    torch.ne(values[1:], values[:-1], out=begins[1:])
    return torch.cat(
        [begins.nonzero().view(-1), torch.tensor([values.numel()], device=values.device)]
    )


def sums_between(bounds: Tensor, values: Tensor) -> Tensor:
    """[r] int64: sums of the values [v] int64 between one bound and the next."""
    # A prefix sum that overflows does no harm: differences of 64-bit integers are exact still.
    total = values.new_zeros(values.numel() + 1)
    torch.cumsum(values, 0, out=total[1:])
    return total[bounds].diff()


def inverse(permutation: Tensor) -> Tensor:
    """[n] int64: the position of each number in a permutation of 0 .. n - 1."""
    position = torch.empty_like(permutation)
    position[permutation] = torch.arange(permutation.numel(), device=permutation.device)
    return position
