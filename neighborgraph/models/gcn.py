"""GCN, from "Semi-Supervised Classification with Graph Convolutional Networks" (ICLR 2017)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.graph import Graph
from neighborgraph.models.options import expect_options
from neighborgraph.nn import FeatureLinear, Features, feature_dropout, propagate


class GCN(nn.Module):
    r"""Two graph convolutions (Kipf and Welling, arXiv 1609.02907), dropout before each.

    .. math::

        Z = \hat{A} \, \mathrm{relu}(\hat{A} X W_1 + b_1) W_2 + b_2, \qquad
        \hat{A} = D^{-1/2} A D^{-1/2}

    The product with the weights comes first, so that neighbours are summed in the smaller width.
    """

    def __init__(
        self, *, in_channels: int, hidden_channels: int, out_channels: int, dropout: float
    ):
        """Create the two layers with Glorot weights and zero biases, as the paper does.

        Args:
            in_channels: Feature width F.
            hidden_channels: Width of the hidden layer.
            out_channels: Number of classes C.
            dropout: Probability of dropping an entry, in [0, 1).

        Raises:
            InputError: A width is below 1 or ``dropout`` outside [0, 1).
        """
        super().__init__()
        expect_options(
            dropout=dropout,
            in_channels=in_channels,
            hidden_channels=hidden_channels,
            out_channels=out_channels,
        )
        # The biases stand apart: added before a propagation, they would be scaled by degrees.
        self.hidden = FeatureLinear(in_channels, hidden_channels, bias=False)
        self.hidden_bias = nn.Parameter(torch.zeros(hidden_channels))
        self.out = nn.Linear(hidden_channels, out_channels, bias=False)
        self.out_bias = nn.Parameter(torch.zeros(out_channels))
        self.dropout = dropout
        for layer in (self.hidden, self.out):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, x: Features, graph: Graph) -> Tensor:
        """Class scores before the softmax.

        Args:
            x: [n, F] features, dense or sparse.
            graph: The n nodes' neighbours, self-loops included.

        Returns:
            [n, C].
        """
        x = feature_dropout(x, self.dropout, self.training)
        z = F.relu(propagate(graph, self.hidden(x)) + self.hidden_bias)
        z = F.dropout(z, self.dropout, self.training)
        return propagate(graph, self.out(z)) + self.out_bias
