"""Propagation without parameters: the symmetrically normalised adjacency, once or many times."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.graph.build import expect_square
from neighborgraph.ops import aggregate
from neighborgraph.ops.registration import (
    accumulation_dtype,
    differentiable_once,
    expect_differentiable,
)


def symmetric_scale(graph: Graph, dtype: torch.dtype = torch.float32) -> Tensor:
    r"""The factor :math:`d_i^{-1/2}` of every node; zero where nothing is received.

    Args:
        graph: A square graph of n nodes.
        dtype: float32, or float64 for float64 features.

    Returns:
        [n] in ``dtype``.
    """
    return graph.degree_as(dtype).rsqrt_().nan_to_num_(posinf=0.0)


def propagate(graph: Graph, x: Tensor) -> Tensor:
    r"""One step over the symmetrically normalised adjacency.

    .. math::

        o_i = d_i^{-1/2} \sum_{j \to i} d_j^{-1/2} x_j

    Args:
        graph: A square graph that already has the self-loops it should have.
        x: [n, ...] node features.

    Returns:
        [n, ...] like ``x``.

    Raises:
        InputError: ``graph`` is not square.
    """
    expect_square(graph, "propagation")
    scale = symmetric_scale(graph, torch.promote_types(x.dtype, torch.float32))
    return aggregate(graph, x, "sum", row_scale=scale, col_scale=scale)


def propagate_sum(
    graph: Graph, x: Tensor, coefficients: Sequence[float], *, weight: Tensor | None = None
) -> Tensor:
    r"""A weighted sum of hops, such as LightGCN's mean of layers.

    .. math::

        o = \sum_{k=0}^{K} \alpha_k \hat{A}^k x
          = \alpha_0 x + \hat{A} (\alpha_1 x + \hat{A} (\alpha_2 x + \dots))

    The second form is Horner's rule. Each step adds x as it writes its result, so no hop is kept
    and none is read again to be summed up. The gradient is the same sum over the transpose.

    Args:
        graph: A square graph that already has the self-loops it should have.
        x: [n, ...] node features.
        coefficients: :math:`\alpha_0 \dots \alpha_K`, at least one; K steps are made.
        weight: Optional [e] constant factors of the entries of :math:`\hat{A}` in the caller's edge
            order, such as those of edge dropout; degrees are counted without them.

    Returns:
        [n, ...] like ``x``.

    Raises:
        InputError: ``graph`` is not square, there are no coefficients, ``weight`` requires grad, or
            a gradient is needed but the graph has no transpose.

    "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation",
    https://arxiv.org/abs/2002.02126, which sums the hops up one by one.
    """
    expect_square(graph, "propagation")
    if len(coefficients) == 0:
        raise InputError("coefficients is empty; give one for each hop, beginning with hop 0")
    if weight is not None and weight.requires_grad:
        raise InputError("weight requires grad, but here weights are constants; pass it detached")
    expect_differentiable(graph, x)
    return HopSum.apply(x, graph, tuple(coefficients), weight)


class HopSum(torch.autograd.Function):
    r"""A polynomial of the normalised adjacency, with the polynomial of its transpose as gradient.

    With S = diag(d^-1/2) and the weighted adjacency W, :math:`\hat{A} = S W S`, so

    .. math::

        \partial x = \Big( \sum_k \alpha_k \hat{A}^k \Big)^{\!\top} g
                   = \sum_k \alpha_k (S W^\top S)^k g

    Left to autograd, each of the K additions of x would return a gradient of its own.
    """

    @staticmethod
    def forward(ctx, x, graph, coefficients, weight):
        """Out [n, ...]."""
        scale = symmetric_scale(graph, accumulation_dtype(x.dtype))
        ctx.save_for_backward(scale, weight)
        ctx.graph, ctx.coefficients = graph, coefficients
        return horner(graph, x, coefficients, scale, weight)

    @staticmethod
    @differentiable_once("propagate_sum")
    def backward(ctx, grad):
        """Gradient of x."""
        scale, weight = ctx.saved_tensors
        return horner(ctx.graph.T, grad, ctx.coefficients, scale, weight), None, None, None


def horner(
    graph: Graph, x: Tensor, coefficients: Sequence[float], scale: Tensor, weight: Tensor | None
) -> Tensor:
    """The sum of hops from the inside out."""
    *earlier, last = coefficients
    if not earlier:
        return last * x
    out, row_scale = x, last * scale  # the first step multiplies with the last coefficient
    for coefficient in reversed(earlier):
        out = aggregate(
            graph,
            out,
            weight=weight,
            row_scale=row_scale,
            col_scale=scale,
            add=x,
            add_scale=coefficient,
        )
        row_scale = scale
    return out


class KHopPropagate(nn.Module):
    r"""All hops of a feature matrix: :math:`H_0 = x` and :math:`H_l = \hat{A} H_{l-1}`."""

    def __init__(self, hops: int):
        """Set how far to look.

        Args:
            hops: K, the number of steps; 0 or more.

        Raises:
            InputError: ``hops`` is negative.
        """
        super().__init__()
        if hops < 0:
            raise InputError(f"hops={hops} is negative; 0 or more steps are possible")
        self.hops = hops

    def forward(self, graph: Graph, x: Tensor) -> list[Tensor]:
        """The K + 1 matrices H_0 .. H_K, each [n, ...].

        Args:
            graph: A square graph that already has its self-loops.
            x: [n, ...] node features.
        """
        expect_square(graph, "propagation")
        scale = symmetric_scale(graph, torch.promote_types(x.dtype, torch.float32))
        hops = [x]
        for _ in range(self.hops):
            hops.append(aggregate(graph, hops[-1], "sum", row_scale=scale, col_scale=scale))
        return hops

    def extra_repr(self) -> str:
        """The constructor's argument."""
        return f"hops={self.hops}"
