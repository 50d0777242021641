"""What the layers that reduce neighbours have in common: reductions, and edge weights."""

from typing import Any

import torch
from torch import Tensor

from neighborgraph.graph import Graph
from neighborgraph.nn.conv import adjacency
from neighborgraph.nn.conv.adjacency import (
    expect_edge_rows,
    graph_of,
    num_nodes_of,
    values_of,
)
from neighborgraph.nn.conv.cache import kept_beside
from neighborgraph.nn.conv.fused import for_pyg, wants_grad
from neighborgraph.ops import aggregate
from neighborgraph.ops.aggregate.op import mean_scale
from neighborgraph.ops.registration import accumulation_dtype

REDUCTIONS = {"add": "sum", "sum": "sum", "mean": "mean", "max": "max", "min": "min"}
"""PyG's names of what `aggregate` computes."""


def weight_refusal(edge_index: Any, weight: Tensor | None, x: Tensor) -> str:
    """Why PyG's code has to make use of edge weights, or an empty string."""
    if weight is None:
        return ""
    if weight.dim() != 1:
        return f"edge_weight has {weight.dim()} dimensions"
    if weight.dtype != x.dtype:
        return f"edge_weight is {weight.dtype}, the features {x.dtype}"
    if weight.shape[0] == 1 and adjacency.number_of_edges(edge_index) > 1:
        return "one edge_weight for all edges"
    return ""


def edge_weight_of(edge_index: Any, edge_weight: Tensor | None) -> Tensor | None:
    """The weights that count: those stored in a matrix, else ``edge_weight``, else a Graph's."""
    stored = values_of(edge_index)
    is_matrix = adjacency.is_sparse(edge_index) or adjacency.is_sparse_tensor(edge_index)
    return stored if edge_weight is None or is_matrix else edge_weight


def stored_weight(edge_index: Any) -> Tensor | None:
    """The values of a sparse matrix, by which PyG multiplies where a layer has no edge weights."""
    return values_of(edge_index) if adjacency.is_sparse(edge_index) else None


def weighted_for_pyg(edge_index: Any, edge_weight: Tensor | None) -> tuple[Any, Tensor | None]:
    """An adjacency that PyG knows, and its weights."""
    if isinstance(edge_index, Graph) and edge_weight is None:
        edge_weight = edge_index.weight
    return for_pyg(edge_index), edge_weight


def reduce_neighbors(
    layer: Any,
    edge_index: Any,
    source: Tensor,
    target: Tensor | None,
    weight: Tensor | None,
    size: Any,
    add: Tensor | None = None,
) -> Tensor:
    """Neighbours' features reduced by the aggregation of a layer, [n, F], plus ``add``."""
    if weight is not None:
        expect_edge_rows("edge_weight", weight, edge_index)
    num_nodes = num_nodes_of(edge_index, source, target, size)
    graph = graph_of(edge_index, num_nodes, transpose=wants_grad(layer, source))
    dtype, reduce, scale = message_dtype(source, weight), REDUCTIONS[layer.aggr], None
    if reduce == "mean":
        # What aggregate does for a mean, but for counting the edges at each call.
        key = "mean", accumulation_dtype(source.dtype)
        reduce, scale = "sum", kept_beside(graph, key, lambda: mean_scale(graph, source.dtype))
    if add is None or add.dtype == source.dtype:
        return aggregate(graph, source, reduce, weight=weight, row_scale=scale, add=add).to(dtype)
    return aggregate(graph, source, reduce, weight=weight, row_scale=scale).to(dtype) + add


def message_dtype(x: Tensor, weight: Tensor | None) -> torch.dtype:
    """The dtype of PyG's messages w x: of the wider factor, where autocast narrows only one."""
    return x.dtype if weight is None else torch.promote_types(x.dtype, weight.dtype)
