"""Graphs made from graphs: self-loops and the symmetric closure."""

import torch

from neighborgraph.graph.csr import Graph
from neighborgraph.graph.structure import expect_same_sizes


def add_self_loops(graph: Graph, weight: float = 1.0) -> Graph:
    """Give every node without a self-loop one, so that a second call changes nothing.

    The new edges are numbered after the graph's own, in node order.

    Args:
        graph: A square graph.
        weight: The new edges' weight when the graph is weighted.

    Raises:
        InputError: The graph is bipartite.
    """
    size = expect_square(graph, "add_self_loops")
    source, receiver = edge_index = graph.edge_index
    missing = torch.ones(size, dtype=torch.bool, device=graph.device)
    missing[receiver[source == receiver]] = False
    loops = missing.nonzero().view(-1)
    weights = graph.weight
    if weights is not None:
        weights = torch.cat([weights, weights.new_full((loops.numel(),), weight)])
    return Graph.from_trusted_edge_index(
        torch.cat([edge_index, loops.expand(2, -1)], dim=1),
        (size, size),
        weight=weights,
        transpose=graph.cols is not None,
    )


def to_undirected(graph: Graph) -> Graph:
    """The symmetric closure: every pair of neighbours once in each direction.

    Duplicates are merged, and a merged edge has the sum of the weights of the edges it stands for
    in either direction (the rule of ``torch_geometric.utils.to_undirected``). Edges are numbered by
    receiver, then source.

    Args:
        graph: A square graph.

    Raises:
        InputError: The graph is bipartite.
    """
    size = expect_square(graph, "to_undirected")
    source, receiver = graph.edge_index
    # size < 2^31, so the pair's number stays below 2^62.
    pair = torch.cat([receiver * size + source, source * size + receiver])
    pair, merged = pair.unique(return_inverse=True)
    weights = graph.weight
    if weights is not None:
        both = torch.cat([weights, weights])
        weights = both.new_zeros(pair.numel()).index_add(0, merged, both)
    edge_index = torch.stack([pair % size, pair.div(size, rounding_mode="floor")])
    return Graph.from_trusted_edge_index(
        edge_index, (size, size), weight=weights, transpose=graph.cols is not None
    )


def expect_square(graph: Graph, user: str) -> int:
    """The number of nodes, or an error when sources and receivers differ in number."""
    return expect_same_sizes(graph.num_cols, graph.num_rows, user)
