"""HopGate: every node mixes its hops by what it finds in them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class HopGate(nn.Module):
    r"""Weigh each node's hops by a learned score and add them up.

    .. math::

        s_{il} = \sigma(w^\top h_{il} + b), \qquad o_i = \sum_l s_{il} h_{il}

    One score vector is shared by all hops. From "Towards Deeper Graph Neural Networks" (Liu, Gao
    and Ji, 2020), where it is called adaptive adjustment.
    """

    def __init__(self, channels: int):
        """Create the score.

        Args:
            channels: C, the width of every hop.
        """
        super().__init__()
        self.score = nn.Linear(channels, 1)

    def forward(self, hops: Sequence[Tensor]) -> Tensor:
        """The mixture, summed hop by hop so that no [n, K + 1, C] stack is ever made.

        Args:
            hops: K + 1 tensors [n, C].

        Returns:
            [n, C].
        """
        mixture = torch.zeros_like(hops[0])
        for hop in hops:
            mixture = mixture + self.score(hop).sigmoid() * hop
        return mixture
