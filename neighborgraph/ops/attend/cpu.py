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
from neighborgraph.jit.numba_lanes import (
    LANES,
    choose,
    exp,
    largest_number,
    load,
    spread,
    store,
    total_of,
)
from neighborgraph.ops import philox
from neighborgraph.ops.arrays import wide
from neighborgraph.ops.attend.function import edge_count, grad_q_outputs
from neighborgraph.ops.philox_numba import word
from neighborgraph.ops.registration import accumulation_dtype, as_rows

# Edges between the one at hand and the one whose rows are sent for, which come from main memory.
AHEAD = 16
LINE = 64
"""Bytes of a cache line."""


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


class Block(NamedTuple):
    """Up to LANES edges of a row, from where the scores are known to where they are used.

    Attributes:
        node: Other ends, int64 [LANES].
        number: Edge numbers, int64 [LANES].
        score: [H, LANES]; -inf behind the last edge.
        mixed: <g_i, u> [H, LANES].
        share: Weights m p [H, LANES].
        slope: ∂s [H, LANES].
    """

    node: Any
    number: Any
    score: Any
    mixed: Any
    share: Any
    slope: Any


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
    block = new_block(heads, q.dtype)
    top = np.empty(heads, q.dtype)
    total = np.empty(heads, q.dtype)
    for i in range(begin, end):
        top[:] = -np.inf
        total[:] = 0
        out[i] = 0
        last = ptr[i + 1] + numbers.loops
        for t in range(ptr[i], last, LANES):
            count = min(LANES, last - t)
            clear(block.score, -np.inf)
            for b in range(count):
                send_for(t + b + AHEAD, idx, k)
                send_for(t + b + AHEAD, idx, v)
                j, e = edge_at(t + b, i, ptr, idx, edge_id)
                block.node[b], block.number[b] = j, e
                for h in range(heads):
                    block.score[h, b] = score_of(i, j, h, e, q, k, weight, bias, edge, numbers)
            for h in range(heads):
                s = load(block.score, (h, 0))
                best = max(top[h], largest_of(s))
                if best > top[h] and total[h] != 0:
                    fade = fading(top[h], best)
                    total[h] *= fade
                    for d in range(0, width, LANES):
                        store(out, (i, h, d), load(out, (i, h, d)) * fade)
                top[h] = best
                share = shares_of(s, best)
                total[h] += total_of(share)
                store(block.share, (h, 0), share * factors_of(dropout, block, h))
                for d in range(0, width, LANES):
                    mixed = load(out, (i, h, d))
                    for b in range(count):
                        # A masked edge: its value, even NaN, is not read.
                        if block.score[h, b] != -np.inf:
                            u = joined(v, value_edge, block.node[b], block.number[b], h, d)
                            mixed = mixed + block.share[h, b] * u
                    store(out, (i, h, d), mixed)
        for h in range(heads):
            total[h] = settled(total[h], top[h])
            lse[i, h] = -np.inf
            state[i, h, 0] = top[h]
            state[i, h, 1] = 0
            if total[h] != 0:
                lse[i, h] = math.log(total[h]) + top[h]
                state[i, h, 1] = 1 / total[h]
                for d in range(0, width, LANES):
                    store(out, (i, h, d), load(out, (i, h, d)) * (1 / total[h]))


@numba_kernel
def weight_rows(
    begin, end, ptr, idx, edge_id, numbers, dropout, weight, bias, edge, value_edge,
    q, k, state, weights,
):  # fmt: skip
    """Weights m p of all edges that are not masked."""
    heads = q.shape[1]
    block = new_block(heads, q.dtype)
    for i in range(begin, end):
        last = ptr[i + 1] + numbers.loops
        for t in range(ptr[i], last, LANES):
            count = min(LANES, last - t)
            clear(block.score, -np.inf)
            for b in range(count):
                send_for(t + b + AHEAD, idx, k)
                j, e = edge_at(t + b, i, ptr, idx, edge_id)
                block.number[b] = e
                for h in range(heads):
                    block.score[h, b] = score_of(i, j, h, e, q, k, weight, bias, edge, numbers)
            for h in range(heads):
                p = shares_of(load(block.score, (h, 0)), state[i, h, 0]) * state[i, h, 1]
                store(block.share, (h, 0), p * factors_of(dropout, block, h))
                for b in range(count):
                    if block.score[h, b] != -np.inf:
                        weights[block.number[b], h] = block.share[h, b]


