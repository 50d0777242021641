r"""The symmetrically normalised adjacency of GCN, LightGCN and APPNP, for the fused kernels.

.. math::

    o_i = d_i^{-1/2} \sum_{e=(j \to i)} w_e d_j^{-1/2} x_j, \qquad d_i = \sum_{e=(j \to i)} w_e

Without weights, or with constant ones, the factors of nodes are two scalings of `aggregate` and no
number is computed for an edge. Where the weights want a gradient, it also flows through d, and
:math:`d_i^{-1/2} w_e d_j^{-1/2}` is computed for every edge.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from neighborgraph.graph import Graph
from neighborgraph.nn.conv import adjacency
from neighborgraph.nn.conv.adjacency import (
    Loops,
    edge_index_of,
    expect_edge_rows,
    graph_of,
)
from neighborgraph.nn.conv.cache import kept_beside
from neighborgraph.nn.conv.fused import for_pyg
from neighborgraph.nn.conv.reduction import edge_weight_of, weight_refusal
from neighborgraph.nn.propagate import symmetric_scale
from neighborgraph.ops import aggregate
from neighborgraph.ops.registration import accumulation_dtype


class Normalized(NamedTuple):
    """A graph with the factors of its edges and nodes."""

    graph: Graph
    weight: Tensor | None
    scale: Tensor | None
    """[n] of every node, at both ends of its edges."""
    dtype: torch.dtype | None
    """Of the weights in PyG, which its messages take where they are wider; None without weights."""

    def propagate(
        self, x: Tensor, factor: float = 1.0, add: Tensor | None = None, add_scale: float = 1.0
    ) -> Tensor:
        """One step, times ``factor``, plus ``add_scale`` times ``add``."""
        row_scale = self.scale
        if factor != 1:
            if row_scale is None:
                row_scale = x.new_ones(self.graph.num_rows, dtype=accumulation_dtype(x.dtype))
            row_scale = factor * row_scale
        out = aggregate(
            self.graph,
            x,
            weight=self.weight,
            row_scale=row_scale,
            col_scale=self.scale,
            add=add,
            add_scale=add_scale,
        )
        return out if self.dtype is None else out.to(torch.promote_types(x.dtype, self.dtype))


def normal_refusal(layer: Any, edge_index: Any, edge_weight: Tensor | None, x: Tensor) -> str:
    """Why PyG's code has to normalise an adjacency, or an empty string."""
    if layer.normalize and adjacency.is_sparse_tensor(edge_index):
        if getattr(layer, "cached", False):
            return "cached normalisation of a SparseTensor"
        # The loops that PyG writes into it replace the weights of those that are there.
        weighted = edge_index.has_value() or getattr(layer, "improved", False)
        if weighted and getattr(layer, "add_self_loops", False):
            return "weighted self-loops in a SparseTensor"
    elif getattr(layer, "_cached_edge_index", None) is not None:
        edge_index, edge_weight = layer._cached_edge_index
        refusal = adjacency.refusal(edge_index, x.device)
        if refusal:
            return refusal
    elif layer.normalize and adjacency.is_sparse(edge_index):
        if edge_index.layout == torch.sparse_csc:
            return "normalisation of a sparse CSC adjacency"
    return weight_refusal(edge_index, edge_weight_of(edge_index, edge_weight), x)


def normalized(
    layer: Any,
    edge_index: Any,
    edge_weight: Tensor | None,
    x: Tensor,
    *,
    self_loops: bool,
    fill: float = 1.0,
    transpose: bool,
) -> Normalized:
    """The adjacency that a layer of PyG propagates over.

    Args:
        layer: Has ``normalize`` and, where it keeps what it normalised, ``cached``.
        edge_index: In any of the formats.
        edge_weight: [e] or None.
        x: [n, F] input features, which have the dtype of weights.
        self_loops: Whether nodes without a loop get one.
        fill: Weight of the loops that are added to a weighted graph.
        transpose: Whether a gradient may be asked for.
    """
    num_nodes = x.shape[0]
    kept = cached_edges(layer, edge_index, edge_weight, x, self_loops, fill)
    if kept is not None:
        edge_index, edge_weight = kept
    weight = edge_weight_of(edge_index, edge_weight)
    if weight is not None:
        expect_edge_rows("edge_weight", weight, edge_index)
    if kept is not None or not layer.normalize:
        graph = graph_of(edge_index, (num_nodes, num_nodes), transpose=transpose)
        return Normalized(graph, weight, None, None if weight is None else weight.dtype)

    loops: Loops = "keep"
    if self_loops:
        loops = "add" if adjacency.is_sparse(edge_index) else "replace"
    graph = graph_of(edge_index, (num_nodes, num_nodes), loops=loops, transpose=transpose)
    if weight is None:
        wide = accumulation_dtype(x.dtype)
        scale = kept_beside(graph, ("symmetric", wide), lambda: symmetric_scale(graph, wide))
        return Normalized(graph, None, scale, x.dtype)
    return with_weights(graph, edge_index, weight, loops, fill)


def cached_edges(
    layer: Any,
    edge_index: Any,
    edge_weight: Tensor | None,
    x: Tensor,
    self_loops: bool,
    fill: float,
) -> tuple[Any, Tensor | None] | None:
    """What a layer with ``cached`` normalised at its first use, made and kept as PyG does."""
    kept = getattr(layer, "_cached_edge_index", None)
    if not layer.normalize or (kept is None and not getattr(layer, "cached", False)):
        return None
    if kept is None:
        weight = edge_weight_of(edge_index, edge_weight)
        layer._cached_edge_index = gcn_norm(
            for_pyg(edge_index), weight, x.shape[0], fill == 2, self_loops, layer.flow, x.dtype
        )
    return layer._cached_edge_index


def with_weights(
    graph: Graph, edge_index: Any, weight: Tensor, loops: Loops, fill: float
) -> Normalized:
    """A weighted graph, whose degrees are sums of weights."""
    num_nodes, dtype = graph.num_rows, weight.dtype
    col, row = ends = edge_index_of(edge_index).long()
    weight = weight.to(accumulation_dtype(dtype))
    if loops != "keep":
        node = torch.arange(num_nodes, device=ends.device)
        ends = torch.cat([ends, node.expand(2, -1)], dim=1)
        own = weight.new_full((num_nodes + 1,), fill)
        if loops == "replace":
            # A loop keeps its weight. Other edges write to a node that does not exist.
            own = own.scatter(0, torch.where(row == col, row, num_nodes), weight)
        weight = torch.cat([weight, own[:num_nodes]])
    replaced = (row == col) if loops == "replace" else None
    degree = aggregate(graph, weight.new_ones(num_nodes, 1), weight=without(weight, replaced))
    scale = degree.view(-1).pow(-0.5)
    scale = scale.masked_fill(scale == torch.inf, 0.0)
    if not scale.requires_grad:
        return Normalized(graph, weight, scale, dtype)
    col, row = ends
    whole = scale[row] * weight * scale[col]
    return Normalized(graph, without(whole, replaced), None, dtype)


def without(weight: Tensor, replaced: Tensor | None) -> Tensor:
    """The weights with those of edges that were left out cut off from the gradient.

    No operator reads them, or writes what their gradient is.
    """
    if replaced is None or not weight.requires_grad:
        return weight
    added = weight.shape[0] - replaced.shape[0]
    return weight.masked_fill(torch.cat([replaced, replaced.new_zeros(added)]), 0.0)
