"""GraphConv of PyG over the fused kernels."""

import torch_geometric.nn
from torch import Tensor
from torch_geometric.typing import Adj, OptPairTensor, OptTensor, Size

from neighborgraph.nn.conv.fused import Fused, Path
from neighborgraph.nn.conv.projection import project
from neighborgraph.nn.conv.reduction import (
    REDUCTIONS,
    edge_weight_of,
    reduce_neighbors,
    weight_refusal,
    weighted_for_pyg,
)


class GraphConv(Fused, torch_geometric.nn.GraphConv):
    r"""PyG's `GraphConv` over `neighborgraph.aggregate`.

    .. math::

        o_i = W_1 x_i + W_2 \operatorname{reduce}_{e=(j \to i)} w_e x_j

    The reductions add, mean, max and min are fused. Arguments, parameters, their names and their
    initial values are PyG's.

    "Weisfeiler and Leman Go Neural", https://arxiv.org/abs/1810.02244.
    """

    # propagate_type: (x: OptPairTensor, edge_weight: OptTensor)

    def path(
        self,
        x: Tensor | OptPairTensor,
        edge_index: Adj,
        edge_weight: OptTensor = None,
        size: Size = None,
    ) -> Path:
        """Which code `forward` runs on these arguments, and why."""
        source, target = (x, x) if isinstance(x, Tensor) else x
        return Path.unless(
            self.layer_refusal()
            or self.aggr_refusal(*REDUCTIONS)
            or self.input_refusal(edge_index, source, target)
            or weight_refusal(edge_index, edge_weight_of(edge_index, edge_weight), source)
        )

    def forward(
        self,
        x: Tensor | OptPairTensor,
        edge_index: Adj,
        edge_weight: OptTensor = None,
        size: Size = None,
    ) -> Tensor:
        """The layer's output, as PyG's class computes it.

        Args:
            x: [n, in_channels], or a pair of sources and receivers, whose receivers may be None.
            edge_index: [2, e], an ``EdgeIndex``, a sparse ``adj_t``, whose values are the weights,
                or a `Graph`, whose weights count where no others are given.
            edge_weight: [e], in the order of the edges.
            size: (sources, receivers).

        Returns:
            [n, out_channels].

        Raises:
            IdError: An id is out of range.
            InputError: Sizes do not agree.
            EdgeRowsError: ``edge_weight`` has another number of rows than there are edges.
        """
        if not self.path(x, edge_index, edge_weight, size).fused:
            return super().forward(x, *weighted_for_pyg(edge_index, edge_weight), size)
        source, target = (x, x) if isinstance(x, Tensor) else x
        weight = edge_weight_of(edge_index, edge_weight)
        reduced = reduce_neighbors(self, edge_index, source, target, weight, size)
        (out,) = project(reduced, self.lin_rel)
        return out if target is None else out + self.lin_root(target)
