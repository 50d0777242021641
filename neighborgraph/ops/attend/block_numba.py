"""What attend's CPU kernels do with a block of up to LANES edges of one row.

Two layouts, which arrays say by their number of axes. Of features [n, H, D] lanes hold channels,
and edges follow one another. Of features [n, H], which stand for D = 1, lanes hold edges.

``over`` says which end of an edge its row is. A row of the graph is a receiver i, the other end the
sender j; a row of the transpose is a sender.
"""

from typing import Any, NamedTuple

import numpy as np

from neighborgraph.jit.numba_inline import inlined, prefetch
from neighborgraph.jit.numba_lanes import (
    LANES,
    as_int64,
    choose,
    exp,
    first,
    gather,
    largest_number,
    load,
    put,
    spread,
    store,
    total_of,
)
from neighborgraph.ops.philox_numba import word

OVER_ROWS, OVER_COLUMNS = None, 0
LINE = 64
"""Bytes of a cache line."""


class Block(NamedTuple):
    """Numbers of a block that pass from one loop over its edges to another, or are read singly.

    Attributes:
        largest: Largest score of a row [H].
        sum: Of exponentials relative to it [H].
        node: Other ends, int64 [LANES].
        number: Edge numbers, int64 [LANES].
        total: Sums of the terms of scores [H, LANES].
        product: <g_i, u_e> [H, LANES].
        score: [LANES] of one head.
        share: [LANES] of one head, what edges are weighted with.
        slope: [LANES] of one head, ∂s times the scale.
    """

    largest: Any
    sum: Any
    node: Any
    number: Any
    total: Any
    product: Any
    score: Any
    share: Any
    slope: Any


def new_block(heads: int, dtype: np.dtype) -> Block:
    """Space for a block."""
    names = Block._fields
    shapes = {"largest": heads, "sum": heads, "total": (heads, LANES), "product": (heads, LANES)}
    integers = "node", "number"
    return Block(
        *(np.empty(shapes.get(n, LANES), np.int64 if n in integers else dtype) for n in names)
    )


