r"""attend: every row takes a softmax-weighted mean of its neighbours' values.

The backward pass, per head, with scores :math:`s_e` of edges e = (j → i), weights
:math:`p_e = \exp(s_e - L_i)`, log-sum-exp L, dropout factors m (0 or 1/(1-p), else 1), gradients
g [n, D] of the output o and h [n] of L. A value is :math:`u_e = v_j`, with edge vectors a beside a
dot product :math:`u_e = v_j + a_e`:

.. math::

    o_i &= \sum_{e=(j \to i)} m_e p_e u_e, \qquad
    \partial v_j = \sum_{e=(j \to i)} m_e p_e \, g_i \\
    \partial s_e &= p_e \left( m_e \langle g_i, u_e \rangle - \delta_i \right), \qquad
    \delta_i = \langle g_i, o_i \rangle - h_i

A score is a factor times a sum over channels of terms in the query and in the key with its edge
vector, :math:`x = k_j + a_e`, and is symmetric in the two:

.. math::

    \text{Dot: } t(q, x) = q x, \quad \partial_q t = x \qquad
    \text{Additive: } t(q, x) = w \operatorname{lrelu}(q + x), \quad
    \partial_q t = w \operatorname{lrelu}'(q + x)

so that ∂q is the sum of ∂s ∂t over a row, ∂k that over a column, ∂a = ∂s ∂t (and, beside a dot
product, + m p g) belongs to one edge, and so does the gradient ∂s of its bias.

Nothing per edge is ever stored: p is found again as exp(s - t) / z from a row's largest score t and
its sum z of exp(s - t). exp(s - L) is the same but for rounding, but at a score of 1e6 a float32 L
has lost log z. ∂q is a sum over rows; ∂k and ∂v are sums over the transpose. Each output row has
one owner, and nothing is added atomically.
"""

import math
from typing import Any

import torch
from torch import Tensor

from neighborgraph.checks import (
    FLOAT_DTYPES,
    expect_dtype,
    expect_same_device,
    expect_shape,
    expect_tensor,
)
from neighborgraph.errors import DtypeError, InputError
from neighborgraph.graph import Graph
from neighborgraph.ops.attend.function import TENSORS, Attend, attend_forward, attend_weights
from neighborgraph.ops.attend.score import Additive, Dot, Score
from neighborgraph.ops.registration import (
    accumulation_dtype,
    as_factor,
    autocast,
    distinct,
    expect_differentiable,
    expect_features,
    expect_graph,
    is_autocast,
    wants_gradient,
)


def attend(
    graph: Graph,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    score: Score = Dot(),  # noqa: B008, it is frozen
    bias: Tensor | None = None,
    edge: Tensor | None = None,
    dropout: float = 0.0,
    seed: int | Tensor | None = None,
    self_loops: bool = False,
) -> Tensor:
    r"""Multi-head attention of every row over its neighbours.

    .. math::

        o_i = \sum_{e=(j \to i)} p_e v_j, \qquad
        p_e = \operatorname{softmax}_{e=(j \to i)} \left( s(q_i, k_j) + b_e \right)

    Scores, weights and sums are kept in float32 (float64 for float64 input), memory is O(n + m),
    and the result is the same bit for bit on every call. A row without neighbours is zero. A score
    of -inf masks its edge; one of +inf takes all the weight, two of +inf make the row NaN. Under
    autocast, features are cast to its dtype, float64 excepted.

    Args:
        graph: n receivers, m sources, e edges; duplicate edges count as often as they occur.
        q: [n, H, D] queries in float64, float32, float16 or bfloat16.
        k: [m, H, D] keys in the dtype of ``q``.
        v: [m, H, V] values in the dtype of ``q``; they may be narrower or wider than the keys.
        score: `Dot` or `Additive`.
        bias: [e, H] numbers b added to the scores, in the caller's edge order, in the dtype of
            ``q`` or in float32 beside 16-bit ``q``; -inf masks an edge.
        edge: [e, H, D] edge vectors in the dtype of ``q`` and the caller's edge order; `Dot` and
            `Additive` say what they do.
        dropout: Probability in [0, 1] of dropping an edge from a head's mean; those that stay
            count 1/(1 - dropout) times.
        seed: What dropout draws from, an int or an int64 tensor [1] on the device of ``q``: equal
            seeds drop the same edges, on every device. Drawn from Torch's generator when None.
        self_loops: Every node is its own neighbour once, whatever loops the graph has. Edge inputs
            then have e + n rows, the loops at the end in the order of nodes.

    Returns:
        [n, H, V] in the dtype of ``q``; differentiable in ``q``, ``k``, ``v``, ``bias``, ``edge``
        and the weight of `Additive`.

    Raises:
        InputError: A shape is wrong, a width is 0, a number is not finite or out of its range,
            ``self_loops`` are asked of a graph with n != m, or a gradient is needed but the graph
            has no transpose.
        DtypeError: A dtype is not supported, or those of the features differ.
        DeviceError: Graph and tensors are on different devices.

    "Attention Is All You Need", https://arxiv.org/abs/1706.03762, over the edges of a graph.
    """
    inputs = prepared(graph, q, k, v, score, bias, edge, dropout, seed, self_loops)
    return apply(graph, inputs)[0]


