"""DAGNN, from "Towards Deeper Graph Neural Networks" (Liu, Gao and Ji, KDD 2020)."""

from torch import Tensor, nn

from neighborgraph.graph import Graph
from neighborgraph.models.mlp import MLP
from neighborgraph.models.options import expect_options
from neighborgraph.nn import Features, GatedPropagate


class DAGNN(nn.Module):
    r"""Transform once, propagate many times, and let every node choose its hops (arXiv 2007.09296).

    .. math::

        Z = \mathrm{MLP}(X), \qquad H_l = \hat{A}^l Z, \qquad
        s_{il} = \sigma(w^\top h_{il} + b), \qquad o_i = \sum_{l=0}^{K} s_{il} h_{il}

    Because no parameters lie between the hops, K = 10 or 20 neither overfits nor oversmooths. The
    hops are not kept: see `GatedPropagate`.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        hops: int,
        dropout: float,
        drop_features: bool = True,
        batch_norm: bool = False,
    ):
        """Create the transformation and the gate.

        Args:
            in_channels: Feature width F.
            hidden_channels: Width of the hidden layer.
            out_channels: Number of classes C.
            hops: K, the number of propagation steps; 0 or more.
            dropout: Probability of dropping an entry, in [0, 1).
            drop_features: Whether entries of the features are dropped too.
            batch_norm: Whether to normalise the hidden layer.

        Raises:
            InputError: A width is below 1, ``hops`` below 0 or ``dropout`` outside [0, 1).
        """
        super().__init__()
        expect_options(
            dropout=dropout,
            in_channels=in_channels,
            hidden_channels=hidden_channels,
            out_channels=out_channels,
        )
        self.transform = MLP(
            in_channels=in_channels,
            hidden_channels=hidden_channels,
            out_channels=out_channels,
            dropout=dropout,
            drop_features=drop_features,
            batch_norm=batch_norm,
        )
        self.gate = GatedPropagate(out_channels, hops)

    def forward(self, x: Features, graph: Graph) -> Tensor:
        """Class scores before the softmax.

        Args:
            x: [n, F] features, dense or sparse.
            graph: The n nodes' neighbours, self-loops included.

        Returns:
            [n, C].
        """
        return self.gate(graph, self.transform(x))
