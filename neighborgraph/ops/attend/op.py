r"""attend: every row takes a softmax-weighted mean of its neighbours' values.

The backward pass, per head, with scores :math:`s_e = \sigma \langle q_i, k_j \rangle` of edges
e = (j → i), weights :math:`p_e = \exp(s_e - L_i)`, log-sum-exp L, gradients g [n, D] of the
output o and h [n] of L:

.. math::

    \partial v_j &= \sum_{e=(j \to i)} p_e \, g_i \\
    \partial s_e &= p_e \left( \langle g_i, v_j \rangle - \delta_i \right), \qquad
    \delta_i = \langle g_i, o_i \rangle - h_i \\
    \partial q_i &= \sigma \sum_{e=(j \to i)} \partial s_e \, k_j, \qquad
    \partial k_j = \sigma \sum_{e=(j \to i)} \partial s_e \, q_i

Nothing per edge is ever stored: p is found again as exp(s - t) / z from a row's largest score t and
its sum z of exp(s - t). exp(s - L) is the same but for rounding, but at a score of 1e6 a float32 L
has lost log z. ∂q is a sum over rows; ∂k and ∂v are sums over the transpose. Each output row has
one owner, and nothing is added atomically.
"""

import math

import torch
from torch import Tensor

from neighborgraph.checks import expect_dtype, expect_same_device, expect_shape
from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.ops.registration import (
    accumulation_dtype,
    differentiable_once,
    expect_differentiable,
    expect_features,
    expect_graph,
    register,
    rows_and_cols,
)


def attend(graph: Graph, q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None) -> Tensor:
    r"""Multi-head dot-product attention of every row over its neighbours.

    .. math::

        o_i = \sum_{j \to i} p_{ij} v_j, \qquad
        p_{ij} = \operatorname{softmax}_j \left( \sigma \langle q_i, k_j \rangle \right)

    Scores, weights and sums are kept in float32 (float64 for float64 input), memory is O(n + m),
    and the result is the same bit for bit on every call. A row without neighbours is zero. A score
    of -inf masks its edge; one of +inf takes all the weight, two of +inf make the row NaN.

    Args:
        graph: n receivers, m sources, e edges; duplicate edges count as often as they occur.
        q: [n, H, D] queries in float64, float32, float16 or bfloat16.
        k: [m, H, D] keys in the dtype of ``q``.
        v: [m, H, D] values in the dtype of ``q``.
        scale: Factor σ of the scores; 1/sqrt(D) when None.

    Returns:
        [n, H, D] in the dtype of ``q``; differentiable in ``q``, ``k`` and ``v``.

    Raises:
        InputError: A shape is wrong, D is 0, ``scale`` is not finite, or a gradient is needed but
            the graph has no transpose.
        DtypeError: A dtype is not supported, or the three differ.
        DeviceError: Graph and tensors are on different devices.

    "Attention Is All You Need", https://arxiv.org/abs/1706.03762, over the edges of a graph.
    """
    return attend_with_lse(graph, q, k, v, scale=scale)[0]


