"""compress on the CPU: a counting sort in numba, one pass to count and one to place."""

import numpy as np
import torch
from torch import Tensor

from neighborgraph.errors import IdError
from neighborgraph.graph import Csr
from neighborgraph.graph.schedule import cut_rows, padded
from neighborgraph.jit.numba_kernel import numba_kernel


def compress(edge_index, num_rows, num_cols, transpose, self_loops) -> tuple[Tensor, ...]:
    """The tensors of a Csr; see ``reference.py``."""
    for axis, size in enumerate((num_cols, num_rows)):
        expect_ids(edge_index, axis, size)
    col, row = edge_index.flip(0) if transpose else edge_index
    size = num_cols if transpose else num_rows
    edges = row.numel() + (size if self_loops else 0)
    begin = torch.zeros(size + 2, dtype=torch.int64)
    idx, edge_id = (torch.empty(edges, dtype=torch.int32) for _ in range(2))
    ends = ids_of(row), ids_of(col)
    group(*ends, begin.numpy(), idx.numpy(), edge_id.numpy(), size, self_loops)
    ptr = begin[: size + 1].clone()
    return Csr(ptr, idx, edge_id, *padded(cut_rows(ptr), size, edges))


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
def group(row, col, begin, idx, edge_id, size, self_loops):
    """Place the edges by row, in order. begin [n + 2] is zero, and becomes the row pointer."""
    edges = len(row)
    total = len(idx)
    for t in range(edges):
        key = size if self_loops and row[t] == col[t] else row[t]
        begin[key + 1] += 1
    for t in range(edges, total):
        begin[t - edges + 1] += 1
    for i in range(size + 1):
        begin[i + 1] += begin[i]
    place = begin.copy()
    for t in range(total):
        if t < edges:
            key = size if self_loops and row[t] == col[t] else np.int64(row[t])
            end = np.int64(col[t])
        else:
            key = t - edges
            end = t - edges
        idx[place[key]] = end
        edge_id[place[key]] = t
        place[key] += 1
