"""What attend's CPU kernels do with a block: up to LANES edges of one row.

There are two layouts, which arrays say by their number of axes. Of features [n, H, D] lanes hold
channels, and edges follow one another. Of features [n, H], which stand for D = 1, lanes hold edges.

A block is summed by itself and then added to its row, which keeps the rounding of long rows small.

``over`` says which end of an edge its row is: the receiver i in a row of the graph, the sender j in
a row of its transpose.
"""

from typing import Any, NamedTuple

import numpy as np

from neighborgraph.jit.numba_inline import inlined, prefetch
from neighborgraph.jit.numba_lanes import (
    LANES,
    as_int64,
    choose,
    first,
    gather,
    load,
    put,
    spread,
    store,
    total_of,
)
from neighborgraph.ops.attend.score_numba import leaky, scaled, term, term_slope

OVER_ROWS, OVER_COLUMNS = None, 0
LINE = 64
"""Bytes of a cache line."""


class Block(NamedTuple):
    """What outlives a loop over the edges of a block, or is read edge by edge.

    Attributes:
        top: Largest score of the row so far [H].
        total: Sum of exponentials relative to it [H].
        node: Other ends, int64 [LANES].
        number: Edge numbers, int64 [LANES].
        terms: Sums of the terms of scores [H, LANES].
        product: <g_i, u_e> [H, LANES].
        score: Of one head [LANES].
        share: What edges are weighted with, of one head [LANES].
        slope: What their terms' slopes are weighted with, of one head [LANES].
    """

    top: Any
    total: Any
    node: Any
    number: Any
    terms: Any
    product: Any
    score: Any
    share: Any
    slope: Any


def new_block(heads: int, dtype: np.dtype) -> Block:
    """Space for a block."""
    top, total = np.empty((2, heads), dtype)
    node, number = np.empty((2, LANES), np.int64)
    terms, product = np.empty((2, heads, LANES), dtype)
    return Block(top, total, node, number, terms, product, *np.empty((3, LANES), dtype))


@inlined
def enter(block, t, count, row, ptr, idx, edge_id, numbers):
    """Note the edges from position t on; a mask of those that count.

    A self-loop is behind its row's edges, and masks the loops among them.
    """
    node, number = as_int64(load(idx, (t,))), as_int64(load(edge_id, (t,)))
    seen = first(count)
    if numbers.loops > 0:
        if t + count > ptr[row + 1]:
            node = put(node, count - 1, row)
            number = put(number, count - 1, idx.size + row)
        seen = seen & ((node != row) | (number >= numbers.first_loop))
    store(block.node, (0,), node)
    store(block.number, (0,), number)
    return seen


@inlined
def send_for(t, places, features):
    """Start to load what will be gathered at position t."""
    if features is not None and features.size > 0 and t < places.size:
        for byte in range(0, features.strides[0], LINE):
            prefetch(features, np.int64(places[t]), byte)


@inlined
def ends(row, node, over):
    """Receiver and sender."""
    return (row, node) if over is OVER_ROWS else (node, row)


@inlined
def sum_terms(block, count, row, over, q, k, inputs):
    """The sums of the terms of all scores, where lanes hold channels."""
    if q.ndim == 3:
        for b in range(count):
            i, j = ends(row, block.node[b], over)
            for h in range(q.shape[1]):
                block.terms[h, b] = sum_of_terms(i, j, block.number[b], h, q, k, inputs)


@inlined
def sum_of_terms(i, j, e, h, q, k, inputs):
    """Σ_d t(q_id, x_ed) of a head."""
    total = spread(q.dtype.type(0))
    for d in range(0, q.shape[2], LANES):
        x = joined(k, j, inputs.edge, e, h, d)
        total = total + term(inputs.weight, inputs.numbers, h, d, load(q, (i, h, d)), x)
    return total_of(total)