@numba_kernel
def grad_q_rows(
    begin, end, ptr, idx, edge_id, numbers, dropout, weight, bias, edge, value_edge,
    q, k, v, out, state, grad, grad_lse, grad_q, stats, grad_weight, grad_bias, grad_edge,
):  # fmt: skip
    """δ_i = <g_i, o_i> - h_i, then from every ∂s_e all that belongs to its row or to itself."""
    heads, width = q.shape[1], q.shape[2]
    block = new_block(heads, q.dtype)
    for i in range(begin, end):
        for h in range(heads):
            stats[i, h, 0] = state[i, h, 0]
            stats[i, h, 1] = state[i, h, 1]
            stats[i, h, 2] = product(grad, i, out, None, i, i, h) - grad_lse[i, h]
            stats[i, h, 3] = 0
        grad_q[i] = 0
        if grad_weight is not None:
            grad_weight[i] = 0
        last = ptr[i + 1] + numbers.loops
        for t in range(ptr[i], last, LANES):
            count = min(LANES, last - t)
            clear(block.score, -np.inf)
            for b in range(count):
                send_for(t + b + AHEAD, idx, k)
                send_for(t + b + AHEAD, idx, v)
                j, e = edge_at(t + b, i, ptr, idx, edge_id)
                block.node[b], block.number[b] = j, e
                for h in range(heads):
                    s = score_of(i, j, h, e, q, k, weight, bias, edge, numbers)
                    block.score[h, b] = s
                    if s != -np.inf:
                        block.mixed[h, b] = product(grad, i, v, value_edge, j, e, h)
            for h in range(heads):
                s = load(block.score, (h, 0))
                p = shares_of(s, stats[i, h, 0]) * stats[i, h, 1]
                m = factors_of(dropout, block, h)
                store(block.share, (h, 0), p * m)
                store(block.slope, (h, 0), p * (load(block.mixed, (h, 0)) * m - stats[i, h, 2]))
                for d in range(0, width, LANES):
                    query = load(q, (i, h, d))
                    total = load(grad_q, (i, h, d))
                    if grad_weight is not None:
                        total_weight = load(grad_weight, (i, h, d))
                    for b in range(count):
                        j, e = block.node[b], block.number[b]
                        if block.score[h, b] == -np.inf:
                            continue
                        ds = block.slope[h, b]
                        step = scaled(weight, numbers, ds)
                        x = joined(k, edge, j, e, h, d)
                        total = total + step * term_slope(weight, numbers, h, d, query, x)
                        if grad_weight is not None:
                            total_weight = total_weight + ds * leaky(query + x, numbers)
                        if grad_edge is not None and grad_edge.size > 0:
                            slope = step * term_slope(weight, numbers, h, d, x, query)
                            if value_edge is not None:
                                slope = slope + block.share[h, b] * load(grad, (i, h, d))
                            store(grad_edge, (e, h, d), slope)
                    store(grad_q, (i, h, d), total)
                    if grad_weight is not None:
                        store(grad_weight, (i, h, d), total_weight)
                for b in range(count):
                    e = block.number[b]
                    masked = block.score[h, b] == -np.inf
                    if grad_bias.size > 0:
                        grad_bias[e, h] = 0 if masked else block.slope[h, b]
                    if masked and grad_edge is not None and grad_edge.size > 0:
                        grad_edge[e, h] = 0


@numba_kernel
def grad_kv_rows(
    begin, end, ptr, idx, edge_id, numbers, dropout, weight, bias, edge, value_edge,
    q, k, v, stats, grad, grad_k, grad_v,
):  # fmt: skip
    """∂v_j = Σ_e m_e p_e g_i and ∂k_j = Σ_e ∂s_e ∂t, over the transpose."""
    heads = q.shape[1]
    block = new_block(heads, q.dtype)
    top = np.empty((heads, LANES), q.dtype)
    scale = np.empty((heads, LANES), q.dtype)
    delta = np.empty((heads, LANES), q.dtype)
    for j in range(begin, end):
        grad_k[j] = 0
        grad_v[j] = 0
        last = ptr[j + 1] + numbers.loops
        for t in range(ptr[j], last, LANES):
            count = min(LANES, last - t)
            clear(block.score, -np.inf)
            for b in range(count):
                send_for(t + b + AHEAD, idx, q)
                send_for(t + b + AHEAD, idx, grad)
                send_for(t + b + AHEAD, idx, stats)
                if edge is not None:
                    send_for(t + b + AHEAD, edge_id, edge)
                i, e = edge_at(t + b, j, ptr, idx, edge_id)
                block.node[b], block.number[b] = i, e
                for h in range(heads):
                    s = score_of(i, j, h, e, q, k, weight, bias, edge, numbers)
                    block.score[h, b] = s
                    if s != -np.inf:
                        block.mixed[h, b] = product(grad, i, v, value_edge, j, e, h)
                        top[h, b] = stats[i, h, 0]
                        scale[h, b] = stats[i, h, 1]
                        delta[h, b] = stats[i, h, 2]
            for h in range(heads):
                s = load(block.score, (h, 0))
                p = shares_of(s, load(top, (h, 0))) * load(scale, (h, 0))
                m = factors_of(dropout, block, h)
                store(block.share, (h, 0), p * m)
                ds = p * (load(block.mixed, (h, 0)) * m - load(delta, (h, 0)))
                store(block.slope, (h, 0), ds)
                for d in range(0, v.shape[2], LANES):
                    total = load(grad_v, (j, h, d))
                    for b in range(count):
                        if block.score[h, b] != -np.inf:
                            total = total + block.share[h, b] * load(grad, (block.node[b], h, d))
                    store(grad_v, (j, h, d), total)
                for d in range(0, q.shape[2], LANES):
                    total = load(grad_k, (j, h, d))
                    for b in range(count):
                        if block.score[h, b] != -np.inf:
                            i, e = block.node[b], block.number[b]
                            x = joined(k, edge, j, e, h, d)
                            step = scaled(weight, numbers, block.slope[h, b])
                            query = load(q, (i, h, d))
                            total = total + step * term_slope(weight, numbers, h, d, x, query)
                    store(grad_k, (j, h, d), total)