def attend_with_lse(
    graph: Graph,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    score: Score = Dot(),  # noqa: B008
    bias: Tensor | None = None,
    edge: Tensor | None = None,
    dropout: float = 0.0,
    seed: int | Tensor | None = None,
    self_loops: bool = False,
) -> tuple[Tensor, Tensor]:
    """Like `attend`, and also the log-sum-exp of every row's scores.

    Returns:
        The output [n, H, V], and the natural logarithm of the sum of the exponentials of the
        scores, [n, H] in float32 (float64 for float64 input), -inf in an empty row. Both are
        differentiable. With them, attention over disjoint sets of edges can be merged.
    """
    inputs = prepared(graph, q, k, v, score, bias, edge, dropout, seed, self_loops)
    return apply(graph, inputs)[:2]


def attend_with_weights(
    graph: Graph,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    score: Score = Dot(),  # noqa: B008
    bias: Tensor | None = None,
    edge: Tensor | None = None,
    dropout: float = 0.0,
    seed: int | Tensor | None = None,
    self_loops: bool = False,
) -> tuple[Tensor, Tensor]:
    """Like `attend`, and also the weight of every edge.

    Returns:
        The output [n, H, V], differentiable, and the weights m p that mixed the values, [e, H]
        (e + n rows with ``self_loops``) in the caller's edge order, in float32 (float64 for
        float64 input), without a gradient. Weights that dropout took are zero, and so are those of
        loops that ``self_loops`` replaced.
    """
    inputs = prepared(graph, q, k, v, score, bias, edge, dropout, seed, self_loops)
    out, _, state = apply(graph, inputs)
    q, k, _, *rest = (x.detach() if isinstance(x, Tensor) else x for x in inputs)
    return out, attend_weights(graph.rows, q, k, state, *rest)


