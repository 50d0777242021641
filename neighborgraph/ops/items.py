"""Launches over a graph's work items, and the folding of the rows that were cut."""

from collections.abc import Sequence

import torch
from torch import Tensor

from neighborgraph.graph import Csr
from neighborgraph.jit import Instance, load
from neighborgraph.ops.lanes import CUDA_NAMES, WARP
from neighborgraph.ops.registration import accumulation_dtype

COMBINE_COLUMNS, COMBINE_BLOCK, COMBINE_ROWS = 32, 512, 16
"""Elements of a cut row that a block folds, its threads, and of how many cut rows at most."""
COMBINE_RUNS = 1024
"""A block takes one cut row until there are that many, so that hubs side by side do not queue."""


def launch(instance: Instance, rows: Csr, parts: int, *args: Tensor | int | float | None) -> None:
    """A block of one warp for each of ``parts`` parts of each work item of ``rows``."""
    warps = rows.item_row.shape[0] * parts
    items = rows.item_row, rows.item_first, rows.item_edges, rows.item_slot, rows.idx
    load(instance, rows.ptr.device).launch(warps, WARP, *items, *args)


def workspace(rows: Csr, like: Tensor, *inner: int) -> Tensor | None:
    """Unrounded partial results [slots, ...] that the cut rows leave, shaped like rows of ``like``.

    None where no row is cut. Their number follows from shapes, so that nothing is read back from
    the GPU.
    """
    if nothing_is_cut(rows):
        return None
    slots = rows.item_row.shape[0] - rows.num_rows + rows.split_row.shape[0]
    dtype = accumulation_dtype(like.dtype) if like.is_floating_point() else like.dtype
    return like.new_empty((slots, *like.shape[1:], *inner), dtype=dtype)


def nothing_is_cut(rows: Csr) -> bool:
    """Whether shapes tell that every row is one item; a padded schedule may have more entries."""
    return rows.item_row.shape[0] == rows.num_rows


def combine(
    kernel: str,
    rows: Csr,
    out: Tensor,
    tensors: Sequence[Tensor | None],
    numbers: Sequence[int | float],
) -> None:
    """Fold the partial results of cut rows into ``out``."""
    if nothing_is_cut(rows):
        return
    splits = rows.split_row.shape[0]
    each = min(-(-splits // COMBINE_RUNS), COMBINE_ROWS)
    blocks = -(-splits // each) * -(-out.shape[1:].numel() // COMBINE_COLUMNS)
    load(combine_instance(kernel, out.dtype), out.device).launch(
        blocks, COMBINE_BLOCK, rows.split_row, rows.split_ptr, splits, each, *tensors, *numbers
    )


def combine_instance(kernel: str, dtype: torch.dtype) -> Instance:
    """combine_sum, combine_max or combine_softmax for one element type."""
    return Instance("combine.cu", f"{kernel}<{CUDA_NAMES[dtype]}>")
