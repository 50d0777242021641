"""MLP: the baseline that never looks at a neighbour."""

import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.graph import Graph
from neighborgraph.models.options import expect_options
from neighborgraph.nn import FeatureLinear, Features, feature_dropout


class MLP(nn.Module):
    r"""Two linear layers with dropout before each.

    .. math::

        Z = \mathrm{drop}(\mathrm{relu}(\mathrm{drop}(X) W_1 + b_1)) W_2 + b_2

    With ``batch_norm`` the hidden layer is normalised before the relu.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        dropout: float,
        drop_features: bool = True,
        batch_norm: bool = False,
    ):
        """Create the two layers.

        Args:
            in_channels: Feature width F.
            hidden_channels: Width of the hidden layer.
            out_channels: Number of classes C.
            dropout: Probability of dropping an entry, in [0, 1).
            drop_features: Whether entries of the features are dropped too.
            batch_norm: Whether to normalise the hidden layer.

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
        self.norm = nn.BatchNorm1d(hidden_channels) if batch_norm else nn.Identity()
        self.out = nn.Linear(hidden_channels, out_channels)
        self.dropout = dropout
        self.drop_features = drop_features

    def forward(self, x: Features, graph: Graph | None = None) -> Tensor:
        """Class scores before the softmax.

        Args:
            x: [n, F] features, dense or sparse.
            graph: Ignored; every model of a task is called alike.

        Returns:
            [n, C].
        """
        if self.drop_features:
            x = feature_dropout(x, self.dropout, self.training)
        z = F.relu(self.norm(self.hidden(x)))
        return self.out(F.dropout(z, self.dropout, self.training))
