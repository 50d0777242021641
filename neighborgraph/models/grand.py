"""GRAND, from "Graph Random Neural Networks for Semi-Supervised Learning on Graphs" (2020)."""

import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.models.options import expect_dropout, expect_options
from neighborgraph.nn import FeatureLinear, Features, propagate_sum
from neighborgraph.nn.features import dense_features, drop_nodes, feature_product


class GRAND(nn.Module):
    r"""Random propagation before an MLP (Feng et al., NeurIPS 2020, arXiv 2005.11079).

    .. math::

        \bar{X} = \frac{1}{K+1} \sum_{k=0}^{K} \hat{A}^k \, \mathrm{diag}(\epsilon) X,
        \qquad
        Z = \mathrm{drop}(\mathrm{relu}(\mathrm{drop}(\bar{X}) W_1 + b_1)) W_2 + b_2

    DropNode, the :math:`\epsilon_i \sim \mathrm{Bernoulli}(1 - \delta)`, takes away whole nodes'
    features, which the other nodes of a neighbourhood then stand for. So every call in training
    sees another augmentation of the graph; `neighborgraph.tasks.ConsistentClassification` asks that
    several of them lead to the same predictions. In evaluation :math:`\epsilon` is its mean,
    :math:`1 - \delta`, as in the authors' code: what is kept is not scaled up.

    The powers are summed up as they are made, so no stack of them is kept. Where nothing stands
    between the propagation and :math:`W_1`, which is so in evaluation without batch normalisation,
    the product comes first and the propagation is as narrow as the hidden layer.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        hops: int,
        dropout: float,
        input_dropout: float = 0.0,
        node_dropout: float = 0.5,
        batch_norm: bool = False,
    ):
        """Create the two layers.

        Args:
            in_channels: Feature width F.
            hidden_channels: Width of the hidden layer.
            out_channels: Number of classes C.
            hops: K, the highest power of the normalised adjacency; 0 or more.
            dropout: Probability of dropping an entry of the hidden layer, in [0, 1).
            input_dropout: Probability of dropping an entry of the propagated features, in [0, 1).
            node_dropout: Probability of dropping a node's features, in [0, 1).
            batch_norm: Whether to normalise the propagated features and the hidden layer.

        Raises:
            InputError: A width is below 1, ``hops`` below 0 or a probability outside [0, 1).
        """
        super().__init__()
        expect_options(
            dropout=dropout,
            in_channels=in_channels,
            hidden_channels=hidden_channels,
            out_channels=out_channels,
        )
        expect_dropout(input_dropout=input_dropout, node_dropout=node_dropout)
        if hops < 0:
            raise InputError(f"hops={hops} is negative; 0 or more steps are possible")
        self.norm = nn.BatchNorm1d(in_channels) if batch_norm else None
        self.hidden = FeatureLinear(in_channels, hidden_channels)
        self.hidden_norm = nn.BatchNorm1d(hidden_channels) if batch_norm else nn.Identity()
        self.out = nn.Linear(hidden_channels, out_channels)
        self.hops = hops
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.node_dropout = node_dropout

    def forward(self, x: Features, graph: Graph) -> Tensor:
        """Class scores before the softmax, in training for one augmentation drawn anew.

        Args:
            x: [n, F] features, dense or sparse.
            graph: The n nodes' neighbours, self-loops included.

        Returns:
            [n, C].
        """
        z = self.first_layer(drop_nodes(x, self.node_dropout, self.training), graph)
        z = self.hidden_norm(z.relu())
        return self.out(F.dropout(z, self.dropout, self.training))

    def first_layer(self, x: Features, graph: Graph) -> Tensor:
        """[n, hidden_channels]: propagation, normalisation, dropout, product and bias."""
        hops = [1 / (self.hops + 1)] * (self.hops + 1)
        dropped = self.training and self.input_dropout > 0
        if self.norm is None and not dropped:
            return propagate_sum(graph, feature_product(x, self.hidden.weight), hops) + (
                self.hidden.bias
            )
        mixed = propagate_sum(graph, dense_features(x), hops)
        if self.norm is not None:
            mixed = self.norm(mixed)
        return self.hidden(F.dropout(mixed, self.input_dropout, self.training))
