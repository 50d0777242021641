"""The operators behind attend as Torch knows them, and the differentiable function they make.

Shapes: q [n, H, D]; k [m, H, D]; v, grad [., H, V]; weight [H, D] of an additive score, None for a
dot product; bias [e', H] and edge [e', H, D] in the caller's edge order, with e' = e + n where
there are self-loops; seed [1] where there is dropout; factor is the scale of a dot product or the
negative slope of an additive score.
"""

from collections.abc import Sequence

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
TENSORS = 7
"""Inputs of attend that are tensors: q, k, v, weight, bias, edge and seed."""
NO_GRADIENT = (None,) * 6
"""Of the seed, the three numbers and the graph."""


def fake_attend(rows, q, k, v, weight, bias, edge, seed, factor, dropout, self_loops):
    """Shapes of attend."""
    out = v.new_empty(*q.shape[:2], v.shape[2])
    lse = q.new_empty(q.shape[:2], dtype=accumulation_dtype(q.dtype))
    return out, lse, lse.new_empty(*lse.shape, 2)


def fake_attend_weights(rows, q, k, state, weight, bias, edge, seed, factor, dropout, self_loops):
    """Shapes of attend_weights."""
    return state.new_empty(edge_count(rows, self_loops), q.shape[1])


def fake_attend_backward(
    rows, cols, q, k, v, out, state, grad, grad_lse, wanted, weight, bias, edge, *settings
):
    """Shapes of attend_backward."""
    inputs = q, k, v, weight, bias, edge
    return [contiguous_like(x) for x, wants in zip(inputs, wanted, strict=True) if wants]


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
# The gradients of q, k, v, weight, bias and edge, those that are wanted, in this order.
attend_backward = register(
    "attend_backward(Tensor[] rows, Tensor[] cols, Tensor q, Tensor k, Tensor v, Tensor out, "
    f"Tensor state, Tensor grad, Tensor? grad_lse, bool[] wanted, {SETTINGS}) -> Tensor[]",
    module=__name__,
    fake=fake_attend_backward,
)


def edge_count(rows: list[Tensor], self_loops: bool) -> int:
    """Edges, and self-loops where every node has one."""
    ptr, idx = rows[:2]
    return idx.shape[0] + (ptr.shape[0] - 1 if self_loops else 0)


def contiguous_like(tensor: Tensor) -> Tensor:
    """An empty tensor of the same shape and dtype."""
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)


def wanted_ones(
    row_grads: Sequence[Tensor | None],
    column_grads: Sequence[Tensor | None],
    wanted: Sequence[bool],
) -> list[Tensor]:
    """Gradients of q, weight, bias and edge, and of k and v, as attend_backward returns them."""
    grads = row_grads[0], *column_grads, *row_grads[1:]
    return [g for g, wants in zip(grads, wanted, strict=True) if wants and g is not None]


class Attend(torch.autograd.Function):
    """The operators above as one differentiable function; derived at the head of ``op.py``."""

    @staticmethod
    def forward(ctx, q, k, v, weight, bias, edge, seed, factor, dropout, self_loops, rows, cols):
        """Out [n, H, V], lse [n, H], state [n, H, 2]."""
        ctx.graph = rows, cols or ()
        ctx.numbers = factor, dropout, self_loops
        out, lse, state = attend_forward(rows, q, k, v, weight, bias, edge, seed, *ctx.numbers)
        ctx.save_for_backward(q, k, v, out, state, weight, bias, edge, seed)
        ctx.mark_non_differentiable(state)
        ctx.set_materialize_grads(False)
        return out, lse, state

    @staticmethod
    @differentiable_once("attend")
    def backward(ctx, grad, grad_lse, _):
        """What the operator gives, at the places of the inputs."""
        q, k, v, out, state, *settings = ctx.saved_tensors
        grad = torch.zeros_like(out) if grad is None else grad
        wanted = ctx.needs_input_grad[:6]
        grads = iter(
            attend_backward(
                *ctx.graph, q, k, v, out, state, grad, grad_lse, wanted, *settings, *ctx.numbers
            )
        )
        return *(next(grads) if wants else None for wants in wanted), *NO_GRADIENT
