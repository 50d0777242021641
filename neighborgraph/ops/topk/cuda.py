"""topk on the GPU: Torch multiplies a block of users at a time, one kernel picks the best."""

from collections.abc import Iterator

import torch
from torch import Tensor

from neighborgraph.jit import Instance, load

SCORES = 2**27
"""At most so many scores are held at once, or one user's."""
BLOCK = 256
TILE = 1024
"""Places of a list that one pass over the scores fills."""
ALIGNED = 32
"""Scores in 128 bytes: rows begin at cache lines."""
INDEX_NAMES = {torch.int32: "int", torch.int64: "long long"}


def topk(users, items, k, rowptr, column) -> tuple[Tensor, Tensor]:
    """The best items of each user; see ``reference.py``."""
    users, items = users.detach().float(), items.detach().float()
    size, count = users.shape[0], items.shape[0]
    scores, ids = users.new_empty(size, k), users.new_empty(size, k, dtype=torch.int64)
    rowptr = None if rowptr is None else rowptr.contiguous()
    column = None if column is None else column.contiguous()
    edges = 0 if column is None else column.numel()
    kernel = load(instance(torch.int64 if column is None else column.dtype), users.device)
    valid = users.new_ones(1, dtype=torch.int32)

    stride = max(1, -(-count // ALIGNED)) * ALIGNED
    block = min(max(1, SCORES // stride), max(size, 1))
    buffer = users.new_empty(block, stride)
    for begin in range(0, size, block):
        rows = users[begin : begin + block]
        torch.mm(rows, items.T, out=buffer[: len(rows), :count])
        pointers = None if rowptr is None else rowptr[begin:]
        inputs = buffer, pointers, column, valid, scores[begin:], ids[begin:]
        for first in range(0, k, TILE):
            numbers = stride, count, edges, k, first, min(k, first + TILE)
            kernel.launch(len(rows), BLOCK, *inputs, *numbers)
    torch._assert_async(valid, "a pointer or an item of seen is out of range")
    return scores, ids


def instance(dtype: torch.dtype) -> Instance:
    """The kernel for columns of a type."""
    return Instance("topk.cu", f"topk_select<{INDEX_NAMES[dtype]}>")


def instances() -> Iterator[Instance]:
    """Every instance there is."""
    yield from map(instance, INDEX_NAMES)
