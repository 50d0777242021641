"""GATv2Conv of PyG over the fused kernels."""

from typing import Any

import torch
import torch_geometric.nn
from torch import Tensor
from torch_geometric.typing import Adj, OptTensor, PairTensor

from neighborgraph.nn.conv.adjacency import edge_index_of, graph_of
from neighborgraph.nn.conv.attention import (
    edge_attr_refusal,
    edge_features,
    looped_weights_refusal,
    loops_refusal,
    merge_heads,
    sparse_tensor_refusal,
    weights_refusal,
    without_replaced,
)
from neighborgraph.nn.conv.fused import Fused, Path, for_pyg, wants_grad, width_refusal
from neighborgraph.nn.conv.projection import add_bias, project
from neighborgraph.ops import Additive, attend, attend_with_weights


class GATv2Conv(Fused, torch_geometric.nn.GATv2Conv):
    r"""PyG's `GATv2Conv` over `neighborgraph.attend` with an additive score.

    .. math::

        o_i = \sum_{e=(j \to i)} \alpha_e \Theta_l x_j, \qquad
        \alpha_e = \operatorname{softmax}_{e=(j \to i)} a^\top \operatorname{lrelu} \left(
        \Theta_l x_j + \Theta_r x_i + \Theta_e f_e \right)

    where every node is its own neighbour once. Arguments, parameters, their names and their initial
    values are PyG's.

    "How Attentive are Graph Attention Networks?", https://arxiv.org/abs/2105.14491.
    """

    # propagate_type: (x: PairTensor, alpha: Tensor)
    # edge_updater_type: (x: PairTensor, edge_attr: OptTensor)

    def path(
        self,
        x: Tensor | PairTensor,
        edge_index: Adj,
        edge_attr: OptTensor = None,
        return_attention_weights: bool | None = None,
    ) -> Path:
        """Which code `forward` runs on these arguments, and why."""
        source, target = (x, x) if isinstance(x, Tensor) else x
        if target is None:
            return Path.unless("x has no receivers")
        wanted = bool(return_attention_weights)
        num_nodes = source.shape[0], target.shape[0]
        return Path.unless(
            self.layer_refusal()
            or self.aggr_refusal("add", "sum")
            or self.input_refusal(edge_index, source, target)
            or width_refusal(source, self.out_channels)
            or (
                "edge_attr without edge_dim"
                if self.lin_edge is None and edge_attr is not None
                else ""
            )
            or edge_attr_refusal(True, edge_index, edge_attr)
            or sparse_tensor_refusal(self, edge_index, edge_attr)
            or loops_refusal(self.add_self_loops, edge_index, edge_attr, num_nodes)
            or weights_refusal(wanted, self, source, target, edge_attr)
            or looped_weights_refusal(wanted, edge_index, self.add_self_loops)
        )

    def forward(
        self,
        x: Tensor | PairTensor,
        edge_index: Adj,
        edge_attr: OptTensor = None,
        return_attention_weights: bool | None = None,
    ) -> Any:
        """The layer's output, as PyG's class computes it.

        Args:
            x: [n, in_channels], or a pair of sources and receivers.
            edge_index: [2, e], an ``EdgeIndex``, a sparse ``adj_t`` or a `Graph`.
            edge_attr: [e, edge_dim] or [e], in the order of the edges.
            return_attention_weights: True adds ``(edge_index, alpha [e', heads])`` with the loops
                that were added, the weights after dropout.

        Returns:
            [n, heads * out_channels], or [n, out_channels] without ``concat``.

        Raises:
            IdError: An id is out of range.
            InputError: Sizes do not agree.
            EdgeRowsError: ``edge_attr`` has another number of rows than there are edges.
        """
        if not self.path(x, edge_index, edge_attr, return_attention_weights).fused:
            return super().forward(x, for_pyg(edge_index), edge_attr, return_attention_weights)
        source, target = (x, x) if isinstance(x, Tensor) else x
        num_nodes, heads = (source.shape[0], target.shape[0]), (self.heads, self.out_channels)
        key, query = (part.view(-1, *heads) for part in self.projections(source, target))
        graph = graph_of(edge_index, num_nodes, transpose=wants_grad(self, query, key))
        edge = None
        if self.lin_edge is not None and edge_attr is not None:
            features = edge_features(self, edge_index, edge_attr, num_nodes[1])
            edge = self.lin_edge(features).view(-1, *heads)
        # The dtype of PyG's scores, which autocast leaves in that of the parameters.
        dtype = torch.promote_types(key.dtype, self.att.dtype)
        inputs = graph, query, key, key
        options = {
            "score": Additive(self.att.view(*heads), self.negative_slope),
            "edge": edge,
            "dropout": self.dropout if self.training else 0.0,
            "self_loops": self.add_self_loops,
        }
        if not return_attention_weights:
            return self.finish(attend(*inputs, **options).to(dtype), target)
        out, alpha = attend_with_weights(*inputs, **options)
        out, alpha = self.finish(out.to(dtype), target), alpha.to(dtype)
        if self.add_self_loops:
            return out, without_replaced(edge_index_of(edge_index), alpha, num_nodes[1])
        return out, (edge_index, alpha)

    def projections(self, source: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        """Key, which is also the value, and query."""
        if target is not source:
            return *project(source, self.lin_l), *project(target, self.lin_r)
        if self.share_weights:
            return project(source, self.lin_l) * 2
        return project(source, self.lin_l, self.lin_r)

    def finish(self, out: Tensor, target: Tensor) -> Tensor:
        """Heads merged, with the skip connection and the bias."""
        out = merge_heads(self, out)
        if self.res is not None:
            out = out + self.res(target)
        return add_bias(out, self.bias)
