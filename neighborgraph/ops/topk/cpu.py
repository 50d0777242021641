"""topk on the CPU: Torch multiplies a few users at a time, and numba picks from their scores."""

import numpy as np
import torch
from torch import Tensor

from neighborgraph.errors import IdError
from neighborgraph.jit.numba_inline import inlined
from neighborgraph.jit.numba_kernel import numba_kernel, run_rows
from neighborgraph.jit.numba_lanes import LANES, choose, largest_number, load, spread

SCORES = 2**24
"""At most so many scores are held at once, or one user's.

Fewer would stay in the cache, but Torch's threads go on spinning for a while after each product, on
the cores that ours need then.
"""
CHUNK = 512
"""Scores that are compared with the worst item of a list together."""
LOWEST = np.float32(-np.inf)


def topk(users, items, k, rowptr, column) -> tuple[Tensor, Tensor]:
    """The best items of each user; see ``reference.py``."""
    users, items = users.detach().float(), items.detach().float()
    size, count = users.shape[0], items.shape[0]
    scores, ids = users.new_empty(size, k), users.new_empty(size, k, dtype=torch.int64)
    if rowptr is None or column is None:
        rowptr = column = users.new_zeros(size + 1, dtype=torch.int64)
    seen, listed = (rowptr.numpy(), column.contiguous().numpy()), (scores.numpy(), ids.numpy())
    expect_seen(*seen, count)
    block = min(max(1, SCORES // max(count, 1)), max(size, 1))
    buffer = users.new_empty(block, count)
    for begin in range(0, size, block):
        rows = users[begin : begin + block]
        own = slice(begin, begin + len(rows))
        part = torch.mm(rows, items.T, out=buffer[: len(rows)]).numpy()
        ends = np.arange(len(rows) + 1) * count
        pointers = seen[0][begin : begin + len(rows) + 1]
        run_rows(pick_rows, ends, part, pointers, seen[1], *(array[own] for array in listed))
    return scores, ids


def expect_seen(rowptr: np.ndarray, column: np.ndarray, count: int) -> None:
    """Refuse a pointer that leads outside, and an item that does not exist."""
    bounds = np.concatenate([[0], rowptr, [len(column)]])
    falling = bounds[1:] < bounds[:-1]
    if falling.any():
        position = min(int(falling.argmax()), len(rowptr) - 1)
        raise IdError(
            f"seen[0][{position}] = {rowptr[position]} is less than the pointer before it, or "
            f"outside [0, {len(column)}], the places in seen[1]; pass the rowptr of a CSR matrix"
        )
    used = column[rowptr[0] : rowptr[-1]]
    outside = (used < 0) | (used >= count)
    if outside.any():
        position = int(rowptr[0]) + int(outside.argmax())
        raise IdError(
            f"seen[1][{position}] = {column[position]} is outside [0, {count}), the items there "
            "are; correct the id or pass more items"
        )


@numba_kernel
def pick_rows(begin, end, ptr, score, rowptr, column, best, item):
    """Lists of the users begin to end - 1; score [B, I] is overwritten where an item was seen."""
    items, k = score.shape[1], best.shape[1]
    for i in range(begin, end):
        for e in range(rowptr[i], rowptr[i + 1]):
            score[i, column[e]] = np.nan
        filled = 0
        for chunk in range(0, items, CHUNK):
            last = min(chunk + CHUNK, items)
            if filled == k and highest(score, i, chunk, last) <= best[i, 0]:
                continue
            for first in range(chunk, last, LANES):
                if filled == k and highest(score, i, first, first + LANES) <= best[i, 0]:
                    continue
                for j in range(first, min(first + LANES, last)):
                    if filled < k:
                        if score[i, j] == score[i, j]:  # not NaN
                            rise(best, item, i, filled, score[i, j], j)
                            filled += 1
                    elif score[i, j] > best[i, 0]:  # an equal one has a larger id
                        sink(best, item, i, k, score[i, j], j)
        for size in range(filled - 1, 0, -1):
            last_score, last_item = best[i, size], item[i, size]
            best[i, size], item[i, size] = best[i, 0], item[i, 0]
            sink(best, item, i, size, last_score, last_item)
        for place in range(filled, k):
            best[i, place] = -np.inf
            item[i, place] = -1


@inlined
def highest(score, i, first, last):
    """No less than the largest of some scores of user i that are not NaN.

    Behind the end of a row, lanes hold zero.
    """
    top = spread(LOWEST)
    for j in range(first, last, LANES):
        x = load(score, (i, j))
        top = choose(x > top, x, top)
    return largest_number(top)


@numba_kernel
def is_worse(score, item, other_score, other_item):
    """Whether an item belongs behind another."""
    return score < other_score or (score == other_score and item > other_item)


@numba_kernel
def rise(best, item, i, place, new_score, new_item):
    """Add to the heap of list i, whose worst item is at place 0, as its last."""
    while place > 0:
        parent = (place - 1) // 2
        if not is_worse(new_score, new_item, best[i, parent], item[i, parent]):
            break
        best[i, place] = best[i, parent]
        item[i, place] = item[i, parent]
        place = parent
    best[i, place] = new_score
    item[i, place] = new_item


@numba_kernel
def sink(best, item, i, size, new_score, new_item):
    """Replace the worst item of the heap of list i, of which the first places are used."""
    place = 0
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and is_worse(
            best[i, child + 1], item[i, child + 1], best[i, child], item[i, child]
        ):
            child += 1
        if not is_worse(best[i, child], item[i, child], new_score, new_item):
            break
        best[i, place] = best[i, child]
        item[i, place] = item[i, child]
        place = child
    best[i, place] = new_score
    item[i, place] = new_item
