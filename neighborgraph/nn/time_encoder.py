"""TimeEncoder: an elapsed time as cosines, from fast to slow."""

import torch
from torch import Tensor, nn

from neighborgraph.checks import expect_dtype
from neighborgraph.errors import InputError
from neighborgraph.graph.events import TIME_DTYPES

DECADES = 9
"""The slowest cosine is 10^9 times as slow as the fastest."""


class TimeEncoder(nn.Module):
    r"""Cosines with fixed frequencies, spread evenly in the logarithm.

    .. math::

        c_j = \cos(\omega_j \, \Delta t), \qquad \omega_j = 10^{-9 (j - 1) / (d - 1)}

    The phases are found in float64, so that an elapsed time of years in seconds keeps its digits.
    Frequencies are not learned: a step that suits the fast ones would scramble the slow ones.

    "Inductive Representation Learning on Temporal Graphs", https://arxiv.org/abs/2002.07962; with
    fixed frequencies "Do We Really Need Complicated Model Architectures For Temporal Networks?",
    https://arxiv.org/abs/2302.11636.
    """

    frequency: Tensor

    def __init__(self, channels: int):
        """Spread the frequencies.

        Args:
            channels: d, number of cosines.

        Raises:
            InputError: ``channels`` is below 1.
        """
        super().__init__()
        if channels < 1:
            raise InputError(f"channels={channels} must be at least 1")
        frequency = torch.logspace(0, -DECADES, channels, dtype=torch.float64)
        self.register_buffer("frequency", frequency, persistent=False)

    def forward(self, elapsed: Tensor) -> Tensor:
        """The cosines of elapsed times.

        Args:
            elapsed: [...] int64 or float64, in the units of the stream.

        Returns:
            [..., d] float32.

        Raises:
            DtypeError: ``elapsed`` has another type.
        """
        expect_dtype("elapsed", elapsed, TIME_DTYPES)
        # .double(): a model that was made 16-bit has taken this buffer along.
        return torch.cos(elapsed[..., None] * self.frequency.double()).float()
