"""GraphSAGE, from "Inductive Representation Learning on Large Graphs" (NeurIPS 2017)."""

import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.models.options import expect_options
from neighborgraph.nn import FeatureLinear, Features, feature_dropout
from neighborgraph.ops import aggregate


class SAGE(nn.Module):
    r"""GraphSAGE layers with the mean (Hamilton et al., arXiv 1706.02216), dropout before each.

    .. math::

        Z = f_2(\mathrm{relu}(f_1(X))), \qquad
        f_l(H)_i = W_l h_i + b_l + \operatorname{mean}_{j \to i} V_l h_j

    More ``layers`` go on in the same way. The mean is over the graph it is given: with self-loops a
    node is one of its own neighbours. The product with the weights comes first, so that neighbours
    are averaged in the smaller width.
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
    ):
        """Create the layers.

        Args:
            in_channels: Feature width F.
            hidden_channels: Width of the hidden layers.
            out_channels: Number of classes C.
            dropout: Probability of dropping an entry, in [0, 1).
            layers: Number of layers; 2 or more.
            drop_features: Whether entries of the features are dropped too.

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
        self.hidden = FeatureLinear(in_channels, hidden_channels)
        self.hidden_neighbors = FeatureLinear(in_channels, hidden_channels, bias=False)
        widths = [(hidden_channels, hidden_channels)] * (layers - 2)
        self.middle = nn.ModuleList(nn.Linear(*width) for width in widths)
        self.middle_neighbors = nn.ModuleList(nn.Linear(*width, bias=False) for width in widths)
        self.out = nn.Linear(hidden_channels, out_channels)
        self.out_neighbors = nn.Linear(hidden_channels, out_channels, bias=False)
        self.dropout = dropout
        self.drop_features = drop_features

    def forward(self, x: Features, graph: Graph) -> Tensor:
        """Class scores before the softmax.

        Args:
            x: [n, F] features, dense or sparse.
            graph: The n nodes' neighbours.

        Returns:
            [n, C].
        """
        if self.drop_features:
            x = feature_dropout(x, self.dropout, self.training)
        return self.convolve(self.hidden(x), self.hidden_neighbors(x), graph)

    def convolve(self, own: Tensor, neighbors: Tensor, graph: Graph) -> Tensor:
        """All that follows the first products.

        Args:
            own: [n, ..., hidden_channels] products of the nodes' own features, bias included.
            neighbors: [n, ..., hidden_channels] products that their receivers average.
            graph: The n nodes' neighbours.

        Returns:
            [n, ..., C].
        """
        z = self.activate(aggregate(graph, neighbors, "mean", add=own))
        for layer, of_neighbors in zip(self.middle, self.middle_neighbors, strict=True):
            z = self.activate(aggregate(graph, of_neighbors(z), "mean", add=layer(z)))
        return aggregate(graph, self.out_neighbors(z), "mean", add=self.out(z))

    def activate(self, z: Tensor) -> Tensor:
        """What lies between two layers."""
        return F.dropout(F.relu(z), self.dropout, self.training)
