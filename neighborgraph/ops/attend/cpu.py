"""attend on the CPU: numba loops over rows, everything kept in float32 or float64.

16-bit tensors are widened once per call, and results rounded once at its end. A kernel visits the
edges of the rows ``begin`` to ``end - 1`` in blocks, finds the score of each again, and writes to
its own rows and edges alone. It clears an output row just before it adds to it: the row is then in
the cache, and the threads share the cost of fresh pages.

Letters: row i, neighbour j, edge number e, head h, channel d, position t of an edge, place b in its
block. In the pass over the transpose the row is j and the neighbour i, so that j always sends to i.
Edge vectors, the weight of an additive score and its gradient are None when absent: None is a type
to numba, which compiles the loops without. What costs one test a block has size zero instead.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from neighborgraph.jit.numba_kernel import numba_kernel, run_rows
from neighborgraph.jit.numba_lanes import LANES, choose, gather, load, total_of
from neighborgraph.ops import philox
from neighborgraph.ops.arrays import empty, wide
from neighborgraph.ops.attend.block_numba import (
    OVER_COLUMNS,
    OVER_ROWS,
    Block,
    add_key_grads,
    add_mixed,
    add_query_grads,
    enter,
    multiply,
    new_block,
    product,
    products_of,
    rescale,
    scores_of,
    send_for,
    set_edge_grads,
    set_numbers,
    sum_terms,
)
from neighborgraph.ops.attend.function import edge_count, wanted_ones
from neighborgraph.ops.attend.score_numba import (
    Dropout,
    Inputs,
    Numbers,
    factors_of,
    fading,
    largest_of,
    settled,
    shares_of,
)
from neighborgraph.ops.registration import accumulation_dtype, as_rows

# Edges between the one at hand and the one whose rows are sent for, which come from main memory.
AHEAD = 16


def attend(csr, q, k, v, *settings) -> tuple[Tensor, Tensor, Tensor]:
    """Output [n, H, V], natural log-sum-exp [n, H] and state [n, H, 2], in base e."""
    out = empty(*q.shape[:2], v.shape[2], dtype=accumulation_dtype(v.dtype))
    lse = out.new_empty(q.shape[:2])
    state = out.new_empty(*q.shape[:2], 2)
    arrays = *map(layout(q), (q, k, v, out)), lse.numpy(), state.numpy()
    run_rows(attend_rows, *shared(csr, q, *settings), *arrays, scratch=scratch(q))
    return out.to(v.dtype), lse, state


def attend_weights(csr, q, k, state, *settings) -> Tensor:
    """Weight of every edge [e', H], in the caller's edge order; zero where it is masked."""
    *_, self_loops = settings
    weights = empty(edge_count(csr, self_loops), q.shape[1], dtype=state.dtype)
    arrays = *map(layout(q), (q, k)), wide(state), weights.numpy()
    run_rows(weight_rows, *shared(csr, q, *settings), *arrays, scratch=scratch(q))
    return weights


def attend_backward(
    rows, cols, q, k, v, out, state, grad, grad_lse, wanted, *settings
) -> list[Tensor]:
    """The wanted gradients of q, k, v, weight, bias and edge; those of masked edges are zero."""
    _, wants_k, wants_v, *of_edges = wanted
    row_grads, stats = grad_q(rows, q, k, v, out, state, grad, grad_lse, of_edges, settings)
    column_grads = None, None
    if wants_k or wants_v:
        column_grads = grad_kv(cols, q, k, v, stats, grad, settings)
    grads = wanted_ones(row_grads, column_grads, wanted)
    inputs = (x for x, wants in zip((q, k, v, *settings[:3]), wanted, strict=True) if wants)
    return [gradient.to(x.dtype) for gradient, x in zip(grads, inputs, strict=True)]


def grad_q(csr, q, k, v, out, state, grad, grad_lse, wanted, settings):
    """Gradients of q, weight, bias and edge, None unless ``wanted``; and stats [n, H, 4]."""
    grad_lse = torch.zeros_like(state[..., 0]) if grad_lse is None else grad_lse
    stats = state.new_empty(*state.shape[:2], 4)
    wants_weight, wants_bias, wants_edge = wanted
    edges, (heads, width) = edge_count(csr, settings[-1]), q.shape[1:]
    dtype, array = state.dtype, layout(q)
    of_q = empty(*q.shape, dtype=dtype)
    of_weight = empty(*q.shape, dtype=dtype) if wants_weight else None
    of_bias = empty(edges if wants_bias else 0, heads, dtype=dtype)
    of_edge = empty(edges if wants_edge else 0, heads, width, dtype=dtype)
    *rows, inputs = shared(csr, q, *settings)
    run_rows(
        grad_q_rows,
        *rows,
        inputs,
        *map(array, (q, k, v, out)),
        wide(state),
        array(grad),
        wide(grad_lse),
        array(of_q),
        stats.numpy(),
        None if of_weight is None else array(of_weight),
        of_bias.numpy(),
        None if inputs.edge is None else array(of_edge),
        scratch=scratch(q),
    )
    return (of_q, None if of_weight is None else of_weight.sum(0), of_bias, of_edge), stats


def grad_kv(csr, q, k, v, stats, grad, settings) -> tuple[Tensor, Tensor]:
    """Gradients of k [m, H, D] and v [m, H, V]; csr is the transpose."""
    of_k, of_v = (empty(*t.shape, dtype=stats.dtype) for t in (k, v))
    arrays = *map(layout(q), (q, k, v, grad, of_k, of_v)), wide(stats)
    run_rows(grad_kv_rows, *shared(csr, q, *settings), *arrays, scratch=scratch(q))
    return of_k, of_v


def shared(csr, q, weight, bias, edge, seed, factor, dropout, self_loops):
    """What every kernel takes first: ptr, idx, edge_id and inputs."""
    rows = as_rows(csr)
    number = wide(q.new_empty(0)).dtype.type
    loops = int(self_loops)
    threshold = 0 if seed is None else philox.threshold(dropout)
    kept = philox.kept_factor(dropout)
    edges = None if edge is None else layout(q)(edge)
    inputs = Inputs(
        Numbers(number(factor), loops, loops * rows.idx.shape[0]),
        Dropout(0 if seed is None else int(seed), np.uint64(threshold), number(kept)),
        None if weight is None else layout(q)(weight),
        np.empty((0, q.shape[1]), number) if bias is None else wide(bias),
        edges,
        edges if weight is None else None,
    )
    return *(t.numpy() for t in rows[:3]), inputs


def scratch(q: Tensor) -> Callable[[], Block]:
    """What makes space for the block of a call."""
    return partial(new_block, q.shape[1], wide(q.new_empty(0)).dtype)


def layout(q: Tensor) -> Callable[[Tensor], np.ndarray]:
    """How features become arrays: without an axis for D = 1 where queries have one channel.

    The arrays are the memory of features of the right dtype without gaps: results are written so.
    """
    return without_axis_of_one if q.shape[2] == 1 else wide


def without_axis_of_one(features: Tensor) -> np.ndarray:
    """Features [..., H, D] in the accumulation dtype, or [..., H] where D is 1."""
    array = wide(features)
    return array.reshape(array.shape[:-1]) if array.shape[-1] == 1 else array


@numba_kernel
def attend_rows(begin, end, ptr, idx, edge_id, inputs, q, k, v, out, lse, state, block):
    """One pass over a row: sums relative to the largest score so far, rescaled when it grows."""
    top, total = block.top, block.total
    for i in range(begin, end):
        top[:] = -np.inf
        total[:] = 0
        out[i] = 0
        last = ptr[i + 1] + inputs.numbers.loops
        for t in range(ptr[i], last, LANES):
            count = min(LANES, last - t)
            seen = enter(block, t, count, i, ptr, idx, edge_id, inputs.numbers)
            for ahead in range(t + AHEAD, t + AHEAD + count):
                send_for(ahead, idx, k)
                send_for(ahead, idx, v)
                send_for(ahead, edge_id, inputs.edge)
            sum_terms(block, count, i, OVER_ROWS, q, k, inputs)
            for h in range(q.shape[1]):
                s = scores_of(block, seen, i, OVER_ROWS, h, q, k, inputs)
                largest = max(top[h], largest_of(s))
                if largest > top[h] and total[h] != 0:
                    fade = fading(top[h], largest)
                    total[h] *= fade
                    rescale(out, i, h, fade)
                top[h] = largest
                share = shares_of(s, top[h])
                total[h] += total_of(share)
                share = share * factors_of(inputs.dropout, load(block.number, (0,)), h, q.dtype)
                add_mixed(out, i, h, block, count, s, share, v, inputs.value_edge)
        for h in range(q.shape[1]):
            total[h] = settled(total[h], top[h])
            lse[i, h] = -np.inf
            state[i, h, 0] = top[h]
            state[i, h, 1] = 0
            if total[h] != 0:
                lse[i, h] = math.log(total[h]) + top[h]
                state[i, h, 1] = 1 / total[h]
                rescale(out, i, h, 1 / total[h])


@numba_kernel
def weight_rows(begin, end, ptr, idx, edge_id, inputs, q, k, state, weights, block):
    """Weights m p of all edges, zero where they are masked."""
    for i in range(begin, end):
        last = ptr[i + 1] + inputs.numbers.loops
        for t in range(ptr[i], last, LANES):
            count = min(LANES, last - t)
            seen = enter(block, t, count, i, ptr, idx, edge_id, inputs.numbers)
            for ahead in range(t + AHEAD, t + AHEAD + count):
                send_for(ahead, idx, k)
                send_for(ahead, edge_id, inputs.edge)
            sum_terms(block, count, i, OVER_ROWS, q, k, inputs)
            for h in range(q.shape[1]):
                s = scores_of(block, seen, i, OVER_ROWS, h, q, k, inputs)
                p = shares_of(s, state[i, h, 0]) * state[i, h, 1]
                m = factors_of(inputs.dropout, load(block.number, (0,)), h, q.dtype)
                set_numbers(weights, block, count, h, choose(s == -np.inf, 0, m * p))


@numba_kernel
def grad_q_rows(
    begin, end, ptr, idx, edge_id, inputs, q, k, v, out, state, grad, grad_lse,
    grad_q, stats, grad_weight, grad_bias, grad_edge, block,
):  # fmt: skip
    """δ_i = <g_i, o_i> - h_i, then from every ∂s_e all that belongs to its row or to itself."""
    for i in range(begin, end):
        for h in range(q.shape[1]):
            stats[i, h, 0] = state[i, h, 0]
            stats[i, h, 1] = state[i, h, 1]
            stats[i, h, 2] = product(grad, i, out, i, None, 0, h) - grad_lse[i, h]
            stats[i, h, 3] = 0
        grad_q[i] = 0
        if grad_weight is not None:
            grad_weight[i] = 0
        last = ptr[i + 1] + inputs.numbers.loops
        for t in range(ptr[i], last, LANES):
            count = min(LANES, last - t)
            seen = enter(block, t, count, i, ptr, idx, edge_id, inputs.numbers)
            for ahead in range(t + AHEAD, t + AHEAD + count):
                send_for(ahead, idx, k)
                send_for(ahead, idx, v)
                send_for(ahead, edge_id, inputs.edge)
            sum_terms(block, count, i, OVER_ROWS, q, k, inputs)
            multiply(block, count, i, OVER_ROWS, grad, v, inputs.value_edge)
            for h in range(q.shape[1]):
                s = scores_of(block, seen, i, OVER_ROWS, h, q, k, inputs)
                gu = products_of(block, seen, i, OVER_ROWS, h, grad, v, inputs.value_edge)
                p = shares_of(s, stats[i, h, 0]) * stats[i, h, 1]
                m = factors_of(inputs.dropout, load(block.number, (0,)), h, q.dtype)
                ds = choose(s == -np.inf, 0, p * (m * gu - stats[i, h, 2]))
                add_query_grads(grad_q, grad_weight, i, h, block, count, s, ds, q, k, inputs)
                if grad_bias.size > 0:
                    set_numbers(grad_bias, block, count, h, ds)
                if grad_edge is not None and grad_edge.size > 0:
                    set_edge_grads(grad_edge, i, h, block, count, s, ds, m * p, q, k, grad, inputs)


@numba_kernel
def grad_kv_rows(
    begin, end, ptr, idx, edge_id, inputs, q, k, v, grad, grad_k, grad_v, stats, block
):
    """∂v_j = Σ_e m_e p_e g_i and ∂k_j = Σ_e ∂s_e ∂t, over the transpose."""
    for j in range(begin, end):
        grad_k[j] = 0
        grad_v[j] = 0
        last = ptr[j + 1] + inputs.numbers.loops
        for t in range(ptr[j], last, LANES):
            count = min(LANES, last - t)
            seen = enter(block, t, count, j, ptr, idx, edge_id, inputs.numbers)
            for ahead in range(t + AHEAD, t + AHEAD + count):
                send_for(ahead, idx, q)
                send_for(ahead, idx, grad)
                send_for(ahead, idx, stats)
                send_for(ahead, edge_id, inputs.edge)
                send_for(ahead, edge_id, inputs.bias)
            sum_terms(block, count, j, OVER_COLUMNS, q, k, inputs)
            multiply(block, count, j, OVER_COLUMNS, grad, v, inputs.value_edge)
            for h in range(q.shape[1]):
                s = scores_of(block, seen, j, OVER_COLUMNS, h, q, k, inputs)
                gu = products_of(block, seen, j, OVER_COLUMNS, h, grad, v, inputs.value_edge)
                i = load(block.node, (0,))
                p = shares_of(s, gather(stats, i, (h, 0), seen)) * gather(stats, i, (h, 1), seen)
                m = factors_of(inputs.dropout, load(block.number, (0,)), h, q.dtype)
                ds = choose(s == -np.inf, 0, p * (m * gu - gather(stats, i, (h, 2), seen)))
                add_mixed(grad_v, j, h, block, count, s, m * p, grad, None)
                add_key_grads(grad_k, j, h, block, count, s, ds, q, k, inputs)
