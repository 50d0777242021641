"""compress on the GPU: Torch's sort of the keys, and four kernels around it."""

from collections.abc import Iterator

import torch
from torch import Tensor

from neighborgraph.graph import Csr
from neighborgraph.graph.schedule import bounds
from neighborgraph.jit import Instance, load

BLOCK = 256
INDEX_NAMES = {torch.int32: "int", torch.int64: "long long"}


def compress(edge_index, num_rows, num_cols, transpose, self_loops) -> tuple[Tensor, ...]:
    """The tensors of a Csr; see ``reference.py``."""
    edge_index = edge_index.contiguous()
    col, row = (edge_index[axis] for axis in ((1, 0) if transpose else (0, 1)))
    sizes = (num_cols, num_rows) if transpose else (num_rows, num_cols)
    loops = sizes[0] if self_loops else 0
    edges = row.numel() + loops
    new = edge_index.new_empty
    ids = INDEX_NAMES[edge_index.dtype]

    key, valid = new(edges, dtype=torch.int32), new(1, dtype=torch.int32).fill_(1)
    launch(f"compress_keys<{ids}>", edges, row, col, key, valid, row.numel(), loops, *sizes)
    torch._assert_async(valid, "an id in edge_index is outside the rows of the features")
    key, order = key.sort(stable=True)
    idx, edge_id = new(edges, dtype=torch.int32), new(edges, dtype=torch.int32)
    launch(f"compress_edges<{ids}>", edges, order, col, idx, edge_id, row.numel(), edges)

    ptr = new(sizes[0] + 1, dtype=torch.int64)
    cuts, tails = (new(sizes[0], dtype=torch.int64) for _ in range(2))
    launch("compress_rows", sizes[0] + 1, key, ptr, cuts, tails, edges, sizes[0])
    sums = cuts.cumsum(0), tails.cumsum(0)
    extra, splits = bounds(edges)
    row_items, split_row = sizes[0] + extra, new(splits, dtype=torch.int32)
    item_row, item_edges, item_slot = (new(row_items, dtype=torch.int32) for _ in range(3))
    item_first, split_ptr = new(row_items, dtype=torch.int64), new(splits + 1, dtype=torch.int32)
    items = item_row, item_first, item_edges, item_slot, split_row, split_ptr
    threads = max(sizes[0], extra, splits + 1)
    launch("compress_items", threads, ptr, *sums, *items, sizes[0], extra, splits)
    return Csr(ptr, idx, edge_id, *items)


def launch(kernel: str, threads: int, *args: Tensor | int) -> None:
    """One thread for each of ``threads`` things."""
    device = next(arg for arg in args if isinstance(arg, Tensor)).device
    load(Instance("compress.cu", kernel), device).launch(-(-threads // BLOCK), BLOCK, *args)


def instances() -> Iterator[Instance]:
    """Every instance there is."""
    for ids in INDEX_NAMES.values():
        yield Instance("compress.cu", f"compress_keys<{ids}>")
        yield Instance("compress.cu", f"compress_edges<{ids}>")
    yield Instance("compress.cu", "compress_rows")
    yield Instance("compress.cu", "compress_items")
