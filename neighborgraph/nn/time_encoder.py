"""TimeEncoder: an elapsed time as decays, from fast to slow."""

import torch
from torch import Tensor, nn

from neighborgraph.checks import expect_dtype
from neighborgraph.errors import InputError
from neighborgraph.graph.events import TIME_DTYPES

DECADES = 9
"""The slowest decay is 10^9 times as slow as the fastest."""


class TimeEncoder(nn.Module):
    r"""Decays with fixed rates, spread evenly in the logarithm.

    .. math::

        c_j = \exp(-\omega_j \, \Delta t), \qquad \omega_j = 10^{-9 (j - 1) / (d - 1)}

    Each falls from 1 to 0, however long the time, so that longer times than training had look like
    the longest it had; with cosines they look like any. Rates are not learned: a step that suits
    the fast ones would scramble the slow ones. They tell times apart from one unit to 10^9 units.
    """

    rate: Tensor

    def __init__(self, channels: int):
        """Spread the rates.

        Args:
            channels: d, number of decays.

        Raises:
            InputError: ``channels`` is below 1.
        """
        super().__init__()
        if channels < 1:
            raise InputError(f"channels={channels} must be at least 1")
        rate = torch.logspace(0, -DECADES, channels, dtype=torch.float64)
        self.register_buffer("rate", rate, persistent=False)

    def forward(self, elapsed: Tensor) -> Tensor:
        """The decays of elapsed times.

        Args:
            elapsed: [...] int64 or float64 from 0, in the units of the stream.

        Returns:
            [..., d] float32.

        Raises:
            DtypeError: ``elapsed`` has another type.
        """
        expect_dtype("elapsed", elapsed, TIME_DTYPES)
        # .double(): a model that was made 16-bit has taken this buffer along.
        return torch.exp(-elapsed[..., None] * self.rate.double()).float()
