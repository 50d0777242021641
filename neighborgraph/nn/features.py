"""Node features, dense or sparse, at the entrance of a model.

A bag of words is itself a graph: node i gathers from the words j it contains, with the word's count
as the edge weight. So a sparse feature matrix is held as a rectangular weighted `Graph`, and its
product with a weight matrix is the sum that `aggregate` computes. On a citation graph, where
99 % of the entries are zero, this leaves a hundredth of the work of the dense product.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.ops import aggregate

Features = Tensor | Graph
"""[n, F] floating point, or n receivers over F sources whose edge weights are the values."""


class FeatureLinear(nn.Linear):
    r"""A linear layer, :math:`x W^\top + b`, that also takes sparse features.

    Parameters, their names and their initial values are those of ``torch.nn.Linear``.
    """

    def forward(self, input: Features) -> Tensor:
        """The product.

        Args:
            input: [n, F] features, dense or sparse.

        Returns:
            [n, out_features].

        Raises:
            InputError: Sparse features have another width, or no values.
        """
        if isinstance(input, Tensor):
            return super().forward(input)
        out = feature_product(input, self.weight)
        return out if self.bias is None else out + self.bias


def feature_product(x: Features, weight: Tensor) -> Tensor:
    r"""The product :math:`x W^\top` of dense or sparse features.

    Args:
        x: [n, F] features, dense or sparse.
        weight: [C, F].

    Returns:
        [n, C].

    Raises:
        InputError: Sparse features have another width, or no values.
    """
    if isinstance(x, Tensor):
        return F.linear(x, weight)
    if x.num_cols != weight.shape[1]:
        raise InputError(
            f"features have {x.num_cols} columns, but the layer was built for "
            f"in_features={weight.shape[1]}"
        )
    return aggregate(x, weight.t().contiguous(), "sum", weight=values_of(x))


def feature_dropout(x: Features, p: float, training: bool) -> Features:
    """Dropout on the entries of a feature matrix; an entry that is zero has nothing to drop.

    Args:
        x: [n, F] features, dense or sparse.
        p: Probability of dropping an entry; the others are scaled by 1 / (1 - p).
        training: False returns ``x`` itself.
    """
    if not training or p == 0:
        return x
    if isinstance(x, Tensor):
        return F.dropout(x, p)
    return replace(x, weight=F.dropout(values_of(x), p))


def drop_nodes(x: Features, p: float, training: bool) -> Features:
    """DropNode, a dropout of whole rows that leaves the others as they are.

    Args:
        x: [n, F] features, dense or sparse.
        p: Probability of dropping a row.
        training: False multiplies all rows by 1 - p, what is kept of one on average.

    Returns:
        Features of the same form.

    "Graph Random Neural Networks for Semi-Supervised Learning on Graphs",
    https://arxiv.org/abs/2005.11079.
    """
    if p == 0:
        return x
    values = x if isinstance(x, Tensor) else values_of(x)
    kept = values.new_full((len(x) if isinstance(x, Tensor) else x.num_rows,), 1 - p)
    if training:
        kept = torch.bernoulli(kept)
    if isinstance(x, Tensor):
        return x * kept[:, None]
    return replace(x, weight=values * kept[x.edge_index[1]])


def dense_features(x: Features) -> Tensor:
    """[n, F] the matrix that ``x`` is; values at the same place are summed up."""
    if isinstance(x, Tensor):
        return x
    values, (column, row) = values_of(x), x.edge_index
    out = values.new_zeros(x.num_rows, x.num_cols)
    return out.index_put((row, column), values, accumulate=True)


def values_of(x: Graph) -> Tensor:
    """The values of sparse features."""
    if x.weight is None:
        raise InputError("sparse features need their values as edge weights, got a graph without")
    return x.weight


def normalize_rows(x: Tensor) -> Tensor:
    """Each row divided by its sum; a row that sums to zero stays as it is."""
    return normalize_rows_(x.clone())


def normalize_rows_(x: Tensor) -> Tensor:
    """`normalize_rows` in place, for rows in the last dimension of ``x``."""
    total = x.sum(dim=-1, keepdim=True)
    return x.div_(total.masked_fill_(total == 0, 1.0))
