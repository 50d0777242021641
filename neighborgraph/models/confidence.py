"""How sure a prediction is: its dispersion, and the learned confidence that follows from it."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.errors import InputError
from neighborgraph.models.options import expect_counts, expect_dropout
from neighborgraph.nn import FeatureLinear, Features, feature_dropout


def dispersion(scores: Tensor) -> Tensor:
    r"""How far each row's softmax is from uniform, measured twice.

    .. math::

        P = \operatorname{softmax}(s), \qquad
        v = \frac{C \sum_c P_c^2 - 1}{C - 1}, \qquad
        e = 1 + \frac{\sum_c P_c \log P_c}{\log C}

    v is the variance of P over that of a one-hot row, e one minus the entropy over that of the
    uniform row. Both are 0 for the uniform row and 1 for a one-hot row.

    Args:
        scores: [n, C] class scores before the softmax; C is 2 or more.

    Returns:
        [n, 2]: v, e.

    Raises:
        InputError: There are fewer than two classes.
    """
    classes = scores.shape[-1]
    if classes < 2:
        raise InputError(f"scores have {classes} columns; a dispersion needs 2 classes or more")
    p = scores.softmax(-1)
    variance = (classes * p.square().sum(-1) - 1) / (classes - 1)
    entropy = torch.special.entr(p).sum(-1) / math.log(classes)
    # Rounding may leave either a little outside its range.
    return torch.stack([variance, 1 - entropy], dim=-1).clamp(0, 1)


class ConfidenceGate(nn.Module):
    r"""A confidence in (0, 1) that never falls when a dispersion rises.

    .. math::

        C = \sigma(|u|^\top \mathrm{relu}(|V| d + W x + b) + c)

    The absolute values make C monotone in d for any parameters, as the paper demands of its map
    from dispersion to confidence; the released code has an ordinary MLP there. :math:`W x` is
    only there when the gate also sees the nodes' own features.
    """

    def __init__(self, hidden_channels: int, feature_channels: int = 0, *, dropout: float = 0.0):
        """Create the two layers, with the weights of ``torch.nn.Linear``.

        Args:
            hidden_channels: Width of the hidden layer.
            feature_channels: Width F of the features that it sees; 0 for dispersions alone.
            dropout: Probability of dropping a feature or a hidden entry, in [0, 1).

        Raises:
            InputError: ``hidden_channels`` is below 1, ``feature_channels`` below 0, or
                ``dropout`` outside [0, 1).
        """
        super().__init__()
        expect_counts(hidden_channels=hidden_channels)
        expect_dropout(dropout=dropout)
        if feature_channels < 0:
            raise InputError(f"feature_channels={feature_channels} is negative")
        self.hidden = nn.Linear(2, hidden_channels)
        self.out = nn.Linear(hidden_channels, 1)
        self.features = None
        if feature_channels:
            self.features = FeatureLinear(feature_channels, hidden_channels, bias=False)
        self.dropout = dropout

    def forward(self, d: Tensor, x: Features) -> Tensor:
        """The confidence in each node's prediction.

        Args:
            d: [n, 2] from `dispersion`.
            x: [n, F] features, dense or sparse; unused where the gate sees none.

        Returns:
            [n].
        """
        z = F.linear(d, self.hidden.weight.abs(), self.hidden.bias)
        if self.features is not None:
            z = z + self.features(feature_dropout(x, self.dropout, self.training))
        z = F.dropout(z.relu(), self.dropout, self.training)
        return F.linear(z, self.out.weight.abs(), self.out.bias).squeeze(-1).sigmoid()
