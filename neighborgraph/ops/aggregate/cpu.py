"""aggregate on the CPU: numba loops over rows, features accumulated in float32 or float64.

16-bit features are widened once per call, node by node, never edge by edge. The loops see features
as [nodes, H, D] and an absent factor as an array of size zero. Weights [e] say by their number of
axes that there is one head, and winners of one axis that there are none: numba compiles the other
branch away, where a test at each edge would cost a tenth of the time. Sums and maxima keep LANES
features of a row in registers and visit its edges for each such part: by then the cache has them.
"""

import numba
import numpy as np
import torch
from torch import Tensor

from neighborgraph.jit.numba_inline import prefetch
from neighborgraph.jit.numba_kernel import numba_kernel, run_rows
from neighborgraph.jit.numba_lanes import LANES, choose, load, spread, store
from neighborgraph.ops.arrays import empty, factors, wide
from neighborgraph.ops.registration import accumulation_dtype, as_rows

# Edges between the one at hand and the one whose features are sent for.
AHEAD = 16
LINE = 64
"""Bytes of a cache line."""


def aggregate_sum(csr, x, weight, row_scale, col_scale, winner, add, add_scale) -> Tensor:
    """out_i = r_i Σ_e w_e c_j x_j + s a_i over the features edge e won, or all without winner."""
    rows, heads = as_rows(csr), heads_of(weight)
    out = empty(rows.num_rows, x.shape[1], dtype=accumulation_dtype(x.dtype))
    run_rows(
        sum_rows,
        rows.ptr.numpy(),
        rows.idx.numpy(),
        rows.edge_id.numpy(),
        by_head(wide(x), heads),
        *message_factors(x, weight, col_scale),
        winners(winner, heads),
        *epilogue(x, row_scale, add, add_scale, heads),
        by_head(out.numpy(), heads),
    )
    return out.to(x.dtype)


def aggregate_max(csr, x, weight, row_scale, col_scale, add, add_scale) -> tuple[Tensor, Tensor]:
    """out_i = r_i max_e w_e c_j x_j + s a_i and the edge ids that won."""
    rows, heads = as_rows(csr), heads_of(weight)
    out = x.new_zeros(rows.num_rows, x.shape[1], dtype=accumulation_dtype(x.dtype))
    winner = torch.full(out.shape, -1, dtype=torch.int32)
    run_rows(
        max_rows,
        rows.ptr.numpy(),
        rows.idx.numpy(),
        rows.edge_id.numpy(),
        by_head(wide(x), heads),
        *message_factors(x, weight, col_scale),
        *epilogue(x, row_scale, add, add_scale, heads),
        by_head(out.numpy(), heads),
        by_head(winner.numpy(), heads),
    )
    return out.to(x.dtype), winner


def aggregate_weight_grad(csr, grad, x, row_scale, col_scale, winner, heads) -> Tensor:
    """dw_eh = r_i c_j <g_ih, x_jh> over the features that edge e won, or all without winner."""
    rows = as_rows(csr)
    out = x.new_zeros(rows.idx.shape[0], heads, dtype=accumulation_dtype(x.dtype))
    run_rows(
        weight_grad_rows,
        rows.ptr.numpy(),
        rows.idx.numpy(),
        rows.edge_id.numpy(),
        by_head(wide(grad), heads),
        by_head(wide(x), heads),
        *factors(x, row_scale, col_scale),
        winners(winner, heads),
        (out.view(-1) if heads == 1 else out).numpy(),
    )
    return out


def heads_of(weight: Tensor | None) -> int:
    """H of weights [e, H]."""
    return 1 if weight is None else weight.shape[1]


