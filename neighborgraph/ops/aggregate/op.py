r"""aggregate: every row reduces its neighbours' features.

The backward pass, for the gradient g [n, F] of :math:`o_i = r_i \sum_{e=(j \to i)} w_e c_j x_j`:

.. math::

    \partial x_j = c_j \sum_{e=(j \to i)} w_e r_i g_i, \qquad
    \partial w_e = r_i c_j \langle g_i, x_j \rangle

The first is the same sum over the transpose with the two scalings exchanged, so every column has
one owner and nothing is added atomically. max keeps the id of the edge that won each feature, and
only that edge takes part in both formulas. mean is a sum with r_i / degree_i, and min is a max with
-r and -c.
"""

import torch
from torch import Tensor

from neighborgraph.checks import expect_same_device, expect_shape, nearest
from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.ops.registration import (
    accumulation_dtype,
    as_factor,
    differentiable_once,
    expect_differentiable,
    expect_features,
    expect_graph,
    register,
    rows_and_cols,
)

REDUCTIONS = ("sum", "mean", "max", "min")


def aggregate(
    graph: Graph,
    x: Tensor,
    reduce: str = "sum",
    *,
    weight: Tensor | None = None,
    row_scale: Tensor | None = None,
    col_scale: Tensor | None = None,
) -> Tensor:
    r"""Reduce the features of every row's neighbours.

    .. math::

        o_i = r_i \, \mathrm{reduce}_{e=(j \to i)} \; w_e \, c_j \, x_j

    Sums are kept in float32 (float64 for float64 input) and rounded once; the result is the same
    bit for bit on every call. A row without neighbours is zero. mean divides by the number of
    edges. In max and min NaN wins and a tie goes to the lowest edge id, which alone gets the
    gradient.

    Args:
        graph: n receivers, m sources, e edges.
        x: [m, ...] source features in float64, float32, float16 or bfloat16.
        reduce: "sum", "mean", "max" or "min".
        weight: Optional [e] edge weights in the caller's edge order.
        row_scale: Optional [n] factors r, such as degree^-1/2; constants, no gradient.
        col_scale: Optional [m] factors c; constants, no gradient.

    Factors have the dtype of ``x``, or float32 beside 16-bit features.

    Returns:
        [n, ...] in the dtype of ``x``; differentiable in ``x`` and ``weight``.

    Raises:
        InputError: A shape is wrong, ``reduce`` is unknown, a scale requires grad, or a gradient
            is needed but the graph has no transpose.
        DtypeError: A dtype is not supported.
        DeviceError: Graph and tensors are on different devices.
    """
    expect_graph(graph)
    expect_features("x", x)
    if reduce not in REDUCTIONS:
        raise InputError(
            f"reduce={reduce!r} must be one of {', '.join(REDUCTIONS)}{nearest(reduce, REDUCTIONS)}"
        )
    expect_shape("x", x, (graph.num_cols, *x.shape[1:]), "one row per source")
    weight = as_factor("weight", weight, graph.num_edges, x.dtype)
    row_scale = as_factor("row_scale", row_scale, graph.num_rows, x.dtype)
    col_scale = as_factor("col_scale", col_scale, graph.num_cols, x.dtype)
    expect_same_device(
        graph=graph.rows.ptr, x=x, weight=weight, row_scale=row_scale, col_scale=col_scale
    )
    expect_constant("row_scale", row_scale)
    expect_constant("col_scale", col_scale)
    expect_differentiable(graph, x)

    features = x.reshape(graph.num_cols, x.shape[1:].numel())
    if reduce == "mean":
        row_scale = over_degree(graph, row_scale, features.dtype)
    elif reduce == "min":
        row_scale = negative(row_scale, graph.num_rows, features)
        col_scale = negative(col_scale, graph.num_cols, features)
    function = Sum if reduce in ("sum", "mean") else Max
    cols = graph.cols or ()
    out = function.apply(features, weight, row_scale, col_scale, *graph.rows, *cols)
    return out.view(graph.num_rows, *x.shape[1:])


def expect_constant(name: str, scale: Tensor | None) -> None:
    """Refuse a scaling that wants a gradient."""
    if scale is not None and scale.requires_grad:
        raise InputError(
            f"{name} requires grad, but scalings are constants; multiply x or the result with it "
            "instead, or pass it detached"
        )


