"""Work schedule: rows cut into work items of bounded length, a pure function of the row pointer.

One warp serves one item. Without the cut, a hub row of 100,000 edges would keep one warp busy long
after all others are done. The items of a cut row leave partial results in numbered *slots*, which
a second kernel combines in slot order, so the result does not depend on timing.
"""

from typing import NamedTuple

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
    """[w] int64: position of the item's first edge."""
    item_edges: Tensor
    """[w] int32: how many edges it serves, at most ``MAX_ITEM_EDGES``."""
    item_slot: Tensor
    """[w] int32: where a cut row's item leaves its partial result; -1 writes the row itself."""
    split_row: Tensor
    """[s] int32: the rows that were cut."""
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