@inlined
def enter(block, t, count, row, ptr, idx, edge_id, numbers):
    """Note the edges from position t on; a mask of those that count.

    A self-loop is behind its row's edges, and masks those of the graph.
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
def add_terms(block, count, row, over, q, k, weight, edge, numbers):
    """Where lanes hold channels: sum the terms of every score."""
    if q.ndim == 3:
        for b in range(count):
            i, j = ends(row, block.node[b], over)
            for h in range(q.shape[1]):
                parts = terms(i, j, h, block.number[b], q, k, weight, edge, numbers)
                block.total[h, b] = total_of(parts)


@inlined
def multiply(block, count, row, over, grad, v, value_edge):
    """Where lanes hold channels: <g_i, u_e> of every edge and head."""
    if v.ndim == 3:
        for b in range(count):
            i, j = ends(row, block.node[b], over)
            for h in range(v.shape[1]):
                block.product[h, b] = product(grad, i, v, value_edge, j, block.number[b], h)


@inlined
def scores_of(block, seen, row, over, h, q, k, weight, bias, edge, numbers):
    """Scores s_e of a head with their biases, -inf where an edge does not count."""
    node, number = load(block.node, (0,)), load(block.number, (0,))
    if q.ndim == 2:
        i, j = ends(row, node, over)
        x = joined_alone(k, edge, j, number, h, seen)
        total = term(weight, numbers, h, 0, gather(q, i, (h,), seen), x)
    else:
        total = load(block.total, (h, 0))
    s = scaled(weight, numbers, total)
    if bias.size > 0:
        s = s + gather(bias, number, (h,), seen)
    return choose(seen, s, -np.inf)


@inlined
def terms(i, j, h, e, q, k, weight, edge, numbers):
    """Terms of one score, whose sum is over all lanes."""
    total = spread(q.dtype.type(0))
    for d in range(0, q.shape[2], LANES):
        x = joined(k, edge, j, e, h, d)
        total = total + term(weight, numbers, h, d, load(q, (i, h, d)), x)
    return total


@inlined
def products_of(block, seen, row, over, h, grad, v, value_edge):
    """<g_i, u_e> of a head; anything where an edge is masked."""
    if v.ndim == 2:
        node, number = load(block.node, (0,)), load(block.number, (0,))
        i, j = ends(row, node, over)
        return gather(grad, i, (h,), seen) * joined_alone(v, value_edge, j, number, h, seen)
    return load(block.product, (h, 0))


@inlined
def product(grad, i, nodes, edges, j, e, h):
    """<g_i, u> of a head."""
    if grad.ndim == 2:
        return grad[i, h] * nodes[j, h]
    total = spread(grad.dtype.type(0))
    for d in range(0, grad.shape[2], LANES):
        total = total + load(grad, (i, h, d)) * joined(nodes, edges, j, e, h, d)
    return total_of(total)


@inlined
def add_mixed(out, row, h, block, count, s, share, nodes, edges):
    """Add Σ_e share_e u_e to a row; of a masked edge u, even NaN, is not read."""
    if out.ndim == 2:
        seen = s != -np.inf
        u = joined_alone(nodes, edges, load(block.node, (0,)), load(block.number, (0,)), h, seen)
        out[row, h] += total_of(choose(seen, share * u, 0))
    else:
        store(block.score, (0,), s)
        store(block.share, (0,), share)
        for d in range(0, out.shape[2], LANES):
            total = load(out, (row, h, d))
            for b in range(count):
                if block.score[b] != -np.inf:
                    u = joined(nodes, edges, block.node[b], block.number[b], h, d)
                    total = total + block.share[b] * u
            store(out, (row, h, d), total)


@inlined
def add_query_grads(
    grad_q, grad_weight, i, h, block, count, s, ds, q, k, weight, edge, numbers
):  # fmt: skip
    """Add Σ_e ∂s_e ∂t to a row, and its share of the gradient of the additive weight."""
    step = scaled(weight, numbers, ds)
    if q.ndim == 2:
        seen = s != -np.inf
        x = joined_alone(k, edge, load(block.node, (0,)), load(block.number, (0,)), h, seen)
        query = spread(q[i, h])
        slope = step * term_slope(weight, numbers, h, 0, query, x)
        grad_q[i, h] += total_of(choose(seen, slope, 0))
        if grad_weight is not None:
            grad_weight[i, h] += total_of(choose(seen, ds * leaky(query + x, numbers), 0))
    else:
        store(block.score, (0,), s)
        store(block.share, (0,), step)
        for d in range(0, q.shape[2], LANES):
            query = load(q, (i, h, d))
            total = load(grad_q, (i, h, d))
            if grad_weight is not None:
                total_weight = load(grad_weight, (i, h, d))
            for b in range(count):
                if block.score[b] != -np.inf:
                    x = joined(k, edge, block.node[b], block.number[b], h, d)
                    total = total + block.share[b] * term_slope(weight, numbers, h, d, query, x)
                    if grad_weight is not None:
                        total_weight = total_weight + block.share[b] * leaky(query + x, numbers)
            store(grad_q, (i, h, d), total)
            if grad_weight is not None:
                store(grad_weight, (i, h, d), total_weight)


@inlined
def add_key_grads(grad_k, j, h, block, count, s, ds, q, k, weight, edge, numbers):
    """Add Σ_e ∂s_e ∂t to a row of the transpose."""
    step = scaled(weight, numbers, ds)
    if q.ndim == 2:
        seen, node, number = s != -np.inf, load(block.node, (0,)), load(block.number, (0,))
        x = joined_alone(k, edge, j, number, h, seen)
        query = gather(q, node, (h,), seen)
        slope = step * term_slope(weight, numbers, h, 0, x, query)
        grad_k[j, h] += total_of(choose(seen, slope, 0))
    else:
        store(block.score, (0,), s)
        store(block.share, (0,), step)
        for d in range(0, q.shape[2], LANES):
            total = load(grad_k, (j, h, d))
            for b in range(count):
                if block.score[b] != -np.inf:
                    x = joined(k, edge, j, block.number[b], h, d)
                    query = load(q, (block.node[b], h, d))
                    total = total + block.share[b] * term_slope(weight, numbers, h, d, x, query)
            store(grad_k, (j, h, d), total)


@inlined
def set_edge_grads(
    grad_edge, i, h, block, count, s, ds, share, q, k, grad, weight, edge, value_edge, numbers
):  # fmt: skip
    """∂a_e of each edge: what its key gets, and what its value gets where it has that part too."""
    step = scaled(weight, numbers, ds)
    if q.ndim == 2:
        seen, number = s != -np.inf, load(block.number, (0,))
        x = joined_alone(k, edge, load(block.node, (0,)), number, h, seen)
        slope = step * term_slope(weight, numbers, h, 0, x, spread(q[i, h]))
        if value_edge is not None:
            slope = slope + share * grad[i, h]
        set_numbers(grad_edge, block, count, h, choose(seen, slope, 0))
    else:
        store(block.score, (0,), s)
        store(block.slope, (0,), step)
        store(block.share, (0,), share)
        for d in range(0, q.shape[2], LANES):
            query = load(q, (i, h, d))
            for b in range(count):
                slope = spread(q.dtype.type(0))
                if block.score[b] != -np.inf:
                    x = joined(k, edge, block.node[b], block.number[b], h, d)
                    slope = block.slope[b] * term_slope(weight, numbers, h, d, x, query)
                    if value_edge is not None:
                        slope = slope + block.share[b] * load(grad, (i, h, d))
                store(grad_edge, (block.number[b], h, d), slope)


@inlined
def set_numbers(out, block, count, h, lanes):
    """A number for each edge and this head."""
    store(block.share, (0,), lanes)
    for b in range(count):
        out[block.number[b], h] = block.share[b]


@inlined
def rescale(out, i, h, factor):
    """Multiply a head's channels."""
    if out.ndim == 2:
        out[i, h] *= factor
    else:
        for d in range(0, out.shape[2], LANES):
            store(out, (i, h, d), load(out, (i, h, d)) * factor)


