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
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from neighborgraph.jit.numba_kernel import numba_kernel, run_rows
from neighborgraph.jit.numba_lanes import LANES, choose, gather, load, store, total_of
from neighborgraph.ops import philox
from neighborgraph.ops.arrays import empty, wide
from neighborgraph.ops.attend.block_numba import (
    OVER_COLUMNS,
    OVER_ROWS,
    Block,
    add_key_grads,
    add_mixed,
    add_query_grads,
    add_terms,
    enter,
    factors_of,
    fading,
    largest_of,
    multiply,
    new_block,
    product,
    products_of,
    rescale,
    scores_of,
    send_for,
    set_edge_grads,
    set_numbers,
    settled,
    shares_of,
)
from neighborgraph.ops.attend.function import edge_count, grad_q_outputs
from neighborgraph.ops.registration import accumulation_dtype, as_rows

# Edges between the one at hand and the one whose rows are sent for, which come from main memory.
AHEAD = 16


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
    out = empty(*q.shape[:2], v.shape[2], dtype=accumulation_dtype(v.dtype))
    lse = out.new_empty(q.shape[:2])
    state = out.new_empty(*q.shape[:2], 2)
    arrays = (channels(t) for t in (q, k, v, out))
    run_rows(attend_rows, *shared(csr, q, *settings), *arrays, lse.numpy(), state.numpy(), scratch=scratch(q))
    return out.to(v.dtype), lse, state


def attend_weights(csr, q, k, state, *settings) -> Tensor:
    """Weight of every edge [e', H], in the caller's edge order; zero where it is masked."""
    *_, self_loops = settings
    weights = state.new_zeros(edge_count(csr, self_loops), q.shape[1])
    arrays = channels(q), channels(k), state.numpy(), weights.numpy()
    run_rows(weight_rows, *shared(csr, q, *settings), *arrays, scratch=scratch(q))
    return weights


def attend_grad_q(csr, q, k, v, out, state, grad, grad_lse, weight_grad, edge_grads, *settings):
    """The tensors that `grad_q_outputs` lists; gradients of masked edges are zero."""
    _, _, edge, *_ = settings
    grad_lse = torch.zeros_like(state[..., 0]) if grad_lse is None else grad_lse
    outputs = grad_q_outputs(csr, q, state, weight_grad, edge_grads, settings)
    results = [empty(*t.shape, dtype=state.dtype) for t in outputs]
    grad_q, stats, grad_weight, grad_bias, grad_edge = results
    run_rows(
        grad_q_rows,
        *shared(csr, q, *settings),
        *(channels(t) for t in (q, k, v, out)),
        state.numpy(),
        channels(grad),
        wide(grad_lse),
        channels(grad_q),
        stats.numpy(),
        channels(grad_weight) if weight_grad else None,
        grad_bias.numpy(),
        None if edge is None else channels(grad_edge),
        scratch=scratch(q),
    )
    return tuple(t.to(like.dtype) for t, like in zip(results, outputs, strict=True))


def attend_grad_kv(csr, q, k, v, stats, grad, *settings) -> tuple[Tensor, Tensor]:
    """Gradients of k [m, H, D] and v [m, H, V]; csr is the transpose."""
    grad_k, grad_v = (empty(*t.shape, dtype=stats.dtype) for t in (k, v))
    inputs = channels(q), channels(k), channels(v), stats.numpy(), channels(grad)
    results = channels(grad_k), channels(grad_v)
    run_rows(grad_kv_rows, *shared(csr, q, *settings), *inputs, *results, scratch=scratch(q))
    return grad_k.to(k.dtype), grad_v.to(v.dtype)


def shared(csr, q, weight, bias, edge, seed, factor, dropout, self_loops):
    """What every kernel takes first: ptr, idx, edge_id, numbers, dropout, weight, bias, edges."""
    rows = as_rows(csr)
    number = wide(q.new_empty(0)).dtype.type
    loops = int(self_loops)
    edges = None if edge is None else channels(edge)
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
        None if weight is None else channels(weight),
        np.empty((0, q.shape[1]), number) if bias is None else wide(bias),
        edges,
        edges if weight is None else None,
    )


def scratch(q: Tensor) -> Callable[[], Block]:
    """What makes space for the block of a call."""
    return partial(new_block, q.shape[1], wide(q.new_empty(0)).dtype)


def channels(features: Tensor) -> np.ndarray:
    """Features [..., H, D] in the accumulation dtype, and [..., H] where D is 1.

    The kernels read and write the memory of features that have this dtype and are contiguous.
    """
    array = wide(features)
    return array.reshape(array.shape[:-1]) if array.shape[-1] == 1 else array


@numba_kernel
def attend_rows(
    begin, end, ptr, idx, edge_id, numbers, dropout, weight, bias, edge, value_edge,
    q, k, v, out, lse, state, block,
):  # fmt: skip
    """One pass over a row: sums relative to the largest score so far, rescaled when it grows."""
    heads = q.shape[1]
    top, total = block.largest, block.sum
    for i in range(begin, end):
        top[:] = -np.inf
        total[:] = 0
        out[i] = 0
        last = ptr[i + 1] + numbers.loops
        for t in range(ptr[i], last, LANES):
            count = min(LANES, last - t)
            seen = enter(block, t, count, i, ptr, idx, edge_id, numbers)
            for b in range(t + AHEAD, t + AHEAD + count):
                send_for(b, idx, k)
                send_for(b, idx, v)
                send_for(b, edge_id, edge)
            add_terms(block, count, i, OVER_ROWS, q, k, weight, edge, numbers)
            for h in range(heads):
                s = scores_of(block, seen, i, OVER_ROWS, h, q, k, weight, bias, edge, numbers)
                best = max(top[h], largest_of(s))
                if best > top[h] and total[h] != 0:
                    fade = fading(top[h], best)
                    total[h] *= fade
                    rescale(out, i, h, fade)
                top[h] = best
                share = shares_of(s, best)
                total[h] += total_of(share)
                share = share * factors_of(dropout, block, h)
                add_mixed(out, i, h, block, count, s, share, v, value_edge)
        for h in range(heads):
            total[h] = settled(total[h], top[h])
            lse[i, h] = -np.inf
            state[i, h, 0] = top[h]
            state[i, h, 1] = 0
            if total[h] != 0:
                lse[i, h] = math.log(total[h]) + top[h]
                state[i, h, 1] = 1 / total[h]
                rescale(out, i, h, 1 / total[h])


