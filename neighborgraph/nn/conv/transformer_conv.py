"""TransformerConv of PyG over the fused kernels."""

from typing import Any

import torch
import torch_geometric.nn
from torch import Tensor
from torch_geometric.typing import Adj, OptTensor, PairTensor

from neighborgraph.nn.conv.adjacency import expect_edge_rows, graph_of, is_sparse_tensor
from neighborgraph.nn.conv.attention import (
    edge_attr_refusal,
    merge_heads,
    score_dtype,
    sparse_tensor_refusal,
    weights_refusal,
)
from neighborgraph.nn.conv.fused import Fused, Path, for_pyg, wants_grad, width_refusal
from neighborgraph.nn.conv.projection import project
from neighborgraph.ops import attend, attend_with_weights


class TransformerConv(Fused, torch_geometric.nn.TransformerConv):
    r"""PyG's `TransformerConv` over `neighborgraph.attend` with a dot product.

    .. math::

        o_i = W_1 x_i + \sum_{e=(j \to i)} \alpha_e (W_2 x_j + W_6 a_e), \qquad
        \alpha_e = \operatorname{softmax}_{e=(j \to i)} \left(
        (W_3 x_i)^\top (W_4 x_j + W_6 a_e) / \sqrt{C} \right)

    Arguments, parameters, their names and their initial values are PyG's.

    "Masked Label Prediction", https://arxiv.org/abs/2009.03509.
    """

    # propagate_type: (query: Tensor, key: Tensor, value: Tensor, edge_attr: OptTensor)

    def path(
        self,
        x: Tensor | PairTensor,
        edge_index: Adj,
        edge_attr: OptTensor = None,
        return_attention_weights: bool | None = None,
    ) -> Path:
        """Which code `forward` runs on these arguments, and why."""
        source, target = (x, x) if isinstance(x, Tensor) else x
        wanted = isinstance(return_attention_weights, bool)
        return Path.unless(
            self.layer_refusal()
            or self.aggr_refusal("add", "sum")
            or self.input_refusal(edge_index, source, target)
            or width_refusal(source, self.out_channels)
            or self.edge_refusal(edge_index, edge_attr)
            or sparse_tensor_refusal(self, edge_index, edge_attr)
            or (wanted and is_sparse_tensor(edge_index) and "weights as a SparseTensor")
            or weights_refusal(wanted, self, source, target, edge_attr)
            or (wanted and self.drops() and "attention weights before dropout")
            or ""
        )

    def edge_refusal(self, edge_index: Adj, edge_attr: OptTensor) -> str:
        """Why ``edge_attr`` goes to PyG's code, or an empty string."""
        if (self.lin_edge is None) != (edge_attr is None):
            return "edge_attr without edge_dim" if edge_attr is not None else "no edge_attr"
        return edge_attr_refusal(edge_attr is not None, edge_index, edge_attr)

    def drops(self) -> bool:
        """Whether weights are dropped."""
        return self.training and self.dropout > 0

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
            edge_attr: [e, edge_dim], in the order of the edges.
            return_attention_weights: True or False add ``(edge_index, alpha [e, heads])``, the
                weights before dropout.

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
        heads = self.heads, self.out_channels
        query, key, value, root = self.projections(source, target)
        query, key, value = (part.view(-1, *heads) for part in (query, key, value))
        num_nodes, transpose = (source.shape[0], target.shape[0]), wants_grad(self, query, value)
        graph = graph_of(edge_index, num_nodes, transpose=transpose)
        edge = None
        if self.lin_edge is not None:
            assert edge_attr is not None
            expect_edge_rows("edge_attr", edge_attr, edge_index)
            edge = self.lin_edge(edge_attr).view(-1, *heads)
        dropout = self.dropout if self.drops() else 0.0
        if isinstance(return_attention_weights, bool):
            out, alpha = attend_with_weights(graph, query, key, value, edge=edge)
        else:
            out, alpha = attend(graph, query, key, value, edge=edge, dropout=dropout), None
        out = self.with_root(merge_heads(self, out.to(score_dtype(value))), root)
        return out if alpha is None else (out, (edge_index, alpha.to(score_dtype(value))))

    def projections(
        self, source: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Query, key and value, and what a node makes of itself."""
        at_source = self.lin_key, self.lin_value
        at_target = (self.lin_query, self.lin_skip) if self.root_weight else (self.lin_query,)
        if source is target:
            key, value, query, *root = project(source, *at_source, *at_target)
        else:
            key, value = project(source, *at_source)
            query, *root = project(target, *at_target)
        return query, key, value, root[0] if root else None

    def with_root(self, out: Tensor, root: Tensor | None) -> Tensor:
        """The output with what a node makes of itself."""
        if root is None:
            return out
        if self.lin_beta is None:
            return out + root
        beta = self.lin_beta(torch.cat([out, root, out - root], dim=-1)).sigmoid()
        return beta * root + (1 - beta) * out
