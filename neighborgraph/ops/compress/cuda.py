"""compress on the GPU: Torch's sort of the keys, and four kernels around it."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from neighborgraph.graph import Csr
from neighborgraph.graph.schedule import bounds
from neighborgraph.jit import Instance, load

BLOCK = 256
INDEX_NAMES = {torch.int32: "int", torch.int64: "long long"}
NOTHING: Any = Csr._make([None] * len(Csr._fields))
"""In the place of a direction that is not asked for: null pointers."""


def compress(edge_index, num_rows, num_cols, transpose, self_loops) -> list[Tensor]:
    """The tensors of one Csr or two; see ``reference.py``."""
    edge_index = edge_index.contiguous()
    col, row = edge_index[0], edge_index[1]
    edges, loops = row.shape[0], num_rows if self_loops else 0
    total, sides = edges + loops, 1 + transpose
    sizes = num_rows, num_cols, sides
    ids = INDEX_NAMES[edge_index.dtype]

    key, valid = new(row, sides * total), new(row, 1).fill_(1)
    launch(f"compress_keys<{ids}>", sides * total, row, col, key, valid, edges, loops, *sizes)
    torch._assert_async(valid, "an id in edge_index is outside the rows of the features")
    key, order = key.sort(stable=True)
    extra, splits = bounds(total)
    rows = empty_csr(row, num_rows, total, extra, splits)
    cols = empty_csr(row, num_cols, total, extra, splits) if transpose else NOTHING
    ends = rows.idx, rows.edge_id, cols.idx, cols.edge_id
    launch(f"compress_edges<{ids}>", sides * total, order, row, col, *ends, edges, total, sides)
    all_rows = num_rows + (num_cols if transpose else 0)
    cuts = new(row, 2 * all_rows, torch.int64)
    launch("compress_rows", all_rows + sides, key, rows.ptr, cols.ptr, cuts, total, *sizes)
    threads = max(num_rows, num_cols, extra, splits + 1)
    schedules = rows.ptr, *rows[3:], cols.ptr, *cols[3:]
    numbers = num_rows, num_cols, extra, splits, threads, sides
    launch("compress_items", sides * threads, cuts.cumsum(0), *schedules, *numbers)
    return [*rows, *cols] if transpose else list(rows)


def empty_csr(ids: Tensor, size: int, edges: int, extra: int, splits: int) -> Csr:
    """What the kernels fill."""
    items = size + extra
    return Csr(
        ptr=new(ids, size + 1, torch.int64),
        idx=new(ids, edges),
        edge_id=new(ids, edges),
        item_row=new(ids, items),
        item_first=new(ids, items, torch.int64),
        item_edges=new(ids, items),
        item_slot=new(ids, items),
        split_row=new(ids, splits),
        split_ptr=new(ids, splits + 1),
    )


def new(ids: Tensor, count: int, dtype: torch.dtype = torch.int32) -> Tensor:
    """An empty tensor beside ``ids``."""
    return ids.new_empty(count, dtype=dtype)


def launch(kernel: str, threads: int, *args: Tensor | int | None) -> None:
    """One thread for each of ``threads`` things."""
    device = next(arg.device for arg in args if isinstance(arg, Tensor))
    load(Instance("compress.cu", kernel), device).launch(-(-threads // BLOCK), BLOCK, *args)


def instances() -> Iterator[Instance]:
    """Every instance there is."""
    for ids in INDEX_NAMES.values():
        yield Instance("compress.cu", f"compress_keys<{ids}>")
        yield Instance("compress.cu", f"compress_edges<{ids}>")
    yield Instance("compress.cu", "compress_rows")
    yield Instance("compress.cu", "compress_items")
