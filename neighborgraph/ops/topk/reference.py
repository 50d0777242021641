"""The definition of topk in plain torch."""

import torch
from torch import Tensor


def topk(
    users: Tensor, items: Tensor, k: int, rowptr: Tensor | None, column: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The whole matrix of scores, what must not be listed set to NaN, sorted row by row."""
    scores = users.float() @ items.float().T
    if rowptr is not None and column is not None:
        row = torch.arange(len(users), device=users.device).repeat_interleave(rowptr.diff())
        scores[row, column[int(rowptr[0]) : int(rowptr[-1])].long()] = torch.nan
    # Ascending and stable: of equal scores the smaller item comes first, and NaN last.
    order = scores.neg().sort(dim=1, stable=True).indices[:, :k]
    best = scores.gather(1, order)
    order, best = order.masked_fill(best.isnan(), -1), best.masked_fill(best.isnan(), -torch.inf)
    missing = (0, k - order.shape[1])
    pad = torch.nn.functional.pad
    return pad(best, missing, value=-torch.inf), pad(order, missing, value=-1)
