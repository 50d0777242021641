r"""The operators behind aggregate as Torch knows them, and the differentiable functions they make.

The backward pass, for the gradient g [n, H, D] of the output

.. math::

    o_i = r_i \sum_{e=(j \to i)} w_e c_j x_j + s a_i

with weights w [e, H], of each head:

.. math::

    \partial x_j = c_j \sum_{e=(j \to i)} w_e r_i g_i, \qquad
    \partial w_e = r_i c_j \langle g_i, x_j \rangle, \qquad
    \partial a_i = s \, g_i

The first is the same sum over the transpose with the two scalings exchanged, so every column has
one owner and nothing is added atomically. max keeps the id of the edge that won each feature, and
only that edge takes part in the first two formulas. mean is a sum with r_i / degree_i, and min is a
max with -r and -c.

Shapes: x [m, F], grad and add [n, F], with F = H·D; weight [e, H] in the caller's edge order;
row_scale [n], col_scale [m].
"""

import torch
from torch import Tensor

from neighborgraph.ops.registration import (
    accumulation_dtype,
    differentiable_once,
    register,
)

FACTORS = "Tensor? weight, Tensor? row_scale, Tensor? col_scale"
EPILOGUE = "Tensor? add, float add_scale"


def fake_sum(rows, x, weight, row_scale, col_scale, winner, add, add_scale):
    """Shapes of aggregate_sum."""
    return x.new_empty(rows[0].shape[0] - 1, x.shape[1])


def fake_max(rows, x, weight, row_scale, col_scale, add, add_scale):
    """Shapes of aggregate_max."""
    out = x.new_empty(rows[0].shape[0] - 1, x.shape[1])
    return out, torch.empty_like(out, dtype=torch.int32)


def fake_weight_grad(rows, grad, x, row_scale, col_scale, winner, heads):
    """Shapes of aggregate_weight_grad."""
    return x.new_empty(rows[1].shape[0], heads, dtype=accumulation_dtype(x.dtype))


# Out [n, F]. winner [m, F] int32 lets only the feature's own edge id through.
aggregate_sum = register(
    f"aggregate_sum(Tensor[] rows, Tensor x, {FACTORS}, Tensor? winner, {EPILOGUE}) -> Tensor",
    module=__name__,
    fake=fake_sum,
)
# Out [n, F], and winner [n, F] int32: the id of the edge that won, -1 in an empty row.
aggregate_max = register(
    f"aggregate_max(Tensor[] rows, Tensor x, {FACTORS}, {EPILOGUE}) -> (Tensor, Tensor)",
    module=__name__,
    fake=fake_max,
)
# [e, H] in the caller's edge order; winner [n, F] as above.
aggregate_weight_grad = register(
    "aggregate_weight_grad(Tensor[] rows, Tensor grad, Tensor x, Tensor? row_scale, "
    "Tensor? col_scale, Tensor? winner, SymInt heads) -> Tensor",
    module=__name__,
    fake=fake_weight_grad,
)


class Sum(torch.autograd.Function):
    """aggregate_sum with its gradients."""

    @staticmethod
    def forward(ctx, x, weight, add, row_scale, col_scale, add_scale, rows, cols):
        """Out [n, F]."""
        ctx.graph = rows, cols
        keep(ctx, x, weight, row_scale, col_scale, add_scale, None)
        return aggregate_sum(rows, x, weight, row_scale, col_scale, None, add, add_scale)

    @staticmethod
    @differentiable_once("aggregate")
    def backward(ctx, grad):
        """Gradients of x, weight and add."""
        return gradients(ctx, grad)


class Max(torch.autograd.Function):
    """aggregate_max with its gradients."""

    @staticmethod
    def forward(ctx, x, weight, add, row_scale, col_scale, add_scale, rows, cols):
        """Out [n, F]."""
        ctx.graph = rows, cols
        out, winner = aggregate_max(rows, x, weight, row_scale, col_scale, add, add_scale)
        keep(ctx, x, weight, row_scale, col_scale, add_scale, winner)
        return out

    @staticmethod
    @differentiable_once("aggregate")
    def backward(ctx, grad):
        """Gradients of x, weight and add."""
        return gradients(ctx, grad)


def keep(ctx, x, weight, row_scale, col_scale, add_scale, winner) -> None:
    """What `gradients` needs; x only where the weights want a gradient."""
    ctx.add_scale = add_scale
    x = x if weight is not None and weight.requires_grad else None
    ctx.save_for_backward(x, weight, row_scale, col_scale, winner)


def gradients(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
    """The formulas at the head of this file, each only when it is wanted."""
    x, weight, row_scale, col_scale, winner = ctx.saved_tensors
    rows, cols = ctx.graph
    x_wants, weight_wants, add_wants, *others = ctx.needs_input_grad
    grad_x = grad_weight = grad_add = None
    if x_wants:
        grad_x = aggregate_sum(cols, grad, weight, col_scale, row_scale, winner, None, 1.0)
    if weight_wants:
        heads = weight.shape[1]
        grad_weight = aggregate_weight_grad(rows, grad, x, row_scale, col_scale, winner, heads)
    if add_wants:  # like Torch's own addition, without a copy where there is nothing to multiply
        grad_add = grad if ctx.add_scale == 1 else ctx.add_scale * grad
    return grad_x, grad_weight, grad_add, *(None for _ in others)
