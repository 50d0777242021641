"""Propagation without parameters: the symmetrically normalised adjacency, once or many times."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.graph.build import expect_square
from neighborgraph.ops import aggregate


def symmetric_scale(graph: Graph, dtype: torch.dtype = torch.float32) -> Tensor:
    r"""The factor :math:`d_i^{-1/2}` of every node; zero where nothing is received.

    Args:
        graph: A square graph of n nodes.
        dtype: float32, or float64 for float64 features.

    Returns:
        [n] in ``dtype``.
    """
    scale = graph.degree.to(dtype).rsqrt()
    return scale.masked_fill(graph.degree == 0, 0.0)


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


def propagate_sum(graph: Graph, x: Tensor, coefficients: Sequence[float]) -> Tensor:
    r"""A weighted sum of hops, such as LightGCN's mean of layers.

    .. math::

        o = \sum_{k=0}^{K} \alpha_k \hat{A}^k x
          = \alpha_0 x + \hat{A} (\alpha_1 x + \hat{A} (\alpha_2 x + \dots))

    The second form is Horner's rule. Each step adds x as it writes its result, so no hop is kept
    and none is read again to be summed up.

    Args:
        graph: A square graph that already has the self-loops it should have.
        x: [n, ...] node features.
        coefficients: :math:`\alpha_0 \dots \alpha_K`, at least one; K steps are made.

    Returns:
        [n, ...] like ``x``.

    Raises:
        InputError: ``graph`` is not square, or there are no coefficients.

    "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation",
    https://arxiv.org/abs/2002.02126, which sums the hops up one by one.
    """
    expect_square(graph, "propagation")
    if len(coefficients) == 0:
        raise InputError("coefficients is empty; give one for each hop, beginning with hop 0")
    *earlier, last = coefficients
    if not earlier:
        return last * x
    scale = symmetric_scale(graph, torch.promote_types(x.dtype, torch.float32))
    out, row_scale = x, last * scale  # the first step multiplies with the last coefficient
    for coefficient in reversed(earlier):
        out = aggregate(
            graph, out, row_scale=row_scale, col_scale=scale, add=x, add_scale=coefficient
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
