"""compress on the CPU: a counting sort, one pass to count and one to place, and the work items.

All in numba and NumPy: a mini-batch is converted in a few milliseconds, of which the threads that
Torch wakes for each operation on a few thousand numbers would take a good part.
"""

import numpy as np
import torch
from torch import Tensor

from neighborgraph.errors import IdError
from neighborgraph.graph import Csr
from neighborgraph.graph.schedule import LONG_ITEM_EDGES, MAX_ITEM_EDGES, bounds
from neighborgraph.jit.numba_kernel import numba_kernel

LIMIT, LONG = MAX_ITEM_EDGES, LONG_ITEM_EDGES


def compress(edge_index, num_rows, num_cols, transpose, self_loops) -> list[Tensor]:
    """The tensors of one Csr or two; see ``reference.py``."""
    for axis, size in enumerate((num_cols, num_rows)):
        expect_ids(edge_index, axis, size)
    col, row = (ids_of(ids) for ids in edge_index)
    rows = grouped(row, col, num_rows, self_loops)
    return [*rows, *grouped(col, row, num_cols, self_loops)] if transpose else [*rows]


def grouped(row: np.ndarray, col: np.ndarray, size: int, self_loops: bool) -> Csr:
    """The edges of each of ``size`` rows."""
    edges = len(row) + (size if self_loops else 0)
    extra, splits = bounds(edges)
    ptr = np.zeros(size + 1, np.int64)
    idx, edge_id = np.empty(edges, np.int32), np.empty(edges, np.int32)
    place = np.zeros(size + 2, np.int64)  # row n is that of edges left out
    group(row, col, place, ptr, idx, edge_id, size, self_loops)
    item_row, item_edges, item_slot = (np.empty(size + extra, np.int32) for _ in range(3))
    item_first = np.empty(size + extra, np.int64)
    split_row, split_ptr = np.empty(splits, np.int32), np.empty(splits + 1, np.int32)
    cut(ptr, item_row, item_first, item_edges, item_slot, split_row, split_ptr)
    items = item_row, item_first, item_edges, item_slot, split_row, split_ptr
    return Csr(*(torch.from_numpy(array) for array in (ptr, idx, edge_id, *items)))


def ids_of(ids: Tensor) -> np.ndarray:
    """Ids as kernels read them."""
    return ids.detach().contiguous().numpy()


def expect_ids(edge_index: Tensor, axis: int, size: int) -> None:
    """Refuse an id outside [0, size), naming the first position that has one."""
    position = first_outside(ids_of(edge_index[axis]), size)
    if position >= 0:
        nodes = ("sources", "receivers")[axis]
        raise IdError(
            f"edge_index[{axis}, {position}] = {int(edge_index[axis, position])} is outside "
            f"[0, {size}), the {nodes} that there are features of; correct the id or pass more rows"
        )


@numba_kernel
def first_outside(ids, size):
    """The first position of an id outside [0, size), else -1."""
    for position in range(len(ids)):
        if ids[position] < 0 or ids[position] >= size:
            return position
    return -1


@numba_kernel
def group(row, col, place, ptr, idx, edge_id, size, self_loops):
    """Place the edges by row, in order; place [n + 2] and the pointer ptr [n + 1] begin as zero."""
    edges, total = len(row), len(idx)
    for t in range(total):
        if t >= edges:
            key = t - edges
        else:
            key = size if self_loops and row[t] == col[t] else np.int64(row[t])
        place[key + 1] += 1
    for i in range(size + 1):
        place[i + 1] += place[i]
        ptr[i] = place[i]
    for t in range(total):
        if t >= edges:
            key = t - edges
            end = t - edges
        else:
            key = size if self_loops and row[t] == col[t] else np.int64(row[t])
            end = np.int64(col[t])
        idx[place[key]] = end
        edge_id[place[key]] = t
        place[key] += 1


@numba_kernel
def cut(ptr, item_row, item_first, item_edges, item_slot, split_row, split_ptr):
    """Cut the rows into items, long ones first, and fill up with inert ones."""
    rows = len(ptr) - 1
    long_items = 0
    for i in range(rows):
        degree = ptr[i + 1] - ptr[i]
        long_items += degree // LIMIT + (1 if degree % LIMIT >= LONG else 0)
    at_long, at_short = 0, long_items
    split = slot = 0
    for i in range(rows):
        parts = max(1, (ptr[i + 1] - ptr[i] + LIMIT - 1) // LIMIT)
        if parts > 1:
            split_row[split] = i
            split_ptr[split] = slot
            split += 1
        for part in range(parts):
            first = ptr[i] + part * LIMIT
            edges = min(LIMIT, ptr[i + 1] - first)
            item = at_long if edges >= LONG else at_short
            at_long += 1 if edges >= LONG else 0
            at_short += 0 if edges >= LONG else 1
            item_row[item] = i
            item_first[item] = first
            item_edges[item] = edges
            item_slot[item] = slot if parts > 1 else -1
            slot += 1 if parts > 1 else 0
    last = len(item_row) - rows + len(split_row) - 1
    for spare in range(at_short, len(item_row)):
        item_row[spare] = 0
        item_first[spare] = -1
        item_edges[spare] = 0
        item_slot[spare] = last
    for spare in range(split, len(split_row)):
        split_row[spare] = -1
        split_ptr[spare] = slot
    split_ptr[len(split_row)] = slot
