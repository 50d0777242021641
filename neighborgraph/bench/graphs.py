"""Synthetic graphs with the size and the degree tail of well-known data sets, for timing only.

Degrees of arxiv, reddit, products, papers, cora and power-law are log-normal (sigma 1), scaled to
the mean of the named data set and clamped to [1, 20,000]. *Random* columns are
``perm[floor(n u^2.5)]`` with u uniform and one fixed permutation, so that a few columns are hubs.
*Clustered* ones take, with probability 0.7, a column near the row (normal with standard deviation
``max(64, 4 e / n)``) and else a random one. Duplicates are removed. *Shuffled* is the clustered
graph with its nodes renumbered at random, and *reordered* is that after `Graph.reorder`.

``minibatch`` is what a neighbour loader makes of 1,024 seeds among as many nodes as products has.
``gowalla`` is bipartite with hubs on both sides; ``mesh`` is that of weather models; ``uniform``
has equal degrees and ``skewed`` as many edges, of which one row and one column take a million each.

The edges of every graph come sorted by receiver, and then, but for ``minibatch``, by source: the
order that suits peers best.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from neighborgraph.bench.mesh import LEVEL, icosahedral_edges
from neighborgraph.checks import nearest
from neighborgraph.errors import ConfigError
from neighborgraph.graph import Graph

SIZES = {
    "arxiv": (169_343, 2_315_598),
    "reddit": (232_965, 114_615_892),
    "products": (2_449_029, 123_718_280),
    "products-tenth": (244_903, 12_371_828),
    "papers-tenth": (11_105_996, 161_568_587),
    "power-law": (100_000, 1_000_000),
    "cora": (2_708, 10_556),
}
"""Nodes and directed edges of the data sets imitated; ``power-law`` imitates none."""

MAX_DEGREE = 20_000
CLUSTERED_SHARE = 0.7
HUB_EDGES = 1_000_000
SEEDS = 1024
FANOUT = (15, 10, 5)
GOWALLA = (40_981, 29_858, 810_128)
"""Items (sources), users (receivers), interactions."""

Sized = tuple[Tensor, tuple[int, int]]
"""Edges [2, e] and (sources, receivers)."""


def tailed(name: str, clustered: bool, generator: torch.Generator) -> Sized:
    """Log-normal degrees of a size in ``SIZES``."""
    num_nodes, num_edges = SIZES[name]
    device = generator.device
    degree = torch.empty(num_nodes, device=device).log_normal_(0, 1, generator=generator)
    degree *= num_edges / degree.sum()
    degree = degree.clamp_(1, MAX_DEGREE).round_().long()
    row = torch.arange(num_nodes, device=device).repeat_interleave(degree)
    col = hub_ids(num_nodes, row.numel(), generator)
    if clustered:
        spread = max(64.0, 4 * num_edges / num_nodes)
        offset = torch.randn(row.numel(), device=device, generator=generator) * spread
        near = (row + offset.round().long()) % num_nodes
        is_near = torch.rand(row.numel(), device=device, generator=generator) < CLUSTERED_SHARE
        col = torch.where(is_near, near, col)
    return distinct(row, col, num_nodes), (num_nodes, num_nodes)


def shuffled(name: str, generator: torch.Generator) -> Sized:
    """The clustered graph of a size in ``SIZES``, its nodes renumbered at random."""
    edge_index, sizes = tailed(name, True, generator)
    new_id = torch.randperm(sizes[0], device=generator.device, generator=generator)
    col, row = new_id[edge_index]
    return by_row(row, col, sizes[0]), sizes


def reordered(name: str, generator: torch.Generator) -> Sized:
    """The shuffled graph of a size in ``SIZES`` in our locality order."""
    edge_index, sizes = shuffled(name, generator)
    col, row = Graph.from_trusted_edge_index(edge_index, sizes).reorder().graph.edge_index
    return by_row(row, col, sizes[0]), sizes


def minibatch(generator: torch.Generator) -> Sized:
    """A tree of sampled neighbours, hop by hop, in which every node comes once, seeds first."""
    device = generator.device
    pool = SIZES["products"][0]
    number = torch.full((pool,), -1, device=device)  # of each node in the batch
    hop = torch.randperm(pool, device=device, generator=generator)[:SEEDS]
    number[hop] = torch.arange(SEEDS, device=device)
    first, count, edges = 0, SEEDS, []
    for fanout in FANOUT:
        degree = torch.empty(count - first, device=device).log_normal_(1.8, 1, generator=generator)
        row = torch.arange(first, count, device=device)
        row = row.repeat_interleave(degree.long().clamp(1, fanout))
        source = hub_ids(pool, row.numel(), generator)
        hop = source.unique()
        hop = hop[number[hop] < 0]
        number[hop] = torch.arange(count, count + hop.numel(), device=device)
        edges.append(torch.stack([number[source], row]))
        first, count = count, count + hop.numel()
    return torch.cat(edges, 1), (count, count)


def bipartite(sources: int, receivers: int, edges: int, generator: torch.Generator) -> Sized:
    """Exactly ``edges`` distinct pairs, with hubs among sources and receivers."""
    device = generator.device
    found = torch.empty(2, 0, dtype=torch.int64, device=device)
    while found.shape[1] < edges:
        row, col = (hub_ids(size, edges, generator) for size in (receivers, sources))
        found = distinct(torch.cat([found[1], row]), torch.cat([found[0], col]), sources)
    kept = torch.randperm(found.shape[1], device=device, generator=generator)[:edges]
    return found[:, kept.sort().values], (sources, receivers)


def uniform(num_nodes: int, num_edges: int, generator: torch.Generator) -> Sized:
    """Equal degrees of rows and of columns (to within one), matched at random."""
    ends = torch.arange(num_edges, device=generator.device)
    row = ends * num_nodes // num_edges
    col = ends[torch.randperm(num_edges, device=generator.device, generator=generator)] % num_nodes
    return by_row(row, col, num_nodes), (num_nodes, num_nodes)


def skewed(num_nodes: int, num_edges: int, hub_edges: int, generator: torch.Generator) -> Sized:
    """Equal degrees, but for the middle row and the middle column, which have ``hub_edges`` more.

    A hub meets nodes more than once where it has more edges than there are nodes.
    """
    (col, row), sizes = uniform(num_nodes, num_edges - 2 * hub_edges, generator)
    hub = torch.full((hub_edges,), num_nodes // 2, device=generator.device)
    others = torch.arange(hub_edges, device=generator.device) % num_nodes
    row, col = torch.cat([row, hub, others]), torch.cat([col, others, hub])
    return by_row(row, col, num_nodes), sizes


def mesh(generator: torch.Generator) -> Sized:
    """The icosahedral mesh; nothing about it is random."""
    (source, receiver), num_nodes = icosahedral_edges(LEVEL, generator.device)
    return by_row(receiver, source, num_nodes), (num_nodes, num_nodes)


def hub_ids(size: int, count: int, generator: torch.Generator) -> Tensor:
    """``count`` ids below ``size``, of which a few come very often."""
    device = generator.device
    ids = torch.randperm(size, device=device, generator=generator)
    u = torch.rand(count, device=device, generator=generator)
    return ids[(size * u.double() ** 2.5).long().clamp_(max=size - 1)]


def distinct(row: Tensor, col: Tensor, num_cols: int) -> Tensor:
    """The edges [2, e] by row, then column, without duplicates."""
    # Row and column in one number, which unique() sorts.
    pair = (row * num_cols + col).unique()
    return torch.stack([pair % num_cols, pair // num_cols])


def by_row(row: Tensor, col: Tensor, num_cols: int) -> Tensor:
    """The edges [2, e] by row, then column, duplicates kept."""
    pair = (row * num_cols + col).sort().values
    return torch.stack([pair % num_cols, pair // num_cols])


SKEWED_SIZE = SIZES["arxiv"][0], SIZES["arxiv"][1] + 2 * HUB_EDGES

KINDS: dict[str, Callable[[str, torch.Generator], Sized]] = {
    "clustered": lambda name, generator: tailed(name, True, generator),
    "random": lambda name, generator: tailed(name, False, generator),
    "shuffled": shuffled,
    "reordered": reordered,
}
"""What may stand behind a name in ``SIZES``."""

OTHERS: dict[str, Callable[[torch.Generator], Sized]] = {
    "minibatch": minibatch,
    "mesh": mesh,
    "skewed": partial(skewed, *SKEWED_SIZE, HUB_EDGES),
    "uniform": partial(uniform, *SKEWED_SIZE),
    "gowalla": partial(bipartite, *GOWALLA),
}
GRAPHS = {
    f"{name}-{kind}": partial(make, name) for name in SIZES for kind, make in KINDS.items()
} | OTHERS
"""By name, from a generator on the device that the graph is to be on."""


def full_name(text: str) -> str:
    """The name in ``GRAPHS``; ``-clustered`` may be left out."""
    name = f"{text}-clustered" if text in SIZES else text
    if name not in GRAPHS:
        kinds = ", ".join(f"-{kind}" for kind in KINDS)
        raise ConfigError(
            f"unknown graph {text!r}; known are {', '.join(SIZES)}, each with one of {kinds}, and "
            f"{', '.join(OTHERS)}{nearest(text, [*SIZES, *GRAPHS])}"
        )
    return name


def graph_like(text: str, device: torch.device | str = "cpu", seed: int = 0) -> Graph:
    """A timing graph by name, such as ``"products-random"``."""
    edge_index, sizes = GRAPHS[full_name(text)](torch.Generator(device).manual_seed(seed))
    return Graph.from_edge_index(edge_index, sizes)
