"""GCNConv of PyG over the fused kernels."""

import torch_geometric.nn
from torch import Tensor
from torch_geometric.typing import Adj, OptTensor

from neighborgraph.nn.conv.fused import Fused, Path, wants_grad
from neighborgraph.nn.conv.normalized import normal_refusal, normalized
from neighborgraph.nn.conv.projection import add_bias
from neighborgraph.nn.conv.reduction import weighted_for_pyg


class GCNConv(Fused, torch_geometric.nn.GCNConv):
    r"""PyG's `GCNConv` over `neighborgraph.aggregate`.

    .. math::

        o_i = d_i^{-1/2} \sum_{e=(j \to i)} w_e d_j^{-1/2} \Theta^\top x_j

    where every node has a loop and :math:`d_i` is the sum of the weights it receives. Arguments,
    parameters, their names and their initial values are PyG's.

    "Semi-Supervised Classification with Graph Convolutional Networks",
    https://arxiv.org/abs/1609.02907.
    """

    # propagate_type: (x: Tensor, edge_weight: OptTensor)

    def path(self, x: Tensor, edge_index: Adj, edge_weight: OptTensor = None) -> Path:
        """Which code `forward` runs on these arguments, and why."""
        if not isinstance(x, Tensor):
            return Path.unless("a pair of features")
        return Path.unless(
            self.layer_refusal()
            or self.aggr_refusal("add", "sum")
            or self.input_refusal(edge_index, x)
            or normal_refusal(self, edge_index, edge_weight, x)
        )

    def forward(self, x: Tensor, edge_index: Adj, edge_weight: OptTensor = None) -> Tensor:
        """The layer's output, as PyG's class computes it.

        Args:
            x: [n, in_channels].
            edge_index: [2, e], an ``EdgeIndex``, a sparse ``adj_t``, whose values are the weights,
                or a `Graph`, whose weights count where no others are given.
            edge_weight: [e], in the order of the edges.

        Returns:
            [n, out_channels].

        Raises:
            IdError: An id is out of range.
            InputError: Sizes do not agree.
            EdgeRowsError: ``edge_weight`` has another number of rows than there are edges.
        """
        if not self.path(x, edge_index, edge_weight).fused:
            return super().forward(x, *weighted_for_pyg(edge_index, edge_weight))
        message = self.lin(x)
        adjacency = normalized(
            self,
            edge_index,
            edge_weight,
            x,
            self_loops=self.add_self_loops,
            fill=2.0 if self.improved else 1.0,
            transpose=wants_grad(self, message),
        )
        out = adjacency.propagate(message)
        return add_bias(out, self.bias)
