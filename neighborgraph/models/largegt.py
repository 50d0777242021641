"""LargeGT, from "Graph Transformers for Large Graphs" (Dwivedi et al., 2023)."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from neighborgraph.models.options import expect_options
from neighborgraph.nn import CodebookAttention, TokenAttention


class TokenModel(nn.Module, ABC):
    """A model that classifies nodes by the tokens of nodes sampled around them.

    Attributes:
        position_channels: Width of the positions that it wants; 0 for none.
    """

    position_channels = 0

    @abstractmethod
    def forward(self, tokens: Tensor, position: Tensor, node: Tensor) -> Tensor:
        """Class scores before the softmax.

        Args:
            tokens: [b, K, T, F] T tokens of each of K nodes: a node itself, then K - 1 around it.
                The first token of a node is its features.
            position: [b, position_channels] where each node is, of any origin.
            node: [b] int64, which nodes these are; in training each once.

        Returns:
            [b, C].
        """


class LargeGT(TokenModel):
    r"""Transformers for what is near and for all that is far (arXiv 2312.11109).

    .. math::

        z_i = \operatorname{FFN}\big([\operatorname{local}(t_i) ; \operatorname{global}(x_i, p_i)]
            \big)

    The local module is `TokenAttention` over three tokens (features smoothed 0, 1 and 2 times) of
    the node and of nodes one or two steps away, so a node sees four steps far. The global module is
    `CodebookAttention`, which sees all nodes through centroids.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        num_nodes: int,
        global_channels: int = 64,
        codes: int = 4096,
        heads: int = 2,
        dropout: float = 0.3,
        head_dropout: float = 0.5,
    ):
        """Create both modules.

        Args:
            in_channels: Feature width F.
            hidden_channels: d, width of the local module.
            out_channels: Number of classes C.
            num_nodes: n, of the whole graph.
            global_channels: g, width of the global module and of positions.
            codes: B, number of centroids.
            heads: Of both attentions.
            dropout: Probability of dropping an entry or an attention weight, in [0, 1).
            head_dropout: The same between the last two products.

        Raises:
            InputError: A number is out of range.
        """
        super().__init__()
        expect_head(hidden_channels, out_channels, head_dropout)
        self.position_channels = global_channels
        self.near = TokenAttention(in_channels, hidden_channels, heads=heads, dropout=dropout)
        self.far = CodebookAttention(
            in_channels,
            global_channels,
            num_nodes,
            num_codes=codes,
            heads=heads,
            dropout=dropout,
        )
        width = hidden_channels + global_channels
        self.head = head(width, hidden_channels, out_channels, head_dropout)

    def forward(self, tokens: Tensor, position: Tensor, node: Tensor) -> Tensor:
        """Class scores before the softmax; see `TokenModel`."""
        near = self.near(tokens.flatten(1, 2))
        far = self.far(tokens[:, 0, 0], position, node)
        return self.head(torch.cat([near, far.to(near.dtype)], dim=1))


class LargeGTLocal(TokenModel):
    """LargeGT's local module alone."""

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        heads: int = 2,
        dropout: float = 0.3,
        head_dropout: float = 0.5,
    ):
        """Create the module; the arguments are those of `LargeGT`."""
        super().__init__()
        expect_head(hidden_channels, out_channels, head_dropout)
        self.near = TokenAttention(in_channels, hidden_channels, heads=heads, dropout=dropout)
        self.head = head(hidden_channels, hidden_channels, out_channels, head_dropout)

    def forward(self, tokens: Tensor, position: Tensor, node: Tensor) -> Tensor:
        """Class scores before the softmax; see `TokenModel`."""
        return self.head(self.near(tokens.flatten(1, 2)))


class LargeGTGlobal(TokenModel):
    """LargeGT's global module alone."""

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        num_nodes: int,
        global_channels: int = 64,
        codes: int = 4096,
        heads: int = 2,
        dropout: float = 0.3,
        head_dropout: float = 0.5,
    ):
        """Create the module; the arguments are those of `LargeGT`."""
        super().__init__()
        expect_head(hidden_channels, out_channels, head_dropout)
        self.position_channels = global_channels
        self.far = CodebookAttention(
            in_channels,
            global_channels,
            num_nodes,
            num_codes=codes,
            heads=heads,
            dropout=dropout,
        )
        self.head = head(global_channels, hidden_channels, out_channels, head_dropout)

    def forward(self, tokens: Tensor, position: Tensor, node: Tensor) -> Tensor:
        """Class scores before the softmax; see `TokenModel`."""
        return self.head(self.far(tokens[:, 0, 0], position, node))


def expect_head(hidden_channels: int, out_channels: int, head_dropout: float) -> None:
    """Refuse what no head can be made of; the modules check their own numbers."""
    expect_options(dropout=head_dropout, hidden_channels=hidden_channels, out_channels=out_channels)


def head(
    in_channels: int, hidden_channels: int, out_channels: int, dropout: float
) -> nn.Sequential:
    """From what a node saw to scores of classes."""
    return nn.Sequential(
        nn.Linear(in_channels, hidden_channels),
        nn.BatchNorm1d(hidden_channels),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden_channels, out_channels),
    )
