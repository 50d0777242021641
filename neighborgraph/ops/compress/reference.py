"""The definition of compress in plain torch."""

import torch
from torch import Tensor

from neighborgraph.graph import Csr
from neighborgraph.graph.schedule import padded, schedule


def compress(
    edge_index: Tensor, num_rows: int, num_cols: int, transpose: bool, self_loops: bool
) -> list[Tensor]:
    """The Csr of the rows, and with ``transpose`` also that of the columns."""
    col, row = edge_index
    rows = group(row, col, num_rows, self_loops)
    return [*rows, *group(col, row, num_cols, self_loops)] if transpose else [*rows]


def group(row: Tensor, col: Tensor, size: int, self_loops: bool) -> Csr:
    """Edges by row in the caller's order, those left out behind the last row, and work items."""
    if self_loops:
        node = torch.arange(size, dtype=row.dtype, device=row.device)
        row = torch.cat([row.masked_fill(row == col, size), node])
        col = torch.cat([col, node])
    sorted_row, edge_id = row.sort(stable=True)
    ptr = torch.searchsorted(sorted_row, torch.arange(size + 1, device=row.device))
    items = padded(schedule(ptr), size, row.numel())
    return Csr(ptr, col[edge_id].int(), edge_id.int(), *items)