@inlined
def new_block(heads, dtype):
    """Space for a block of edges."""
    shape = heads, LANES
    return Block(
        np.empty(LANES, np.int64),
        np.empty(LANES, np.int64),
        np.empty(shape, dtype),
        np.empty(shape, dtype),
        np.empty(shape, dtype),
        np.empty(shape, dtype),
    )


@inlined
def clear(numbers, value):
    """Set numbers [H, LANES] of a block."""
    for h in range(numbers.shape[0]):
        store(numbers, (h, 0), spread(numbers.dtype.type(value)))


@inlined
def send_for(t, idx, nodes):
    """Start to load what will be gathered at position t."""
    if t < idx.size:
        for byte in range(0, nodes.strides[0], LINE):
            prefetch(nodes, np.int64(idx[t]), byte)


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
    total = spread(q.dtype.type(0))
    for d in range(0, q.shape[2], LANES):
        x = joined(k, edge, j, e, h, d)
        total = total + term(weight, numbers, h, d, load(q, (i, h, d)), x)
    s = scaled(weight, numbers, total_of(total))
    return s + bias[e, h] if bias.size > 0 else s


@inlined
def product(grad, i, nodes, edges, j, e, h):
    """<g_i, u> of a head."""
    total = spread(grad.dtype.type(0))
    for d in range(0, grad.shape[2], LANES):
        total = total + load(grad, (i, h, d)) * joined(nodes, edges, j, e, h, d)
    return total_of(total)


@inlined
def largest_of(s):
    """The largest score; NaN does not count."""
    return largest_number(choose(s == s, s, -np.inf))


@inlined
def fading(old, new):
    """What sums relative to one score are multiplied with to be relative to another."""
    return total_of(exp(spread(old - new))) / LANES


@inlined
def settled(total, top):
    """A row's sum: two scores of +inf make it NaN."""
    return total - np.float32(np.nan) if top == np.inf and total > 1 else total


# Constants are float32, which numba widens beside float64; a Python number would widen float32.


@inlined
def shares_of(s, top):
    """exp(s - top): one for the largest score, also where it is +inf, zero for a masked edge."""
    p = choose(s == top, 1, exp(s - top))
    return choose(s == -np.inf, 0, p)


@inlined
def factors_of(dropout, block, h):
    """The dropout factors m of a block's edges."""
    if dropout is None:
        return spread(block.score.dtype.type(1))
    kept = word(dropout.seed, load(block.number, (0,)), h) >= dropout.threshold
    return choose(kept, spread(dropout.kept), 0)


@inlined
def joined(nodes, edges, j, e, h, d):
    """Channels of a neighbour's key or value, with those of the edge vector where there is one."""
    x = load(nodes, (j, h, d))
    return x if edges is None else x + load(edges, (e, h, d))


@inlined
def term(weight, numbers, h, d, query, key):
    """Some channels' part t(q, x) of a score."""
    return query * key if weight is None else load(weight, (h, d)) * leaky(query + key, numbers)


@inlined
def term_slope(weight, numbers, h, d, a, b):
    """The derivative in a of t(a, b), which is symmetric."""
    if weight is None:
        return b
    w = load(weight, (h, d))
    return choose(a + b > 0, w, w * numbers.factor)


@inlined
def scaled(weight, numbers, x):
    """A score from the sum of its terms, and the slope of those from that of the score."""
    return x * numbers.factor if weight is None else x


@inlined
def leaky(x, numbers):
    """Leaky ReLU."""
    return choose(x > 0, x, x * numbers.factor)