@numba_kernel
def weight_rows(
    begin, end, ptr, idx, edge_id, numbers, dropout, weight, bias, edge, value_edge,
    q, k, state, weights, block,
):  # fmt: skip
    """Weights m p of all edges that are not masked."""
    for i in range(begin, end):
        last = ptr[i + 1] + numbers.loops
        for t in range(ptr[i], last, LANES):
            count = min(LANES, last - t)
            seen = enter(block, t, count, i, ptr, idx, edge_id, numbers)
            for b in range(t + AHEAD, t + AHEAD + count):
                send_for(b, idx, k)
            add_terms(block, count, i, OVER_ROWS, q, k, weight, edge, numbers)
            for h in range(q.shape[1]):
                s = scores_of(block, seen, i, OVER_ROWS, h, q, k, weight, bias, edge, numbers)
                share = shares_of(s, state[i, h, 0]) * state[i, h, 1]
                share = share * factors_of(dropout, block, h)
                store(block.share, (0,), choose(s == -np.inf, 0, share))
                for b in range(count):
                    weights[block.number[b], h] = block.share[b]


@numba_kernel
def grad_q_rows(
    begin, end, ptr, idx, edge_id, numbers, dropout, weight, bias, edge, value_edge,
    q, k, v, out, state, grad, grad_lse, grad_q, stats, grad_weight, grad_bias, grad_edge, block,
):  # fmt: skip
    """δ_i = <g_i, o_i> - h_i, then from every ∂s_e all that belongs to its row or to itself."""
    heads = q.shape[1]
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
            seen = enter(block, t, count, i, ptr, idx, edge_id, numbers)
            for b in range(t + AHEAD, t + AHEAD + count):
                send_for(b, idx, k)
                send_for(b, idx, v)
                send_for(b, edge_id, edge)
            add_terms(block, count, i, OVER_ROWS, q, k, weight, edge, numbers)
            multiply(block, count, i, OVER_ROWS, grad, v, value_edge)
            for h in range(heads):
                s = scores_of(block, seen, i, OVER_ROWS, h, q, k, weight, bias, edge, numbers)
                p = shares_of(s, stats[i, h, 0]) * stats[i, h, 1]
                m = factors_of(dropout, block, h)
                gu = products_of(block, seen, i, OVER_ROWS, h, grad, v, value_edge)
                ds = choose(s == -np.inf, 0, p * (m * gu - stats[i, h, 2]))
                add_query_grads(grad_q, grad_weight, i, h, block, count, s, ds, q, k, weight, edge, numbers)
                if grad_bias.size > 0:
                    set_numbers(grad_bias, block, count, h, ds)
                if grad_edge is not None and grad_edge.size > 0:
                    set_edge_grads(grad_edge, i, h, block, count, s, ds, p * m, q, k, grad, weight, edge, value_edge, numbers)


@numba_kernel
def grad_kv_rows(
    begin, end, ptr, idx, edge_id, numbers, dropout, weight, bias, edge, value_edge,
    q, k, v, stats, grad, grad_k, grad_v, block,
):  # fmt: skip
    """∂v_j = Σ_e m_e p_e g_i and ∂k_j = Σ_e ∂s_e ∂t, over the transpose."""
    for j in range(begin, end):
        grad_k[j] = 0
        grad_v[j] = 0
        last = ptr[j + 1] + numbers.loops
        for t in range(ptr[j], last, LANES):
            count = min(LANES, last - t)
            seen = enter(block, t, count, j, ptr, idx, edge_id, numbers)
            for b in range(t + AHEAD, t + AHEAD + count):
                send_for(b, idx, q)
                send_for(b, idx, grad)
                send_for(b, idx, stats)
                send_for(b, edge_id, edge)
                send_for(b, edge_id, bias)
            add_terms(block, count, j, OVER_COLUMNS, q, k, weight, edge, numbers)
            multiply(block, count, j, OVER_COLUMNS, grad, v, value_edge)
            for h in range(q.shape[1]):
                s = scores_of(block, seen, j, OVER_COLUMNS, h, q, k, weight, bias, edge, numbers)
                nodes = load(block.node, (0,))
                p = shares_of(s, gather(stats, nodes, (h, 0), seen)) * gather(stats, nodes, (h, 1), seen)
                m = factors_of(dropout, block, h)
                gu = products_of(block, seen, j, OVER_COLUMNS, h, grad, v, value_edge)
                ds = choose(s == -np.inf, 0, p * (m * gu - gather(stats, nodes, (h, 2), seen)))
                add_mixed(grad_v, j, h, block, count, s, p * m, grad, None)
                add_key_grads(grad_k, j, h, block, count, s, ds, q, k, weight, edge, numbers)
