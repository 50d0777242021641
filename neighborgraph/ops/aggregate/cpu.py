"""aggregate on the CPU: numba loops over rows, features accumulated in float32 or float64.

16-bit features are widened once per call, node by node, never edge by edge. An absent factor is an
array of size zero. A sum clears its output row by row, just before it adds to it: the row is then
in the cache, and the threads share the cost of fresh pages.
"""

import torch
from torch import Tensor

from neighborgraph.jit.numba_kernel import numba_kernel, run_rows
from neighborgraph.ops.arrays import factors, wide
from neighborgraph.ops.registration import accumulation_dtype, as_rows


def aggregate_sum(csr, x, weight, row_scale, col_scale, winner) -> Tensor:
    """out_i = r_i Σ_e w_e c_j x_j over the features that edge e won, or all without winner."""
    rows = as_rows(csr)
    out = x.new_empty(rows.num_rows, x.shape[1], dtype=accumulation_dtype(x.dtype))
    run_rows(
        sum_rows if winner is None else sum_won_rows,
        rows.ptr.numpy(),
        rows.idx.numpy(),
        rows.edge_id.numpy(),
        wide(x),
        *factors(x, weight, row_scale, col_scale),
        *(() if winner is None else (winner.numpy(),)),
        out.numpy(),
    )
    return out.to(x.dtype)


def aggregate_max(csr, x, weight, row_scale, col_scale) -> tuple[Tensor, Tensor]:
    """out_i = r_i max_e w_e c_j x_j and the edge ids that won."""
    rows = as_rows(csr)
    out = x.new_zeros(rows.num_rows, x.shape[1], dtype=accumulation_dtype(x.dtype))
    winner = torch.full(out.shape, -1, dtype=torch.int32)
    run_rows(
        max_rows,
        rows.ptr.numpy(),
        rows.idx.numpy(),
        rows.edge_id.numpy(),
        wide(x),
        *factors(x, weight, row_scale, col_scale),
        out.numpy(),
        winner.numpy(),
    )
    return out.to(x.dtype), winner


def aggregate_weight_grad(csr, grad, x, row_scale, col_scale, winner) -> Tensor:
    """dw_e = r_i c_j <g_i, x_j> over the features that edge e won, or all without winner."""
    rows = as_rows(csr)
    out = x.new_zeros(rows.idx.shape[0], dtype=accumulation_dtype(x.dtype))
    _, row_scale, col_scale = factors(x, None, row_scale, col_scale)
    if winner is None:
        winner = torch.empty(0, 0, dtype=torch.int32)
    run_rows(
        weight_grad_rows,
        rows.ptr.numpy(),
        rows.idx.numpy(),
        rows.edge_id.numpy(),
        wide(grad),
        wide(x),
        row_scale,
        col_scale,
        winner.numpy(),
        out.numpy(),
    )
    return out


@numba_kernel
def sum_rows(begin, end, ptr, idx, edge_id, x, weight, row_scale, col_scale, out):
    """Every edge of a row adds its scaled feature row."""
    width = x.shape[1]
    for i in range(begin, end):
        out[i] = 0
        for t in range(ptr[i], ptr[i + 1]):
            j = idx[t]
            factor = x.dtype.type(1)
            if weight.size > 0:
                factor *= weight[edge_id[t]]
            if col_scale.size > 0:
                factor *= col_scale[j]
            for f in range(width):
                out[i, f] += factor * x[j, f]
        if row_scale.size > 0:
            for f in range(width):
                out[i, f] *= row_scale[i]


@numba_kernel
def sum_won_rows(begin, end, ptr, idx, edge_id, x, weight, row_scale, col_scale, winner, out):
    """Like sum_rows, but a feature counts only where its edge is the recorded winner."""
    width = x.shape[1]
    for i in range(begin, end):
        out[i] = 0
        for t in range(ptr[i], ptr[i + 1]):
            j = idx[t]
            edge = edge_id[t]
            factor = x.dtype.type(1)
            if weight.size > 0:
                factor *= weight[edge]
            if col_scale.size > 0:
                factor *= col_scale[j]
            for f in range(width):
                if winner[j, f] == edge:
                    out[i, f] += factor * x[j, f]
        if row_scale.size > 0:
            for f in range(width):
                out[i, f] *= row_scale[i]


@numba_kernel
def max_rows(begin, end, ptr, idx, edge_id, x, weight, row_scale, col_scale, out, winner):
    """The first of the largest scaled feature rows; NaN counts as larger than everything."""
    width = x.shape[1]
    for i in range(begin, end):
        for t in range(ptr[i], ptr[i + 1]):
            j = idx[t]
            factor = x.dtype.type(1)
            if weight.size > 0:
                factor *= weight[edge_id[t]]
            if col_scale.size > 0:
                factor *= col_scale[j]
            for f in range(width):
                message = factor * x[j, f]
                best = out[i, f]
                if t == ptr[i] or message > best or (message != message and best == best):
                    out[i, f] = message
                    winner[i, f] = edge_id[t]
        if row_scale.size > 0 and ptr[i + 1] > ptr[i]:
            for f in range(width):
                out[i, f] *= row_scale[i]


@numba_kernel
def weight_grad_rows(begin, end, ptr, idx, edge_id, grad, x, row_scale, col_scale, winner, out):
    """One inner product per edge."""
    width = x.shape[1]
    for i in range(begin, end):
        for t in range(ptr[i], ptr[i + 1]):
            j = idx[t]
            edge = edge_id[t]
            total = x.dtype.type(0)
            if winner.size > 0:
                for f in range(width):
                    if winner[i, f] == edge:
                        total += grad[i, f] * x[j, f]
            else:
                for f in range(width):
                    total += grad[i, f] * x[j, f]
            if row_scale.size > 0:
                total *= row_scale[i]
            if col_scale.size > 0:
                total *= col_scale[j]
            out[edge] = total