def over_degree(graph: Graph, row_scale: Tensor | None, dtype: torch.dtype) -> Tensor:
    """r_i / degree_i [n], the row scaling that turns a sum into a mean."""
    scale = graph.degree.clamp(min=1).to(accumulation_dtype(dtype)).reciprocal()
    return scale if row_scale is None else scale * row_scale


def negative(scale: Tensor | None, size: int, features: Tensor) -> Tensor:
    """-scale, where an absent scale is one."""
    if scale is None:
        return features.new_full((size,), -1.0, dtype=accumulation_dtype(features.dtype))
    return -scale


def fake_sum(rows, x, weight, row_scale, col_scale, winner):
    """Shapes of aggregate_sum."""
    return x.new_empty(rows[0].shape[0] - 1, x.shape[1])


def fake_max(rows, x, weight, row_scale, col_scale):
    """Shapes of aggregate_max."""
    out = x.new_empty(rows[0].shape[0] - 1, x.shape[1])
    return out, torch.empty_like(out, dtype=torch.int32)


def fake_weight_grad(rows, grad, x, row_scale, col_scale, winner):
    """Shapes of aggregate_weight_grad."""
    return x.new_empty(rows[1].shape[0], dtype=accumulation_dtype(x.dtype))


# x [m, F] -> out [n, F]. winner [m, F] int32 lets only the feature's own edge id through.
aggregate_sum = register(
    "aggregate_sum(Tensor[] rows, Tensor x, Tensor? weight, Tensor? row_scale, Tensor? col_scale, "
    "Tensor? winner) -> Tensor",
    module=__name__,
    fake=fake_sum,
)
# x [m, F] -> out [n, F], winner [n, F] int32: the id of the edge that won, -1 in an empty row.
aggregate_max = register(
    "aggregate_max(Tensor[] rows, Tensor x, Tensor? weight, Tensor? row_scale, Tensor? col_scale) "
    "-> (Tensor, Tensor)",
    module=__name__,
    fake=fake_max,
)
# grad [n, F], x [m, F] -> [e] in the caller's edge order; winner [n, F] as above.
aggregate_weight_grad = register(
    "aggregate_weight_grad(Tensor[] rows, Tensor grad, Tensor x, Tensor? row_scale, "
    "Tensor? col_scale, Tensor? winner) -> Tensor",
    module=__name__,
    fake=fake_weight_grad,
)


class Sum(torch.autograd.Function):
    """aggregate_sum with its gradients."""

    @staticmethod
    def forward(ctx, x, weight, row_scale, col_scale, *csr):
        """Out [n, F]."""
        rows, _ = rows_and_cols(csr)
        kept = x if weight is not None and weight.requires_grad else None
        ctx.save_for_backward(kept, weight, row_scale, col_scale, None, *csr)
        return aggregate_sum(rows, x, weight, row_scale, col_scale, None)

    @staticmethod
    @differentiable_once("aggregate")
    def backward(ctx, grad):
        """Gradients of x and weight."""
        return gradients(ctx, grad)


class Max(torch.autograd.Function):
    """aggregate_max with its gradients."""

    @staticmethod
    def forward(ctx, x, weight, row_scale, col_scale, *csr):
        """Out [n, F]."""
        rows, _ = rows_and_cols(csr)
        out, winner = aggregate_max(rows, x, weight, row_scale, col_scale)
        kept = x if weight is not None and weight.requires_grad else None
        ctx.save_for_backward(kept, weight, row_scale, col_scale, winner, *csr)
        return out

    @staticmethod
    @differentiable_once("aggregate")
    def backward(ctx, grad):
        """Gradients of x and weight."""
        return gradients(ctx, grad)


def gradients(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
    """The two formulas at the head of this file, each only when it is wanted."""
    x, weight, row_scale, col_scale, winner, *csr = ctx.saved_tensors
    rows, cols = rows_and_cols(csr)
    grad_x = grad_weight = None
    if ctx.needs_input_grad[0]:
        grad_x = aggregate_sum(cols, grad, weight, col_scale, row_scale, winner)
    if ctx.needs_input_grad[1]:
        grad_weight = aggregate_weight_grad(rows, grad, x, row_scale, col_scale, winner)
    return grad_x, grad_weight, None, None, *(None for _ in csr)
