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
    add: Tensor | None = None,
    add_scale: float = 1.0,
    temperature: float | Tensor = 1.0,
) -> Tensor:
    """out_i = r_i · reduce over edges (j → i) of w_ij c_j x_j + s · add_i.

    The reduction of an empty row is zero. w is [e], or [e, H] beside x [m, H, ...].
    """
    col, row = graph.edge_index
    message = x[col]
    if reduce == "softmax":
        message = message * softmax(temperature * message, row, graph.num_rows)
    for factor in (None if col_scale is None else col_scale[col], weight):
        if factor is not None:
            message = message * with_axes_of(message, factor)

    zeros = message.new_zeros(graph.num_rows, *x.shape[1:])
    if reduce in ("max", "min"):
        out = extreme(zeros, row, message if reduce == "max" else -message)
        out = out if reduce == "max" else -out
    else:
        out = zeros.index_add(0, row, message)
    if reduce == "mean":
        out = out / with_axes_of(out, graph.degree.clamp(min=1))
    if row_scale is not None:
        scale = torch.where(graph.degree > 0, row_scale, 1.0)  # 0 · inf would be NaN
        out = out * with_axes_of(out, scale)
    return out if add is None else out + add_scale * add


def with_axes_of(features: Tensor, factor: Tensor) -> Tensor:
    """A factor of the first axes of features, ready to multiply them."""
    return factor.view(*factor.shape, *[1] * (features.dim() - factor.dim()))


def extreme(zeros: Tensor, row: Tensor, message: Tensor) -> Tensor:
    """Row-wise maximum; NaN wins, and of equal messages the one of the lowest edge id."""
    where = with_axes_of(message, row).expand_as(message)
    top = torch.full_like(zeros, -torch.inf).scatter_reduce(0, where, message.detach(), "amax")
    is_top = (message == top[row]) | (message.isnan() & top[row].isnan())
    nobody = row.numel()
    edge = with_axes_of(message, torch.arange(nobody, device=row.device))
    first = torch.full(zeros.shape, nobody, device=row.device)
    first = first.scatter_reduce(0, where, torch.where(is_top, edge, nobody), "amin")
    # A row without edges gathers the zero row appended for nobody.
    return torch.cat([message, zeros.new_zeros(1, *zeros.shape[1:])]).gather(0, first)


def softmax(score: Tensor, row: Tensor, num_rows: int) -> Tensor:
    """Weights of the messages of each row, for every channel; they add up to one."""
    where = with_axes_of(score, row).expand_as(score)
    top = score.new_full((num_rows, *score.shape[1:]), -torch.inf)
    top = top.scatter_reduce(0, where, score.detach(), "amax")
    share = (score - top[row]).exp()
    return share / torch.zeros_like(top).index_add(0, row, share)[row]
