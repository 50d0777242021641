"""aggregate on the GPU: which kernel instance runs, its workspace and its launches."""

from collections.abc import Iterator

import torch
from torch import Tensor

from neighborgraph.jit import Instance
from neighborgraph.ops.items import combine, combine_instance, launch, workspace
from neighborgraph.ops.lanes import CUDA_NAMES, aligned, channel_lanes_for, channel_plans
from neighborgraph.ops.registration import accumulation_dtype, as_rows

SUM_IN_FLIGHT = 8
"""Vectors a lane loads before it adds them, which covers the latency of memory."""


def aggregate_sum(csr, x, weight, row_scale, col_scale, winner) -> Tensor:
    """out_i = r_i Σ_e w_e c_j x_j over the features that edge e won, or all without winner."""
    rows, x = as_rows(csr), aligned(x)
    weight, row_scale, col_scale, winner = contiguous(weight, row_scale, col_scale, winner)
    width = x.shape[1]
    out = x.new_empty(rows.num_rows, width)
    if width == 0:
        return out
    partial = workspace(rows, out)
    lanes = channel_lanes_for(x.dtype, width, SUM_IN_FLIGHT)
    parts = -(-width // lanes.channels)
    kernel = f"aggregate_sum<{lanes.template(x.dtype)}, {which_features(winner)}>"
    inputs = rows.edge_id, x, weight, row_scale, col_scale, winner
    sizes = rows.item_row.shape[0], parts, width
    launch(Instance("aggregate.cu", kernel), rows, parts, *inputs, out, partial, *sizes)
    combine("combine_sum", rows, out, (partial, row_scale, out), (width,))
    return out


def aggregate_max(csr, x, weight, row_scale, col_scale) -> tuple[Tensor, Tensor]:
    """out_i = r_i max_e w_e c_j x_j and the edge ids that won."""
    rows, x = as_rows(csr), aligned(x)
    weight, row_scale, col_scale = contiguous(weight, row_scale, col_scale)
    width = x.shape[1]
    out = x.new_empty(rows.num_rows, width)
    winner = torch.empty_like(out, dtype=torch.int32)
    if width == 0:
        return out, winner
    partial, partial_winner = workspace(rows, out), workspace(rows, winner)
    lanes = channel_lanes_for(x.dtype, width, 1)
    parts = -(-width // lanes.channels)
    kernel = Instance("aggregate.cu", f"aggregate_max<{lanes.template(x.dtype)}>")
    inputs = rows.edge_id, x, weight, row_scale, col_scale
    sizes = rows.item_row.shape[0], parts, width
    launch(kernel, rows, parts, *inputs, out, winner, partial, partial_winner, *sizes)
    tensors = partial, partial_winner, row_scale, out, winner
    combine("combine_max", rows, out, tensors, (width,))
    return out, winner


def aggregate_weight_grad(csr, grad, x, row_scale, col_scale, winner) -> Tensor:
    """dw_e = r_i c_j <g_i, x_j> over the features that edge e won, or all without winner."""
    rows, grad, x = as_rows(csr), aligned(grad), aligned(x)
    row_scale, col_scale, winner = contiguous(row_scale, col_scale, winner)
    width = x.shape[1]
    out = x.new_empty(rows.idx.shape[0], dtype=accumulation_dtype(x.dtype))
    if width == 0:
        return out.zero_()
    lanes = channel_lanes_for(x.dtype, width, 1)
    kernel = f"aggregate_weight_grad<{lanes.template(x.dtype)}, {which_features(winner)}>"
    inputs = rows.edge_id, grad, x, row_scale, col_scale, winner
    launch(Instance("aggregate.cu", kernel), rows, 1, *inputs, out, rows.item_row.shape[0], width)
    return out


def which_features(winner: Tensor | None) -> str:
    """The template argument that says which features of an edge take part."""
    return "Every" if winner is None else "Won"


def contiguous(*factors: Tensor | None) -> tuple[Tensor | None, ...]:
    """Factors without gaps; an absent one stays None and becomes a null pointer."""
    return tuple(None if factor is None else factor.contiguous() for factor in factors)


def instances() -> Iterator[Instance]:
    """Every instance that any shape can ask for."""
    for dtype in CUDA_NAMES:
        for lanes in channel_plans(dtype, SUM_IN_FLIGHT):
            for features in ("Every", "Won"):
                yield Instance(
                    "aggregate.cu", f"aggregate_sum<{lanes.template(dtype)}, {features}>"
                )
        for lanes in channel_plans(dtype, 1):
            template = lanes.template(dtype)
            yield Instance("aggregate.cu", f"aggregate_max<{template}>")
            for features in ("Every", "Won"):
                kernel = f"aggregate_weight_grad<{template}, {features}>"
                yield Instance("aggregate.cu", kernel)
        yield combine_instance("combine_sum", dtype)
        yield combine_instance("combine_max", dtype)
