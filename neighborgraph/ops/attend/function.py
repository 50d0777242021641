"""The operators behind attend as Torch knows them, and the differentiable function they make.

Shapes: q [n, H, D]; k [m, H, D]; v, grad [., H, V]; weight [H, D] of an additive score, None for a
dot product; bias [e', H] and edge [e', H, D] in the caller's edge order, with e' = e + n where
there are self-loops; seed [1] where there is dropout; factor is the scale of a dot product or the
negative slope of an additive score.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from neighborgraph.ops.registration import (
    accumulation_dtype,
    differentiable_once,
    register,
)

SETTINGS = (
    "Tensor? weight, Tensor? bias, Tensor? edge, Tensor? seed, "
    "float factor, float dropout, bool self_loops"
)


def fake_attend(rows, q, k, v, weight, bias, edge, seed, factor, dropout, self_loops):
    """Shapes of attend."""
    out = v.new_empty(*q.shape[:2], v.shape[2])
    lse = q.new_empty(q.shape[:2], dtype=accumulation_dtype(q.dtype))
    return out, lse, lse.new_empty(*lse.shape, 2)


def fake_attend_weights(rows, q, k, state, weight, bias, edge, seed, factor, dropout, self_loops):
    """Shapes of attend_weights."""
    return state.new_empty(edge_count(rows, self_loops), q.shape[1])


def fake_attend_grad_q(
    rows, q, k, v, out, state, grad, grad_lse, weight_grad, edge_grads, *settings
):
    """Shapes of attend_grad_q."""
    return grad_q_outputs(rows, q, state, weight_grad, edge_grads, settings)


def fake_attend_grad_kv(cols, q, k, v, stats, grad, *settings):
    """Shapes of attend_grad_kv."""
    return contiguous_like(k), contiguous_like(v)


# out [n, H, V], lse [n, H] (natural logarithm), state [n, H, 2] = (largest score, 1 / sum of
# exponentials relative to it), in the base the implementation works in.
attend_forward = register(
    f"attend(Tensor[] rows, Tensor q, Tensor k, Tensor v, {SETTINGS}) -> (Tensor, Tensor, Tensor)",
    module=__name__,
    fake=fake_attend,
)
# The weight of every edge [e', H], dropout included.
attend_weights = register(
    f"attend_weights(Tensor[] rows, Tensor q, Tensor k, Tensor state, {SETTINGS}) -> Tensor",
    module=__name__,
    fake=fake_attend_weights,
)
# See `grad_q_outputs`; the gradient of weight where weight_grad, of bias and edge where edge_grads.
attend_grad_q = register(
    "attend_grad_q(Tensor[] rows, Tensor q, Tensor k, Tensor v, Tensor out, Tensor state, "
    f"Tensor grad, Tensor? grad_lse, bool weight_grad, bool edge_grads, {SETTINGS}) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    module=__name__,
    fake=fake_attend_grad_q,
)
# grad k [m, H, D], grad v [m, H, V]
attend_grad_kv = register(
    "attend_grad_kv(Tensor[] cols, Tensor q, Tensor k, Tensor v, Tensor stats, Tensor grad, "
    f"{SETTINGS}) -> (Tensor, Tensor)",
    module=__name__,
    fake=fake_attend_grad_kv,
)


def edge_count(rows: list[Tensor], self_loops: bool) -> int:
    """Edges, and self-loops where every node has one."""
    ptr, idx = rows[:2]
    return idx.shape[0] + (ptr.shape[0] - 1 if self_loops else 0)


def grad_q_outputs(
    rows: list[Tensor],
    q: Tensor,
    state: Tensor,
    weight_grad: bool,
    edge_grads: bool,
    settings: Sequence[Any],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Empty tensors for what attend_grad_q returns; those that are not wanted have no rows.

    Returns:
        grad q [n, H, D]; stats [n, H, 4] = (state, delta, 0), side by side because the pass over
        the transpose reads them at random; each row's share of the gradient of the additive
        weight, [n, H, D]; gradients of bias [e', H] and edge [e', H, D].
    """
    _, bias, edge, *_, self_loops = settings
    heads, width = q.shape[1:]
    edges = edge_count(rows, self_loops) if edge_grads else 0
    stats = state.new_empty(*state.shape[:2], 4)
    grad_weight = state.new_empty(q.shape[0] if weight_grad else 0, heads, width)
    grad_bias = state.new_empty(0 if bias is None else edges, heads)
    grad_edge = q.new_empty(0 if edge is None else edges, heads, width)
    return contiguous_like(q), stats, grad_weight, grad_bias, grad_edge


def contiguous_like(tensor: Tensor) -> Tensor:
    """An empty tensor of the same shape and dtype."""
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)


class Attend(torch.autograd.Function):
    """The operators above as one differentiable function; derived at the head of ``op.py``."""

    @staticmethod
    def forward(ctx, q, k, v, weight, bias, edge, seed, factor, dropout, self_loops, rows, cols):
        """Out [n, H, V], lse [n, H], state [n, H, 2]."""
        rows = list(rows)
        ctx.rows, ctx.cols = rows, cols
        ctx.numbers = factor, dropout, self_loops
        out, lse, state = attend_forward(rows, q, k, v, weight, bias, edge, seed, *ctx.numbers)
        ctx.save_for_backward(q, k, v, weight, bias, edge, seed, out, state)
        ctx.mark_non_differentiable(state)
        ctx.set_materialize_grads(False)
        return out, lse, state

    @staticmethod
    @differentiable_once("attend")
    def backward(ctx, grad, grad_lse, _):
        """One pass over rows, and one over columns where keys or values want a gradient."""
        q, k, v, weight, bias, edge, seed, out, state = ctx.saved_tensors
        grad = torch.zeros_like(out) if grad is None else grad
        rows, cols = ctx.rows, list(ctx.cols or ())
        _, k_wants, v_wants, weight_wants, bias_wants, edge_wants, *_ = ctx.needs_input_grad
        settings = weight, bias, edge, seed, *ctx.numbers
        wanted = weight_wants, bias_wants or edge_wants
        grad_q, stats, grad_weight, grad_bias, grad_edge = attend_grad_q(
            rows, q, k, v, out, state, grad, grad_lse, *wanted, *settings
        )
        grad_k = grad_v = None
        if k_wants or v_wants:
            grad_k, grad_v = attend_grad_kv(cols, q, k, v, stats, grad, *settings)
        grads = (
            grad_q,
            grad_k,
            grad_v,
            grad_weight.sum(0) if weight_wants else None,
            grad_bias if bias_wants else None,
            grad_edge if edge_wants else None,
        )
        return *grads, *(None for _ in ctx.needs_input_grad[len(grads) :])
