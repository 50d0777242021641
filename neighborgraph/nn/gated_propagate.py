"""GatedPropagate: every node mixes its hops by what it finds in them, and no hop is kept."""

import torch
from torch import Tensor, nn

from neighborgraph.checks import expect_shape
from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.graph.build import expect_square
from neighborgraph.nn.propagate import symmetric_scale
from neighborgraph.ops import aggregate
from neighborgraph.ops.registration import (
    accumulation_dtype,
    differentiable_once,
    expect_differentiable,
)


class GatedPropagate(nn.Module):
    r"""Propagate K times and add the hops up, weighed in each node by a learned score.

    .. math::

        h_0 = x, \qquad h_l = \hat{A} h_{l-1}, \qquad
        s_{il} = \sigma(w^\top h_{il} + b), \qquad o_i = \sum_{l=0}^{K} s_{il} h_{il}

    One score vector is shared by all hops. Memory is that of a few [n, C] matrices and of one
    number for each node and hop, in training too: the backward pass computes the hops again.

    "Towards Deeper Graph Neural Networks", https://arxiv.org/abs/2007.09296, where the score is
    called adaptive adjustment.
    """

    def __init__(self, channels: int, hops: int):
        """Create the score.

        Args:
            channels: C, the width of x.
            hops: K, the number of steps; 0 or more.

        Raises:
            InputError: ``hops`` is negative or ``channels`` below 1.
        """
        super().__init__()
        if channels < 1:
            raise InputError(f"channels={channels} must be at least 1")
        if hops < 0:
            raise InputError(f"hops={hops} is negative; 0 or more steps are possible")
        self.hops = hops
        self.score = nn.Linear(channels, 1)

    def forward(self, graph: Graph, x: Tensor) -> Tensor:
        """The mixture of hops.

        Args:
            graph: A square graph of n nodes that already has its self-loops.
            x: [n, C] node features.

        Returns:
            [n, C] like ``x``.

        Raises:
            InputError: ``graph`` is not square or has no transpose where a gradient is needed.
        """
        expect_square(graph, "propagation")
        expect_shape("x", x, (graph.num_rows, self.score.in_features))
        expect_differentiable(graph, x)
        return GatedHopSum.apply(x, self.score.weight[0], self.score.bias, graph, self.hops)

    def extra_repr(self) -> str:
        """The steps; the width is the score's."""
        return f"hops={self.hops}"


class GatedHopSum(torch.autograd.Function):
    r"""The gated sum, whose backward pass needs of every hop but two numbers a node.

    With the gradient g of o, hop l has in node i the gradient

    .. math::

        \partial h_{il} = s_{il} g_i + a_{il} w, \qquad
        a_{il} = s_{il} (1 - s_{il}) \, g_i^\top h_{il}

    so a first loop over the hops, computed again, finds all of a, and with it

    .. math::

        \partial w = \sum_{il} a_{il} h_{il}, \qquad \partial b = \sum_{il} a_{il}.

    A second loop, from the last hop to the first, sums them up by Horner's rule:

    .. math::

        \partial x = \sum_l (\hat{A}^\top)^l \, \partial h_l
                   = \partial h_0 + \hat{A}^\top (\partial h_1 + \hat{A}^\top (\dots)).
    """

    @staticmethod
    def forward(ctx, x, weight, bias, graph, hops):
        """Out [n, C]."""
        dtype = accumulation_dtype(x.dtype)
        scale = symmetric_scale(graph, dtype)
        scores = x.new_empty(hops + 1, len(x), dtype=dtype)
        out = torch.zeros_like(x, dtype=dtype)
        hop = x
        with torch.autocast(x.device.type, enabled=False):
            for step in range(hops + 1):
                if step > 0:
                    hop = aggregate(graph, hop, row_scale=scale, col_scale=scale)
                wide = hop.to(dtype)
                scores[step] = torch.addmv(bias.to(dtype), wide, weight.to(dtype)).sigmoid_()
                out.addcmul_(wide, scores[step, :, None])
        ctx.save_for_backward(x, weight, scale, scores)
        ctx.graph = graph
        return out.to(x.dtype)

    @staticmethod
    @differentiable_once("GatedPropagate")
    def backward(ctx, grad):
        """Gradients of x, weight and bias."""
        x, weight, scale, scores = ctx.saved_tensors
        dtype, hop = scores.dtype, x
        wide_grad, wide_weight = grad.to(dtype), weight.to(dtype)
        slopes = scores * (1 - scores)
        grad_weight = torch.zeros_like(wide_weight)
        with torch.autocast(x.device.type, enabled=False):
            for step, slope in enumerate(slopes):
                if step > 0:
                    hop = aggregate(ctx.graph, hop, row_scale=scale, col_scale=scale)
                wide = hop.to(dtype)
                slope.mul_(torch.linalg.vecdot(wide_grad, wide))
                grad_weight.addmv_(wide.t(), slope)
        grad_bias = slopes.sum()[None].to(weight.dtype)
        grad_x = None
        if ctx.needs_input_grad[0]:
            for step in reversed(range(len(scores))):
                score, slope = scores[step, :, None], slopes[step, :, None]
                grad_hop = (wide_grad * score).addcmul_(slope, wide_weight).to(x.dtype)
                if grad_x is None:
                    grad_x = grad_hop
                else:
                    grad_x = aggregate(
                        ctx.graph.T, grad_x, row_scale=scale, col_scale=scale, add=grad_hop
                    )
        return grad_x, grad_weight.to(weight.dtype), grad_bias, None, None