def by_head(features: np.ndarray, heads: int) -> np.ndarray:
    """[nodes, F] as [nodes, H, D]."""
    return features.reshape(len(features), heads, features.shape[1] // max(heads, 1))


def winners(winner: Tensor | None, heads: int) -> np.ndarray:
    """Edge ids that won, [nodes, H, D], or one axis when all features take part."""
    return np.empty(0, np.int32) if winner is None else by_head(winner.contiguous().numpy(), heads)


def message_factors(x: Tensor, weight: Tensor | None, col_scale: Tensor | None) -> list[np.ndarray]:
    """Weights, [e] for one head and [e, H] for more, and column scales."""
    if weight is not None and weight.shape[1] == 1:
        weight = weight.squeeze(1)
    return factors(x, weight, col_scale)


def epilogue(
    x: Tensor, row_scale: Tensor | None, add: Tensor | None, add_scale: float, heads: int
) -> tuple[np.ndarray, np.ndarray, np.floating]:
    """Row scales, rows to add, and their scale, as the loops take them."""
    (scale,) = factors(x, row_scale)
    added = wide(x.new_empty(0, 0) if add is None else add)
    return scale, by_head(added, heads), added.dtype.type(add_scale)


@numba.njit(inline="always")
def finished(lanes, i, h, f, empty, row_scale, add, add_scale):
    """Scaled, and added to; an empty row keeps its zeros, whatever its scale."""
    if row_scale.size > 0 and not empty:
        lanes = lanes * row_scale[i]
    if add.size > 0:
        lanes = lanes + add_scale * load(add, (i, h, f))
    return lanes


@numba.njit(inline="always")
def ask_ahead(i, ptr, idx, x):
    """Send for the features that the edges AHEAD of those of row i read."""
    for t in range(ptr[i] + AHEAD, min(ptr[i + 1] + AHEAD, idx.size)):
        for byte in range(0, x.strides[0], LINE):
            prefetch(x, np.int64(idx[t]), byte)


@numba_kernel
def sum_rows(
    begin,
    end,
    ptr,
    idx,
    edge_id,
    x,
    weight,
    col_scale,
    winner,
    row_scale,
    add,
    add_scale,
    out,
):
    """Every edge of a row adds its scaled features, those it won where there is a winner."""
    heads = 1 if weight.ndim == 1 else x.shape[1]
    for i in range(begin, end):
        ask_ahead(i, ptr, idx, x)
        for h in range(heads):
            for f in range(0, x.shape[2], LANES):
                total = spread(x.dtype.type(0))
                for t in range(ptr[i], ptr[i + 1]):
                    j = np.int64(idx[t])
                    factor = x.dtype.type(1)
                    if weight.size > 0:
                        factor *= weight[edge_id[t]] if weight.ndim == 1 else weight[edge_id[t], h]
                    if col_scale.size > 0:
                        factor *= col_scale[j]
                    message = factor * load(x, (j, h, f))
                    if winner.ndim == 3:
                        won = load(winner, (j, h, f)) == edge_id[t]
                        message = choose(won, message, 0)
                    total = total + message
                empty = ptr[i] == ptr[i + 1]
                total = finished(total, i, h, f, empty, row_scale, add, add_scale)
                store(out, (i, h, f), total)


@numba_kernel
def max_rows(
    begin,
    end,
    ptr,
    idx,
    edge_id,
    x,
    weight,
    col_scale,
    row_scale,
    add,
    add_scale,
    out,
    winner,
):
    """The largest scaled features, of equal ones that of the lowest edge id; NaN is the largest."""
    heads = 1 if weight.ndim == 1 else x.shape[1]
    for i in range(begin, end):
        ask_ahead(i, ptr, idx, x)
        for h in range(heads):
            for f in range(0, x.shape[2], LANES):
                best, won = spread(x.dtype.type(0)), spread(np.int32(-1))
                for t in range(ptr[i], ptr[i + 1]):
                    j = np.int64(idx[t])
                    factor = x.dtype.type(1)
                    if weight.size > 0:
                        factor *= weight[edge_id[t]] if weight.ndim == 1 else weight[edge_id[t], h]
                    if col_scale.size > 0:
                        factor *= col_scale[j]
                    message = factor * load(x, (j, h, f))
                    is_nan, was_nan = message != message, best != best
                    is_tie = (message == best) | (is_nan & was_nan)
                    is_better = (message > best) | (is_nan & (best == best))
                    takes = is_better | (is_tie & (won > edge_id[t]))
                    # The first one wins over the zeros of an empty row.
                    takes = takes | (won == np.int32(-1))
                    best, won = choose(takes, message, best), choose(takes, edge_id[t], won)
                empty = ptr[i] == ptr[i + 1]
                best = finished(best, i, h, f, empty, row_scale, add, add_scale)
                store(out, (i, h, f), best)
                store(winner, (i, h, f), won)


@numba_kernel
def weight_grad_rows(begin, end, ptr, idx, edge_id, grad, x, row_scale, col_scale, winner, out):
    """One inner product an edge and head."""
    width = x.shape[2]
    heads = 1 if out.ndim == 1 else x.shape[1]
    for i in range(begin, end):
        for t in range(ptr[i], ptr[i + 1]):
            j = idx[t]
            edge = edge_id[t]
            for h in range(heads):
                total = x.dtype.type(0)
                if winner.ndim == 3:
                    for f in range(width):
                        if winner[i, h, f] == edge:
                            total += grad[i, h, f] * x[j, h, f]
                else:
                    for f in range(width):
                        total += grad[i, h, f] * x[j, h, f]
                if row_scale.size > 0:
                    total *= row_scale[i]
                if col_scale.size > 0:
                    total *= col_scale[j]
                if out.ndim == 1:
                    out[edge] = total
                else:
                    out[edge, h] = total
