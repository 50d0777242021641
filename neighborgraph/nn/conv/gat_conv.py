"""GATConv of PyG over the fused kernels."""

from typing import Any

import torch_geometric.nn
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.typing import Adj, OptPairTensor, OptTensor, Size

from neighborgraph.nn.conv.adjacency import edge_index_of, graph_of, num_nodes_of
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
from neighborgraph.nn.conv.projection import add_bias, inner_by_head, is_plain
from neighborgraph.ops import Additive, attend, attend_with_weights


class GATConv(Fused, torch_geometric.nn.GATConv):
    r"""PyG's `GATConv` over `neighborgraph.attend` with one number for each node and head.

    .. math::

        o_i = \sum_{e=(j \to i)} \alpha_e \Theta x_j, \qquad
        \alpha_e = \operatorname{softmax}_{e=(j \to i)} \operatorname{lrelu} \left(
        a_s^\top \Theta x_j + a_t^\top \Theta x_i + a_e^\top \Theta_e f_e \right)

    where every node is its own neighbour once. Arguments, parameters, their names and their initial
    values are PyG's.

    "Graph Attention Networks", https://arxiv.org/abs/1710.10903.
    """

    # propagate_type: (x: OptPairTensor, alpha: Tensor)
    # edge_updater_type: (alpha: OptPairTensor, edge_attr: OptTensor)

    def path(
        self,
        x: Tensor | OptPairTensor,
        edge_index: Adj,
        edge_attr: OptTensor = None,
        size: Size = None,
        return_attention_weights: bool | None = None,
    ) -> Path:
        """Which code `forward` runs on these arguments, and why."""
        source, target = (x, x) if isinstance(x, Tensor) else x
        wanted = bool(return_attention_weights)
        return Path.unless(
            self.layer_refusal()
            or self.aggr_refusal("add", "sum")
            or self.input_refusal(edge_index, source, target)
            or width_refusal(source, self.out_channels)
            or edge_attr_refusal(self.lin_edge is not None, edge_index, edge_attr)
            or sparse_tensor_refusal(self, edge_index, edge_attr)
            or loops_refusal(
                self.add_self_loops,
                edge_index,
                edge_attr,
                num_nodes_of(edge_index, source, target, size),
            )
            or weights_refusal(wanted, self, source, target, edge_attr)
            or looped_weights_refusal(wanted, edge_index, self.add_self_loops)
        )

    def forward(
        self,
        x: Tensor | OptPairTensor,
        edge_index: Adj,
        edge_attr: OptTensor = None,
        size: Size = None,
        return_attention_weights: bool | None = None,
    ) -> Any:
        """The layer's output, as PyG's class computes it.

        Args:
            x: [n, in_channels], or a pair of sources and receivers, whose receivers may be None.
            edge_index: [2, e], an ``EdgeIndex``, a sparse ``adj_t`` or a `Graph`.
            edge_attr: [e, edge_dim] or [e], in the order of the edges; ignored without
                ``edge_dim``.
            size: (sources, receivers).
            return_attention_weights: True adds ``(edge_index, alpha [e', heads])`` with the loops
                that were added, the weights after dropout.

        Returns:
            [n, heads * out_channels], or [n, out_channels] without ``concat``.

        Raises:
            IdError: An id is out of range.
            InputError: Sizes do not agree.
            EdgeRowsError: ``edge_attr`` has another number of rows than there are edges.
        """
        if not self.path(x, edge_index, edge_attr, size, return_attention_weights).fused:
            edge_index = for_pyg(edge_index)
            return super().forward(x, edge_index, edge_attr, size, return_attention_weights)
        source, target = (x, x) if isinstance(x, Tensor) else x
        num_nodes = num_nodes_of(edge_index, source, target, size)
        value, alpha_source, alpha_target = self.scores(source, target, num_nodes[1])
        graph = graph_of(edge_index, num_nodes, transpose=wants_grad(self, value))
        edge = None
        if self.lin_edge is not None and edge_attr is not None:
            features = edge_features(self, edge_index, edge_attr, num_nodes[1])
            edge = self.edge_scores(features)[..., None].to(alpha_source.dtype)
        inputs = graph, alpha_target, alpha_source, value.to(alpha_source.dtype)
        options = {
            "score": Additive(negative_slope=self.negative_slope),
            "edge": edge,
            "dropout": self.dropout if self.training else 0.0,
            "self_loops": self.add_self_loops,
        }
        if not return_attention_weights:
            out = attend(*inputs, **options).to(alpha_source.dtype)
            return self.finish(out, target)
        out, alpha = attend_with_weights(*inputs, **options)
        out, alpha = self.finish(out.to(alpha_source.dtype), target), alpha.to(alpha_source.dtype)
        if self.add_self_loops:
            return out, without_replaced(edge_index_of(edge_index), alpha, num_nodes[1])
        return out, (edge_index, alpha)

    def scores(
        self, source: Tensor, target: Tensor | None, num_rows: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Values [m, H, C], and the shares [m, H, 1] and [n, H, 1] of nodes in the scores."""
        lin_source: Any = self.lin_src if self.lin is None else self.lin
        lin_target: Any = self.lin_dst if self.lin is None else self.lin
        value = lin_source(source).view(-1, self.heads, self.out_channels)
        if target is source and lin_target is lin_source:
            alpha_source, alpha_target = inner_by_head(value, self.att_src, self.att_dst)
            return value, alpha_source, alpha_target
        (alpha_source,) = inner_by_head(value, self.att_src)
        if target is None:
            return value, alpha_source, alpha_source.new_zeros(num_rows, self.heads, 1)
        at_target = lin_target(target).view(-1, self.heads, self.out_channels)
        (alpha_target,) = inner_by_head(at_target, self.att_dst)
        return value, alpha_source, alpha_target

    def edge_scores(self, features: Tensor) -> Tensor:
        """The shares [e', H] of edges in the scores.

        They are linear in the features, so the product with a weight of H rows takes the place of
        one with H * C rows that makes a tensor of the size of all messages.
        """
        lin: Any = self.lin_edge
        shape = self.heads, self.out_channels
        if not is_plain(lin):
            return (lin(features).view(-1, *shape) * self.att_edge).sum(-1)
        weight = lin.weight.view(*shape, lin.in_channels)
        return F.linear(features, (weight * self.att_edge.view(*shape, 1)).sum(1))

    def finish(self, out: Tensor, target: Tensor | None) -> Tensor:
        """Heads merged, with the skip connection and the bias."""
        out = merge_heads(self, out)
        if self.res is not None and target is not None:
            out = out + self.res(target)
        return add_bias(out, self.bias)
