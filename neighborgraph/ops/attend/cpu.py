"""attend on the CPU: numba loops over rows, everything kept in float32 or float64.

16-bit tensors are widened once per call, and results rounded once at its end. A kernel visits the
edges of the rows ``begin`` to ``end - 1``, finds the score of each again, and writes to its own
rows and edges alone. It clears an output row just before it adds to it: the row is then in the
cache, and the threads share the cost of fresh pages.

Letters: row i, neighbour j, edge number e, head h, channel d, position t of an edge. In the pass
over the transpose the row is j and the neighbour i, so that j always sends to i. ``weight`` is None
beside a dot product, and ``edge``, ``value_edge`` (edge vectors that join the values) and
``dropout`` are None when absent: None is a type to numba, which compiles the loops without them.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from neighborgraph.jit.numba_inline import inlined, prefetch
from neighborgraph.jit.numba_kernel import numba_kernel, run_rows
from neighborgraph.ops import philox
from neighborgraph.ops.arrays import wide
from neighborgraph.ops.attend.function import edge_count, grad_q_outputs
from neighborgraph.ops.philox_numba import word
from neighborgraph.ops.registration import accumulation_dtype, as_rows

# Edges between the one at hand and the one whose rows are sent for, which come from main memory.
AHEAD = 4


class Numbers(NamedTuple):
    """What a score depends on beside tensors.

    Attributes:
        factor: Scale of a dot product, negative slope of an additive score.
        loops: Self-loops of each row, 0 or 1.
        first_loop: Number of the first self-loop, 0 if none; loops of lower number are masked.
    """

    factor: Any
    loops: int
    first_loop: int


class Dropout(NamedTuple):
    """Which edges dropout keeps: those whose random word is at least the threshold.

    Attributes:
        seed: int64.
        threshold: uint64, at most 2^32.
        kept: What the weights of kept edges are multiplied with.
    """

    seed: int
    threshold: Any
    kept: Any


def attend(csr, q, k, v, *settings) -> tuple[Tensor, Tensor, Tensor]:
    """Output [n, H, V], natural log-sum-exp [n, H] and state [n, H, 2], in base e."""
    out = v.new_empty(*q.shape[:2], v.shape[2], dtype=accumulation_dtype(v.dtype))
    lse = out.new_empty(q.shape[:2])
    state = out.new_empty(*q.shape[:2], 2)
    arrays = (wide(t) for t in (q, k, v))
    results = (t.numpy() for t in (out, lse, state))
    run_rows(attend_rows, *shared(csr, q, *settings), *arrays, *results)
    return out.to(v.dtype), lse, state


def attend_weights(csr, q, k, state, *settings) -> Tensor:
    """Weight of every edge [e', H], in the caller's edge order; zero where it is masked."""
    *_, self_loops = settings
    weights = state.new_zeros(edge_count(csr, self_loops), q.shape[1])
    arrays = (wide(t) for t in (q, k, state))
    run_rows(weight_rows, *shared(csr, q, *settings), *arrays, weights.numpy())
    return weights


def attend_grad_q(csr, q, k, v, out, state, grad, grad_lse, weight_grad, edge_grads, *settings):
    """The tensors that `grad_q_outputs` lists; gradients of masked edges are zero."""
    _, _, edge, *_ = settings
    grad_lse = torch.zeros_like(state[..., 0]) if grad_lse is None else grad_lse
    outputs = grad_q_outputs(csr, q, state, weight_grad, edge_grads, settings)
    results = [torch.empty_like(t, dtype=state.dtype) for t in outputs]
    *_, grad_weight, grad_bias, grad_edge = results
    run_rows(
        grad_q_rows,
        *shared(csr, q, *settings),
        *(wide(t) for t in (q, k, v, out, state, grad, grad_lse)),
        *(t.numpy() for t in results[:2]),
        grad_weight.numpy() if weight_grad else None,
        grad_bias.numpy(),
        None if edge is None else grad_edge.numpy(),
    )
    return tuple(t.to(like.dtype) for t, like in zip(results, outputs, strict=True))


def attend_grad_kv(csr, q, k, v, stats, grad, *settings) -> tuple[Tensor, Tensor]:
    """Gradients of k [m, H, D] and v [m, H, V]; csr is the transpose."""
    grad_k, grad_v = (t.new_empty(t.shape, dtype=stats.dtype) for t in (k, v))
    arrays = (wide(t) for t in (q, k, v, stats, grad))
    results = grad_k.numpy(), grad_v.numpy()
    run_rows(grad_kv_rows, *shared(csr, q, *settings), *arrays, *results)
    return grad_k.to(k.dtype), grad_v.to(v.dtype)


def shared(csr, q, weight, bias, edge, seed, factor, dropout, self_loops):
    """What every kernel takes first: ptr, idx, edge_id, numbers, dropout, weight, bias, edges."""
    rows = as_rows(csr)
    number = wide(q.new_empty(0)).dtype.type
    loops = int(self_loops)
    edges = None if edge is None else wide(edge)
    return (
        *(t.numpy() for t in rows[:3]),
        Numbers(number(factor), loops, loops * rows.idx.shape[0]),
        None
        if seed is None
        else Dropout(
            int(seed),
            np.uint64(philox.threshold(dropout)),
            number(philox.kept_factor(dropout)),
        ),
        None if weight is None else wide(weight),
        np.empty((0, q.shape[1]), number) if bias is None else wide(bias),
        edges,
        edges if weight is None else None,
    )


@numba_kernel
def attend_rows(
    begin, end, ptr, idx, edge_id, numbers, dropout, weight, bias, edge, value_edge,
    q, k, v, out, lse, state,
):  # fmt: skip
    """One pass over a row: sums relative to the largest score so far, rescaled when it grows."""
    heads, width = q.shape[1], v.shape[2]
    top = np.empty(heads, q.dtype)
    total = np.empty(heads, q.dtype)
    for i in range(begin, end):
        top[:] = -np.inf
        total[:] = 0
        out[i] = 0
        lse[i] = -np.inf
        state[i, :, 0] = -np.inf
        state[i, :, 1] = 0
        for t in range(ptr[i], ptr[i + 1] + numbers.loops):
            send_for(t + AHEAD, idx, k)
            send_for(t + AHEAD, idx, v)
            j, e = edge_at(t, i, ptr, idx, edge_id)
            for h in range(heads):
                s = score_of(i, j, h, e, q, k, weight, bias, edge, numbers)
                # A masked edge: its value, even NaN, is not read.
                if s == -np.inf:
                    continue
                m = factor_of(dropout, e, h)
                if s > top[h]:
                    fade = math.exp(top[h] - s)
                    top[h] = s
                    total[h] = total[h] * fade + 1
                    for d in range(width):
                        u = joined(v, value_edge, j, e, h, d)
                        out[i, h, d] = out[i, h, d] * fade + m * u
                else:
                    # NaN for a NaN score and for a second +inf, which is what both must give.
                    share = math.exp(s - top[h])
                    total[h] += share
                    for d in range(width):
                        out[i, h, d] += m * share * joined(v, value_edge, j, e, h, d)
        for h in range(heads):
            if total[h] != 0:
                lse[i, h] = math.log(total[h]) + top[h]
                state[i, h, 0] = top[h]
                state[i, h, 1] = 1 / total[h]
                for d in range(width):
                    out[i, h, d] /= total[h]


@numba_kernel
def weight_rows(
    begin, end, ptr, idx, edge_id, numbers, dropout, weight, bias, edge, value_edge,
    q, k, state, weights,
):  # fmt: skip
    """Weights m p of all edges that are not masked."""
    for i in range(begin, end):
        for t in range(ptr[i], ptr[i + 1] + numbers.loops):
            send_for(t + AHEAD, idx, k)
            j, e = edge_at(t, i, ptr, idx, edge_id)
            for h in range(q.shape[1]):
                s = score_of(i, j, h, e, q, k, weight, bias, edge, numbers)
                if s != -np.inf:
                    p = share_of(s, state[i, h, 0]) * state[i, h, 1]
                    weights[e, h] = factor_of(dropout, e, h) * p


@numba_kernel
def grad_q_rows(
    begin, end, ptr, idx, edge_id, numbers, dropout, weight, bias, edge, value_edge,
    q, k, v, out, state, grad, grad_lse, grad_q, stats, grad_weight, grad_bias, grad_edge,
):  # fmt: skip
    """δ_i = <g_i, o_i> - h_i, then from every ∂s_e all that belongs to its row or to itself."""
    heads, width = q.shape[1], q.shape[2]
    for i in range(begin, end):
        for h in range(heads):
            delta = -grad_lse[i, h]
            for d in range(v.shape[2]):
                delta += grad[i, h, d] * out[i, h, d]
            stats[i, h, 0] = state[i, h, 0]
            stats[i, h, 1] = state[i, h, 1]
            stats[i, h, 2] = delta
            stats[i, h, 3] = 0
        grad_q[i] = 0
        if grad_weight is not None:
            grad_weight[i] = 0
        for t in range(ptr[i], ptr[i + 1] + numbers.loops):
            send_for(t + AHEAD, idx, k)
            send_for(t + AHEAD, idx, v)
            j, e = edge_at(t, i, ptr, idx, edge_id)
            for h in range(heads):
                s = score_of(i, j, h, e, q, k, weight, bias, edge, numbers)
                if s == -np.inf:
                    clear(grad_bias, grad_edge, e, h)
                    continue
                mp, ds = slopes(i, j, h, e, s, v, value_edge, grad, stats, dropout)
                step = scaled(weight, numbers, ds)
                for d in range(width):
                    x = joined(k, edge, j, e, h, d)
                    grad_q[i, h, d] += step * term_slope(weight, numbers, h, d, q[i, h, d], x)
                    if grad_weight is not None:
                        grad_weight[i, h, d] += ds * leaky(q[i, h, d] + x, numbers)
                if grad_bias.size > 0:
                    grad_bias[e, h] = ds
                if grad_edge is not None and grad_edge.size > 0:
                    for d in range(width):
                        x = joined(k, edge, j, e, h, d)
                        slope = step * term_slope(weight, numbers, h, d, x, q[i, h, d])
                        if value_edge is not None:
                            slope += mp * grad[i, h, d]
                        grad_edge[e, h, d] = slope


@numba_kernel
def grad_kv_rows(
    begin, end, ptr, idx, edge_id, numbers, dropout, weight, bias, edge, value_edge,
    q, k, v, stats, grad, grad_k, grad_v,
):  # fmt: skip
    """∂v_j = Σ_e m_e p_e g_i and ∂k_j = Σ_e ∂s_e ∂t, over the transpose."""
    for j in range(begin, end):
        grad_k[j] = 0
        grad_v[j] = 0
        for t in range(ptr[j], ptr[j + 1] + numbers.loops):
            send_for(t + AHEAD, idx, q)
            send_for(t + AHEAD, idx, grad)
            send_for(t + AHEAD, idx, stats)
            i, e = edge_at(t, j, ptr, idx, edge_id)
            for h in range(q.shape[1]):
                s = score_of(i, j, h, e, q, k, weight, bias, edge, numbers)
                if s == -np.inf:
                    continue
                mp, ds = slopes(i, j, h, e, s, v, value_edge, grad, stats, dropout)
                step = scaled(weight, numbers, ds)
                for d in range(v.shape[2]):
                    grad_v[j, h, d] += mp * grad[i, h, d]
                for d in range(q.shape[2]):
                    x = joined(k, edge, j, e, h, d)
                    grad_k[j, h, d] += step * term_slope(weight, numbers, h, d, x, q[i, h, d])


@inlined
def clear(grad_bias, grad_edge, e, h):
    """A masked edge has no gradients."""
    if grad_bias.size > 0:
        grad_bias[e, h] = 0
    if grad_edge is not None and grad_edge.size > 0:
        grad_edge[e, h] = 0


@inlined
def send_for(t, idx, nodes):
    """Start to load what will be gathered at position t; hardware goes on from the first bytes."""
    if t < idx.size:
        prefetch(nodes, np.int64(idx[t]))


@inlined
def edge_at(t, row, ptr, idx, edge_id):
    """Neighbour and number of the edge at position t; a self-loop is behind its row's edges."""
    if t < ptr[row + 1]:
        return np.int64(idx[t]), np.int64(edge_id[t])
    return row, idx.size + row


@inlined
def score_of(i, j, h, e, q, k, weight, bias, edge, numbers):
    """s_e with its bias; -inf where a self-loop replaced the edge."""
    if i == j and e < numbers.first_loop:
        return np.float32(-np.inf)
    total = q.dtype.type(0)
    for d in range(q.shape[2]):
        x = joined(k, edge, j, e, h, d)
        total += term(weight, numbers, h, d, q[i, h, d], x)
    s = scaled(weight, numbers, total)
    return s + bias[e, h] if bias.size > 0 else s


@inlined
def slopes(i, j, h, e, s, v, value_edge, grad, stats, dropout):
    """Of an edge with score s: m p, and ∂s = p (m <g_i, u> - δ_i)."""
    gu = v.dtype.type(0)
    for d in range(v.shape[2]):
        gu += grad[i, h, d] * joined(v, value_edge, j, e, h, d)
    m = factor_of(dropout, e, h)
    p = share_of(s, stats[i, h, 0]) * stats[i, h, 1]
    return m * p, p * (m * gu - stats[i, h, 2])


# Constants are float32, which numba widens beside float64; a Python number would widen float32.


@inlined
def share_of(s, top):
    """exp(s - top), also where both are +inf."""
    return np.float32(1) if s == top else math.exp(s - top)


@inlined
def factor_of(dropout, e, h):
    """The dropout factor m of an edge and a head."""
    if dropout is None:
        return np.float32(1)
    return dropout.kept if word(dropout.seed, e, h) >= dropout.threshold else np.float32(0)


@inlined
def joined(nodes, edges, j, e, h, d):
    """A channel of a neighbour's key or value, with that of the edge vector where there is one."""
    return nodes[j, h, d] if edges is None else nodes[j, h, d] + edges[e, h, d]


@inlined
def term(weight, numbers, h, d, query, key):
    """A channel's part t(q, x) of a score."""
    return query * key if weight is None else weight[h, d] * leaky(query + key, numbers)


@inlined
def term_slope(weight, numbers, h, d, a, b):
    """The derivative in a of t(a, b), which is symmetric."""
    if weight is None:
        return b
    return weight[h, d] if a + b > 0 else weight[h, d] * numbers.factor


@inlined
def scaled(weight, numbers, x):
    """A score from the sum of its terms, and the slope of those from that of the score."""
    return x * numbers.factor if weight is None else x


@inlined
def leaky(x, numbers):
    """Leaky ReLU."""
    return x if x > 0 else x * numbers.factor
