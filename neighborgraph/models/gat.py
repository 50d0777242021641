"""GAT, from "Graph Attention Networks" (Veličković et al., ICLR 2018)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.graph import Graph
from neighborgraph.models.options import expect_options
from neighborgraph.nn import FeatureLinear, Features, feature_dropout
from neighborgraph.ops import Additive, attend

NEGATIVE_SLOPE = 0.2


class NodeAttention(nn.Module):
    r"""Attention whose scores are one number of the sender and one of the receiver.

    .. math::

        o_i = \sum_{j \to i} \alpha_{ij} z_j, \qquad \alpha_{ij} =
        \operatorname{softmax}_j \operatorname{lrelu}(a_s^\top z_j + a_t^\top z_i)
    """

    def __init__(self, heads: int, channels: int):
        """Create the vectors a of every head with Glorot values.

        Args:
            heads: H.
            channels: Width of a head.
        """
        super().__init__()
        self.source = nn.Parameter(torch.empty(heads, channels))
        self.target = nn.Parameter(torch.empty(heads, channels))
        nn.init.xavier_uniform_(self.source)
        nn.init.xavier_uniform_(self.target)

    def forward(self, z: Tensor, graph: Graph, dropout: float) -> Tensor:
        """The means of all heads.

        Args:
            z: [n, ..., H * channels]; what lies between is a batch, with edges dropped anew.
            graph: The n nodes' neighbours.
            dropout: Probability of dropping an edge.

        Returns:
            Like ``z``.
        """
        heads, channels = self.source.shape
        value = z.reshape(len(z), -1, heads, channels)
        source = (value * self.source).sum(-1).flatten(1)[..., None]
        target = (value * self.target).sum(-1).flatten(1)[..., None]
        score = Additive(negative_slope=NEGATIVE_SLOPE)
        out = attend(graph, target, source, value.flatten(1, 2), score=score, dropout=dropout)
        return out.view_as(z)


class GAT(nn.Module):
    r"""Two layers of attention (Veličković et al., arXiv 1710.10903), dropout before each.

    .. math::

        Z = \frac{1}{H'} \sum_{h=1}^{H'} A'_h(H W'_h) + b', \qquad
        H = \big\Vert_{h=1}^{H} \mathrm{elu}(A_h(X W_h) + b_h)

    A are `NodeAttention` with edges dropped, too.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        dropout: float,
        heads: int = 8,
        out_heads: int = 1,
    ):
        """Create the two layers with Glorot weights and zero biases, as the paper does.

        Args:
            in_channels: Feature width F.
            hidden_channels: Width of a head of the first layer.
            out_channels: Number of classes C.
            dropout: Probability of dropping an entry or an edge, in [0, 1).
            heads: Heads H of the first layer.
            out_heads: Heads H' of the second layer, which are averaged.

        Raises:
            InputError: A number is below 1 or ``dropout`` outside [0, 1).
        """
        super().__init__()
        expect_options(
            dropout=dropout,
            in_channels=in_channels,
            hidden_channels=hidden_channels,
            out_channels=out_channels,
            heads=heads,
            out_heads=out_heads,
        )
        # The biases stand apart: they are added after the attention.
        self.hidden = FeatureLinear(in_channels, heads * hidden_channels, bias=False)
        self.hidden_attention = NodeAttention(heads, hidden_channels)
        self.hidden_bias = nn.Parameter(torch.zeros(heads * hidden_channels))
        self.out = nn.Linear(heads * hidden_channels, out_heads * out_channels, bias=False)
        self.out_attention = NodeAttention(out_heads, out_channels)
        self.out_bias = nn.Parameter(torch.zeros(out_channels))
        self.dropout = dropout
        nn.init.xavier_uniform_(self.hidden.weight)
        nn.init.xavier_uniform_(self.out.weight)

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
            z: [n, ..., heads * hidden_channels] products of the features with the first weights.
            graph: The n nodes' neighbours, self-loops included.

        Returns:
            [n, ..., C].
        """
        edge_dropout = self.dropout if self.training else 0.0
        z = F.elu(self.hidden_attention(z, graph, edge_dropout) + self.hidden_bias)
        z = self.out(F.dropout(z, self.dropout, self.training))
        z = self.out_attention(z, graph, edge_dropout)
        heads = self.out_attention.source.shape
        return z.unflatten(-1, heads).mean(-2) + self.out_bias
