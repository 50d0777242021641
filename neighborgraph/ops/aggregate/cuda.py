"""aggregate on the GPU: which kernel instance runs, its workspace and its launches."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from neighborgraph.jit import Instance
from neighborgraph.ops.items import combine, combine_instance, launch, workspace
from neighborgraph.ops.lanes import (
    CUDA_NAMES,
    MAX_CHANNEL_VECTORS,
    WARP,
    Lanes,
    aligned,
    channel_lanes_for,
    channel_plans,
    power_of_two_above,
    vector_for,
)
from neighborgraph.ops.registration import accumulation_dtype, as_rows

SUM_IN_FLIGHT = 8
"""Vectors a lane loads before it adds them, which covers the latency of memory."""


def aggregate_sum(csr, x, weight, row_scale, col_scale, winner, add, add_scale) -> Tensor:
    """out_i = r_i Σ_e w_e c_j x_j + s a_i over the features edge e won, or all without winner."""
    rows, x, add = as_rows(csr), aligned(x), None if add is None else aligned(add)
    weight, row_scale, col_scale, winner = contiguous(weight, row_scale, col_scale, winner)
    width, heads = x.shape[1], 1 if weight is None else weight.shape[1]
    out = x.new_empty(rows.num_rows, width)
    if width == 0:
        return out
    partial = workspace(rows, out)
    kernel, parts = sum_instance(x.dtype, width, heads, which_features(winner))
    inputs = rows.edge_id, x, weight, row_scale, col_scale, winner, add
    sizes = rows.item_row.shape[0], parts, heads, width // heads, add_scale
    launch(kernel, rows, parts, *inputs, out, partial, *sizes)
    tensors = partial, row_scale, add, out
    combine("combine_sum", rows, out, tensors, (width, add_scale))
    return out


def aggregate_max(csr, x, weight, row_scale, col_scale, add, add_scale) -> tuple[Tensor, Tensor]:
    """out_i = r_i max_e w_e c_j x_j + s a_i and the edge ids that won."""
    rows, x, add = as_rows(csr), aligned(x), None if add is None else aligned(add)
    weight, row_scale, col_scale = contiguous(weight, row_scale, col_scale)
    width, heads = x.shape[1], 1 if weight is None else weight.shape[1]
    out = x.new_empty(rows.num_rows, width)
    winner = torch.empty_like(out, dtype=torch.int32)
    if width == 0:
        return out, winner
    partial, partial_winner = workspace(rows, out), workspace(rows, winner)
    kernel, parts = max_instance(x.dtype, width, heads)
    inputs = rows.edge_id, x, weight, row_scale, col_scale, add
    sizes = rows.item_row.shape[0], parts, heads, width // heads, add_scale
    launch(kernel, rows, parts, *inputs, out, winner, partial, partial_winner, *sizes)
    tensors = partial, partial_winner, row_scale, add, out, winner
    combine("combine_max", rows, out, tensors, (width, add_scale))
    return out, winner


def aggregate_weight_grad(csr, grad, x, row_scale, col_scale, winner, heads) -> Tensor:
    """dw_eh = r_i c_j <g_ih, x_jh> over the features that edge e won, or all without winner."""
    rows, grad, x = as_rows(csr), aligned(grad), aligned(x)
    row_scale, col_scale, winner = contiguous(row_scale, col_scale, winner)
    out = x.new_empty(rows.idx.shape[0], heads, dtype=accumulation_dtype(x.dtype))
    if x.shape[1] == 0:
        return out.zero_()
    width = x.shape[1] // heads
    lanes = channel_lanes_for(x.dtype, width, 1)
    heads_per_warp = min(power_of_two_above(heads), WARP // lanes.lanes)
    parts = -(-heads // heads_per_warp)
    kernel = f"aggregate_weight_grad<{lanes.template(x.dtype)}, {which_features(winner)}>"
    inputs = rows.edge_id, grad, x, row_scale, col_scale, winner
    sizes = rows.item_row.shape[0], parts, heads_per_warp, heads, width
    launch(Instance("aggregate.cu", kernel), rows, parts, *inputs, out, *sizes)
    return out


@cache
def sum_instance(dtype: torch.dtype, width: int, heads: int, features: str) -> tuple[Instance, int]:
    """The instance for rows of ``width`` features, and into how many parts it cuts them."""
    lanes, parts = plan(dtype, width, heads, SUM_IN_FLIGHT)
    return Instance("aggregate.cu", f"aggregate_sum<{lanes.template(dtype)}, {features}>"), parts


@cache
def max_instance(dtype: torch.dtype, width: int, heads: int) -> tuple[Instance, int]:
    """Likewise for a maximum."""
    lanes, parts = plan(dtype, width, heads, 1)
    return Instance("aggregate.cu", f"aggregate_max<{lanes.template(dtype)}>"), parts


def plan(dtype: torch.dtype, features: int, heads: int, in_flight: int) -> tuple[Lanes, int]:
    """Lanes and parts for features [m, H · D], no vector across two heads."""
    lanes = channel_lanes_for(dtype, features, in_flight)
    vector = vector_for(dtype, features // heads)
    if vector < lanes.vector:
        count = features // vector
        across = min(WARP, power_of_two_above(count))
        vectors = min(MAX_CHANNEL_VECTORS, in_flight, power_of_two_above(-(-count // across)))
        lanes = replace(
            lanes, vector=vector, lanes=across, vectors=vectors, unroll=in_flight // vectors
        )
    return lanes, -(-features // lanes.channels)


def which_features(winner: Tensor | None) -> str:
    """The template argument that says which features of an edge take part."""
    return "Every" if winner is None else "Won"


def contiguous(*factors: Tensor | None) -> tuple[Tensor | None, ...]:
    """Factors without gaps; an absent one stays None and becomes a null pointer."""
    return tuple([None if factor is None else factor.contiguous() for factor in factors])


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
