"""LGConv of PyG over the fused kernels."""

import torch_geometric.nn
from torch import Tensor
from torch_geometric.typing import Adj, OptTensor

from neighborgraph.nn.conv.fused import Fused, Path, wants_grad
from neighborgraph.nn.conv.normalized import normal_refusal, normalized
from neighborgraph.nn.conv.reduction import weighted_for_pyg


class LGConv(Fused, torch_geometric.nn.LGConv):
    r"""PyG's `LGConv` over `neighborgraph.aggregate`.

    .. math::

        o_i = d_i^{-1/2} \sum_{e=(j \to i)} w_e d_j^{-1/2} x_j

    where :math:`d_i` is the sum of the weights a node receives. Arguments are PyG's.

    "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation",
    https://arxiv.org/abs/2002.02126.
    """

    # propagate_type: (x: Tensor, edge_weight: OptTensor)

    def path(self, x: Tensor, edge_index: Adj, edge_weight: OptTensor = None) -> Path:
        """Which code `forward` runs on these arguments, and why."""
        return Path.unless(
            self.layer_refusal()
            or self.aggr_refusal("add", "sum")
            or self.input_refusal(edge_index, x)
            or normal_refusal(self, edge_index, edge_weight, x)
        )

    def forward(self, x: Tensor, edge_index: Adj, edge_weight: OptTensor = None) -> Tensor:
        """The layer's output, as PyG's class computes it.

        Args:
            x: [n, F].
            edge_index: [2, e], an ``EdgeIndex``, a sparse ``adj_t``, whose values are the weights,
                or a `Graph`, whose weights count where no others are given.
            edge_weight: [e], in the order of the edges.

        Returns:
            [n, F].

        Raises:
            IdError: An id is out of range.
            InputError: Sizes do not agree.
            EdgeRowsError: ``edge_weight`` has another number of rows than there are edges.
        """
        if not self.path(x, edge_index, edge_weight).fused:
            return super().forward(x, *weighted_for_pyg(edge_index, edge_weight))
        options = {"self_loops": False, "transpose": wants_grad(self, x)}
        return normalized(self, edge_index, edge_weight, x, **options).propagate(x)
