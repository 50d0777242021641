"""GCNII, from "Simple and Deep Graph Convolutional Networks" (Chen et al., ICML 2020)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.models.options import expect_options, expect_weights
from neighborgraph.nn import FeatureLinear, Features, feature_dropout, symmetric_scale
from neighborgraph.ops import aggregate


class GCNII(nn.Module):
    r"""Many convolutions that keep the first representation (Chen et al., arXiv 2007.02133).

    .. math::

        H_l = \mathrm{relu}\Big( \big( (1 - \alpha) \hat{A} H_{l-1} + \alpha H_0 \big)
        \big( (1 - \beta_l) I + \beta_l W_l \big) \Big), \qquad
        \beta_l = \log\Big(\frac{\lambda}{l} + 1\Big)

    with :math:`H_0 = \mathrm{relu}(X W + b)`, a linear layer at the end and dropout before all.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        dropout: float,
        layers: int,
        alpha: float = 0.1,
        decay: float = 0.5,
    ):
        """Create the layers; the weights of a convolution are uniform, as in the authors' code.

        Args:
            in_channels: Feature width F.
            hidden_channels: Width of all hidden layers.
            out_channels: Number of classes C.
            dropout: Probability of dropping an entry, in [0, 1).
            layers: Number of convolutions L.
            alpha: Part of the first representation in each layer, in [0, 1].
            decay: The paper's lambda; the larger, the more the weights of a layer count.

        Raises:
            InputError: A number is outside its range.
        """
        super().__init__()
        expect_options(
            dropout=dropout,
            in_channels=in_channels,
            hidden_channels=hidden_channels,
            out_channels=out_channels,
            layers=layers,
        )
        expect_weights(decay=decay)
        if not 0 <= alpha <= 1:
            raise InputError(f"alpha={alpha} is outside [0, 1]")
        self.hidden = FeatureLinear(in_channels, hidden_channels)
        self.weights = nn.ParameterList(
            torch.empty(hidden_channels, hidden_channels) for _ in range(layers)
        )
        for weight in self.weights:
            nn.init.uniform_(weight, -(hidden_channels**-0.5), hidden_channels**-0.5)
        self.out = nn.Linear(hidden_channels, out_channels)
        self.dropout = dropout
        self.alpha = alpha
        self.decay = decay

    def forward(self, x: Features, graph: Graph) -> Tensor:
        """Class scores before the softmax.

        Args:
            x: [n, F] features, dense or sparse.
            graph: The n nodes' neighbours, self-loops included.

        Returns:
            [n, C].
        """
        x = feature_dropout(x, self.dropout, self.training)
        return self.convolve(self.hidden(x), graph)

    def convolve(self, z: Tensor, graph: Graph) -> Tensor:
        """All that follows the first product.

        Args:
            z: [n, ..., hidden_channels] products of the features with the first weights and bias.
            graph: The n nodes' neighbours, self-loops included.

        Returns:
            [n, ..., C].
        """
        first = h = z.relu()
        scale = symmetric_scale(graph, torch.promote_types(z.dtype, torch.float32))
        keep = (1 - self.alpha) * scale
        identity = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        for layer, weight in enumerate(self.weights, start=1):
            h = F.dropout(h, self.dropout, self.training)
            # Initial residual: added as the sum over the neighbours is written.
            h = aggregate(
                graph, h, row_scale=keep, col_scale=scale, add=first, add_scale=self.alpha
            )
            h = (h @ identity.lerp(weight, math.log(self.decay / layer + 1))).relu()
        return self.out(F.dropout(h, self.dropout, self.training))
