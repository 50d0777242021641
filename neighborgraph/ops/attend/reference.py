"""The definition of attend in plain torch: differentiable, any float dtype, O(e · F) memory."""

import math

import torch
from torch import Tensor

from neighborgraph.graph import Graph


def attend(
    graph: Graph, q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """out_i = Σ_j p_ij v_j with p_i = softmax_j(scale · q_i · k_j), and lse_i = log Σ_j exp(...).

    A score of -inf masks its edge, one of +inf takes all the weight, two of +inf are NaN; an empty
    row has out 0 and lse -inf.
    """
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    col, row = graph.edge_index
    score = (q[row] * k[col]).sum(-1) * scale  # [e, H]
    top = torch.full_like(q[..., 0], -torch.inf)  # [n, H]
    top = top.scatter_reduce(0, row[:, None].expand_as(score), score.detach(), "amax")

    top_of = top[row]
    takes_all = (score == torch.inf).to(score.dtype)
    share = torch.where(top_of.isinf(), takes_all, (score - top_of).exp())
    total = torch.zeros_like(top).index_add(0, row, share)
    total = torch.where((top == torch.inf) & (total > 1), torch.nan, total)

    value = torch.where((score == -torch.inf)[..., None], 0.0, v[col])
    mixed = torch.zeros_like(q).index_add(0, row, share[..., None] * value)
    out = mixed / torch.where(total == 0, 1.0, total)[..., None]
    return out, torch.where(total == 0, -torch.inf, total.log() + top)