@inlined
def largest_of(s):
    """The largest score; NaN does not count."""
    return largest_number(choose(s == s, s, -np.inf))


@inlined
def fading(old, new):
    """What sums relative to one score are multiplied with to be relative to another."""
    return largest_number(exp(spread(old - new)))


@inlined
def settled(total, top):
    """A row's sum: two scores of +inf make it NaN."""
    return total - np.float32(np.nan) if top == np.inf and total > 1 else total


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
def joined_alone(nodes, edges, j, e, h, seen):
    """The only channel of many neighbours, likewise."""
    x = gather(nodes, j, (h,), seen)
    return x if edges is None else x + gather(edges, e, (h,), seen)


@inlined
def term(weight, numbers, h, d, query, key):
    """Channels' parts t(q, x) of a score."""
    if weight is None:
        return query * key
    return weight_of(weight, h, d) * leaky(query + key, numbers)


@inlined
def term_slope(weight, numbers, h, d, a, b):
    """The derivative in a of t(a, b), which is symmetric."""
    if weight is None:
        return b
    w = weight_of(weight, h, d)
    return choose(a + b > 0, w, w * numbers.factor)


@inlined
def weight_of(weight, h, d):
    """Channels of the additive weight."""
    return spread(weight[h]) if weight.ndim == 1 else load(weight, (h, d))


@inlined
def scaled(weight, numbers, x):
    """A score from the sum of its terms, and the slope of those from that of the score."""
    return x * numbers.factor if weight is None else x


@inlined
def leaky(x, numbers):
    """Leaky ReLU."""
    return choose(x > 0, x, x * numbers.factor)