def apply(graph: Graph, inputs: tuple[Any, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Output [n, H, V], log-sum-exp [n, H] and state [n, H, 2], of `prepared` inputs."""
    if wants_gradient(inputs[:TENSORS]):
        return Attend.apply(*distinct(*inputs), graph.rows, graph.cols)
    return attend_forward(graph.rows, *inputs)


def prepared(
    graph: Graph,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    score: Score,
    bias: Tensor | None,
    edge: Tensor | None,
    dropout: float,
    seed: int | Tensor | None,
    self_loops: bool,
) -> tuple[Any, ...]:
    """Checked inputs in the order of `Attend.forward`."""
    expect_graph(graph)
    if self_loops and graph.num_rows != graph.num_cols:
        raise InputError(
            f"self_loops=True needs as many receivers as sources, got {graph.num_rows} and "
            f"{graph.num_cols}"
        )
    if not fits_at_sight(graph, q, k, v, edge, self_loops):
        q, k, v, edge = checked_features(graph, q, k, v, edge, self_loops)
    heads, width = q.shape[1:]
    if bias is not None:
        bias = as_factor("bias", bias, (edge_rows(graph, self_loops), heads), q.dtype)
    if isinstance(score, Dot):
        weight, factor = None, dot_scale(score, width)
        if edge is not None and v.shape[2] != width:
            raise InputError(
                f"edge vectors beside a dot product join keys and values, so v must have width "
                f"{width} like k, got {v.shape[2]}"
            )
    elif isinstance(score, Additive):
        weight, factor = additive_weight(score, q), expect_finite("negative_slope", score)
    else:
        raise DtypeError(f"score must be Dot(...) or Additive(...), got {type(score).__name__}")
    if not 0 <= dropout <= 1:
        raise InputError(f"dropout={dropout} must be in [0, 1]")
    seed = as_seed(seed, q) if dropout > 0 else None
    expect_same_device(graph=graph.rows.ptr, q=q, k=k, v=v, bias=bias, edge=edge, weight=weight)
    expect_differentiable(graph, q, k, v, weight, bias, edge)
    return q, k, v, weight, bias, edge, seed, factor, float(dropout), bool(self_loops)


def fits_at_sight(
    graph: Graph, q: Tensor, k: Tensor, v: Tensor, edge: Tensor | None, self_loops: bool
) -> bool:
    """Whether features are right beyond doubt: what nearly all are, told in 2 µs of host time."""
    if not type(q) is type(k) is type(v) is Tensor:
        return False
    if edge is not None:
        shape = edge_rows(graph, self_loops), *k.shape[1:]
        if type(edge) is not Tensor or edge.dtype != q.dtype or edge.shape != shape:
            return False
    dtype, key_shape, value_shape = q.dtype, k.shape, v.shape
    return (
        dtype in FLOAT_DTYPES
        and dtype == k.dtype == v.dtype
        and len(key_shape) == len(value_shape) == 3
        and q.shape == (graph.num_rows, *key_shape[1:])
        and key_shape[0] == value_shape[0] == graph.num_cols
        and key_shape[1] == value_shape[1]
        and 0 not in (*key_shape[1:], value_shape[2])
        and not is_autocast(q)
    )


def checked_features(
    graph: Graph, q: Tensor, k: Tensor, v: Tensor, edge: Tensor | None, self_loops: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The four feature tensors, in autocast's dtype where it is on."""
    for name, tensor in (("q", q), ("k", k), ("v", v), ("edge", edge)):
        if tensor is not None:
            expect_features(name, tensor)
    q, k, v, edge = autocast(q, k, v, edge)
    for name, tensor in (("k", k), ("v", v), ("edge", edge)):
        if tensor is not None:
            expect_dtype(name, tensor, (q.dtype,))
    expect_shape("q", q, (graph.num_rows, "heads", "width"), "one row per receiver")
    heads, width = q.shape[1:]
    expect_shape("k", k, (graph.num_cols, heads, width), "one row per source, heads and width of q")
    expect_shape("v", v, (graph.num_cols, heads, "width"), "one row per source, heads of q")
    if edge is not None:
        edges = edge_rows(graph, self_loops)
        meaning = "one row per edge" + (" and per self-loop" if self_loops else "")
        expect_shape("edge", edge, (edges, heads, width), f"{meaning}, heads and width of k")
    for name, tensor in (("q", q), ("v", v)):
        if 0 in tensor.shape[1:]:
            raise InputError(
                f"{name} must have at least one head and one channel, got {list(tensor.shape)}"
            )
    return q, k, v, edge


def edge_rows(graph: Graph, self_loops: bool) -> int:
    """Rows of edge inputs: one an edge, and one a self-loop."""
    # Not a product with the bool, which older versions of Torch cannot trace.
    return graph.num_edges + (graph.num_rows if self_loops else 0)


def dot_scale(score: Dot, width: int) -> float:
    """1/sqrt(D) unless given, which keeps scores of unit-variance inputs at unit variance."""
    return 1 / math.sqrt(width) if score.scale is None else expect_finite("scale", score)


def additive_weight(score: Additive, q: Tensor) -> Tensor:
    """The vector [H, D] of an additive score in the accumulation dtype."""
    heads, width = q.shape[1:]
    if score.weight is None:
        return torch.ones(heads, width, dtype=accumulation_dtype(q.dtype), device=q.device)
    weight = as_factor("weight", score.weight, (heads, width), q.dtype)
    assert weight is not None
    return weight


def expect_finite(name: str, score: Score) -> float:
    """A number of a score, or a refusal."""
    number = float(getattr(score, name))
    # Not math.isfinite, which torch.compile cannot trace for a symbolic number.
    if not abs(number) < math.inf:
        raise InputError(f"{name}={number} must be finite")
    return number


def as_seed(seed: int | Tensor | None, q: Tensor) -> Tensor:
    """An int64 tensor [1] beside ``q``; a tensor, so that a captured CUDA graph can be reseeded."""
    if seed is None:
        return torch.randint(-(2**63), 2**63 - 1, (1,), device=q.device)
    if isinstance(seed, int):
        if not -(2**63) <= seed < 2**63:
            raise InputError(f"seed={seed} must be in [-2^63, 2^63)")
        return torch.full((1,), seed, dtype=torch.int64, device=q.device)
    expect_tensor("seed", seed)
    expect_dtype("seed", seed, (torch.int64,))
    expect_shape("seed", seed, (1,))
    expect_same_device(q=q, seed=seed)
    return seed
