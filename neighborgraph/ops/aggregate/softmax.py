"""The softmax reduction: attention with one head for each channel."""

import torch
from torch import Tensor

from neighborgraph.graph import Graph
from neighborgraph.ops.attend import Dot, attend


def softmax_of_channels(graph: Graph, x: Tensor, temperature: float | Tensor) -> Tensor:
    r"""A mean of every row's neighbours, weighted by a softmax over each channel.

    .. math::

        o_i = \sum_{e=(j \to i)} \operatorname{softmax}_{e=(j \to i)} (t \, x_j) \, x_j

    A float t is the scale of the scores, so that it is not rounded to 16 bits; a tensor is the
    query, whose gradient attention gives.

    Args:
        graph: n receivers, m sources.
        x: [m, F] features; keys and values at once.
        temperature: t, a float or [F] in the dtype of ``x``.

    Returns:
        [n, F].
    """
    if x.shape[1] == 0:  # attention needs a head
        return x[:0].sum(0).expand(graph.num_rows, 0)
    if isinstance(temperature, int | float):
        query, scale = x.new_ones(x.shape[1]), temperature
    else:
        query, scale = temperature, 1.0
    heads = x[:, :, None]
    # aggregate works in the dtype of its features, also where autocast would have attend narrow it.
    with torch.autocast(x.device.type, enabled=False):
        queries = query.expand(graph.num_rows, -1)[:, :, None]
        return attend(graph, queries, heads, heads, score=Dot(scale)).squeeze(2)
