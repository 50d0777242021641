"""GCN, from "Semi-Supervised Classification with Graph Convolutional Networks" (ICLR 2017)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.models.options import expect_options
from neighborgraph.nn import FeatureLinear, Features, feature_dropout, propagate


class GCN(nn.Module):
    r"""Graph convolutions (Kipf and Welling, arXiv 1609.02907) with dropout before each.

    .. math::

        Z = \hat{A} \, \mathrm{relu}(\hat{A} X W_1 + b_1) W_2 + b_2, \qquad
        \hat{A} = D^{-1/2} A D^{-1/2}

    The product with the weights comes first, so that neighbours are summed in the smaller width.
    With ``batch_norm`` every layer but the last is normalised before the relu.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        dropout: float,
        layers: int = 2,
        drop_features: bool = True,
        batch_norm: bool = False,
    ):
        """Create the layers with Glorot weights and zero biases, as the paper does.

        Args:
            in_channels: Feature width F.
            hidden_channels: Width of the hidden layers.
            out_channels: Number of classes C.
            dropout: Probability of dropping an entry, in [0, 1).
            layers: Number of convolutions; 2 or more.
            drop_features: Whether entries of the features are dropped too.
            batch_norm: Whether to normalise the hidden layers.

        Raises:
            InputError: A width is below 1, ``layers`` below 2 or ``dropout`` outside [0, 1).
        """
        super().__init__()
        expect_options(
            dropout=dropout,
            in_channels=in_channels,
            hidden_channels=hidden_channels,
            out_channels=out_channels,
        )
        if layers < 2:
            raise InputError(f"layers={layers} must be at least 2")
        # The biases stand apart: added before a propagation, they would be scaled by degrees.
        self.hidden = FeatureLinear(in_channels, hidden_channels, bias=False)
        self.hidden_bias = nn.Parameter(torch.zeros(hidden_channels))
        self.middle = nn.ModuleList(
            nn.Linear(hidden_channels, hidden_channels, bias=False) for _ in range(layers - 2)
        )
        self.middle_bias = nn.ParameterList(torch.zeros(hidden_channels) for _ in self.middle)
        self.norms = nn.ModuleList(
            nn.BatchNorm1d(hidden_channels) if batch_norm else nn.Identity()
            for _ in range(layers - 1)
        )
        self.out = nn.Linear(hidden_channels, out_channels, bias=False)
        self.out_bias = nn.Parameter(torch.zeros(out_channels))
        self.dropout = dropout
        self.drop_features = drop_features
        for layer in (self.hidden, *self.middle, self.out):
            nn.init.xavier_uniform_(layer.get_parameter("weight"))

    def forward(self, x: Features, graph: Graph) -> Tensor:
        """Class scores before the softmax.

        Args:
            x: [n, F] features, dense or sparse.
            graph: The n nodes' neighbours, self-loops included.

        Returns:
            [n, C].
        """
        if self.drop_features:
            x = feature_dropout(x, self.dropout, self.training)
        return self.convolve(self.hidden(x), graph)

    def convolve(self, z: Tensor, graph: Graph) -> Tensor:
        """All that follows the first product.

        Args:
            z: [n, ..., hidden_channels] products of the features with the first weights.
            graph: The n nodes' neighbours, self-loops included.

        Returns:
            [n, ..., C].
        """
        first, *others = self.norms
        z = self.activate(first(propagate(graph, z) + self.hidden_bias))
        for layer, bias, norm in zip(self.middle, self.middle_bias, others, strict=True):
            z = self.activate(norm(propagate(graph, layer(z)) + bias))
        return propagate(graph, self.out(z)) + self.out_bias

    def activate(self, z: Tensor) -> Tensor:
        """What lies between two convolutions."""
        return F.dropout(F.relu(z), self.dropout, self.training)
