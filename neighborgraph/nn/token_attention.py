"""Token attention: a node among the tokens of nodes sampled around it."""

import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.checks import expect_shape
from neighborgraph.errors import InputError


class TokenAttention(nn.Module):
    r"""One transformer layer over L tokens a node, and a readout at the node's own first token.

    .. math::

        h = W_2 \operatorname{relu}(W_1 t), \qquad
        h \leftarrow h + \operatorname{MHA}(\operatorname{LN} h), \qquad
        h \leftarrow \operatorname{LN}\big(h + \operatorname{FFN}(\operatorname{LN} h)\big)

    .. math::

        o = h_1 + \sum_{l=2}^{L} \operatorname{softmax}_l(a^\top [h_1 ; h_l]) \, h_l

    Every head is as wide as h itself. The attention is dense within a sequence, which is short and
    of the same length for all nodes, so it is Torch's own: no sparse kernel is needed.

    "Graph Transformers for Large Graphs", https://arxiv.org/abs/2312.11109, section 3.2.
    """

    def __init__(
        self, in_channels: int, hidden_channels: int, *, heads: int = 2, dropout: float = 0.3
    ):
        """Create the layer.

        Args:
            in_channels: F, width of a token.
            hidden_channels: d, width of h and of every head.
            heads: Of the attention.
            dropout: Probability of dropping an entry or an attention weight, in [0, 1).

        Raises:
            InputError: A number is out of range.
        """
        super().__init__()
        for name, number in (
            ("in_channels", in_channels),
            ("hidden_channels", hidden_channels),
            ("heads", heads),
        ):
            if number < 1:
                raise InputError(f"{name}={number} must be at least 1")
        if not 0 <= dropout < 1:
            raise InputError(f"dropout={dropout} is outside [0, 1)")
        d = hidden_channels
        self.in_channels, self.heads, self.dropout = in_channels, heads, dropout
        self.embed = nn.Sequential(
            nn.Linear(in_channels, d), nn.ReLU(), nn.Dropout(dropout), nn.Linear(d, d)
        )
        self.attention_norm = nn.LayerNorm(d)
        self.query_key_value = nn.Linear(d, 3 * heads * d)
        self.merge = nn.Linear(heads * d, d)
        self.feed_norm = nn.LayerNorm(d)
        self.feed = nn.Sequential(
            nn.Linear(d, 2 * d), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * d, d)
        )
        self.out_norm = nn.LayerNorm(d)
        self.readout = nn.Linear(2 * d, 1, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """The nodes' new vectors.

        Args:
            tokens: [b, L, F], the first of each row the node's own.

        Returns:
            [b, d].

        Raises:
            InputError: ``tokens`` has another shape.
        """
        expect_shape("tokens", tokens, ("b", "L", self.in_channels))
        h = self.embed(tokens)
        h = h + self.drop(self.attend(self.attention_norm(h)))
        h = self.out_norm(h + self.drop(self.feed(self.feed_norm(h))))
        own, around = h[:, :1], h[:, 1:]
        # a·[h_1; h_l] in two products: the node's own half is computed once.
        own_half, half = self.readout.weight.chunk(2, dim=1)
        score = F.linear(own, own_half) + F.linear(around, half)
        return own.squeeze(1) + (score.softmax(dim=1) * around).sum(dim=1)

    def attend(self, h: Tensor) -> Tensor:
        """Attention of all tokens to all of the same row."""
        shape = (*h.shape[:2], 3, self.heads, h.shape[2])
        q, k, v = self.query_key_value(h).view(shape).permute(2, 0, 3, 1, 4)
        p = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=p)
        return self.merge(mixed.transpose(1, 2).flatten(2))

    def drop(self, h: Tensor) -> Tensor:
        """Dropout before a residual sum."""
        return F.dropout(h, self.dropout, self.training)