@inlined
def scores_of(block, seen, row, over, h, q, k, inputs):
    """Scores s_e of a head with their biases, -inf where an edge does not count."""
    number = load(block.number, (0,))
    if q.ndim == 3:
        terms = load(block.terms, (h, 0))
    else:
        i, j = ends(row, load(block.node, (0,)), over)
        x = joined_alone(k, j, inputs.edge, number, h, seen)
        terms = term(inputs.weight, inputs.numbers, h, 0, gather(q, i, (h,), seen), x)
    s = scaled(inputs.weight, inputs.numbers, terms)
    if inputs.bias.size > 0:
        s = s + gather(inputs.bias, number, (h,), seen)
    return choose(seen, s, -np.inf)


@inlined
def multiply(block, count, row, over, grad, v, value_edge):
    """<g_i, u_e> of all edges and heads, where lanes hold channels."""
    if v.ndim == 3:
        for b in range(count):
            i, j = ends(row, block.node[b], over)
            for h in range(v.shape[1]):
                block.product[h, b] = product(grad, i, v, j, value_edge, block.number[b], h)


@inlined
def product(grad, i, nodes, j, edges, e, h):
    """<g_i, u> of a head."""
    if grad.ndim == 2:
        return grad[i, h] * nodes[j, h]
    total = spread(grad.dtype.type(0))
    for d in range(0, grad.shape[2], LANES):
        total = total + load(grad, (i, h, d)) * joined(nodes, j, edges, e, h, d)
    return total_of(total)


@inlined
def products_of(block, seen, row, over, h, grad, v, value_edge):
    """<g_i, u_e> of a head; anything where an edge is masked."""
    if v.ndim == 3:
        return load(block.product, (h, 0))
    i, j = ends(row, load(block.node, (0,)), over)
    u = joined_alone(v, j, value_edge, load(block.number, (0,)), h, seen)
    return gather(grad, i, (h,), seen) * u


@inlined
def add_mixed(out, row, h, block, count, s, share, nodes, edges):
    """Add Σ_e share_e u_e to a row; of a masked edge u, even NaN, has no part in it."""
    if out.ndim == 3:
        store(block.score, (0,), s)
        store(block.share, (0,), share)
        for d in range(0, out.shape[2], LANES):
            total = spread(out.dtype.type(0))
            for b in range(count):
                if block.score[b] != -np.inf:
                    u = joined(nodes, block.node[b], edges, block.number[b], h, d)
                    total = total + block.share[b] * u
            store(out, (row, h, d), load(out, (row, h, d)) + total)
    else:
        seen = s != -np.inf
        u = joined_alone(nodes, load(block.node, (0,)), edges, load(block.number, (0,)), h, seen)
        out[row, h] += total_of(share * u)  # of a masked edge, both are zero


@inlined
def rescale(out, i, h, factor):
    """Multiply the channels of a head."""
    if out.ndim == 3:
        for d in range(0, out.shape[2], LANES):
            store(out, (i, h, d), load(out, (i, h, d)) * factor)
    else:
        out[i, h] *= factor


@inlined
def add_query_grads(grad_q, grad_weight, i, h, block, count, s, ds, q, k, inputs):
    """Add Σ_e ∂s_e ∂t to a row, and its share of the gradient of the additive weight."""
    weight, numbers = inputs.weight, inputs.numbers
    if q.ndim == 3:
        store(block.score, (0,), s)
        store(block.slope, (0,), scaled(weight, numbers, ds))
        for d in range(0, q.shape[2], LANES):
            query = load(q, (i, h, d))
            total = total_weight = spread(q.dtype.type(0))
            for b in range(count):
                if block.score[b] != -np.inf:
                    x = joined(k, block.node[b], inputs.edge, block.number[b], h, d)
                    total = total + block.slope[b] * term_slope(weight, numbers, h, d, query, x)
                    if grad_weight is not None:
                        total_weight = total_weight + block.slope[b] * leaky(query + x, numbers)
            store(grad_q, (i, h, d), load(grad_q, (i, h, d)) + total)
            if grad_weight is not None:
                store(grad_weight, (i, h, d), load(grad_weight, (i, h, d)) + total_weight)
    else:
        seen, query = s != -np.inf, spread(q[i, h])
        node, number = load(block.node, (0,)), load(block.number, (0,))
        x = joined_alone(k, node, inputs.edge, number, h, seen)
        slope = scaled(weight, numbers, ds) * term_slope(weight, numbers, h, 0, query, x)
        grad_q[i, h] += total_of(choose(seen, slope, 0))
        if grad_weight is not None:
            grad_weight[i, h] += total_of(choose(seen, ds * leaky(query + x, numbers), 0))