def attend_with_lse(
    graph: Graph, q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """Like `attend`, and also the log-sum-exp of every row's scores.

    Returns:
        The output [n, H, D], and the natural logarithm of the sum of the exponentials of the
        scores, [n, H] in float32 (float64 for float64 input), -inf in an empty row. Both are
        differentiable. With them, attention over disjoint sets of edges can be merged.
    """
    expect_graph(graph)
    for name, features in (("q", q), ("k", k), ("v", v)):
        expect_features(name, features)
        expect_dtype(name, features, (q.dtype,))
    expect_shape("q", q, (graph.num_rows, "heads", "width"), "one row per receiver")
    heads, width = q.shape[1:]
    expect_shape("k", k, (graph.num_cols, heads, width), "one row per source, heads and width of q")
    expect_shape("v", v, (graph.num_cols, heads, width), "one row per source, heads and width of q")
    if heads == 0 or width == 0:
        raise InputError(f"q must have at least one head and one channel, got {list(q.shape)}")
    scale = default_scale(width) if scale is None else float(scale)
    # Not math.isfinite, which torch.compile cannot trace for the scale of a symbolic width.
    if not abs(scale) < math.inf:
        raise InputError(f"scale={scale} must be finite")
    expect_same_device(graph=graph.rows.ptr, q=q, k=k, v=v)
    expect_differentiable(graph, q, k, v)
    return Attend.apply(q, k, v, scale, *graph.rows, *(graph.cols or ()))


def default_scale(width: int) -> float:
    """1/sqrt(D), which keeps scores of unit-variance inputs at unit variance."""
    return 1 / math.sqrt(width)


def fake_attend(rows, q, k, v, scale):
    """Shapes of attend."""
    out = torch.empty_like(q, memory_format=torch.contiguous_format)
    lse = q.new_empty(q.shape[:2], dtype=accumulation_dtype(q.dtype))
    return out, lse, lse.new_empty(*lse.shape, 2)


def fake_attend_grad_q(rows, q, k, v, out, state, grad, grad_lse, scale):
    """Shapes of attend_grad_q."""
    grad_q = torch.empty_like(q, memory_format=torch.contiguous_format)
    return grad_q, state.new_empty(*state.shape[:2], 4)


def fake_attend_grad_kv(cols, q, k, v, stats, grad, scale):
    """Shapes of attend_grad_kv."""
    grad_k = torch.empty_like(k, memory_format=torch.contiguous_format)
    return grad_k, torch.empty_like(grad_k)


# q [n, H, D]; k, v [m, H, D] -> out [n, H, D], lse [n, H] (natural logarithm), state [n, H, 2] =
# (largest score, 1 / sum of exponentials relative to it), in the base the implementation works in.
attend_forward = register(
    "attend(Tensor[] rows, Tensor q, Tensor k, Tensor v, float scale) -> (Tensor, Tensor, Tensor)",
    module=__name__,
    fake=fake_attend,
)
# out, grad [n, H, D]; state [n, H, 2]; grad_lse [n, H] -> grad q [n, H, D], stats [n, H, 4] =
# (state, delta, 0), side by side because the pass over the transpose reads them at random.
attend_grad_q = register(
    "attend_grad_q(Tensor[] rows, Tensor q, Tensor k, Tensor v, Tensor out, Tensor state, "
    "Tensor grad, Tensor grad_lse, float scale) -> (Tensor, Tensor)",
    module=__name__,
    fake=fake_attend_grad_q,
)
# grad [n, H, D], stats [n, H, 4] -> grad k, grad v [m, H, D]
attend_grad_kv = register(
    "attend_grad_kv(Tensor[] cols, Tensor q, Tensor k, Tensor v, Tensor stats, Tensor grad, "
    "float scale) -> (Tensor, Tensor)",
    module=__name__,
    fake=fake_attend_grad_kv,
)


class Attend(torch.autograd.Function):
    """The three operators above as one differentiable function."""

    @staticmethod
    def forward(ctx, q, k, v, scale, *csr):
        """Out [n, H, D], lse [n, H]."""
        rows, _ = rows_and_cols(csr)
        out, lse, state = attend_forward(rows, q, k, v, scale)
        ctx.save_for_backward(q, k, v, out, state, *csr)
        ctx.scale = scale
        return out, lse

    @staticmethod
    @differentiable_once("attend")
    def backward(ctx, grad, grad_lse):
        """The formulas at the head of this file."""
        q, k, v, out, state, *csr = ctx.saved_tensors
        rows, cols = rows_and_cols(csr)
        grad_q, stats = attend_grad_q(rows, q, k, v, out, state, grad, grad_lse, ctx.scale)
        grad_k = grad_v = None
        if any(ctx.needs_input_grad[1:3]):
            grad_k, grad_v = attend_grad_kv(cols, q, k, v, stats, grad, ctx.scale)
        return grad_q, grad_k, grad_v, None, *(None for _ in csr)
