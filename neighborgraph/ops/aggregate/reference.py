"""The definition of aggregate in plain torch: differentiable, any float dtype, O(e · F) memory."""

import torch
from torch import Tensor

from neighborgraph.graph import Graph


def aggregate(
    graph: Graph,
    x: Tensor,
    reduce: str = "sum",
    *,
    weight: Tensor | None = None,
    row_scale: Tensor | None = None,
    col_scale: Tensor | None = None,
) -> Tensor:
    """out_i = r_i · reduce over edges (j → i) of w_ij c_j x_j; an empty row is zero."""
    col, row = graph.edge_index
    message = x.flatten(1)[col] if x.dim() > 1 else x[col, None]
    if col_scale is not None:
        message = message * col_scale[col, None]
    if weight is not None:
        message = message * weight[:, None]

    out = message.new_zeros(graph.num_rows, message.shape[1])
    if reduce in ("sum", "mean"):
        out = out.index_add(0, row, message)
    else:
        out = extreme(out, row, message if reduce == "max" else -message)
        out = out if reduce == "max" else -out
    if reduce == "mean":
        out = out / graph.degree.clamp(min=1)[:, None]
    if row_scale is not None:
        out = out * row_scale[:, None]
    return out.view(graph.num_rows, *x.shape[1:])


def extreme(zeros: Tensor, row: Tensor, message: Tensor) -> Tensor:
    """Row-wise maximum; NaN wins, and of equal messages the one of the lowest edge id."""
    where = row[:, None].expand_as(message)
    top = torch.full_like(zeros, -torch.inf).scatter_reduce(0, where, message.detach(), "amax")
    is_top = (message == top[row]) | (message.isnan() & top[row].isnan())
    nobody = row.numel()
    edge = torch.arange(nobody, device=row.device)[:, None]
    first = torch.full(zeros.shape, nobody, device=row.device)
    first = first.scatter_reduce(0, where, torch.where(is_top, edge, nobody), "amin")
    # A row without edges gathers the zero row appended for nobody.
    return torch.cat([message, zeros.new_zeros(1, zeros.shape[1])]).gather(0, first)
