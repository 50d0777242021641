"""Codebook attention: a node looks at all nodes, through the few centroids that stand for them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.checks import expect_shape
from neighborgraph.errors import InputError
from neighborgraph.nn.codebook import Codebook


class CodebookAttention(nn.Module):
    r"""Attention to all n nodes at the price of B centroids.

    .. math::

        u = [W_x x ; p], \qquad
        o = \sum_c \operatorname{softmax}_c\Big(
            \frac{(W_q u)^\top (W_k \mu_c)}{\sqrt{d}} + \log n_c \Big) \, W_v \mu_c^{(1 \dots g)}

    A node's query u is its features beside its position p. Keys are the centroids :math:`\mu` of
    all nodes' queries, values their first g channels, and a centroid counts as often as there are
    nodes that it stands for: it is what attention to n nodes would be if each were at its centroid.
    In training every batch of queries also moves the centroids; see `Codebook`.

    "Graph Transformers for Large Graphs", https://arxiv.org/abs/2312.11109, section 3.3.
    """

    def __init__(
        self,
        in_channels: int,
        global_channels: int,
        num_nodes: int,
        *,
        num_codes: int = 4096,
        heads: int = 2,
        dropout: float = 0.3,
        decay: float = 0.99,
    ):
        """Create the layer and its codebook.

        Args:
            in_channels: F, width of features.
            global_channels: g, width of positions, and of what is made of the features.
            num_nodes: n.
            num_codes: B.
            heads: Of the attention, each g wide.
            dropout: Probability of dropping an attention weight, in [0, 1).
            decay: Of the codebook.

        Raises:
            InputError: A number is out of range.
        """
        super().__init__()
        for name, number in (
            ("in_channels", in_channels),
            ("global_channels", global_channels),
            ("heads", heads),
        ):
            if number < 1:
                raise InputError(f"{name}={number} must be at least 1")
        if not 0 <= dropout < 1:
            raise InputError(f"dropout={dropout} is outside [0, 1)")
        g = global_channels
        self.heads, self.dropout = heads, dropout
        self.codebook = Codebook(num_codes, 2 * g, num_nodes, decay=decay)
        self.features = nn.Linear(in_channels, g)
        self.query = nn.Linear(2 * g, heads * g)
        self.key = nn.Linear(2 * g, heads * g)
        self.value = nn.Linear(g, heads * g)
        self.merge = nn.Linear(heads * g, g)

    def forward(self, x: Tensor, position: Tensor, node: Tensor) -> Tensor:
        """What the nodes see of all others.

        Args:
            x: [b, F] features.
            position: [b, g] positions, such as `random_projection`'s or those of PyG's Node2Vec.
            node: [b] int64, which nodes these are; in training each once.

        Returns:
            [b, g].

        Raises:
            InputError: A shape is wrong.
        """
        g = self.value.in_features
        expect_shape("x", x, ("b", self.features.in_features))
        expect_shape("position", position, (len(x), g), "a row of x each")
        u = torch.cat([self.features(x), position.to(x.dtype)], dim=1)
        centroids = self.codebook.rows()
        q, k, v = (
            heads.unflatten(1, (self.heads, g)).transpose(0, 1)[None]
            for heads in (self.query(u), self.key(centroids), self.value(centroids[:, :g]))
        )
        # A centroid that stands for no node has weight exp(-inf) = 0.
        weight = self.codebook.count.double().log().to(q.dtype)[None]
        p = self.dropout if self.training else 0.0
        seen = F.scaled_dot_product_attention(
            q, k.to(q.dtype), v.to(q.dtype), attn_mask=weight, dropout_p=p
        )
        if self.training:
            self.codebook.update(u.detach(), node)
        return self.merge(seen[0].transpose(0, 1).flatten(1))
