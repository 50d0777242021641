"""Synthetic graphs with the size and the degree tail of well-known data sets, for timing only.

Degrees are log-normal (sigma 1), scaled to the mean of the named data set and clamped to
[1, 20,000]. *Random* columns are ``perm[floor(n u^2.5)]`` with u uniform and one fixed permutation,
so that a few columns are hubs. *Clustered* ones take, with probability 0.7, a column near the row
(normal with standard deviation ``max(64, 4 e / n)``) and else a random one. Duplicates are removed
and columns ascend within a row.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from neighborgraph.checks import nearest
from neighborgraph.errors import ConfigError
from neighborgraph.graph import Graph

SIZES = {
    "arxiv": (169_343, 2_315_598),
    "reddit": (232_965, 114_615_892),
    "products": (2_449_029, 123_718_280),
    "power-law": (100_000, 1_000_000),
    "cora": (2_708, 10_556),
}
"""Nodes and directed edges of the data sets imitated; ``power-law`` imitates none."""

MAX_DEGREE = 20_000
CLUSTERED_SHARE = 0.7


@dataclass(frozen=True)
class Shape:
    """Which graph to make: a size and how its columns are drawn."""

    name: str
    clustered: bool

    @staticmethod
    def parse(text: str) -> "Shape":
        """``arxiv``, ``reddit-random``, ``products-clustered``; clustered when not said."""
        name, kind = text, "clustered"
        if text.endswith(("-random", "-clustered")):
            name, _, kind = text.rpartition("-")
        if name not in SIZES:
            raise ConfigError(
                f"unknown graph {name!r}; known are {', '.join(SIZES)}{nearest(name, SIZES)}"
            )
        return Shape(name, kind == "clustered")

    def __str__(self) -> str:
        return f"{self.name}-{'clustered' if self.clustered else 'random'}"


def edges_like(shape: Shape, device: torch.device | str, seed: int = 0) -> tuple[Tensor, int]:
    """The [2, e] int64 edge_index (sources, receivers) of a shape, and its number of nodes."""
    num_nodes, num_edges = SIZES[shape.name]
    generator = torch.Generator(device).manual_seed(seed)
    degree = torch.empty(num_nodes, device=device).log_normal_(0, 1, generator=generator)
    degree *= num_edges / degree.sum()
    degree = degree.clamp_(1, MAX_DEGREE).round_().long()
    row = torch.arange(num_nodes, device=device).repeat_interleave(degree)

    hubs = torch.randperm(num_nodes, device=device, generator=generator)
    u = torch.rand(row.numel(), device=device, generator=generator)
    col = hubs[(num_nodes * u.double() ** 2.5).long().clamp_(max=num_nodes - 1)]
    if shape.clustered:
        spread = max(64.0, 4 * num_edges / num_nodes)
        offset = torch.randn(row.numel(), device=device, generator=generator) * spread
        near = (row + offset.round().long()) % num_nodes
        is_near = torch.rand(row.numel(), device=device, generator=generator) < CLUSTERED_SHARE
        col = torch.where(is_near, near, col)
    # row and column in one number: unique() sorts by row, then column, and drops duplicates.
    pair = (row * num_nodes + col).unique()
    return torch.stack([pair % num_nodes, pair // num_nodes]), num_nodes


def graph_like(text: str, device: torch.device | str = "cpu", seed: int = 0) -> Graph:
    """A timing graph by name, such as ``"products-random"``."""
    edge_index, num_nodes = edges_like(Shape.parse(text), device, seed)
    return Graph.from_edge_index(edge_index, num_nodes)
