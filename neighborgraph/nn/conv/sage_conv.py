"""SAGEConv of PyG over the fused kernels."""

import torch_geometric.nn
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.typing import Adj, OptPairTensor, Size

from neighborgraph.nn.conv.fused import Fused, Path, for_pyg
from neighborgraph.nn.conv.projection import (
    add_bias,
    is_autocast,
    is_plain,
    project,
)
from neighborgraph.nn.conv.reduction import (
    REDUCTIONS,
    reduce_neighbors,
    stored_weight,
    weight_refusal,
)

LINEAR = ("mean", "add", "sum")
"""Aggregations before or after which weights give the same."""


class SAGEConv(Fused, torch_geometric.nn.SAGEConv):
    r"""PyG's `SAGEConv` over `neighborgraph.aggregate`.

    .. math::

        o_i = W_1 x_i + W_2 \operatorname{reduce}_{e=(j \to i)} x_j

    The reductions mean, add, max and min are fused. Arguments, parameters, their names and their
    initial values are PyG's.

    "Inductive Representation Learning on Large Graphs", https://arxiv.org/abs/1706.02216.
    """

    # propagate_type: (x: OptPairTensor)

    def path(self, x: Tensor | OptPairTensor, edge_index: Adj, size: Size = None) -> Path:
        """Which code `forward` runs on these arguments, and why."""
        source, target = (x, x) if isinstance(x, Tensor) else x
        return Path.unless(
            self.layer_refusal()
            or self.aggr_refusal(*REDUCTIONS)
            or self.input_refusal(edge_index, source, target)
            or weight_refusal(edge_index, stored_weight(edge_index), source)
        )

    def forward(self, x: Tensor | OptPairTensor, edge_index: Adj, size: Size = None) -> Tensor:
        """The layer's output, as PyG's class computes it.

        Args:
            x: [n, in_channels], or a pair of sources and receivers, whose receivers may be None.
            edge_index: [2, e], an ``EdgeIndex``, a sparse ``adj_t``, whose values are weights, or a
                `Graph`.
            size: (sources, receivers).

        Returns:
            [n, out_channels].

        Raises:
            IdError: An id is out of range.
            InputError: Sizes do not agree.
        """
        if not self.path(x, edge_index, size).fused:
            return super().forward(x, for_pyg(edge_index), size)
        source, target = (x, x) if isinstance(x, Tensor) else x
        if self.project:
            source = self.lin(source).relu()
        if self.narrows(source, target):
            out = self.narrow_first(source, edge_index, size)
        else:
            out = self.reduce_first(source, target, edge_index, size)
        return F.normalize(out, p=2.0, dim=-1) if self.normalize else out

    def narrows(self, source: Tensor, target: Tensor | None) -> bool:
        """Whether neighbours are fewer numbers after their weights than before them.

        A sum and a mean may come after the weights as well. Between different nodes they come
        before, as there are often more sources than receivers.
        """
        return (
            target is source
            and self.aggr in LINEAR
            and self.out_channels < source.shape[1]
            and not is_autocast(source)
            and is_plain(self.lin_l)
        )

    def narrow_first(self, x: Tensor, edge_index: Adj, size: Size) -> Tensor:
        """Neighbours weighted, then reduced and added to what a node makes of itself."""
        message = F.linear(x, self.lin_l.weight)
        root = self.lin_r(x) if self.root_weight else None
        weight = stored_weight(edge_index)
        out = reduce_neighbors(self, edge_index, message, message, weight, size, add=root)
        return add_bias(out, self.lin_l.bias)

    def reduce_first(
        self, source: Tensor, target: Tensor | None, edge_index: Adj, size: Size
    ) -> Tensor:
        """Neighbours reduced, then weighted."""
        weight = stored_weight(edge_index)
        reduced = reduce_neighbors(self, edge_index, source, target, weight, size)
        (out,) = project(reduced, self.lin_l)
        if self.root_weight and target is not None:
            out = out + self.lin_r(target)
        return out
