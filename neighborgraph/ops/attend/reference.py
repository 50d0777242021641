"""The definition of attend in plain torch: differentiable, any float dtype, O(e · F) memory."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from neighborgraph.graph import Graph
from neighborgraph.ops.attend.score import Dot, Score
from neighborgraph.ops.philox import keep, kept_factor


@dataclass(frozen=True)
class Edges:
    """The edges that attention sees.

    Attributes:
        col: Sources [e'].
        row: Receivers [e'].
        masked: Edges that self-loops replaced, bool [e'].
    """

    col: Tensor
    row: Tensor
    masked: Tensor

    @staticmethod
    def of(graph: Graph, self_loops: bool) -> "Edges":
        """Those of a graph in the caller's order; where asked, one loop a node after them."""
        col, row = graph.edge_index
        if not self_loops:
            return Edges(col, row, torch.zeros_like(col, dtype=torch.bool))
        node = torch.arange(graph.num_rows, device=col.device)
        masked = torch.cat([col == row, torch.zeros_like(node, dtype=torch.bool)])
        return Edges(torch.cat([col, node]), torch.cat([row, node]), masked)


def attend(
    graph: Graph,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    score: Score = Dot(),  # noqa: B008
    bias: Tensor | None = None,
    edge: Tensor | None = None,
    dropout: float = 0.0,
    seed: int = 0,
    self_loops: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """out_i = Σ_e m_e p_e v_j, lse_i = log Σ_e exp(s_e), and the weights m p of all edges.

    A score of -inf masks its edge, one of +inf takes all the weight, two of +inf are NaN; an empty
    row has out 0 and lse -inf.
    """
    edges = Edges.of(graph, self_loops)
    value = v[edges.col]
    if edge is not None and isinstance(score, Dot):
        value = value + edge
    s = scores(edges, q, k, score, bias, edge)
    share, total, top = shares(s, edges.row, graph.num_rows)
    if dropout > 0:
        number = torch.arange(edges.col.numel(), device=q.device)
        kept = keep(seed, number, q.shape[1], dropout)
        share = torch.where(kept, share * kept_factor(dropout), 0.0)
    whole = torch.where(total == 0, 1.0, total)
    # A masked edge: its value, even NaN, does not count.
    value = torch.where((s == -torch.inf)[..., None], 0.0, value)
    mixed = v.new_zeros(*q.shape[:2], v.shape[2])
    out = mixed.index_add(0, edges.row, share[..., None] * value) / whole[..., None]
    lse = torch.where(total == 0, -torch.inf, whole.log() + top)
    return out, lse, share / whole[edges.row]


def scores(
    edges: Edges, q: Tensor, k: Tensor, score: Score, bias: Tensor | None, edge: Tensor | None
) -> Tensor:
    """s_e [e', H]."""
    query, key = q[edges.row], k[edges.col]
    if edge is not None:
        key = key + edge
    if isinstance(score, Dot):
        scale = 1 / math.sqrt(q.shape[-1]) if score.scale is None else score.scale
        s = (query * key).sum(-1) * scale
    else:
        terms = leaky_relu(query + key, score.negative_slope)
        s = (terms if score.weight is None else terms * score.weight).sum(-1)
    s = s if bias is None else s + bias
    return s.masked_fill(edges.masked[:, None], -torch.inf)


def shares(s: Tensor, row: Tensor, num_rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """exp(s - top) [e', H], and each row's sum of them and its top score [n, H]."""
    top = s.new_full((num_rows, s.shape[1]), -torch.inf)
    top = top.scatter_reduce(0, row[:, None].expand_as(s), s.detach(), "amax")
    top_of = top[row]
    takes_all = (s == torch.inf).to(s.dtype)
    below = torch.where(top_of.isinf(), 0.0, s - top_of)
    share = torch.where(top_of.isinf(), takes_all, below.exp())
    total = torch.zeros_like(top).index_add(0, row, share)
    total = torch.where((top == torch.inf) & (total > 1), torch.nan, total)
    return share, total, top
