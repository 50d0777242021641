"""GraphSAGE, from "Inductive Representation Learning on Large Graphs" (NeurIPS 2017)."""

import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.graph import Graph
from neighborgraph.models.options import expect_options
from neighborgraph.nn import FeatureLinear, Features, feature_dropout
from neighborgraph.ops import aggregate


class SAGE(nn.Module):
    r"""Two GraphSAGE layers with the mean (Hamilton et al., arXiv 1706.02216), dropout before each.

    .. math::

        Z = f_2(\mathrm{relu}(f_1(X))), \qquad
        f_l(H)_i = W_l h_i + b_l + \operatorname{mean}_{j \to i} V_l h_j

    The mean is over the graph it is given: with self-loops a node is one of its own neighbours.
    The product with the weights comes first, so that neighbours are averaged in the smaller width.
    """

    def __init__(
        self, *, in_channels: int, hidden_channels: int, out_channels: int, dropout: float
    ):
        """Create the two layers.

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
        self.hidden = FeatureLinear(in_channels, hidden_channels)
        self.hidden_neighbors = FeatureLinear(in_channels, hidden_channels, bias=False)
        self.out = nn.Linear(hidden_channels, out_channels)
        self.out_neighbors = nn.Linear(hidden_channels, out_channels, bias=False)
        self.dropout = dropout

    def forward(self, x: Features, graph: Graph) -> Tensor:
        """Class scores before the softmax.

        Args:
            x: [n, F] features, dense or sparse.
            graph: The n nodes' neighbours.

        Returns:
            [n, C].
        """
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
        z = aggregate(graph, neighbors, "mean", add=own).relu()
        z = F.dropout(z, self.dropout, self.training)
        return aggregate(graph, self.out_neighbors(z), "mean", add=self.out(z))