@inlined
def add_key_grads(grad_k, j, h, block, count, s, ds, q, k, inputs):
    """Add Σ_e ∂s_e ∂t to a row of the transpose."""
    weight, numbers = inputs.weight, inputs.numbers
    if q.ndim == 3:
        store(block.score, (0,), s)
        store(block.slope, (0,), scaled(weight, numbers, ds))
        for d in range(0, q.shape[2], LANES):
            total = spread(q.dtype.type(0))
            for b in range(count):
                if block.score[b] != -np.inf:
                    x = joined(k, j, inputs.edge, block.number[b], h, d)
                    query = load(q, (block.node[b], h, d))
                    total = total + block.slope[b] * term_slope(weight, numbers, h, d, x, query)
            store(grad_k, (j, h, d), load(grad_k, (j, h, d)) + total)
    else:
        seen = s != -np.inf
        x = joined_alone(k, j, inputs.edge, load(block.number, (0,)), h, seen)
        query = gather(q, load(block.node, (0,)), (h,), seen)
        slope = scaled(weight, numbers, ds) * term_slope(weight, numbers, h, 0, x, query)
        grad_k[j, h] += total_of(choose(seen, slope, 0))


@inlined
def set_edge_grads(grad_edge, i, h, block, count, s, ds, share, q, k, grad, inputs):
    """∂a_e of each edge: that of its key, and that of its value where it joins values too."""
    weight, numbers = inputs.weight, inputs.numbers
    if q.ndim == 3:
        store(block.score, (0,), s)
        store(block.slope, (0,), scaled(weight, numbers, ds))
        store(block.share, (0,), share)
        for d in range(0, q.shape[2], LANES):
            query = load(q, (i, h, d))
            for b in range(count):
                slope = spread(q.dtype.type(0))
                if block.score[b] != -np.inf:
                    x = joined(k, block.node[b], inputs.edge, block.number[b], h, d)
                    slope = block.slope[b] * term_slope(weight, numbers, h, d, x, query)
                    slope = with_value_slope(
                        slope, inputs.value_edge, block.share[b], grad, i, h, d
                    )
                store(grad_edge, (block.number[b], h, d), slope)
    else:
        seen, number = s != -np.inf, load(block.number, (0,))
        x = joined_alone(k, load(block.node, (0,)), inputs.edge, number, h, seen)
        query = spread(q[i, h])
        slope = scaled(weight, numbers, ds) * term_slope(weight, numbers, h, 0, x, query)
        slope = with_value_slope(slope, inputs.value_edge, share, grad, i, h, 0)
        set_numbers(grad_edge, block, count, h, choose(seen, slope, 0))


@inlined
def with_value_slope(slope, value_edge, share, grad, i, h, d):
    """The gradient of an edge vector's key, and of its value if it has one."""
    if value_edge is None:
        return slope
    return slope + share * (spread(grad[i, h]) if grad.ndim == 2 else load(grad, (i, h, d)))


@inlined
def set_numbers(out, block, count, h, lanes):
    """A number for each edge and this head."""
    store(block.share, (0,), lanes)
    for b in range(count):
        out[block.number[b], h] = block.share[b]


@inlined
def joined(nodes, j, edges, e, h, d):
    """Channels of a neighbour's key or value, with those of the edge vector where there is one."""
    x = load(nodes, (j, h, d))
    return x if edges is None else x + load(edges, (e, h, d))


@inlined
def joined_alone(nodes, j, edges, e, h, seen):
    """The only channel of many neighbours, likewise."""
    x = gather(nodes, j, (h,), seen)
    return x if edges is None else x + gather(edges, e, (h,), seen)
