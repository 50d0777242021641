"""Work schedule: rows cut into work items of bounded length, a pure function of the row pointer.

One warp serves one item. Without the cut, a hub row of 100,000 edges would keep one warp busy long
after all others are done. The items of a cut row leave partial results in numbered *slots*, which
a second kernel combines in slot order, so the result does not depend on timing.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

MAX_ITEM_EDGES = 512
LONG_ITEM_EDGES = 128
"""Items from this length on go first: one that started last would be waited for alone."""


class Schedule(NamedTuple):
    """w work items over n rows; every row has at least one, an empty row an empty one.

    Long items come first, then the others; both in row order, so that neighbouring warps read
    neighbouring rows.
    """

    item_row: Tensor
    """[w] int32: the row an item belongs to."""
    item_first: Tensor
    """[w] int64: position of the item's first edge; -1 in an inert item of `padded`."""
    item_edges: Tensor
    """[w] int32: how many edges it serves, at most ``MAX_ITEM_EDGES``."""
    item_slot: Tensor
    """[w] int32: where a cut row's item leaves its partial result; -1 writes the row itself."""
    split_row: Tensor
    """[s] int32: the rows that were cut; -1 where `padded` added an entry."""
    split_ptr: Tensor
    """[s + 1] int32: slots ``split_ptr[t] .. split_ptr[t+1]`` belong to row ``split_row[t]``."""


def schedule(ptr: Tensor, max_item_edges: int = MAX_ITEM_EDGES) -> Schedule:
    """Cut the rows of a CSR pointer [n + 1] into items of at most ``max_item_edges`` edges."""
    num_rows = ptr.numel() - 1
    device = ptr.device
    degree = ptr.diff()
    parts = degree.add(max_item_edges - 1).div_(max_item_edges, rounding_mode="floor").clamp_(min=1)
    first_item = torch.zeros(num_rows + 1, dtype=torch.int64, device=device)
    torch.cumsum(parts, 0, out=first_item[1:])
    num_items = int(first_item[-1])

    rows = torch.arange(num_rows, dtype=torch.int32, device=device)
    item_row = rows.repeat_interleave(parts, output_size=num_items)
    part = torch.arange(num_items, device=device) - first_item[item_row]
    item_first = ptr[item_row] + part * max_item_edges
    item_edges = (ptr[1:][item_row] - item_first).clamp_(max=max_item_edges).int()

    split_row = rows[parts > 1]
    split_ptr = torch.zeros(split_row.numel() + 1, dtype=torch.int32, device=device)
    torch.cumsum(parts[split_row], 0, out=split_ptr[1:], dtype=torch.int32)
    is_split = parts[item_row] > 1
    item_slot = is_split.cumsum(0, dtype=torch.int32).sub_(1).masked_fill_(~is_split, -1)

    is_long = item_edges >= LONG_ITEM_EDGES
    order = torch.cat([is_long.nonzero().view(-1), (~is_long).nonzero().view(-1)])
    return Schedule(
        item_row[order],
        item_first[order],
        item_edges[order],
        item_slot[order],
        split_row,
        split_ptr,
    )


def bounds(num_edges: int) -> tuple[int, int]:
    r"""The most items beyond one a row, and the most cut rows, that e edges can need.

    A row of d edges has :math:`\lfloor (d - 1) / 512 \rfloor` items beyond its first, and is cut
    when d is at least 513. Over the cut rows, of which there are c, with at most e edges together,

    .. math::

        \sum_i \lfloor (d_i - 1) / 512 \rfloor \le \lfloor (e - c) / 512 \rfloor
        \le \lfloor (e - 1) / 512 \rfloor, \qquad c \le \lfloor e / 513 \rfloor

    where c is at least one; without a cut row both are zero. The items of cut rows number what is
    beyond one a row plus c, so there are slots for them all, and one to spare where an item beyond
    one a row is not needed. The first bound is zero for the same e for which no row can be cut.

    There are two more entries for cut rows, because torch.compile and torch.export tell sizes 0, 1
    and above apart: what they made of a graph would be valid up to 512 edges, or from 1,026 on.
    """
    beyond_one: Any = torch.sym_max(num_edges - 1, 0)  # num_edges may be symbolic
    return beyond_one // MAX_ITEM_EDGES, num_edges // (MAX_ITEM_EDGES + 1) + 2


def padded(items: Schedule, num_rows: int, num_edges: int) -> Schedule:
    """The same work in arrays whose sizes depend on n and e alone; see `bounds`.

    An inert item has no edges and begins nowhere. It computes the empty result, for row 0, and
    leaves it in the last slot, which no cut row owns.
    """
    extra, splits = bounds(num_edges)
    missing = num_rows + extra - items.item_row.numel()
    uncut = splits - items.split_row.numel()

    def fill(values: Tensor, count: int, value: int | Tensor) -> Tensor:
        return torch.cat([values, values.new_zeros(count) + value])

    return Schedule(
        fill(items.item_row, missing, 0),
        fill(items.item_first, missing, -1),
        fill(items.item_edges, missing, 0),
        fill(items.item_slot, missing, extra + splits - 1),
        fill(items.split_row, uncut, -1),
        fill(items.split_ptr, uncut, items.split_ptr[-1]),
    )
