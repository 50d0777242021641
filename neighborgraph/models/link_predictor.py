"""LinkPredictor: any encoder of nodes, and an MLP that scores pairs of what it gives."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.models.options import expect_counts, expect_options


class LinkPredictor(nn.Module):
    r"""Scores of links as in OGB's examples (Hu et al., arXiv 2005.00687).

    .. math::

        Z = \mathrm{encoder}(X, G), \qquad s_{uv} = \mathrm{MLP}(z_u \odot z_v)

    A score is the logarithm of the odds that there is a link, the same in both directions. Where
    nodes have no features, X is an embedding that is learned.
    """

    embedding: nn.Parameter | None

    def __init__(
        self,
        encoder: nn.Module,
        *,
        hidden_channels: int,
        layers: int,
        dropout: float,
        num_nodes: int | None = None,
    ):
        """Put the MLP behind the encoder.

        Args:
            encoder: Called as ``encoder(x, graph)``, gives [n, hidden_channels].
            hidden_channels: Also the width of the MLP's hidden layers, and of an embedding.
            layers: Of the MLP; 1 or more.
            dropout: Probability of dropping an entry of the MLP's hidden layers, in [0, 1).
            num_nodes: n, of nodes that are to have an embedding; None where they have features.

        Raises:
            InputError: A number is below 1 or ``dropout`` outside [0, 1).
        """
        super().__init__()
        expect_options(dropout=dropout, hidden_channels=hidden_channels)
        expect_counts(layers=layers)
        self.encoder = encoder
        self.hidden = nn.ModuleList(
            nn.Linear(hidden_channels, hidden_channels) for _ in range(layers - 1)
        )
        self.out = nn.Linear(hidden_channels, 1)
        self.dropout = dropout
        self.embedding = None
        if num_nodes is not None:
            expect_counts(num_nodes=num_nodes)
            self.embedding = nn.Parameter(torch.empty(num_nodes, hidden_channels))
            nn.init.xavier_uniform_(self.embedding)

    def encode(self, x: Tensor | None, graph: Graph) -> Tensor:
        """What the encoder makes of the nodes.

        Args:
            x: [n, F] features; None where the nodes have an embedding.
            graph: The n nodes' neighbours.

        Returns:
            [n, hidden_channels].

        Raises:
            InputError: There are both features and an embedding, or neither.
        """
        if (x is None) == (self.embedding is None):
            raise InputError(
                "x must be None, as the nodes have an embedding"
                if x is not None
                else "x is None; give the nodes' features, or num_nodes to the constructor"
            )
        return self.encoder(self.embedding if x is None else x, graph)

    def forward(self, z: Tensor, pairs: Tensor) -> Tensor:
        """Scores of pairs of nodes.

        Args:
            z: [n, hidden_channels] from `encode`.
            pairs: [2, P] int64 nodes.

        Returns:
            [P].
        """
        h = z[pairs[0]] * z[pairs[1]]
        for layer in self.hidden:
            h = F.dropout(F.relu(layer(h)), self.dropout, self.training)
        return self.out(h).squeeze(-1)
