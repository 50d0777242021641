"""APPNP of PyG over the fused kernels."""

import torch_geometric.nn
from torch import Tensor
from torch_geometric.typing import Adj, OptTensor

from neighborgraph.nn.conv.fused import Fused, Path, wants_grad
from neighborgraph.nn.conv.normalized import normal_refusal, normalized
from neighborgraph.nn.conv.reduction import weighted_for_pyg


class APPNP(Fused, torch_geometric.nn.APPNP):
    r"""PyG's `APPNP` over `neighborgraph.aggregate`.

    .. math::

        x^{(k)} = (1 - \alpha) \hat{A} x^{(k-1)} + \alpha x^{(0)}, \qquad k = 1 \dots K

    with the normalised adjacency of `GCNConv`. Each step adds :math:`\alpha x^{(0)}` as it writes
    its result. Arguments are PyG's.

    "Predict then Propagate", https://arxiv.org/abs/1810.05997.
    """

    # propagate_type: (x: Tensor, edge_weight: OptTensor)

    def path(self, x: Tensor, edge_index: Adj, edge_weight: OptTensor = None) -> Path:
        """Which code `forward` runs on these arguments, and why."""
        return Path.unless(
            self.layer_refusal()
            or self.aggr_refusal("add", "sum")
            or self.input_refusal(edge_index, x)
            or ("dropout of edges" if self.training and self.dropout > 0 else "")
            or normal_refusal(self, edge_index, edge_weight, x)
        )

    def forward(self, x: Tensor, edge_index: Adj, edge_weight: OptTensor = None) -> Tensor:
        """The K steps, as PyG's class computes them.

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
        options = {"self_loops": self.add_self_loops, "transpose": wants_grad(self, x)}
        adjacency = normalized(self, edge_index, edge_weight, x, **options)
        out = x
        for _ in range(self.K):
            out = adjacency.propagate(out, 1 - self.alpha, x, self.alpha)
        return out
