"""attend on the CPU: numba loops over rows, everything kept in float32 or float64.

16-bit features are widened once per call, node by node, never edge by edge. A kernel clears its
output row by row, just before it adds to it: the row is then in the cache, and the threads share
the cost of fresh pages.
"""

import math

import numpy as np
import torch
from torch import Tensor

from neighborgraph.jit.numba_kernel import numba_kernel, run_rows
from neighborgraph.ops.arrays import wide
from neighborgraph.ops.registration import accumulation_dtype, as_rows


def attend(csr, q, k, v, scale) -> tuple[Tensor, Tensor, Tensor]:
    """Output [n, H, D], natural log-sum-exp [n, H] and state [n, H, 2], in base e."""
    rows = as_rows(csr)
    out = q.new_empty(q.shape, dtype=accumulation_dtype(q.dtype))
    lse = out.new_empty(q.shape[:2])
    state = lse.new_empty(*lse.shape, 2)
    run_rows(
        attend_rows,
        rows.ptr.numpy(),
        rows.idx.numpy(),
        *(wide(t) for t in (q, k, v)),
        out.numpy().dtype.type(scale),
        *(t.numpy() for t in (out, lse, state)),
    )
    return out.to(q.dtype), lse, state


def attend_grad_q(csr, q, k, v, out, state, grad, grad_lse, scale) -> tuple[Tensor, Tensor]:
    """Gradient of q [n, H, D] and stats [n, H, 4] = (state, delta, 0)."""
    rows = as_rows(csr)
    grad_q = q.new_empty(q.shape, dtype=accumulation_dtype(q.dtype))
    stats = state.new_empty(*state.shape[:2], 4)
    run_rows(
        grad_q_rows,
        rows.ptr.numpy(),
        rows.idx.numpy(),
        *(wide(t) for t in (q, k, v, out, state, grad, grad_lse)),
        grad_q.numpy().dtype.type(scale),
        grad_q.numpy(),
        stats.numpy(),
    )
    return grad_q.to(q.dtype), stats


def attend_grad_kv(csr, q, k, v, stats, grad, scale) -> tuple[Tensor, Tensor]:
    """Gradients of k and v [m, H, D]; csr is the transpose."""
    cols = as_rows(csr)
    grad_k = k.new_empty(k.shape, dtype=accumulation_dtype(k.dtype))
    grad_v = torch.empty_like(grad_k)
    run_rows(
        grad_kv_rows,
        cols.ptr.numpy(),
        cols.idx.numpy(),
        *(wide(t) for t in (q, k, v, grad, stats)),
        grad_k.numpy().dtype.type(scale),
        grad_k.numpy(),
        grad_v.numpy(),
    )
    return grad_k.to(k.dtype), grad_v.to(k.dtype)


@numba_kernel
def attend_rows(begin, end, ptr, idx, q, k, v, scale, out, lse, state):
    """One pass over a row: sums relative to the largest score so far, rescaled when it grows."""
    heads, width = q.shape[1], q.shape[2]
    top = np.empty(heads, q.dtype)
    total = np.empty(heads, q.dtype)
    for i in range(begin, end):
        top[:] = -np.inf
        total[:] = 0
        out[i] = 0
        lse[i] = -np.inf
        state[i, :, 0] = -np.inf
        state[i, :, 1] = 0
        for t in range(ptr[i], ptr[i + 1]):
            j = idx[t]
            for h in range(heads):
                s = q.dtype.type(0)
                for d in range(width):
                    s += q[i, h, d] * k[j, h, d]
                s *= scale
                # A masked edge: its value, even NaN, is not read.
                if s == -np.inf:
                    continue
                if s > top[h]:
                    fade = math.exp(top[h] - s)
                    top[h] = s
                    total[h] = total[h] * fade + 1
                    for d in range(width):
                        out[i, h, d] = out[i, h, d] * fade + v[j, h, d]
                else:
                    # NaN for a NaN score and for a second +inf, which is what both must give.
                    share = math.exp(s - top[h])
                    total[h] += share
                    for d in range(width):
                        out[i, h, d] += share * v[j, h, d]
        for h in range(heads):
            if total[h] != 0:
                lse[i, h] = math.log(total[h]) + top[h]
                state[i, h, 0] = top[h]
                state[i, h, 1] = 1 / total[h]
                for d in range(width):
                    out[i, h, d] /= total[h]


@numba_kernel
def grad_q_rows(begin, end, ptr, idx, q, k, v, out, state, grad, grad_lse, scale, grad_q, stats):
    """δ_i = <g_i, o_i> - h_i, then ∂q_i = σ Σ_e p_e (<g_i, v_j> - δ_i) k_j."""
    heads, width = q.shape[1], q.shape[2]
    for i in range(begin, end):
        for h in range(heads):
            delta = -grad_lse[i, h]
            for d in range(width):
                delta += grad[i, h, d] * out[i, h, d]
            stats[i, h, 0] = state[i, h, 0]
            stats[i, h, 1] = state[i, h, 1]
            stats[i, h, 2] = delta
            stats[i, h, 3] = 0
        grad_q[i] = 0
        for t in range(ptr[i], ptr[i + 1]):
            j = idx[t]
            for h in range(heads):
                s = q.dtype.type(0)
                gv = q.dtype.type(0)
                for d in range(width):
                    s += q[i, h, d] * k[j, h, d]
                    gv += grad[i, h, d] * v[j, h, d]
                s *= scale
                if s == -np.inf:
                    continue
                p = math.exp(s - stats[i, h, 0]) * stats[i, h, 1]
                ds = p * (gv - stats[i, h, 2]) * scale
                for d in range(width):
                    grad_q[i, h, d] += ds * k[j, h, d]


@numba_kernel
def grad_kv_rows(begin, end, ptr, idx, q, k, v, grad, stats, scale, grad_k, grad_v):
    """∂v_j = Σ_e p_e g_i and ∂k_j = σ Σ_e p_e (<g_i, v_j> - δ_i) q_i, over the transpose."""
    heads, width = q.shape[1], q.shape[2]
    for j in range(begin, end):
        grad_k[j] = 0
        grad_v[j] = 0
        for t in range(ptr[j], ptr[j + 1]):
            i = idx[t]
            for h in range(heads):
                s = q.dtype.type(0)
                gv = q.dtype.type(0)
                for d in range(width):
                    s += q[i, h, d] * k[j, h, d]
                    gv += grad[i, h, d] * v[j, h, d]
                s *= scale
                if s == -np.inf:
                    continue
                p = math.exp(s - stats[i, h, 0]) * stats[i, h, 1]
                ds = p * (gv - stats[i, h, 2]) * scale
                for d in range(width):
                    grad_v[j, h, d] += p * grad[i, h, d]
                    grad_k[j, h, d] += ds * q[i, h, d]
