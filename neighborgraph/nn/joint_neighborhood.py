"""JointNeighborhood: what two nodes remember together, and two ways to make one vector of it."""

from functools import lru_cache

import torch
from torch import Tensor, nn

from neighborgraph.graph import Graph
from neighborgraph.ops import Additive, attend, join_neighbors

CODES = 64
"""Position codes: three hops of either end."""


class JointNeighborhood(nn.Module):
    r"""The union of two neighbourhoods, each node of it once.

    .. math::

        x_a = \big[ \textstyle\sum_{c : \mathrm{key}_c = a} v_c \; ; \; P_{\mathrm{code}(a)} \big]

    Sums run over the places c of either end in which node a is remembered, and the code has one bit
    for each end and hop at which it is. P is learned.
    """

    def __init__(self, channels: int):
        """Create P.

        Args:
            channels: Width of its rows.
        """
        super().__init__()
        self.position = nn.Embedding(CODES, channels)

    def forward(self, key: Tensor, code: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
        """The union of each of p pairs, in S places of which the last may be empty.

        Args:
            key: [p, S] int64 nodes that either end remembers, side by side; negative for none.
            code: [S] int64, the bit of each column.
            vector: [p, S, F].

        Returns:
            [p, S, F + channels] for each place, and [p, S] bool, whether a node is there.
        """
        joint = join_neighbors(key, code)
        pairs, columns, channels = vector.shape
        own = torch.arange(pairs * columns, device=key.device).view(pairs, columns)
        first = own[:, :1]
        # What is nowhere is summed beyond the end, each place in a row of its own: one row for all
        # of them would be added up by one strand of a GPU.
        row = torch.where(joint.place < 0, own + pairs * columns, first + joint.place)
        sums = vector.new_zeros(2, *vector.shape)
        # Unlike index_add, this sums in the same order each time on a GPU, too.
        sums = sums.view(-1, channels).index_put(
            (row.flatten(),), vector.flatten(0, 1), accumulate=True
        )
        x = torch.cat([sums.view(2, *vector.shape)[0], self.position_of(joint.code)], dim=-1)
        return x, joint.key >= 0

    def position_of(self, code: Tensor) -> Tensor:
        """Rows of P, by a product, since the gradient of a look-up is added up by atomics."""
        weight = self.position.weight
        is_code = code[..., None] == torch.arange(CODES, device=code.device)
        return is_code.to(weight.dtype) @ weight


class JointAttention(nn.Module):
    r"""Attention over the nodes of a joint neighbourhood.

    .. math::

        z = W \big[ \textstyle\sum_a \alpha^h_a x_a \big]_{h=1}^{H} + b, \qquad
        \alpha^h = \operatorname{softmax}_a \operatorname{lrelu}(w_h^\top x_a)
    """

    def __init__(self, in_channels: int, out_channels: int, *, heads: int):
        """Create w, W and b.

        Args:
            in_channels: Width of x.
            out_channels: Width of z.
            heads: H.
        """
        super().__init__()
        self.heads = heads
        self.score = nn.Linear(in_channels, heads, bias=False)
        self.out = nn.Linear(heads * in_channels, out_channels)

    def forward(self, x: Tensor, is_there: Tensor) -> Tensor:
        """One vector a pair.

        Args:
            x: [p, S, in_channels].
            is_there: [p, S] bool, places that count.

        Returns:
            [p, out_channels].
        """
        pairs, places, _ = x.shape
        key = self.score(x).view(-1, self.heads, 1)
        value = x.flatten(0, 1)[:, None].expand(-1, self.heads, -1)
        mask = torch.zeros_like(key[..., 0]).masked_fill(~is_there.view(-1, 1), -torch.inf)
        query = key.new_zeros(pairs, self.heads, 1)
        graph = blocks(pairs, places, x.device)
        mixed = attend(graph, query, key, value.contiguous(), score=Additive(), bias=mask)
        return self.out(mixed.flatten(1))


class JointSum(nn.Module):
    r"""The sum over the nodes of a joint neighbourhood.

    .. math::

        z = W \textstyle\sum_a x_a + b

    It counts how many nodes have each position, which a mean with weights cannot.
    """

    def __init__(self, in_channels: int, out_channels: int, *, heads: int):
        """Create W and b.

        Args:
            in_channels: Width of x.
            out_channels: Width of z.
            heads: Without effect, as the mean of linear maps is one of them.
        """
        super().__init__()
        self.out = nn.Linear(in_channels, out_channels)

    def forward(self, x: Tensor, is_there: Tensor) -> Tensor:
        """One vector a pair; see `JointAttention`."""
        return self.out((x * is_there[..., None]).sum(dim=1))


@lru_cache(maxsize=16)
def blocks(rows: int, size: int, device: torch.device) -> Graph:
    """The graph in which row i gathers from columns i * size to (i + 1) * size - 1.

    Kept, because the batches of a stream have few different sizes.
    """
    row = torch.arange(rows, device=device).repeat_interleave(size, output_size=rows * size)
    edges = torch.stack([torch.arange(rows * size, device=device), row])
    return Graph.from_trusted_edge_index(edges, (rows * size, rows))
