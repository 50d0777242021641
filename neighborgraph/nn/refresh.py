"""Refresh: a vector that was stored with an event, brought up to date when it is read."""

from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Refresh(nn.Module):
    r"""One step of a GRU, whose input is a linear map of what the event brought.

    .. math::

        s' = \operatorname{GRU}(W m, s)

    Memories store what was there before an event together with the event, and apply it when they
    are next read. So the gradient reaches the parameters though nothing stored has one.

    "Temporal Graph Networks for Deep Learning on Dynamic Graphs", https://arxiv.org/abs/2006.10637.
    """

    def __init__(self, message_channels: int, channels: int):
        """Create the map and the cell.

        Args:
            message_channels: Width of m.
            channels: Width of s.
        """
        super().__init__()
        self.message = nn.Linear(message_channels, channels, bias=False)
        self.cell = nn.GRUCell(channels, channels)

    def forward(self, stored: Tensor, *message: Tensor) -> Tensor:
        """The new vectors.

        Args:
            stored: [..., channels].
            *message: Parts [..., m] of the message, side by side.

        Returns:
            [..., channels].
        """
        # W by its columns, one part at a time: the parts are many rows, and joining them is slow.
        weights = self.message.weight.split([part.shape[-1] for part in message], dim=1)
        products = (F.linear(part, w) for part, w in zip(message, weights, strict=True))
        update = reduce(torch.add, products)
        new = self.cell(update.flatten(0, -2), stored.flatten(0, -2))
        return new.view(stored.shape)
