"""What the tests of every model share."""

import pytest
import torch

from neighborgraph.graph import Graph, add_self_loops, to_undirected


@pytest.fixture
def graph() -> Graph:
    """40 nodes with self-loops, one of them otherwise alone."""
    edges = torch.randint(0, 39, (2, 90))
    return add_self_loops(to_undirected(Graph.from_edge_index(edges, 40)))


@pytest.fixture
def normalised(graph: Graph) -> torch.Tensor:
    """D^-1/2 A D^-1/2 as a dense matrix in fp64."""
    source, receiver = graph.edge_index
    dense = torch.zeros(40, 40, dtype=torch.float64)
    dense[receiver, source] = 1
    scale = dense.sum(1).rsqrt()
    return scale[:, None] * dense * scale


def sorted_pairs(users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
    """Pairs as a recommender takes them: by user, then item, each once."""
    return torch.stack([users, items]).unique(dim=1)


@pytest.fixture
def pairs() -> torch.Tensor:
    """About 100 pairs of 12 users, the last without any, and 20 items, the last in no pair."""
    return sorted_pairs(torch.randint(0, 11, (150,)), torch.randint(0, 19, (150,)))
