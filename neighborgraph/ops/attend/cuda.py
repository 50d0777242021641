"""attend on the GPU: which kernel instance runs, its workspace and its launches."""

from collections.abc import Iterator

import torch
from torch import Tensor

from neighborgraph.graph import Csr
from neighborgraph.jit import Instance
from neighborgraph.ops.items import combine, combine_instance, launch, workspace
from neighborgraph.ops.lanes import CUDA_NAMES, Lanes, aligned, head_plans, lanes_for
from neighborgraph.ops.registration import accumulation_dtype, as_rows


def attend(csr, q, k, v, scale) -> tuple[Tensor, Tensor, Tensor]:
    """Output [n, H, D], natural log-sum-exp [n, H] and state [n, H, 2], in base 2."""
    rows = as_rows(csr)
    q, k, v = aligned(q), aligned(k), aligned(v)
    out = torch.empty_like(q)
    lse = q.new_empty(q.shape[:2], dtype=accumulation_dtype(q.dtype))
    state = lse.new_empty(*lse.shape, 2)
    partial, partial_state = workspace(rows, q), workspace(rows, lse, 2)
    results = out, lse, state
    tensors = q, k, v, *results, partial, partial_state
    launch_heads("attend_forward", rows, *tensors, like=q, scale=scale)
    combine("combine_softmax", rows, out, (partial, partial_state, *results), q.shape[1:])
    return results


def attend_grad_q(csr, q, k, v, out, state, grad, grad_lse, scale) -> tuple[Tensor, Tensor]:
    """Gradient of q [n, H, D] and stats [n, H, 4] = (state, delta, 0)."""
    rows = as_rows(csr)
    q, k, v, out, grad = (aligned(t) for t in (q, k, v, out, grad))
    grad_q = torch.empty_like(q)
    stats = state.new_empty(*state.shape[:2], 4)
    partial = workspace(rows, q)
    inputs = rows.ptr, q, k, v, out, state.contiguous(), grad, grad_lse.contiguous()
    launch_heads("attend_grad_q", rows, *inputs, grad_q, stats, partial, like=q, scale=scale)
    combine("combine_sum", rows, grad_q, (partial, None, grad_q), (q.shape[1:].numel(),))
    return grad_q, stats


def attend_grad_kv(csr, q, k, v, stats, grad, scale) -> tuple[Tensor, Tensor]:
    """Gradients of k and v [m, H, D]; csr is the transpose."""
    cols = as_rows(csr)
    q, k, v, grad = (aligned(t) for t in (q, k, v, grad))
    grad_k, grad_v = torch.empty_like(k), torch.empty_like(v)
    partial_k, partial_v = workspace(cols, k), workspace(cols, v)
    outputs = grad_k, grad_v, partial_k, partial_v
    launch_heads(
        "attend_grad_kv", cols, q, k, v, stats.contiguous(), grad, *outputs, like=k, scale=scale
    )
    width = (k.shape[1:].numel(),)
    combine("combine_sum", cols, grad_k, (partial_k, None, grad_k), width)
    combine("combine_sum", cols, grad_v, (partial_v, None, grad_v), width)
    return grad_k, grad_v


def launch_heads(kernel: str, rows: Csr, *tensors: Tensor, like: Tensor, scale: float) -> None:
    """One warp for each group of heads [H, D] of each work item."""
    heads, width = like.shape[1:]
    lanes = lanes_for(like.dtype, width, heads)
    parts = -(-heads // lanes.heads)
    sizes = rows.item_row.shape[0], parts, lanes.heads, heads, width
    launch(instance(kernel, like.dtype, lanes), rows, parts, *tensors, *sizes, float(scale))


def instance(kernel: str, dtype: torch.dtype, lanes: Lanes) -> Instance:
    """The template instance of a kernel for a plan."""
    source = "attend_forward.cu" if kernel == "attend_forward" else "attend_backward.cu"
    return Instance(source, f"{kernel}<{lanes.template(dtype)}>")


def instances() -> Iterator[Instance]:
    """Every instance that any shape can ask for."""
    for dtype in CUDA_NAMES:
        for plan in head_plans(dtype):
            for kernel in ("attend_forward", "attend_grad_q", "attend_grad_kv"):
                yield instance(kernel, dtype, plan)
        yield combine_instance("combine_softmax", dtype)
        yield combine_instance("combine_sum", dtype)
