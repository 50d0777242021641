"""What the attention layers have in common: edge features, self-loops, weights, heads."""

from typing import Any

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from neighborgraph.nn.conv import adjacency
from neighborgraph.nn.conv.adjacency import edge_index_of, expect_edge_rows
from neighborgraph.nn.conv.fused import wants_grad

FillValue = float | Tensor | str


def edge_attr_refusal(used: bool, edge_index: Any, edge_attr: Tensor | None) -> str:
    """Why PyG's code has to make use of ``edge_attr``, or an empty string."""
    if not used or edge_attr is None:
        return ""
    if edge_attr.shape[0] == 1 and adjacency.number_of_edges(edge_index) > 1:
        return "one row of edge_attr for all edges"
    return ""


def loops_refusal(
    wanted: bool, edge_index: Any, edge_attr: Tensor | None, num_nodes: tuple[int, int]
) -> str:
    """Why self-loops cannot be put in by the kernels, or an empty string."""
    if not wanted:
        return ""
    if num_nodes[0] != num_nodes[1]:
        return "self-loops where sources and receivers differ in number"
    if adjacency.is_sparse(edge_index):
        if edge_index.layout == torch.sparse_csc:
            return "self-loops in a sparse CSC adjacency"
        if edge_attr is not None:
            return "edge_attr and self-loops beside a sparse adjacency"
    return ""


def sparse_tensor_refusal(layer: Any, edge_index: Any, edge_attr: Tensor | None) -> str:
    """Why PyG has to make sense of a SparseTensor in a layer of attention, or an empty string."""
    if not adjacency.is_sparse_tensor(edge_index):
        return ""
    if edge_attr is None and edge_index.has_value():
        return "a SparseTensor whose values are edge_attr"
    if getattr(layer, "add_self_loops", False) and layer.edge_dim is not None:
        return "edge_attr and self-loops in a SparseTensor"
    return ""


def weights_refusal(wanted: bool, layer: Any, *inputs: Tensor | None) -> str:
    """Why PyG has to return attention weights, or an empty string."""
    if wanted and wants_grad(layer, *inputs):
        return "attention weights with a gradient"
    return ""


def looped_weights_refusal(wanted: bool, edge_index: Any, loops: bool) -> str:
    """Why PyG has to return the weights of a layer that adds self-loops, or an empty string."""
    if not wanted:
        return ""
    if adjacency.is_sparse(edge_index) or adjacency.is_sparse_tensor(edge_index):
        return "attention weights as a sparse matrix"
    if loops and type(edge_index) is not Tensor:
        return f"attention weights with self-loops in a {type(edge_index).__name__}"
    if loops and torch.compiler.is_compiling():
        return "attention weights with self-loops under torch.compile"
    return ""


def with_loops(edge_attr: Tensor, edge_index: Any, num_nodes: int, fill: FillValue) -> Tensor:
    """Edge features [e + n, d] and those of one loop a node, as PyG's ``add_self_loops``.

    A number or a tensor is every loop's; the name of a reduction makes them from the features of
    the edges a node receives, its own loops left out.
    """
    shape = num_nodes, *edge_attr.shape[1:]
    if isinstance(fill, str):
        col, row = edge_index_of(edge_index).long()
        # Loops go to a node that does not exist, so that no size depends on their number.
        row = torch.where(row == col, num_nodes, row)
        loops = scatter(edge_attr, row, 0, num_nodes + 1, fill)[:num_nodes]
    elif isinstance(fill, Tensor):
        fill = fill.to(edge_attr)
        loops = (fill if fill.dim() == edge_attr.dim() else fill.unsqueeze(0)).expand(shape)
    else:
        loops = edge_attr.new_full(shape, fill)
    return torch.cat([edge_attr, loops])


def edge_features(layer: Any, edge_index: Any, edge_attr: Tensor, num_nodes: int) -> Tensor:
    """Features [e', d] of the edges that a layer of GAT sees, with loops where it adds them."""
    expect_edge_rows("edge_attr", edge_attr, edge_index)
    edge_attr = edge_attr.view(-1, 1) if edge_attr.dim() == 1 else edge_attr
    if not layer.add_self_loops:
        return edge_attr
    return with_loops(edge_attr, edge_index, num_nodes, layer.fill_value)


def without_replaced(edge_index: Tensor, alpha: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """The edges and weights that PyG returns: loops that were replaced are gone, new ones last."""
    kept = edge_index[0] != edge_index[1]
    node = torch.arange(num_nodes, device=edge_index.device)
    edges = kept.numel()
    weights = torch.cat([alpha[:edges][kept], alpha[edges:]])
    return torch.cat([edge_index[:, kept], node.expand(2, -1)], dim=1), weights


def merge_heads(layer: Any, out: Tensor) -> Tensor:
    """Heads [n, H, C] side by side, or their mean."""
    if layer.concat:
        return out.view(-1, layer.heads * layer.out_channels)
    return out.mean(dim=1)


def score_dtype(value: Tensor) -> torch.dtype:
    """The dtype in which PyG's dot product and softmax leave the weighted sum of values.

    Autocast on a GPU computes sums and exponentials in float32, and the product with the values
    follows them.
    """
    on_gpu = value.device.type == "cuda" and torch.is_autocast_enabled("cuda")
    return torch.promote_types(value.dtype, torch.float32) if on_gpu else value.dtype
